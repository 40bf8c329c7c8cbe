"""How often clients report, and who reports by endpoint: rules for a server that is told the time. Pure.

Costs are proportional to reports per second, so the interval grows with the number of reporters. A
setting costs each client a message and restarts its clock: it changes in steps, and not for each newcomer.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, replace
from math import inf
from typing import NamedTuple, Protocol

from tideover_core.policy import FleetHealth

from .standing import CONFIRM_PARTS
from .verdict import Kind

# of the shortest interval; coarse, so that a growing fleet is told a handful of times
STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0)
LONGEST_S = 300.0
SHORTER_BELOW = 0.8  # of the budget: how much room a shorter interval must leave
ENDPOINT_SHARE = 0.2  # of the budget: reports that may be by endpoint, each costs about as much as four
FEWEST_BY_ENDPOINT = 5  # however small the budget: verdicts need several voters
FRESH = 0.25  # of an interval: a clock restarted so soon after a report loses little


class Asked(NamedTuple):
    """What a client is asked for."""

    interval_s: float
    by_endpoint: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """How the fleet reports now, as `status` shows it."""

    interval_s: float
    reporters: int = 0
    reports_per_second: float = 0.0  # as asked for
    by_endpoint: int = 0  # reporters

    @property
    def detection_s(self) -> float:
        """How long until enough is reported to judge a place where enough is called, at most.

        A period of which half was bad is bad, so a caller says so after one and a half of them; then a place
        must look bad for a moment (of the default window).
        """
        return 1.5 * self.interval_s + CONFIRM_PARTS[Kind.SITE] * FleetHealth().window_s


def interval_s(reporters: int, now_s: float, shortest_s: float, reports_per_second: float) -> float:
    """The interval for so many reporters, when it is `now_s`: longer at once when they exceed the budget,
    shorter only when that leaves room."""
    steps = [step for factor in STEPS if (step := shortest_s * factor) <= LONGEST_S]
    longer = next((step for step in steps if reporters <= reports_per_second * step), steps[-1])
    if longer >= now_s:
        return longer
    roomy = reports_per_second * SHORTER_BELOW
    return min(now_s, next((step for step in steps if reporters <= roomy * step), steps[-1]))


@dataclass(frozen=True, slots=True)
class Clock:
    """When a client was asked and when it reported, on our clock; -inf never."""

    asked: Asked | None = None
    asked_at_s: float = -inf
    reported_at_s: float = -inf

    def told(self, asked: Asked, now_s: float) -> Clock:
        """It was asked just now, which starts its clock anew."""
        return Clock(asked, now_s, self.reported_at_s)

    def heard(self, now_s: float) -> Clock:
        """It reported just now."""
        return replace(self, reported_at_s=now_s)

    def may_ask(self, wanted: Asked, now_s: float) -> bool:
        """Whether this is the moment to ask for `wanted`.

        Never the same again, and never twice within an interval. Best just after a report; else only if the
        next report then comes no later than it would, but for a fraction.
        """
        if self.asked is None:
            return True
        if wanted == self.asked or now_s - self.asked_at_s < min(wanted.interval_s, self.asked.interval_s):
            return False
        since_s = now_s - max(self.reported_at_s, self.asked_at_s)
        if since_s <= FRESH * self.asked.interval_s:
            return True
        due_in_s = self.asked.interval_s - since_s
        return wanted.interval_s - due_in_s <= FRESH * wanted.interval_s

    def silent_s(self, now_s: float) -> float:
        """For how long it has said nothing since it should have; 0 while it is in time."""
        if self.asked is None:
            return 0.0
        return max(0.0, now_s - max(self.reported_at_s, self.asked_at_s) - self.asked.interval_s)


class Reporter(Protocol):
    """What `by_endpoint` must know of a reporter."""

    @property
    def number(self) -> int:
        """Unique."""
        ...

    @property
    def names(self) -> Set[str]:
        """Wire names that it lately called."""
        ...


def most_by_endpoint(pace_s: float, reports_per_second: float) -> int:
    """How many reporters may report by endpoint at this interval."""
    return max(FEWEST_BY_ENDPOINT, int(ENDPOINT_SHARE * reports_per_second * pace_s))


def by_endpoint(
    reporters: Iterable[Reporter], doubted: frozenset[str], already: Set[int], most: int
) -> frozenset[int]:
    """Who is asked for endpoints: callers of doubted names, each name in turn, those already asked first."""
    callers = [one for one in reporters if not doubted.isdisjoint(one.names)] if doubted else []
    if len(callers) <= most:
        return frozenset(one.number for one in callers)
    callers.sort(key=lambda one: (one.number not in already, one.number))
    by_name = {name: [one for one in callers if name in one.names] for name in sorted(doubted)}
    chosen: set[int] = set()
    turns = [iter(found) for found in by_name.values() if found]
    while turns and len(chosen) < most:
        for turn in list(turns):
            one = next((one for one in turn if one.number not in chosen), None)
            if one is None:
                turns.remove(turn)
            elif len(chosen) < most:
                chosen.add(one.number)
    return frozenset(chosen)


class Slots:
    """When each newcomer is first asked: at once, or spread out when many come together (a restart)."""

    def __init__(self) -> None:
        self._next_s = -inf

    def take(self, now_s: float, per_second: float, longest_s: float) -> float:
        """How many seconds this one waits, at most `longest_s`."""
        at_s = max(now_s, self._next_s)
        self._next_s = at_s + 1 / per_second
        if at_s - now_s > longest_s:  # more of them than the budget has room for: around again
            self._next_s = now_s
            return longest_s
        return at_s - now_s


class Allowance:
    """How many reports of a client are read: twice what it was asked for, and a burst after a standstill."""

    BURST = 20.0

    def __init__(self) -> None:
        self._left, self._at_s = self.BURST, -inf

    def wait_s(self, now_s: float, interval_s: float) -> float:
        """Take one; how long not to read any more."""
        if self._at_s > -inf:
            self._left = min(self.BURST, self._left + 2 * max(0.0, now_s - self._at_s) / interval_s)
        self._at_s = now_s
        self._left -= 1
        return 0.0 if self._left >= 0 else -self._left * interval_s / 2


class Lately:
    """Names that somebody called lately: those of this and of the last half minute. Bounded."""

    MOST, TURN_S = 2000, 30.0

    def __init__(self) -> None:
        self._young: frozenset[str] = frozenset()
        self._old: frozenset[str] = frozenset()
        self._turned_at_s = -inf
        self.names: frozenset[str] = frozenset()

    def add(self, names: frozenset[str], now_s: float) -> None:
        """These were called just now."""
        if now_s - self._turned_at_s > self.TURN_S:
            self._old = self._young if now_s - self._turned_at_s <= 2 * self.TURN_S else frozenset()
            self._young, self._turned_at_s = frozenset(), now_s
            self.names = self._old
        if not names <= self._young:
            more = self._young | names
            self._young = more if len(more) <= self.MOST else frozenset(sorted(more)[: self.MOST])
            self.names = self._young | self._old
