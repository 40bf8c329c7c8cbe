"""How much of the event loop's time goes into what clients send, whoever and however many they are.

Without a bound, a hundred clients that each send a report of megabytes at the same moment stop everything
else for ten seconds, after which the watchdog ends the process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

LARGE_BYTES = 64 << 10  # takes a millisecond or more to read
MOST_LARGE_WAITING = 32  # each holds its bytes


@dataclass(frozen=True, slots=True)
class Shares:
    """Of the loop's time: for messages of the usual size, and for large ones, which have a lane of their own
    so that the others need not wait behind them."""

    usual: float = 0.35
    large: float = 0.15


class Turns:
    """Who reads next, in order of arrival. Each stream waits with one message, so everyone has turns."""

    def __init__(self, shares: Shares) -> None:
        self._usual, self._large = _Lane(shares.usual, 0.1), _Lane(shares.large, 0.0)

    def full(self, size: int) -> bool:
        """Whether a message of this size is to be dropped unread, as too many large ones wait already."""
        return size > LARGE_BYTES and self._large.waiting >= MOST_LARGE_WAITING

    @asynccontextmanager
    async def turn(self, size: int) -> AsyncIterator[None]:
        """Wait for a turn to read so many bytes; what is done inside counts, and must not wait."""
        async with (self._large if size > LARGE_BYTES else self._usual).turn():
            yield


class _Lane:
    """Has a share of the time, and `at_once_s` of work without waiting for any."""

    def __init__(self, share: float, at_once_s: float) -> None:
        self.waiting = 0
        self._share, self._ahead_s = share, at_once_s / share
        self._lock = asyncio.Lock()
        self._paid_s = 0.0  # until when the time is spent

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        if not self._lock.locked() and self._wait_s() <= 0:
            with self._paying():
                yield
            return
        self.waiting += 1
        try:
            async with self._lock:
                await asyncio.sleep(max(0.0, self._wait_s()))
                with self._paying():
                    yield
        finally:
            self.waiting -= 1

    @contextmanager
    def _paying(self) -> Iterator[None]:
        began_s = time.monotonic()
        try:
            yield
        finally:
            self._paid_s = max(began_s, self._paid_s) + (time.monotonic() - began_s) / self._share

    def _wait_s(self) -> float:
        return self._paid_s - self._ahead_s - time.monotonic()
