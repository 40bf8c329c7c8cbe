"""What is written into one live cluster, while its Lease is held here. Nothing that serves waits for it."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from tideover_core.latest import Latest
from tideover_core.world import World
from tideover_discovery.kubernetes.backoff import Backoff
from tideover_discovery.kubernetes.client import Access, Api, ApiError
from tideover_discovery.kubernetes.client.lease import Lease
from tideover_discovery.kubernetes.decoding import make_key
from tideover_discovery.kubernetes.following import Changed
from tideover_discovery.kubernetes.objects import Key
from tideover_discovery.kubernetes.watch.reflect import Reflector
from tideover_discovery.kubernetes.writes import Write
from tideover_discovery.kubernetes.writing import Object, Scene, Writer, without_managed_fields

from .run_events import Count, ServiceEvents

# Between two looks, however much changes; and without any change, as acknowledgements come unannounced
GAP_S, SOON_S, LOOK_S = 0.5, 1.0, 5.0
BETWEEN_WRITES_S = 0.05
# An object gets so many writes that only bring numbers up to date, in this time
LEISURELY, LEISURELY_S = 3, 30.0
FORBIDDEN_AGAIN_S = 60.0
TURN_S = 0.01
Noted = Callable[[str, str], None]  # (what, what is wrong with it or "")


@dataclass(slots=True)
class Tally:
    """Of one cluster, for metrics."""

    holds: bool = False
    written: int = 0
    outdated: int = 0
    failed: int = 0
    events: Count = field(default_factory=Count)


class Desk:
    """One cluster. `works` are run while the Lease is held, besides the writers."""

    def __init__(  # noqa: PLR0913 (what one cluster is written by)
        self,
        cluster: str,
        access: Access,
        namespace: str,
        holder: str,
        *,
        world: Latest[World],
        writers: Sequence[Writer],
        works: Sequence[Callable[[Api], Coroutine[Any, Any, None]]] = (),
        tally: Tally,
        noted: Noted,
    ) -> None:
        self._cluster = cluster
        self._api = Api(access, name=cluster)
        self._lease = Lease(self._api, namespace, holder)
        self._world = world
        self._writers = writers
        self._works = works
        self._tally = tally
        self._noted = noted
        self.events = ServiceEvents(holder, tally.events)

    async def run(self) -> None:
        """Until cancelled; then the Lease is given back."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._lease.run(), name=f"{self._cluster} lease")
                tasks.create_task(self._tell_of_lease(), name=f"{self._cluster} lease told")
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
        self._say(f"the Lease in {self._cluster} is held: conditions and Events are written from here")
        async with asyncio.TaskGroup() as tasks:
            for work in self._works:
                tasks.create_task(work(self._api), name=f"{self._cluster} work")
            scribe = Scribe(self._api, self._lease, self._cluster, self._writers)
            scribe.tally, scribe.noted = self._tally, self._noted
            tasks.create_task(scribe.run(self._world), name=f"{self._cluster} conditions")

    async def _tell_of_lease(self) -> None:
        problem = self._lease.problem
        while True:
            version = problem.version
            self._noted("Lease", problem.value)
            await problem.after(version)

    def _say(self, message: str) -> None:
        structlog.get_logger().info("Writing", object=f"Cluster {self._cluster}", message=message)


