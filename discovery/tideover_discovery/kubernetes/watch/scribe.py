"""Asks the writers of one cluster what is to be written, and writes it; while its Lease is held."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tideover_core.latest import Latest
from tideover_core.world import World
from tideover_discovery.kubernetes.backoff import Backoff
from tideover_discovery.kubernetes.client import Api, ApiError
from tideover_discovery.kubernetes.client.lease import Lease
from tideover_discovery.kubernetes.decoding import make_key
from tideover_discovery.kubernetes.following import Changed
from tideover_discovery.kubernetes.objects import Key
from tideover_discovery.kubernetes.writes import Write
from tideover_discovery.kubernetes.writing import Object, Scene, Writer, without_managed_fields

from .reflect import Reflector
from .service_news import Count

# Between two looks, however much changes; and without any change, as acknowledgements come unannounced
GAP_S, SOON_S, LOOK_S = 0.5, 1.0, 5.0
BETWEEN_WRITES_S = 0.05
# An object gets so many writes that only bring numbers up to date, in this time
LEISURELY, LEISURELY_S = 3, 30.0
REFUSED_AGAIN_S = 60.0
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


class Scribe:
    """Follows what the writers need to know, asks them, and sends what they say; during one tenure."""

    def __init__(self, api: Api, lease: Lease, writers: Sequence[Writer], tally: Tally, noted: Noted) -> None:
        self.tally = tally
        self.noted = noted
        self._api = api
        self._lease = lease
        self._writers = writers
        self._seen: dict[str, dict[Key, Object]] = {}
        self._moved = asyncio.Event()
        resources = {one.kind: one for writer in writers for one in writer.resources}
        self._reflectors = {
            kind: Reflector(api, one, self._taker(kind), moved=self._moved.set)
            for kind, one in resources.items()
        }
        self._again_s: dict[str, float] = {}  # writer -> when it may be asked again
        self._refused: dict[
            str, tuple[float, str]
        ] = {}  # path -> when it may be written again, and why not now
        self._leisurely: dict[str, deque[float]] = {}
        self._backoff = Backoff()

    async def run(self, world: Latest[World]) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for kind, reflector in self._reflectors.items():
                    tasks.create_task(reflector.run(), name=f"{self._api.name} {kind} (writer)")
                tasks.create_task(self._follow(world))
                await self._write(world)
        finally:
            for writer in self._writers:
                self.noted(writer.name, "")  # another replica's from here on

    async def _write(self, world: Latest[World]) -> None:
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
                trouble = await self._send_all(writer, world)
            except ApiError as error:
                self.tally.failed += 1
                if error.status == 403:
                    self._again_s[writer.name] = time.monotonic() + REFUSED_AGAIN_S
                    self.noted(writer.name, error.reason)
                    continue
                self._backoff = self._backoff.failed()
                await asyncio.sleep(self._backoff.wait_s(random.random(), error.retry_after_s))
                return GAP_S
            self.noted(writer.name, trouble)
        self._backoff = Backoff()
        return SOON_S if self.tally.written != before else LOOK_S

    def _knows(self, writer: Writer) -> bool:
        return all(self._reflectors[one.kind].standing.listed for one in writer.resources)

    async def _send_all(self, writer: Writer, world: World) -> str:
        """Why the first of what cannot be written cannot, "" when all can. Raises ApiError."""
        reflectors = [self._reflectors[one.kind] for one in writer.resources]
        versions = {one.resource.kind: one.version for one in reflectors if not one.standing.missing}
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        trouble = ""
        began_s = time.monotonic()
        for write in writer.writes(Scene(self._api.name, world, self._seen, versions, now)):
            if write is not None and (refusal := self._refusal(write)):
                trouble = trouble or refusal
            elif write is not None and self._may(write):
                if not self._lease.valid:
                    return trouble
                trouble = await self._send(write) or trouble
                await asyncio.sleep(BETWEEN_WRITES_S)
                began_s = time.monotonic()
            elif time.monotonic() - began_s > TURN_S:
                await asyncio.sleep(0)
                began_s = time.monotonic()
        return trouble

    def _refusal(self, write: Write) -> str:
        """Why the server refused it a while ago, "" when it may be tried."""
        again_s, reason = self._refused.get(write.path, (0.0, ""))
        if time.monotonic() < again_s:
            return reason
        self._refused.pop(write.path, None)
        return ""

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

    async def _send(self, write: Write) -> str:
        """Why this one object cannot be written, "" when it is. Raises ApiError when none can."""
        try:
            answer = await self._api.send(
                write.method, write.path, write.body, content_type=write.content_type, query=write.query
            )
        except ApiError as error:
            if error.status in (404, 409):
                self.tally.outdated += 1  # what is so now will be told, and decided anew
                return ""
            if not _of_the_object(error):
                raise
            self.tally.failed += 1
            self._refused[write.path] = (time.monotonic() + REFUSED_AGAIN_S, error.reason)
            return error.reason
        self.tally.written += 1
        kind, about = answer.get("kind"), answer.get("metadata")
        if kind in self._seen and isinstance(about, dict) and write.method != "DELETE":
            key = make_key(str(kind), about.get("namespace"), str(about.get("name")))
            if key in self._seen[kind]:
                self._seen[kind][key] = without_managed_fields(answer)
        return ""


def _of_the_object(error: ApiError) -> bool:
    """Whether it is what was written that is refused, rather than us, or all that comes now."""
    return 400 <= error.status < 500 and error.status not in (401, 403, 429)
