"""Steady calls through an Envoy, every one remembered with its time, outcome and who served it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from support.wait import until


@dataclass(frozen=True, slots=True)
class Call:
    """One finished call: `status` 0 means that no answer came."""

    at_s: float
    status: int
    served_by: str
    body: str = ""


@dataclass
class Load:
    """Calls so far, in order of their end."""

    calls: list[Call] = field(default_factory=list)

    def failed(self) -> list[Call]:
        """Everything that the caller saw fail."""
        return [call for call in self.calls if call.status != 200]

    def served(self, since: int = 0) -> Counter[str]:
        """How many calls each backend answered, from the call with index `since` on."""
        return Counter(call.served_by for call in self.calls[since:] if call.status == 200)

    async def more(self, count: int = 50, timeout_s: float = 15) -> Counter[str]:
        """Wait for `count` more calls; who served those."""
        since = len(self.calls)
        await until(lambda: len(self.calls) >= since + count, timeout_s, f"{count} more calls")
        return self.served(since)

    async def only_from(self, *names: str, count: int = 30, timeout_s: float = 15) -> None:
        """Wait until the last `count` calls were all served by these backends, and by each of them."""
        await until(
            lambda: len(self.calls) >= count and set(self.served(len(self.calls) - count)) == set(names),
            timeout_s,
            lambda: f"only {names} serve; last: {self.served(max(0, len(self.calls) - count))}",
        )


async def call(port: int, host: str, path: str = "/", method: str = "GET", timeout_s: float = 10) -> Call:
    """One call through the Envoy that listens on `port`."""
    async with aiohttp.ClientSession() as session:
        return await _call(session, port, host, (method, path, timeout_s))


async def _call(session: aiohttp.ClientSession, port: int, host: str, what: tuple[str, str, float]) -> Call:
    method, path, timeout_s = what
    url, timeout = f"http://127.0.0.1:{port}{path}", aiohttp.ClientTimeout(timeout_s)
    try:
        async with session.request(method, url, headers={"host": host}, timeout=timeout) as answer:
            body = await answer.text()
            by = answer.headers.get("x-served-by", "")
            return Call(time.monotonic(), answer.status, by, body)
    except (aiohttp.ClientError, TimeoutError) as error:
        return Call(time.monotonic(), 0, "", str(error))


@asynccontextmanager
async def load(
    port: int, host: str, *, callers: int = 4, per_second: float = 200, timeout_s: float = 10
) -> AsyncIterator[Load]:
    """`callers` that together make about `per_second` calls, for the length of a block."""
    result = Load()

    async def keep_calling(session: aiohttp.ClientSession) -> None:
        while True:
            result.calls.append(await _call(session, port, host, ("GET", "/", timeout_s)))
            await asyncio.sleep(callers / per_second)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        tasks = [asyncio.create_task(keep_calling(session)) for _ in range(callers)]
        try:
            yield result
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
