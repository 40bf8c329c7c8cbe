"""What is written into one live cluster, while its Lease is held here. Nothing that serves waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from tideover_core.latest import Latest
from tideover_core.order_book import Standing
from tideover_core.world import Sameness, World
from tideover_discovery.kubernetes.client import Access, Api
from tideover_discovery.kubernetes.client.lease import Lease
from tideover_discovery.kubernetes.policy_status import OrderStatus, PolicyStatus
from tideover_discovery.kubernetes.service_imports import Shared, shared
from tideover_discovery.kubernetes.writes import Write

from .counting import Counting, Names
from .multi_cluster import MultiCluster
from .scribe import Noted, Scribe, Tally
from .service_news import ServiceEvents

__all__ = ["Desk", "Office", "Tally"]
SHARE_EVERY_S = 0.1


class Office:
    """What the desks of all clusters share."""

    def __init__(
        self,
        replica: str,
        root_namespace: str,
        world: Latest[World],
        acknowledged: Callable[[Names], tuple[int, int]],
    ) -> None:
        self.replica = replica
        self.root_namespace = root_namespace
        self.world = world
        self.acknowledged = acknowledged
        self.order_standing: Callable[[str, str, str], Standing | None] = lambda *order: None
        self.shared: Latest[Shared | None] = Latest(None)

    async def run(self) -> None:
        """Follow what clusters export, while that decides which services are one."""
        while True:
            version, world = self.world.version, self.world.value
            exported = world.sameness is Sameness.EXPORTED
            self.shared.set(shared(world, self.shared.value) if exported else None)
            await asyncio.sleep(SHARE_EVERY_S)
            await self.world.after(version)


class Desk:
    """One cluster. `noted` is told what is wrong, or "", of each thing that is written."""

    def __init__(self, cluster: str, access: Access, office: Office, tally: Tally, noted: Noted) -> None:
        self._cluster = cluster
        self._office = office
        self._api = Api(access, name=cluster)
        self._lease = Lease(self._api, office.root_namespace, office.replica)
        self._tally = tally
        self._noted = noted
        self.events = ServiceEvents(office.replica, tally.events, partial(noted, "Events"))

    async def run(self) -> None:
        """Until cancelled; then the Lease is given back."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._lease.run(), name=f"{self._cluster} lease")
                tasks.create_task(
                    self._tell("Lease", self._lease.problem), name=f"{self._cluster} lease told"
                )
                tasks.create_task(self.events.run(self._api, self._lease), name=f"{self._cluster} events")
                await self._tenures()
        finally:
            self._tally.holds = False
            await self._api.close()

    async def _tenures(self) -> None:
        """Write while the Lease is held, again and again."""
        held = self._lease.held
        while True:
            version = held.version
            self._tally.holds = held.value
            tasks: set[asyncio.Future[Any]] = {asyncio.ensure_future(held.after(version))}
            work = asyncio.create_task(self._tenure()) if held.value else None
            if work is not None:
                tasks.add(work)
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
            if work is not None and not work.cancelled():
                work.result()  # an error of the program

    async def _tenure(self) -> None:
        writers = (
            PolicyStatus(self._office.replica, Counting(self._office.acknowledged)),
            OrderStatus(partial(self._office.order_standing, self._cluster)),
        )
        scribe = Scribe(self._api, self._lease, writers, self._tally, self._noted)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(scribe.run(self._office.world), name=f"{self._cluster} conditions")
            tasks.create_task(self._multi_cluster(), name=f"{self._cluster} ServiceImports")

    async def _multi_cluster(self) -> None:
        """Keep the ServiceImports of the cluster, and the conditions of its ServiceExports."""
        wanted = self._office.shared
        while wanted.value is None:
            await wanted.after(wanted.version)
        member = MultiCluster(self._cluster, self._api, wanted, self._imported, lambda: self._lease.valid)
        what = "ServiceImports and ServiceExports"
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(member.run())
                tasks.create_task(self._tell(what, member.trouble))
        finally:
            self._noted(what, "")  # another replica's from here on

    def _imported(self, write: Write, trouble: str) -> None:
        self._tally.failed += bool(trouble)
        self._tally.written += not trouble

    async def _tell(self, what: str, problem: Latest[str]) -> None:
        while True:
            version = problem.version
            self._noted(what, problem.value)
            await problem.after(version)
