"""`Latest[T]`: share the newest value between tasks, never a queue.

An equal set is a no-op; readers await change; skipped values are dropped. One event loop only.
"""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """The newest value of something, with a version that counts its changes."""

    def __init__(self, value: T) -> None:
        self._value = value
        self._version = 0
        self._changed: asyncio.Event = asyncio.Event()

    @property
    def value(self) -> T:
        """The value now."""
        return self._value

    @property
    def version(self) -> int:
        """How often the value has changed."""
        return self._version

    def set(self, value: T) -> bool:
        """Replace the value; False, and nobody wakes, when it is the same or equal."""
        if value is self._value or value == self._value:
            return False
        self._value = value
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()
        return True

    async def after(self, version: int) -> tuple[int, T]:
        """Wait until the value is newer than `version`; return its version and the value."""
        while self._version <= version:
            await self._changed.wait()
        return self._version, self._value
