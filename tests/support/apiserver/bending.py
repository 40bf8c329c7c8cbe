"""A proxy with TLS before a real API server that answers some requests itself, and holds or cuts others."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from support.apiserver import ApiServer
from support.certificates import Authority

Bend = Callable[[web.Request], web.Response | None]


class Bending:
    """`bend` answers a request, or lets it through with None."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self.url = ""
        self.authority = Authority("bending proxy")
        self.bend: Bend = lambda request: None
        self.seen: list[str] = []
        self.open: set[asyncio.Transport] = set()
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.repeat = False  # say each line of a watch twice
        self.lose = b""  # lines of a watch with this are lost
        self.lost = 0

    def kubeconfig(self, path: Path) -> None:
        self._server.kubeconfig(path, server=self.url, ca=self.authority.pem.decode())

    def cut(self) -> None:
        """Every connection that has a request."""
        for transport in list(self.open):
            _abort(transport)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request.path_qs)
        transport = request.transport
        assert transport is not None
        self.open.add(transport)
        try:
            return self.bend(request) or await self._through(request)
        except (aiohttp.ClientError, ConnectionError):  # it was cut, on purpose
            _abort(transport)
            return web.Response()
        finally:
            self.open.discard(transport)

    async def _through(self, request: web.Request) -> web.StreamResponse:
        headers = {
            k: v for k, v in request.headers.items() if k in ("Authorization", "Accept", "Content-Type")
        }
        trust = ssl.create_default_context(cadata=self._server.ca_pem)
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(None)) as session,
            session.request(
                request.method, self._server.url + request.path_qs, headers=headers, ssl=trust
            ) as answer,
        ):
            kind = answer.headers.get("Content-Type", "")
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": kind})
            await response.prepare(request)
            async for line in answer.content:
                await self.flowing.wait()
                if self.lose and self.lose in line:
                    self.lost += 1
                    continue
                await response.write(line * 2 if self.repeat and b'"type"' in line[:8] else line)
            await response.write_eof()
            return response


def _abort(transport: asyncio.Transport) -> None:
    if not transport.is_closing():  # Python 3.11.2 cannot abort a TLS connection twice
        transport.abort()


@asynccontextmanager
async def bending(server: ApiServer, folder: Path) -> AsyncIterator[Bending]:
    proxy = Bending(server)
    certificate, key = folder / "proxy.crt", folder / "proxy.key"
    proxy.authority.issue("proxy", ip="127.0.0.1").write(certificate, key)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", proxy.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await (site := web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)).start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        proxy.url = f"https://127.0.0.1:{port}"
        yield proxy
    finally:
        proxy.flowing.set()
        proxy.cut()
        await runner.cleanup()
