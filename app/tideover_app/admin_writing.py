"""Who may change something through the admin API, and in whose name (decision 8)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

import grpc

from tideover_identity.caller import LOCAL, NOBODY, Caller
from tideover_identity.permission import may_write, refusal

Context = grpc.aio.ServicerContext[Any, Any]


async def by_socket(context: Context) -> Caller:
    """The local user where it is a Unix socket; else nobody."""
    return LOCAL if context.peer().startswith("unix:") else NOBODY


class Gate:
    """Lets those write who may. `sockets` are the addresses where the local user may."""

    def __init__(
        self,
        caller: Callable[[Context], Awaitable[Caller]] = by_socket,
        admins: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._caller = caller
        self._admins = admins

    async def author(self, context: Context, sockets: Sequence[str]) -> str:
        """Who calls. PermissionError, with the reason, for someone who may only read."""
        caller = await self._caller(context)
        if not may_write(caller, self._admins()):
            raise PermissionError(refusal(caller, next(iter(sockets), "")))
        return caller.id
