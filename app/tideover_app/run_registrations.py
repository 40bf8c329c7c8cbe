"""Clusters that Secrets of the hub register: they come, change and leave while the replica runs.

What is registered is remembered in the state folder, without credentials, so that a restart during an
outage of the hub loses no cluster. A Secret that is gone takes nothing away; see docs/clusters.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from tideover_core.leaving import DRAIN_S, Leaving
from tideover_core.model import Problem
from tideover_discovery.kubernetes.registration import Registered
from tideover_discovery.kubernetes.registry import remembered, settled, to_remember

from .config import Cluster, Config

if TYPE_CHECKING:
    from tideover_discovery.kubernetes.watch.registrations import RegistrationWatch

FILE = "registrations.json"
WRITTEN = "registeredV1"
AGAIN_AFTER_S = 5.0  # when it could not be written
Register = Callable[[Sequence[Registered]], list[str]]
Noted = Callable[[str, list[Problem]], object]


class Registrations:
    """The clusters that are registered. `register` has exactly these, besides those of the file.

    `known`: all of them are known, from the hub or from an earlier life; without a hub there are none.
    `changed` is called when `leaving` differs.
    """

    def __init__(self, config: Config, register: Register, noted: Noted) -> None:
        self.rows: tuple[Registered, ...] = ()
        self.known = config.hub is None
        self._config = config
        self._path = config.state / FILE
        self._register = register
        self._noted = noted
        self.changed: Callable[[], None] = lambda: None
        self._since_s: dict[str, float] = {}  # monotonic: when a cluster was first seen leaving
        self._kept: list[dict[str, str]] | None = None
        self._wake = asyncio.Event()

    def load(self) -> tuple[Registered, ...]:
        """Those of an earlier life; blocks. What cannot be read is a problem, and waits for the hub."""
        if self._config.hub is None:
            return ()
        try:
            self.rows = remembered(json.loads(self._path.read_text())[WRITTEN])
            self.known = True
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"cannot be read: {type(error).__name__}"
            problem = Problem(
                "Registrations", message, "clusters come when the hub lists them", str(self._path)
            )
            self._noted("remembered registrations", [problem])
        return self.rows

    def is_known(self) -> bool:
        """See `known`."""
        return self.known

    def configure(self, config: Config) -> None:
        """The names of this file count from now on; another hub needs a restart."""
        self._config = config
        self._wake.set()

    def leaving(self) -> Mapping[str, Leaving]:
        """The clusters that are being emptied, and how far they are."""
        now_s = time.monotonic()
        return {
            name: Leaving.DRAINED if now_s - since_s >= DRAIN_S else Leaving.DRAINING
            for name, since_s in self._since_s.items()
        }

    async def run(self) -> None:
        """Follow the hub until cancelled, with whatever credentials the file gives it at the moment."""
        while True:
            hub = self._hub()
            if hub is not None:
                await self._follow(hub)
            else:  # none, or it is not in the file for now: what is known stays
                await self._wake.wait()
                self._wake.clear()

    def _hub(self) -> Cluster | None:
        return next((one for one in self._config.clusters if one.name == self._config.hub), None)

    async def _follow(self, hub: Cluster) -> None:
        """Until the file says something else of the hub."""
        from tideover_discovery.kubernetes.client import Api  # slow to import
        from tideover_discovery.kubernetes.watch.registrations import RegistrationWatch

        from .run_access import access

        watch = RegistrationWatch(
            Api(access(hub), name=hub.name), self._config.root_namespace, self._wake.set
        )
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch.run(), name="registrations")
            while self._hub() == hub:
                self._settle(watch)
                await self._keep()
                try:
                    async with asyncio.timeout(self._next_stage_s()):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._wake.clear()
            watching.cancel()

    def _settle(self, watch: RegistrationWatch) -> None:
        in_file = {cluster.name for cluster in self._config.clusters}
        register = settled(watch.found, self.rows, in_file, complete=watch.complete)
        learnt = watch.complete and not self.known
        self.known = self.known or watch.complete
        self.rows = register.rows
        if said := self._register(self.rows):
            structlog.get_logger().info(
                "RegistrationsApplied", object="Registrations", message="; ".join(said)
            )
        before = self.leaving()
        now_s = time.monotonic()
        self._since_s = {row.name: self._since_s.get(row.name, now_s) for row in self.rows if row.leaving}
        leaving = [
            Problem(f"Cluster {name}", f"is leaving: {stage}", "taken away once its Secret is deleted")
            for name, stage in self.leaving().items()
        ]
        told = self._noted("registrations", [*register.problems, *watch.problems(), *leaving])
        if learnt or told or self.leaving() != before:
            self.changed()

    def _next_stage_s(self) -> float | None:
        """In how long time alone changes something; None: never."""
        now_s = time.monotonic()
        left = [since_s + DRAIN_S - now_s for since_s in self._since_s.values()]
        left += [AGAIN_AFTER_S] if self._unkept() else []
        return min((one for one in left if one > 0), default=None)

    def _unkept(self) -> bool:
        return self.known and to_remember(self.rows) != self._kept

    async def _keep(self) -> None:
        """Remember the rows, once they are known; a disk that refuses is a problem, and is tried again."""
        if not self._unkept():
            return
        wanted = to_remember(self.rows)
        try:
            await asyncio.to_thread(_write, self._path, {WRITTEN: wanted})
        except OSError as error:
            message = f"cannot be written: {error.strerror}"
            consequence = "a restart would not know the clusters until the hub lists them"
            self._noted("remembered registrations", [Problem("Registrations", message, consequence)])
            return
        self._kept = wanted
        self._noted("remembered registrations", [])


def _write(path: Path, value: object) -> None:
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w") as out:
        json.dump(value, out)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)
