"""What each scene promises, and whether a take kept it: plain functions of the calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .layout import AWAY, HOME, SERVICES
from .measure import Call, Count, Scope, count, ended_between, percentile, seconds_until_moved


@dataclass(frozen=True, slots=True)
class Promise:
    """What must be true of a scene. `cuts_count`: calls cut in flight are failures too."""

    moved_within_s: float | None
    no_failed_calls: bool = True
    cuts_count: bool = True

    def __str__(self) -> str:
        failed = "no failed call" if self.no_failed_calls else "failed calls are printed"
        moved = f"moved within {self.moved_within_s:g} s" if self.moved_within_s is not None else "moved"
        return f"{failed}; {moved}"


@dataclass(frozen=True, slots=True)
class Scene:
    """One fault (or the end of one): which calls it is about and where they should go."""

    letter: str
    name: str
    story: str  # what happens, for the report
    scope: Scope
    goes_to: str  # a cluster
    promise: Promise


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment worth a line in the chart."""

    at_s: float
    text: str


@dataclass(slots=True)
class Take:
    """One performance of a scene, while it goes on."""

    scene: Scene
    began_s: float
    changed_s: float | None = None  # the fault
    until_s: float | None = None  # the fault's end: what comes after it is the way back
    ended_s: float | None = None
    marks: list[Mark] = field(default_factory=list)
    retries_before: int = 0
    retried: int = 0
    trouble: str = ""  # why it cannot count as kept, besides the numbers


@dataclass(frozen=True, slots=True)
class Result:
    """What came out of a take."""

    scene: Scene
    count: Count
    retried: int
    moved_s: float | None
    slowest_s: float | None
    broken: tuple[str, ...]  # promises that were not kept, in words

    @property
    def kept(self) -> bool:
        """Whether all promises were kept."""
        return not self.broken


RATINGS = Scope(HOME, frozenset({"ratings"}))
REVIEWS = Scope(HOME, frozenset({"reviews"}))
PRODUCTPAGE = Scope(HOME, frozenset({"productpage"}))
EVERYTHING = Scope(HOME, frozenset(SERVICES))

NOT_READY = Scene(
    "a", "ratings in paris turns unready",
    "All ratings pods of paris turn unready in the manifests on disk. They still run.",
    RATINGS, AWAY, Promise(moved_within_s=0.5),
)  # fmt: skip
BACK = Scene(
    "b", "ratings in paris comes back",
    "The pods turn ready again on disk, and the calls come home.",
    RATINGS, HOME, Promise(moved_within_s=None),
)  # fmt: skip
KILLED = Scene(
    "c", "ratings in paris dies unannounced",
    "kill -9 of all ratings pods of paris; nothing on disk changes. Only the sidecar's own retries and "
    "outlier detection help. Later they run again.",
    RATINGS, AWAY, Promise(moved_within_s=3.0, cuts_count=False),
)  # fmt: skip
LOST = Scene(
    "d", "all of paris is lost",
    "Every endpoint of paris turns unready on disk; one second later all its pods are killed. "
    "Later they run again.",
    EVERYTHING, AWAY, Promise(moved_within_s=0.5),
)  # fmt: skip
FROZEN = Scene(
    "f", "all of paris hangs",
    "SIGSTOP to all pods of paris: connections are accepted and never answered, nothing on disk changes. "
    "The demo's policy (a timeout per try of 1 s) makes the sidecar notice.",
    EVERYTHING, AWAY, Promise(moved_within_s=5.0, no_failed_calls=False, cuts_count=False),
)  # fmt: skip
BEHEADED = Scene(
    "e", "control plane dies in a failover",
    "ratings in paris turns unready; as soon as the first call is served elsewhere the control plane gets "
    "kill -9, then the unready pods die too. Later the control plane is started again, and the pods.",
    RATINGS, AWAY, Promise(moved_within_s=None, cuts_count=False),
)  # fmt: skip

SICK = Scene(
    "g", "reviews in paris answers 503",
    "All reviews pods of paris answer 503 and stay ready; nothing on disk changes. What callers report and "
    "a check that agrees make it unhealthy for all; once it is well its share comes back in steps.",
    REVIEWS, AWAY, Promise(moved_within_s=3.0),
)  # fmt: skip
RELAPSED = Scene(
    "h", "productpage in paris relapses on its way back",
    "It answers 503 and gets well; as soon as its first calls are back it answers 503 again. It never had "
    "more than the share of its first step, loses that, and waits longer.",
    PRODUCTPAGE, AWAY, Promise(moved_within_s=3.0),
)  # fmt: skip
EVACUATED = Scene(
    "i", "paris is evacuated by hand",
    "`tideover drain cluster/paris --dry-run` says what would move and where to, then the same without "
    "it moves it; `tideover undo` brings it back in steps.",
    EVERYTHING, AWAY, Promise(moved_within_s=3.0),
)  # fmt: skip


def moved_s(take: Take, calls: Sequence[Call], now_s: float) -> float | None:
    """Seconds until 99 % of the calls in question were served where they should go; None: not yet."""
    if take.changed_s is None:
        return None
    until_s = take.until_s if take.until_s is not None else now_s
    scope, goal = take.scene.scope, take.scene.goes_to
    affected = [c for c in ended_between(calls, take.changed_s, until_s) if scope.holds(c)]
    return seconds_until_moved(affected, take.changed_s, until_s, lambda place: place == goal)


def result(take: Take, calls: Sequence[Call], now_s: float) -> Result:
    """Judge a take by all calls that ended in it (`calls` in the order of their ends)."""
    mine = ended_between(calls, take.began_s, take.ended_s if take.ended_s is not None else now_s)
    numbers = count(mine)
    moved = moved_s(take, calls, now_s)
    slowest = percentile((c.ended_s - c.began_s for c in mine), 100)
    broken = tuple(_broken(take.scene.promise, numbers, moved))
    if take.trouble:
        broken += (take.trouble,)
    return Result(take.scene, numbers, take.retried, moved, slowest, broken)


def _broken(promise: Promise, numbers: Count, moved: float | None) -> list[str]:
    broken = []
    if promise.no_failed_calls and numbers.failed:
        broken.append(f"{numbers.failed} of {numbers.calls} calls failed")
    if promise.no_failed_calls and promise.cuts_count and numbers.cut:
        broken.append(f"{numbers.cut} calls were cut in flight")
    if moved is None:
        broken.append("the calls did not move")
    elif promise.moved_within_s is not None and moved > promise.moved_within_s:
        broken.append(f"the calls moved after {moved:.2f} s, not within {promise.moved_within_s:g} s")
    return broken
