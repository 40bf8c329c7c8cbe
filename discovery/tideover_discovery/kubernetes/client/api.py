"""Requests to one API server. Each has a timeout and a bound, none follows a redirect."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

import aiohttp
import msgspec

from tideover_discovery.kubernetes.decoding import UNREADABLE

from .access import Access
from .errors import ApiError, BadKubeconfig, Silent, TooLong, is_html, refused, unanswered
from .loading_client import Loaded
from .session_client import Request, Session

JSON = "application/json"
MAX_BODY_BYTES = 64 << 20
MAX_LINE_BYTES = 16 << 20  # etcd refuses objects larger than 1.5 MiB
# A line that begins must end; a byte now and then is no sign of life
LINE_WITHIN_S = 75.0
_MAX_ERROR_BYTES = 64 << 10
_FAILURES = (aiohttp.ClientError, OSError, TimeoutError, ssl.SSLError, ValueError)
NOTHING: Mapping[str, str] = MappingProxyType({})


class Api:
    """One API server, spoken to with whatever `access` says at the moment.

    A new credential counts from the next request on; streams opened with the old one go on until they
    end. One that the server refuses while the one before still works is a problem, and is not used.
    """

    def __init__(self, access: Access, *, name: str = "") -> None:
        self.name = name
        self._access = access
        self._session: Session | None = None
        self._good: Session | None = None  # the last one that the server accepted
        self._bad: Loaded | None = None  # refused, while the one before works
        self._changing = asyncio.Lock()

    @property
    def server(self) -> str:
        """The server's URL, "" while it is not known."""
        return self._session.loaded.server if self._session is not None else ""

    @property
    def authorization(self) -> str:
        """The Authorization header that requests carry at the moment. Never to be shown."""
        return self._session.loaded.authorization if self._session is not None else ""

    @property
    def problem(self) -> str:
        """What is wrong with the newest credentials, "" when nothing is; those before are used on."""
        if self._bad is not None:
            return "the newest credentials are refused: 401 Unauthorized"
        return self._access.problem

    async def get(
        self, path: str, query: Mapping[str, str] = NOTHING, *, accept: str = JSON, timeout_s: float = 30
    ) -> bytes:
        """The body of the answer. Raises ApiError."""
        async with self._answer(Request("GET", path, query, {"Accept": accept}, None, timeout_s)) as response:
            body = await _read(response, MAX_BODY_BYTES, f"GET {path}")
            if "json" in accept and is_html(response.headers.get("Content-Type", ""), body):
                raise ApiError(response.status, f"GET {path}: answered HTML, not the Kubernetes API")
            return body

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = JSON,
        query: Mapping[str, str] = NOTHING,
        timeout_s: float = 30,
    ) -> dict[str, Any]:
        """Write `body`, an object or its bytes; the object that the server answers. Raises ApiError."""
        data = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
        headers = {"Accept": JSON, "Content-Type": content_type}
        what = f"{method} {path}"
        async with self._answer(Request(method, path, query, headers, data, timeout_s)) as response:
            said = await _read(response, MAX_BODY_BYTES, what)
            try:
                found = msgspec.json.decode(said)
            except UNREADABLE:
                raise ApiError(response.status, f"{what}: answered something other than JSON") from None
            return found if isinstance(found, dict) else {}

    async def batches(
        self,
        path: str,
        query: Mapping[str, str],
        *,
        accept: str = JSON,
        silent_after_s: Callable[[], float],
    ) -> AsyncGenerator[list[bytes], None]:
        """The lines of a watch until the server ends it, those together that arrived together. The first
        batch is empty and says that the server has accepted the watch. Raises ApiError when it ends badly,
        is silent for longer than `silent_after_s`, or says a line that is too long."""
        what = f"GET {path} (watch)"
        async with self._answer(Request("GET", path, query, {"Accept": accept})) as response:
            if is_html(response.headers.get("Content-Type", ""), b""):
                raise ApiError(response.status, f"{what}: answered HTML, not the Kubernetes API")
            yield []
            rest, line_s = bytearray(), time.monotonic()
            try:
                while True:
                    patience_s = silent_after_s()
                    within_s = line_s + max(patience_s, LINE_WITHIN_S) - time.monotonic()
                    async with asyncio.timeout(min(patience_s, within_s)):
                        chunk = await response.content.readany()
                    if not chunk:
                        break
                    whole, newline, tail = chunk.rpartition(b"\n")
                    if newline:
                        rest += whole
                        lines = [line for line in bytes(rest).split(b"\n") if line]
                        rest = bytearray(tail)
                        if lines:
                            yield lines
                            line_s = time.monotonic()
                    else:
                        rest += chunk
                    if len(rest) > MAX_LINE_BYTES:
                        raise ApiError(response.status, f"{what}: a line of more than {MAX_LINE_BYTES} bytes")
            except TimeoutError:
                if within_s < patience_s and rest:
                    raise Silent(0, f"{what}: said a part of a line for {LINE_WITHIN_S:g} s") from None
                raise Silent(0, f"{what}: silent for {patience_s:g} s") from None
            except (aiohttp.ClientError, OSError) as error:
                raise unanswered(self.server, what, error) from None
            if rest:
                raise ApiError(response.status, f"{what}: cut off in the middle of a line")

    async def close(self) -> None:
        """End all connections."""
        for session in (self._session, self._good):  # closing one twice is closing it once
            if session is not None:
                await session.close()
        self._session = self._good = None

    @asynccontextmanager
    async def _answer(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """A successful answer, once more with credentials read anew when these were refused."""
        what = str(request)
        session = await self._current()
        tried: list[Session] = []
        while True:
            tried.append(session)
            with session.used():
                try:
                    async with session.request(request) as response:
                        if response.status < 300:
                            self._accepted(session, tried)
                            yield response
                            return
                        body = await _read(response, _MAX_ERROR_BYTES, what, cut=True)
                        error = refused(what, response.status, response.headers, body)
                except _FAILURES as failure:
                    raise unanswered(session.loaded.server, what, failure) from failure
            other = await self._another(tried) if error.status == 401 else None
            if other is None:
                raise error
            session = other

    async def _current(self) -> Session:
        return await self._session_of(await self._credentials(again=False))

    async def _credentials(self, *, again: bool) -> Loaded:
        try:
            return await self._access.current(again=again)
        except BadKubeconfig as error:
            raise ApiError(0, str(error)) from None

    async def _session_of(self, loaded: Loaded) -> Session:
        """The session of these credentials; the one before ends when nobody uses it any more."""
        async with self._changing:
            if loaded is self._bad and self._good is not None:
                return self._good
            if self._session is None or self._session.loaded is not loaded:
                before, self._session, self._bad = self._session, Session(loaded), None
                if before is not None and before is not self._good:
                    await before.retire()
            return self._session

    async def _another(self, tried: list[Session]) -> Session | None:
        """What to try after a 401: credentials read anew, else those that worked before, else nothing."""
        if len(tried) == 1:
            session = await self._session_of(await self._credentials(again=True))
            if session is not tried[0]:
                return session
        return self._good if self._good not in tried else None

    def _accepted(self, session: Session, tried: list[Session]) -> None:
        if session is self._session and session is not self._good:
            before, self._good = self._good, session
            if before is not None:
                before.retire_soon()
        elif session is self._good and self._session in tried and self._session is not session:
            self._bad = self._session.loaded


async def _read(response: aiohttp.ClientResponse, limit: int, what: str, *, cut: bool = False) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            if cut:
                return bytes(body[:limit])
            raise TooLong(response.status, f"{what}: answered more than {limit >> 20} MiB")
    return bytes(body)
