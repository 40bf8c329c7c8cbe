"""What machines ask over HTTP: `/metrics`, `/healthz` (alive) and `/readyz` (may be asked, and why not)."""

from __future__ import annotations

import asyncio
import socket
import ssl

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from .metrics import Metrics
from .replica import Replica


class HttpServer:
    """Serves one replica on a socket that is already bound."""

    def __init__(self, replica: Replica, metrics: Metrics) -> None:
        self._replica = replica
        self._collected = metrics
        self._planning = asyncio.Lock()
        app = web.Application(client_max_size=64 * 1024)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)

    async def start(self, bound: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Begin to answer on that socket, which is closed by `stop`."""
        await self._runner.setup()
        await web.SockSite(self._runner, bound, ssl_context=tls).start()

    async def stop(self) -> None:
        """Close the socket and end open requests."""
        await self._runner.cleanup()

    async def _metrics(self, _request: web.Request) -> web.Response:
        # the body is a text of its own content type, which aiohttp's `content_type` would take apart
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        async with self._planning:
            await asyncio.to_thread(self._collected.look())
        return web.Response(body=generate_latest(self._collected.registry), headers=headers)

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        readiness = self._replica.readiness()
        lines = ["ready" if readiness.ready else "not ready", *readiness.reasons]
        return web.Response(text="\n".join(lines) + "\n", status=200 if readiness.ready else 503)
