"""What happened, newest last: the lines of `tideover events`, each also told to the log.

States come in (problems, sources, what fails over), differences go out. Bounded: a storm of clients
does not push out what happened to services, and a storm of problems is one line with a number.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeVar

from tideover_core.guard import Held
from tideover_core.latest import Latest
from tideover_core.model import Problem, SourceStatus
from tideover_core.overview import PlaceHealth

from .failing import PlaceName
from .replica import Happening, Kind

KEPT = 1000
KEPT_OF_CLIENTS = 500
TOLD_AT_ONCE = 50  # of one kind, in one change

_OF_CLIENTS = {Kind.CLIENT_OPENED, Kind.CLIENT_CLOSED, Kind.CLIENT_NACKED}
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Journal:
    """Happenings in order. `clock` gives Unix time; `tell` is called with each happening, once."""

    def __init__(self, clock: Callable[[], float], tell: Callable[[Happening], None]) -> None:
        self.happenings: Latest[tuple[Happening, ...]] = Latest(())
        self._clock = clock
        self._tell = tell
        self._number = 0
        self._problems: dict[Problem, None] = {}
        self._stale: dict[str, str] = {}
        self._held: dict[str, int] = {}  # cluster -> addresses
        self._failing: dict[PlaceName, bool] = {}  # True: all of its traffic leaves

    def add(self, kind: Kind, subject: str, message: str) -> None:
        """Something happened now."""
        self._add_all([(kind, subject, message)])

    def problems(self, now: Iterable[Problem]) -> None:
        """All that is refused now: tell what is new and what is over."""
        current = dict.fromkeys(now)
        new, gone = _difference(self._problems, current)
        self._problems = current
        where = {p: f"{p.where}: " if p.where else "" for p in (*new, *gone)}
        self._add_some(
            Kind.PROBLEM_FOUND,
            "problems",
            [(p.object, f"{where[p]}{p.message}; {p.consequence}") for p in new],
        )
        self._add_some(Kind.PROBLEM_GONE, "problems", [(p.object, f"{where[p]}{p.message}") for p in gone])

    def sources(self, statuses: Iterable[SourceStatus]) -> None:
        """Freshness of every source now: tell which became stale or fresh."""
        told = {s.cluster: s for s in statuses}
        stale = {
            name: s.reason or "not listed yet"
            for name, s in told.items()
            if s.stale_since_s is not None or not s.known
        }
        new, gone = _difference(self._stale, stale)
        self._stale = stale
        self._add_some(
            Kind.SOURCE_STALE,
            "sources",
            [(f"Cluster {name}", f"{stale[name]}; what was last known stays") for name in new],
        )
        self._add_some(
            Kind.SOURCE_FRESH,
            "sources",
            [(f"Cluster {name}", "listed completely, in step again") for name in gone if name in told],
        )

    def held(self, now: Mapping[str, Held]) -> None:
        """What is held back of which clusters now: tell where it begins, grows and ends."""
        current = {name: held.addresses for name, held in now.items()}
        before, self._held = self._held, current
        grown = [name for name, count in current.items() if count > before.get(name, -1)]
        self._add_some(
            Kind.REMOVALS_HELD,
            "clusters",
            [
                (f"Cluster {name}", f"{now[name]}; `tideover cluster accept {name}` if they are really gone")
                for name in grown
            ],
        )
        self._add_some(
            Kind.REMOVALS_OVER,
            "clusters",
            [
                (f"Cluster {name}", "nothing is held back any more: it is there again, or confirmed as gone")
                for name in before
                if name not in current
            ],
        )

    def failing(self, now: Mapping[PlaceName, PlaceHealth]) -> None:
        """Places that fail over now: tell which begin and end, and which begin or cease to lose all.

        What only judgements move is told as such, see `health`."""
        current = {name: place.ready_percent == 0 for name, place in now.items() if place.ready_percent < 100}
        new, gone = _difference(self._failing, current)
        self._failing = current
        self._add_some(
            Kind.SERVICE_FAILING_OVER,
            "places",
            [(f"Service {now[name].service}", str(now[name])) for name in sorted(new)],
        )
        self._add_some(
            Kind.SERVICE_RECOVERED,
            "places",
            [
                (
                    f"Service {service}",
                    f"port {port} at {place} in {cluster}: carries its own load again, or is gone",
                )
                for service, port, cluster, place in sorted(gone)
            ],
        )

    def health(self, lines: list[tuple[Kind, str, str]]) -> None:
        """What changed in verdicts."""
        for kind in dict.fromkeys(kind for kind, _, _ in lines):
            self._add_some(kind, "places", [line[1:] for line in lines if line[0] is kind])

    def _add_some(self, kind: Kind, what: str, lines: list[tuple[str, str]]) -> None:
        told = [(kind, subject, message) for subject, message in lines[:TOLD_AT_ONCE]]
        if len(lines) > TOLD_AT_ONCE:
            told.append((kind, f"{len(lines) - TOLD_AT_ONCE} more {what}", "see `tideover status`"))
        self._add_all(told)

    def _add_all(self, lines: list[tuple[Kind, str, str]]) -> None:
        if not lines:
            return
        kept = list(self.happenings.value)
        for kind, subject, message in lines:
            self._number += 1
            happening = Happening(self._number, self._clock(), kind, subject, message)
            kept.append(happening)
            self._tell(happening)
        self.happenings.set(_bounded(kept))


def _bounded(happenings: list[Happening]) -> tuple[Happening, ...]:
    """The newest; when there are too many, clients' go first as long as they are many."""
    excess = len(happenings) - KEPT
    if excess > 0:
        of_clients = [h.number for h in happenings if h.kind in _OF_CLIENTS]
        dropped = set(of_clients[: min(excess, max(0, len(of_clients) - KEPT_OF_CLIENTS))])
        happenings = [h for h in happenings if h.number not in dropped][-KEPT:]
    return tuple(happenings)


def _difference(before: dict[K, V], after: dict[K, V]) -> tuple[list[K], list[K]]:
    """Keys that are new or whose value changed, and keys that are gone."""
    new = [key for key, value in after.items() if key not in before or before[key] != value]
    return new, [key for key in before if key not in after]
