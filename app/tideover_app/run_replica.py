"""The running replica as others see it: the world, what is refused, who is connected, whether it is ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from tideover_core.guard import Held
from tideover_core.latest import Latest
from tideover_core.model import Problem, SourceStatus
from tideover_core.world import World
from tideover_xds.cache import Cache

from .admin_desk import OrderDesk
from .fleet import Fleet
from .health_view import HealthView
from .journal import Journal
from .replica import Connected, Happening, Kind, Origin, Readiness, Watching
from .run_policies import PolicyWatch
from .run_sources import Sources

NOT_LISTED = "not listed yet"  # what a source says before it has looked


class RunningReplica:
    """`replica.Replica` of this process; the parts are changed by `run`, here they are only read."""

    def __init__(
        self, name: str, region: str, *, start_grace_s: float, tell: Callable[[Happening], None]
    ) -> None:
        self.name = name
        self.region = region
        self.started_at_s = time.time()
        self.world: Latest[World] = Latest(World(complete=False))
        self.journal = Journal(time.time, tell)
        self.happenings = self.journal.happenings
        self.fleet = Fleet(time.time, self.journal)
        self.facts: Sources | None = None
        self.policies: PolicyWatch | None = None
        self.served: Cache | None = None
        self.orders: OrderDesk | None = None
        self.judged: Callable[[], HealthView] = HealthView
        self.serving = False
        self._grace_until_s = time.monotonic() + start_grace_s
        self._noted: dict[str, tuple[Problem, ...]] = {}

    def note(self, topic: str, problems: Iterable[Problem]) -> bool:
        """These, and no others, are the problems of that topic now; whether they are other than before."""
        before, self._noted[topic] = self._noted.get(topic, ()), tuple(problems)
        return before != self._noted[topic]

    def sources(self) -> Mapping[str, SourceStatus]:
        """Freshness by cluster, in the order of the configuration."""
        return self.facts.statuses() if self.facts is not None else {}

    def origins(self) -> Mapping[str, Origin]:
        """Where each cluster's facts come from."""
        return self.facts.origins() if self.facts is not None else {}

    def watching(self) -> Sequence[Watching]:
        """How the watches of live clusters have gone."""
        return self.facts.watching() if self.facts is not None else ()

    def accept_removals(self, cluster: str, author: str) -> Held | None:
        """What that cluster no longer says is really gone."""
        held = self.facts.accept_removals(cluster) if self.facts is not None else None
        if held is not None:
            message = f"{held.addresses} addresses that vanished are taken away, as {author} said"
            self.journal.add(Kind.REMOVALS_ACCEPTED, f"Cluster {cluster}", message)
        return held

    def worth_telling(self) -> list[SourceStatus]:
        """Freshness of the sources; without those that only just start and are not in trouble."""
        starting = time.monotonic() < self._grace_until_s
        return [
            status
            for status in self.sources().values()
            if status.known or not starting or status.reason != NOT_LISTED
        ]

    def problems(self) -> Sequence[Problem]:
        """All that is refused now."""
        world = self.world.value
        found = [problem for noted in self._noted.values() for problem in noted]
        if self.facts is not None:
            found += self.facts.problems()
        if self.policies is not None:
            found += self.policies.problems()
        if self.served is not None:
            found += self.served.problems()
        for facts in world.clusters.values():
            found += facts.problems
        found += world.problems
        found += self.fleet.problems()
        return found

    def clients(self) -> Sequence[Connected]:
        """Open streams, oldest first."""
        return self.fleet.connected()

    def health(self) -> HealthView:
        """What is judged of services, and how well they are seen."""
        return self.judged()

    def readiness(self) -> Readiness:
        """Ready when each source was heard, or is known from the snapshot, or the grace has passed."""
        if not self.serving:
            return Readiness(False, ("not serving",))
        waiting = [
            f"cluster {name}: {status.reason or 'not listed yet'}"
            for name, status in self.sources().items()
            if not status.known
        ]
        if self.policies is not None and not self.policies.known:
            waiting.append("policies: not read yet")
        if not waiting:
            stale = [
                f"cluster {name} is stale: {status.reason}"
                for name, status in self.sources().items()
                if status.stale_since_s is not None
            ]
            return Readiness(True, tuple(stale))
        if time.monotonic() < self._grace_until_s:
            return Readiness(False, tuple(f"waiting for {reason}" for reason in waiting))
        return Readiness(True, tuple(f"going without {reason}" for reason in waiting))
