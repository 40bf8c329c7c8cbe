"""The connections that belong to one version of the credentials."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from .loading_client import Loaded

CONNECT_TIMEOUT_S = 5.0
# A watch's answer begins at once, before the first event
HEADERS_TIMEOUT_S = 30.0
KEEPALIVE_S, KEEPALIVE_EVERY_S, KEEPALIVE_TIMES = 10, 3, 3
USER_AGENT = "tideover"


@dataclass(frozen=True, slots=True)
class Request:
    """One question to an API server. Without a timeout only the beginning of its answer is bounded."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    data: bytes | None = None
    timeout_s: float | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Session:
    """Connections to one server with one credential; once retired, closed when the last use ends."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self._uses = 0
        self._retired = False
        self._closing: asyncio.Task[None] | None = None
        connector = aiohttp.TCPConnector(limit=0, ssl=loaded.tls, socket_factory=_socket)
        headers = {"User-Agent": USER_AGENT}
        if loaded.authorization:
            headers["Authorization"] = loaded.authorization
        # The environment's proxies are not used: the library understands no networks in NO_PROXY, so that
        # a cluster's own address would go to the proxy. `proxy-url` in the kubeconfig is
        self._http = aiohttp.ClientSession(
            connector=connector, headers=headers, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
        )

    @asynccontextmanager
    async def request(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer, while it is read."""
        timeout_s = request.timeout_s
        timeout = aiohttp.ClientTimeout(
            total=timeout_s,
            connect=CONNECT_TIMEOUT_S if timeout_s is None else min(CONNECT_TIMEOUT_S, timeout_s),
        )
        url = URL(self.loaded.server.rstrip("/") + request.path)
        extra: dict[str, Any] = {}
        if self.loaded.tls_server_name:
            extra["server_hostname"] = self.loaded.tls_server_name
        async with (
            asyncio.timeout(HEADERS_TIMEOUT_S if timeout_s is None else None) as beginning,
            self._http.request(
                request.method,
                url.update_query(request.query) if request.query else url,
                data=request.data,
                headers=request.headers,
                timeout=timeout,
                allow_redirects=False,
                proxy=self.loaded.proxy,
                **extra,
            ) as response,
        ):
            beginning.reschedule(None)
            yield response

    @contextmanager
    def used(self) -> Iterator[None]:
        """While a request or stream goes on."""
        self._uses += 1
        try:
            yield
        finally:
            self._uses -= 1
            if self._retired and not self._uses:
                self.retire_soon()

    async def retire(self) -> None:
        """Close when nobody uses it any more."""
        self._retired = True
        if not self._uses:
            await self.close()

    def retire_soon(self) -> None:
        """As `retire`, from where nothing can be awaited."""
        self._retired = True
        if not self._uses and self._closing is None:
            self._closing = asyncio.ensure_future(self.close())

    async def close(self) -> None:
        """End all connections."""
        await self._http.close()


def _socket(address: Any) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_S),
        ("TCP_KEEPINTVL", KEEPALIVE_EVERY_S),
        ("TCP_KEEPCNT", KEEPALIVE_TIMES),
    ):
        if hasattr(socket, option):  # not on every system
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made
