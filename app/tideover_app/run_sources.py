"""The sources of facts while they run: one per configured cluster, started, exchanged and ended live.

A source that fails is a fact to record and no reason to end the others, or to forget what it said.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from tideover_core.guard import Held
from tideover_core.latest import Latest
from tideover_core.model import ClusterFacts, Problem, SourceStatus
from tideover_discovery.watch import Source

from .config import Cluster, Config
from .replica import Origin, Watching
from .run_rows import Row, guarded, origin, watching

RESTART_AFTER_S = 1.0


Opened = Callable[[Row, ClusterFacts | None], Source]


@dataclass(frozen=True, slots=True)
class SourceKind:
    """A kind of source: which clusters it is for, and how it is made from what was known before."""

    serves: Callable[[Row], bool]
    open: Callable[[Config, Row, ClusterFacts | None], Source]


@dataclass(slots=True)
class _Watched:
    """One configured cluster. `failure`: an error of the program in its source, until that says something.

    `joined`: it came to a replica that was running; `overdue`: and was not listed within the grace.
    """

    cluster: Row
    source: Source
    joined: bool = False
    overdue: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    failure: str = ""
    failed_at_s: float = 0.0


class Sources:
    """All sources. `changed` is called whenever facts, freshness or a failure may have changed."""

    def __init__(self, opened: Opened, changed: Callable[[], None], join_grace_s: float = 10.0) -> None:
        self._opened = opened
        self._join_grace_s = join_grace_s
        self._changed = changed
        self._watched: dict[str, _Watched] = {}
        self._tasks: asyncio.TaskGroup | None = None

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Run the sources, also those that come later, as tasks of this group."""
        self._tasks = tasks
        for watched in self._watched.values():
            self._run(watched)

    def stop(self) -> None:
        """End all sources; what they said stays readable."""
        for watched in self._watched.values():
            _cancel(watched)

    def apply(self, clusters: Sequence[Row], known: Mapping[str, ClusterFacts] | None = None) -> list[str]:
        """Have exactly these clusters, in this order; says what changed.

        `known` are facts from before the start. A source that is exchanged hands its facts on.
        """
        said: list[str] = []
        wanted: dict[str, _Watched] = {}
        stay = {cluster.name for cluster in clusters}
        for cluster in clusters:
            old = self._watched.pop(cluster.name, None) or self._renamed(cluster, stay)
            if old is not None and old.cluster == cluster:
                wanted[cluster.name] = old
                continue
            before = old.source.facts.value if old is not None else (known or {}).get(cluster.name)
            if old is not None:
                _cancel(old)
                self._watched.pop(old.cluster.name, None)
            said.append(f"cluster {cluster.name} {_change(old, cluster)}")
            source = self._opened(cluster, before and _at_home(before, cluster))
            joined = self._tasks is not None and (old is None or old.joined)
            wanted[cluster.name] = _Watched(cluster, source, joined)
        for name, gone in self._watched.items():
            _cancel(gone)
            said.append(f"cluster {name} removed")
        self._watched = wanted
        for watched in wanted.values():
            if self._tasks is not None and not watched.tasks:
                self._run(watched)
        if said:
            self._changed()
        return said

    def _renamed(self, cluster: Row, stay: Collection[str]) -> _Watched | None:
        """The one that is to go and is this one in all but its name."""
        for name, watched in self._watched.items():
            before = watched.cluster
            if name in stay or not isinstance(before, Cluster):
                continue
            if before.model_copy(update={"name": cluster.name}) == cluster:
                return watched
        return None

    def facts(self) -> list[ClusterFacts]:
        """What is known of every cluster that is known at all."""
        return [
            facts for watched in self._watched.values() if (facts := watched.source.facts.value) is not None
        ]

    def statuses(self) -> dict[str, SourceStatus]:
        """Freshness by cluster, in the order of the configuration."""
        return {name: _status(watched) for name, watched in self._watched.items()}

    def source(self, name: str) -> Source | None:
        """The source of that cluster, None when there is no such cluster."""
        watched = self._watched.get(name)
        return watched.source if watched is not None else None

    def origins(self) -> dict[str, Origin]:
        """Where each cluster's facts come from, and what is held back of it."""
        return {
            name: origin(watched.cluster, watched.source, time.time() - time.monotonic())
            for name, watched in self._watched.items()
        }

    def watching(self) -> list[Watching]:
        """How the watches of live clusters have gone."""
        return [one for name, watched in self._watched.items() for one in watching(name, watched.source)]

    def accept_removals(self, name: str) -> Held | None:
        """An operator says that what this cluster no longer says is gone; what was held of it."""
        source = guarded(self.source(name))
        before = source.held.value if source is not None else None
        if source is not None and before is not None:
            source.accept_removals()
        return before

    @property
    def heard(self) -> bool:
        """Whether every source has said something since it was started, if only that it is in trouble."""
        return all(w.failure or w.source.status.version > 0 for w in self._watched.values())

    @property
    def known(self) -> bool:
        """Whether there are clusters, and each is known.

        One that joins has the grace for it: after that a path that is wrong, say, must not keep the
        news of all others from clients that return. None of them had anything of it from here.
        """
        watched = self._watched.values()
        return bool(watched) and all(w.source.status.value.known or w.overdue for w in watched)

    def problems(self) -> list[Problem]:
        """Sources that failed by an error of the program."""
        return [
            Problem(
                f"Cluster {name}", f"its source failed: {watched.failure}", "started again; its facts stay"
            )
            for name, watched in self._watched.items()
            if watched.failure
        ]

    def _run(self, watched: _Watched) -> None:
        assert self._tasks is not None
        name = watched.cluster.name
        watched.tasks = [
            self._tasks.create_task(self._keep_running(watched), name=f"source {name}"),
            self._tasks.create_task(self._follow(watched, watched.source.facts), name=f"facts {name}"),
            self._tasks.create_task(self._follow(watched, watched.source.status), name=f"status {name}"),
        ]
        if (source := guarded(watched.source)) is not None:
            watched.tasks.append(
                self._tasks.create_task(self._follow(watched, source.held), name=f"held {name}")
            )

        if watched.joined:
            watched.tasks.append(self._tasks.create_task(self._wait_for(watched), name=f"grace {name}"))

    async def _wait_for(self, watched: _Watched) -> None:
        await asyncio.sleep(self._join_grace_s)
        watched.overdue = True
        self._changed()

    async def _follow(
        self,
        watched: _Watched,
        latest: Latest[ClusterFacts | None] | Latest[SourceStatus] | Latest[Held | None],
    ) -> None:
        version = latest.version
        self._changed()  # what a source said before it was followed counts too
        while True:
            version, _ = await latest.after(version)
            watched.failure = ""
            self._changed()

    async def _keep_running(self, watched: _Watched) -> None:
        while True:
            try:
                await watched.source.run()
                watched.failure = "it ended by itself"
            except Exception as error:  # noqa: BLE001 - a fault in one source must not end the others
                structlog.get_logger().exception("SourceFailed", object=f"Cluster {watched.cluster.name}")
                watched.failure = f"{type(error).__name__}: {error}"
            watched.failed_at_s = time.time()
            self._changed()
            await asyncio.sleep(RESTART_AFTER_S)


def _status(watched: _Watched) -> SourceStatus:
    status = watched.source.status.value
    if watched.failure and status.stale_since_s is None:
        return SourceStatus(status.cluster, status.known, watched.failed_at_s, watched.failure)
    return status


def _change(old: _Watched | None, cluster: Row) -> str:
    if old is None:
        return "added"
    before = old.cluster.name
    return "changed" if before == cluster.name else f"added, which was {before}"


def _at_home(facts: ClusterFacts, cluster: Row) -> ClusterFacts:
    """The same facts where the configuration gives the cluster another name or network."""
    name, network = cluster.name, cluster.network
    if (facts.cluster, facts.network) == (name, network):
        return facts
    services = {
        key: replace(
            service,
            endpoints={
                port: tuple(replace(endpoint, cluster=name, network=network) for endpoint in endpoints)
                for port, endpoints in service.endpoints.items()
            },
        )
        for key, service in facts.services.items()
    }
    return replace(facts, cluster=name, network=network, services=services)


def _cancel(watched: _Watched) -> None:
    for task in watched.tasks:
        task.cancel()
