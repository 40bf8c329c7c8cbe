"""Copies of orders in the hub: made when it can be reached, deleted when the order is over.

An API server that is down delays only the copy: the order is in force, and on the disk, long before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from tideover_core.model import Problem
from tideover_core.order_book import Entry, Name

from .config import Cluster, Config
from .run_access import access
from .run_orders import OrderKeeper
from .run_replica import RunningReplica

if TYPE_CHECKING:
    from tideover_discovery.kubernetes.watch.order_copies import OrderCopies

SOONEST_S, LATEST_S = 1.0, 30.0  # between two attempts
MOST_TOLD = 3


class HubOrders:
    """Brings the hub into step with what its keeper was given. One event loop."""

    def __init__(self, keeper: OrderKeeper, replica: RunningReplica, config: Callable[[], Config]) -> None:
        self._keeper = keeper
        self._replica = replica
        self._config = config

    async def run(self) -> None:
        """Until cancelled."""
        again_s = SOONEST_S
        while True:
            await self._keeper.hub_wanted.wait()
            hub = self._hub()
            if hub is None:  # orders are here only; a hub of the file is there after a restart at the latest
                self._keeper.hub_wanted.clear()
                continue
            trouble = await self._settle(hub)
            self._keeper.hub_trouble = trouble
            problem = Problem("Orders", f"not in step with the hub: {trouble}", "tried again")
            self._replica.note("orders in the hub", [problem] if trouble else [])
            if trouble:
                await asyncio.sleep(again_s)
                again_s = min(2 * again_s, LATEST_S)
            else:
                again_s = SOONEST_S
                await asyncio.sleep(SOONEST_S)  # until the facts tell of it

    def _hub(self) -> Cluster | None:
        config = self._config()
        return next((one for one in config.clusters if one.name == config.hub), None)

    async def _settle(self, hub: Cluster) -> str:
        """One attempt with credentials as they are now; why it ended, or ""."""
        from tideover_discovery.kubernetes.watch.order_copies import ApiError, OrderCopies  # slow to import

        copies, troubles = OrderCopies(access(hub), hub.name), []
        self._keeper.hub_wanted.clear()
        try:
            for name, entry in list(self._keeper.book.entries.items()):
                try:
                    await self._step(copies, name, entry)
                except ApiError as error:
                    troubles.append(_trouble(entry, error.reason))
                    if not error.status:
                        break  # nobody answers
        except BaseException:
            self._keeper.hub_wanted.set()
            raise
        finally:
            with suppress(ApiError):
                await copies.close()
        if troubles:
            self._keeper.hub_wanted.set()
        return "; ".join(troubles[:MOST_TOLD])

    async def _step(self, copies: OrderCopies, name: Name, entry: Entry) -> None:
        if entry.to_copy:
            await copies.put(entry.order)
            self._keeper.copied(name, there=True)
        elif entry.to_delete:
            await copies.remove(*name)
            self._keeper.copied(name, there=False)


def _trouble(entry: Entry, reason: str) -> str:
    if entry.to_copy:
        return f"no copy of {entry.order}, which other replicas do not know: {reason}"
    return f"{entry.order} is not deleted, so it has ended here only: {reason}"
