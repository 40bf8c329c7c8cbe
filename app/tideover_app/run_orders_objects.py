"""Whom orders among the objects would leave without a healthy place: asked before they are acted on.

It takes the planner a while in a large world, so it is done beside the loop, one after the other: of two that
together empty a service the second is refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from tideover_core.dry_run import Askers, bereft
from tideover_core.order_rules import emptying
from tideover_core.orders import Action, TrafficOrder
from tideover_core.world import World

from .run_replica import RunningReplica

# what is refused is looked at again when the world is another: so much later, at least so many times the cost
AGAIN_AFTER_S, AGAIN_PARTS = 2.0, 20.0
REST_PARTS = 4.0  # between two of those


class Keeper(Protocol):
    """Whose objects they are."""

    deciding: asyncio.Lock

    def world(self) -> World:
        """The newest world, with all orders in it."""
        ...

    def askers(self, world: World) -> Askers:
        """Who is subscribed to what."""
        ...

    def look(self) -> None:
        """Act on what is known by now."""
        ...


@dataclass(frozen=True, slots=True)
class _Seen:
    why: str
    version: int  # of the world
    again_s: float


class ObjectChecks:
    """What is known of each object that may empty something. One event loop."""

    def __init__(self, keeper: Keeper, replica: RunningReplica) -> None:
        self.waiting = False  # something is to be decided on that depends on time alone
        self._keeper = keeper
        self._replica = replica
        self._seen: dict[TrafficOrder, _Seen] = {}
        self._wanted: dict[TrafficOrder, None] = {}
        self._rest_until_s = float("-inf")
        self._wake = asyncio.Event()

    def keep(self, orders: Collection[TrafficOrder]) -> None:
        """These are all objects now; before each look."""
        self.waiting = False
        if self._seen or self._wanted:
            there = set(orders)
            self._seen = {order: seen for order, seen in self._seen.items() if order in there}
            self._wanted = {order: None for order in self._wanted if order in there}

    def refusal(self, order: TrafficOrder, otherwise: Callable[[], str]) -> str | None:
        """Why it must not be acted on, "" when it may be, None while that is not known. `otherwise`: why not
        for reasons that are seen at once."""
        if not self._replica.readiness().ready:
            self.waiting = True
            return None  # what is not read yet would look like what is not there
        if why := otherwise():
            return why
        if order.accepted or order.action is not Action.DRAIN or order.percent < 100 or order.force_empty:
            return ""
        seen = self._seen.get(order)
        if seen is None or (
            seen.why
            and seen.version != self._replica.world.version
            and not self._wanted  # one at a time; who is new comes first
            and time.monotonic() > max(seen.again_s, self._rest_until_s)
        ):
            self._wanted[order] = None
            self._wake.set()
        self.waiting |= bool(seen is not None and seen.why)
        return None if seen is None else seen.why

    async def run(self) -> None:
        """Look at what is wanted, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._wanted:
                order = next(iter(self._wanted))
                del self._wanted[order]
                async with self._keeper.deciding:
                    began_s = time.monotonic()
                    version, world = self._replica.world.version, self._keeper.world()
                    found = await asyncio.to_thread(bereft, world, order, self._keeper.askers(world))
                    why = emptying(found)
                    said = why and f"{why}; forceEmpty: true does it all the same"
                    took_s = time.monotonic() - began_s
                    self._rest_until_s = time.monotonic() + REST_PARTS * took_s
                    again_s = began_s + max(AGAIN_AFTER_S, AGAIN_PARTS * took_s)
                    self._seen[order] = _Seen(said, version, again_s)
                    self._keeper.look()
