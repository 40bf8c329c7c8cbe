"""The mesh's policies while they run: the `policies` folder, and what it said before a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from tideover_core.model import ClusterFacts, Locality, Problem
from tideover_discovery.files import Policies, PolicySource
from tideover_discovery.files.folder import manifest_files

from .run_sources import RESTART_AFTER_S

STATE_NAME = "@policies"  # no cluster can have this name
_NONE = Policies(known=True)


class PolicyWatch:
    """Follows the configured folder, which may change; `before` counts until that has been read."""

    def __init__(self, path: Path | None, before: ClusterFacts | None, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._before = _restored(before)
        self._path = path
        self._source = _source(path, self._before)
        self._tasks: asyncio.TaskGroup | None = None
        self._running: asyncio.Task[None] | None = None
        self._empty = False
        self._failure = ""

    @property
    def value(self) -> Policies:
        """The policies that count now."""
        if self._source is None:
            return _NONE
        told = self._source.policies.value
        return told if told.known else self._before or told

    @property
    def known(self) -> bool:
        """Whether these are all: read, remembered, or an existing folder that never held any."""
        return self.value.known or self._empty

    @property
    def heard(self) -> bool:
        """Whether the folder has been looked at since it is followed."""
        return self._source is None or bool(self._failure) or self._source.policies.version > 0

    def facts(self) -> ClusterFacts:
        """The policies in the shape that the state folder keeps; the same object until they change."""
        value = self.value
        kept = self._kept
        if (kept.destination_rules, kept.failover_policies) != (
            value.destination_rules,
            value.failover_policies,
        ):
            self._kept = kept = _facts(value)
        return kept

    def problems(self) -> list[Problem]:
        """What is refused in the folder, and why it cannot be read."""
        problems = list(self._source.policies.value.problems) if self._source is not None else []
        if self._failure:
            problems.append(Problem("Policies", f"their source failed: {self._failure}", "started again"))
        return problems

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Follow the folder, also one that is configured later, in a task of this group."""
        self._tasks = tasks
        self._start()

    def stop(self) -> None:
        """Follow no more; what was read stays readable."""
        if self._running is not None:
            self._running.cancel()

    def apply(self, path: Path | None) -> list[str]:
        """Follow this folder; what the one before said counts until it has been read. Says what changed."""
        if path == self._path:
            return []
        value = self.value
        self.stop()
        self._before = value if path is not None and value.known else None
        self._path, self._empty, self._failure = path, False, ""
        self._source = _source(path, self._before)
        self._start()
        self._changed()
        return ["policies changed to another folder" if path is not None else "policies removed"]

    _kept = ClusterFacts(STATE_NAME, "", Locality())

    def _start(self) -> None:
        if self._tasks is not None and self._source is not None:
            self._running = self._tasks.create_task(self._follow(self._source), name="policies")

    async def _follow(self, source: PolicySource) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_running(source), name="policies source")
            version = 0
            while True:
                version, policies = await source.policies.after(version)
                self._failure = ""
                if not policies.known and self._before is None:
                    self._empty = await asyncio.to_thread(_holds_nothing, self._path)
                self._changed()

    async def _keep_running(self, source: PolicySource) -> None:
        while True:
            try:
                await source.run()
                self._failure = "it ended by itself"
            except Exception as error:  # noqa: BLE001 - a fault in one source must not end the others
                structlog.get_logger().exception("SourceFailed", object="Policies")
                self._failure = f"{type(error).__name__}: {error}"
            self._changed()
            await asyncio.sleep(RESTART_AFTER_S)


def _source(path: Path | None, before: Policies | None) -> PolicySource | None:
    if path is None:
        return None
    # not known, so that the first look is news also where it finds nothing new
    return PolicySource(path, initial=replace(before, known=False) if before is not None else None)


def _restored(before: ClusterFacts | None) -> Policies | None:
    if before is None:
        return None
    return Policies(before.destination_rules, before.failover_policies, known=True)


def _facts(policies: Policies) -> ClusterFacts:
    return ClusterFacts(
        STATE_NAME,
        "",
        Locality(),
        destination_rules=policies.destination_rules,
        failover_policies=policies.failover_policies,
    )


def _holds_nothing(path: Path | None) -> bool:
    """Whether this is a readable folder without a single manifest: then there are no policies to wait for."""
    try:
        return path is not None and path.is_dir() and not any(manifest_files(path))
    except OSError:
        return False
