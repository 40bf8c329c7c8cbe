"""Keeps one cluster's ServiceImports, and the conditions of its ServiceExports, at what they should be."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from operator import is_

from tideover_core.latest import Latest
from tideover_core.model import ServiceKey
from tideover_discovery.kubernetes.backoff import Backoff
from tideover_discovery.kubernetes.client import Api, ApiError
from tideover_discovery.kubernetes.export_conditions import export_writes
from tideover_discovery.kubernetes.following import Changed, Offers
from tideover_discovery.kubernetes.multi_cluster import EXPORTS, IMPORTS, NAMESPACES, Found
from tideover_discovery.kubernetes.objects import Key
from tideover_discovery.kubernetes.resources import Resource
from tideover_discovery.kubernetes.service_imports import Seen, Shared, import_writes
from tideover_discovery.kubernetes.writes import Field, Write, undeclared, without

from .reflect import Reflector

AT_ONCE = 8
# Names that are looked at before others get a turn
A_TURN = 100
# Between two rounds, however much changes
GAP_S = 0.1
# A write is seen in the watch after some milliseconds; until then it is not repeated
SEEN_WITHIN_S = 5.0
# What the server refuses is tried again, should its reason have gone
TRY_AGAIN_S = 30.0
Logged = Callable[[Write, str], None]
Look = tuple[object, ...]


class MultiCluster:
    """One member of the cluster set. Run it only while the cluster's Lease is held; `may` says whether it is.

    `wanted` is what all clusters share; None: `sameness` is not `exported`, and nothing is written.
    `told` gets each write, and "" or why it failed; `trouble` is what cannot be written for now, in words.
    Servers without the CRDs are asked again.
    """

    def __init__(
        self,
        cluster: str,
        api: Api,
        wanted: Latest[Shared | None],
        told: Logged,
        may: Callable[[], bool] = lambda: True,
    ) -> None:
        self._cluster = cluster
        self._api = api
        self._wanted = wanted
        self._logged = told
        self._may = may
        self.trouble: Latest[str] = Latest("")
        self._refused: dict[str, str] = {}  # by object, why it could not be written
        self._imports: dict[ServiceKey, Found] = {}
        self._exports: dict[ServiceKey, Found] = {}
        self._namespaces: dict[ServiceKey, Found] = {}
        self._moved = asyncio.Event()
        self._well: dict[tuple[str, ServiceKey], Look] = {}  # what nothing had to be written for
        self._waiting: dict[str, float] = {}  # objects that were written, and until when to leave them
        self._unknown: set[Field] = set()  # fields that the server's CRDs do not have
        self._backoff = Backoff()
        offers = Offers()
        self._of_imports = self._reflector(IMPORTS, self._imports, offers)
        self._of_exports = self._reflector(EXPORTS, self._exports, offers)
        self._of_namespaces = self._reflector(NAMESPACES, self._namespaces, offers)

    async def run(self) -> None:
        """Until cancelled. Trouble with the server is waited out."""
        async with asyncio.TaskGroup() as tasks:
            for one in (self._of_imports, self._of_exports, self._of_namespaces):
                tasks.create_task(one.run(), name=f"{self._cluster} {one.resource.kind} (writer)")
            tasks.create_task(self._follow(), name=f"{self._cluster} what is exported")
            while True:
                self._moved.clear()
                wait_s = await self._round()
                try:
                    async with asyncio.timeout(wait_s):
                        await self._moved.wait()
                except TimeoutError:
                    pass
                await asyncio.sleep(GAP_S)

    async def _round(self) -> float:
        """Write what is due; for how long to wait when nothing moves."""
        now_s = time.monotonic()
        self._waiting = {name: until for name, until in self._waiting.items() if until > now_s}
        due = await self._due()
        self._refused = {w.object: self._refused[w.object] for w in due if w.object in self._refused}
        due = [write for write in due if write.object not in self._waiting]
        for start in range(0, len(due), AT_ONCE):
            if not self._may():
                break
            some = due[start : start + AT_ONCE]
            failures = await asyncio.gather(*(self._send(write) for write in some))
            self._tell()
            lost = next((error for error in failures if error is not None and _is_trouble(error)), None)
            if lost is not None:
                self._backoff = self._backoff.failed(0.0)
                await asyncio.sleep(self._backoff.wait_s(random.random(), lost.retry_after_s))
                return 0.0
        self._backoff = Backoff()
        self._tell()
        soonest = min(self._waiting.values(), default=now_s + TRY_AGAIN_S)
        return max(0.0, min(soonest - time.monotonic(), TRY_AGAIN_S))

    async def _due(self) -> list[Write]:
        """What must be written. A name for which nothing had to be is looked at again when it changed."""
        wanted = self._wanted.value
        if wanted is None or not self._of_namespaces.standing.listed:
            return []
        due: list[Write] = []
        for count, (kind, key, look, writes) in enumerate(self._looks(wanted)):
            if count % A_TURN == 0:
                await asyncio.sleep(0)
            before = self._well.get((kind, key))
            if before is not None and all(map(is_, before, look)):
                continue
            if found := list(writes):
                due += found
                self._well.pop((kind, key), None)
            else:
                self._well[kind, key] = look
        return due

    def _looks(self, wanted: Shared) -> Iterator[tuple[str, ServiceKey, Look, Iterable[Write]]]:
        """Each name with all that decides about it, and the writes that come of that."""
        existing = (found.metadata for found in self._namespaces.values())
        namespaces = frozenset(one.name for one in existing if one.deletion_timestamp is None)
        look: Look
        # while not all is known, what may be written depends on all that is
        known = wanted.complete or wanted
        if _is_there(self._of_imports):
            seen = Seen(namespaces, self._imports, self._exports, self._of_imports.version)
            for key in sorted(wanted.merged.keys() | self._imports.keys()):
                found, come_to = self._imports.get(key), wanted.merged.get(key)
                look = (known, come_to, found, key.namespace in namespaces, seen.version)
                yield "ServiceImport", key, look, import_writes(key, wanted, seen)
        if _is_there(self._of_exports):
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            seen = Seen(namespaces, self._imports, self._exports, self._of_exports.version)
            for key, found in sorted(self._exports.items()):
                export, come_to = wanted.exports.get(key, {}).get(self._cluster), wanted.merged.get(key)
                look = (known, export, come_to, found, self._imports.get(key), seen.version)
                yield "ServiceExport", key, look, export_writes(key, self._cluster, wanted, seen, now)

    async def _send(self, write: Write) -> ApiError | None:
        self._waiting[write.object] = time.monotonic() + SEEN_WITHIN_S
        body = without(write, self._unknown).body
        try:
            await self._api.send(
                write.method, write.path, body, content_type=write.content_type, query=write.query
            )
        except ApiError as error:
            if error.status == 404 and write.method == "DELETE":
                return None
            if more := undeclared(str(error.body.get("message", error.reason))) - self._unknown:
                self._unknown |= more
                return await self._send(write)
            self._logged(write, error.reason)
            # 409: someone else was quicker; the watch brings what they wrote
            outdated = error.status == 409
            self._waiting[write.object] = time.monotonic() + (1.0 if outdated else TRY_AGAIN_S)
            if not outdated:
                self._refused[write.object] = error.reason
            return error
        self._refused.pop(write.object, None)
        self._logged(write, "")
        return None

    def _tell(self) -> None:
        first = next(iter(self._refused.items()), None)
        more = f" (and {len(self._refused) - 1} more)" if len(self._refused) > 1 else ""
        self.trouble.set(f"{first[0]}: {first[1]}{more}" if first is not None else "")

    async def _follow(self) -> None:
        version = self._wanted.version
        while True:
            self._moved.set()
            version, _ = await self._wanted.after(version)

    def _reflector(
        self, resource: Resource[Found], known: dict[ServiceKey, Found], offers: Offers
    ) -> Reflector[Found]:
        def told(changed: Changed[Found]) -> None:
            for key, found in changed.all.items():
                self._take(known, key, found)

        return Reflector(self._api, resource, told, moved=self._moved.set, offers=offers)

    def _take(self, known: dict[ServiceKey, Found], key: Key, found: Found | None) -> None:
        name = ServiceKey(key.namespace, key.name)
        if found is None:
            known.pop(name, None)
            self._well.pop((key.kind, name), None)
        else:
            known[name] = found
        self._waiting.pop(f"{key.kind} {name}", None)
        self._moved.set()


def _is_there(reflector: Reflector[Found]) -> bool:
    return reflector.standing.listed and not reflector.standing.missing


def _is_trouble(error: ApiError) -> bool:
    """Whether it is the server that is in trouble, rather than one object."""
    return error.status in (0, 401, 429) or error.status >= 500