class Scribe:
    """Follows what the writers need to know, asks them, and sends what they say; during one tenure."""

    def __init__(self, api: Api, lease: Lease, cluster: str, writers: Sequence[Writer]) -> None:
        self.tally = Tally()
        self.noted: Noted = lambda what, trouble: None
        self._api = api
        self._lease = lease
        self._cluster = cluster
        self._writers = writers
        self._seen: dict[str, dict[Key, Object]] = {}
        self._moved = asyncio.Event()
        resources = {one.kind: one for writer in writers for one in writer.resources}
        self._reflectors = {
            kind: Reflector(api, one, self._taker(kind), moved=self._moved.set)
            for kind, one in resources.items()
        }
        self._again_s: dict[str, float] = {}  # writer -> when it may be asked again
        self._leisurely: dict[str, deque[float]] = {}
        self._backoff = Backoff()

    async def run(self, world: Latest[World]) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for kind, reflector in self._reflectors.items():
                tasks.create_task(reflector.run(), name=f"{self._cluster} {kind} (writer)")
            tasks.create_task(self._follow(world))
            while True:
                self._moved.clear()
                began_s = time.monotonic()
                wait_s = await self._turn(world.value)
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._moved.wait()
                await asyncio.sleep(max(0.0, began_s + GAP_S - time.monotonic()))

    async def _follow(self, world: Latest[World]) -> None:
        version = world.version
        while True:
            version, _ = await world.after(version)
            self._moved.set()

    def _taker(self, kind: str) -> Callable[[Changed[Object]], None]:
        def take(changed: Changed[Object]) -> None:
            known = self._seen.setdefault(kind, {})
            for key, found in changed.all.items():
                if found is None:
                    known.pop(key, None)
                else:
                    known[key] = found
            self._moved.set()

        return take

    async def _turn(self, world: World) -> float:
        """Ask every writer, send what they say; how long to wait for a change then."""
        if not world.complete:
            return LOOK_S
        before = self.tally.written
        for writer in self._writers:
            if time.monotonic() < self._again_s.get(writer.name, 0.0) or not self._knows(writer):
                continue
            try:
                await self._send_all(writer, world)
            except ApiError as error:
                self.tally.failed += 1
                if error.status in (403, 422):
                    self._again_s[writer.name] = time.monotonic() + FORBIDDEN_AGAIN_S
                    self.noted(writer.name, error.reason)
                    continue
                self._backoff = self._backoff.failed()
                await asyncio.sleep(self._backoff.wait_s(random.random(), error.retry_after_s))
                return GAP_S
            self.noted(writer.name, "")
        self._backoff = Backoff()
        return SOON_S if self.tally.written != before else LOOK_S

    def _knows(self, writer: Writer) -> bool:
        return all(self._reflectors[one.kind].standing.listed for one in writer.resources)

    async def _send_all(self, writer: Writer, world: World) -> None:
        reflectors = [self._reflectors[one.kind] for one in writer.resources]
        versions = {one.resource.kind: one.version for one in reflectors if not one.standing.missing}
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        began_s = time.monotonic()
        for write in writer.writes(Scene(self._cluster, world, self._seen, versions, now)):
            if write is not None and self._may(write):
                if not self._lease.valid:
                    return
                await self._send(write)
                await asyncio.sleep(BETWEEN_WRITES_S)
                began_s = time.monotonic()
            elif time.monotonic() - began_s > TURN_S:
                await asyncio.sleep(0)
                began_s = time.monotonic()

    def _may(self, write: Write) -> bool:
        """Whether it is due: numbers are brought up to date at leisure."""
        if not write.leisurely:
            return True
        now_s = time.monotonic()
        lately = self._leisurely.setdefault(write.path, deque(maxlen=LEISURELY))
        if len(lately) == LEISURELY and now_s - lately[0] < LEISURELY_S:
            return False
        lately.append(now_s)
        return True

    async def _send(self, write: Write) -> None:
        try:
            answer = await self._api.send(
                write.method, write.path, write.body, content_type=write.content_type, query=write.query
            )
        except ApiError as error:
            if error.status not in (404, 409):
                raise
            self.tally.outdated += 1  # what is so now will be told, and decided anew
            return
        self.tally.written += 1
        kind, about = answer.get("kind"), answer.get("metadata")
        if kind in self._seen and isinstance(about, dict) and write.method != "DELETE":
            key = make_key(str(kind), about.get("namespace"), str(about.get("name")))
            if key in self._seen[kind]:
                self._seen[kind][key] = without_managed_fields(answer)
