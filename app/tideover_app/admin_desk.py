"""Who keeps the orders of a replica, as the admin API sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .ordering import Placed, Shown, Wanted


class OrderDesk(Protocol):
    """Keeps the orders of a replica. One event loop."""

    async def place(self, wanted: Wanted, author: str) -> Placed:
        """Take it. UnknownError: it is about nothing that exists; RefusedError."""
        ...

    async def try_out(self, wanted: Wanted) -> Placed:
        """What it would do; nothing changes. UnknownError."""
        ...

    async def undo(self, name: str, author: str) -> Shown:
        """End it. UnknownError; RefusedError when it has ended already."""
        ...

    def known(self) -> Sequence[Shown]:
        """The same, without what they overlap and what is open: at once, however large the world."""
        ...

    def listed(self) -> Sequence[Shown]:
        """All of them, the strictest first."""
        ...
