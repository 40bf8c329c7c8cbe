"""An order's course: its percent rises, it is in force, what it emptied may go, it ends, its traffic returns.

It returns by the ramp of verdicts, watched. A service that is not well there goes on by a ramp of its own,
apart from the others: one broken service of a cluster does not hold up the rest.
A state machine that is a table (`NEXT`). Pure: `now_s` is Unix time that may jump. Time within a stage is
added up from small differences, so a clock that is set, or a restart, neither skips nor prolongs a stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from . import ramp
from .leaving import DRAIN_S
from .model import ServiceKey
from .orders import Action, ActiveOrder, TrafficOrder
from .policy import Failback
from .ramp import Outcome, Ramp

MOST_STEPS = 10  # in which a percent rises; each is at least a second long
LONGEST_LOOK_S = 10.0  # of the time between two looks no more counts: nobody saw the rest
RETURNS_WITHIN_S = 900.0  # whatever is seen: every order ends


class Stage(StrEnum):
    """Where an order is."""

    RISING = "Rising"  # in steps to what it asks for
    DRAINING = "Draining"  # all of it has left; calls that run may end
    DRAINED = "Drained"  # and the drain time is over
    IN_FORCE = "InForce"  # all that it asks for, with nothing to be emptied
    RETURNING = "Returning"  # it has ended, and the traffic comes back in steps
    OVER = "Over"


class Cue(StrEnum):
    """What moves an order on."""

    REACHED = "reached"  # the end of the steps, up or down
    EMPTIES = "empties"  # the same, of an order that takes all away
    WAITED = "waited"  # for the drain time
    ENDED = "ended"  # expired, undone or deleted


NEXT: Mapping[tuple[Stage, Cue], Stage] = {
    (Stage.RISING, Cue.REACHED): Stage.IN_FORCE,
    (Stage.RISING, Cue.EMPTIES): Stage.DRAINING,
    (Stage.DRAINING, Cue.WAITED): Stage.DRAINED,
    (Stage.RISING, Cue.ENDED): Stage.RETURNING,
    (Stage.DRAINING, Cue.ENDED): Stage.RETURNING,
    (Stage.DRAINED, Cue.ENDED): Stage.RETURNING,
    (Stage.IN_FORCE, Cue.ENDED): Stage.RETURNING,
    (Stage.RETURNING, Cue.REACHED): Stage.OVER,
}
# what lets a service go on with the others; the best of it counts for all of them
_FINE = (Outcome.WELL, Outcome.PASSED, Outcome.NOTHING, Outcome.BLIND)
GIVES = frozenset((Stage.RISING, Stage.DRAINING, Stage.DRAINED, Stage.IN_FORCE))  # it is still asked for


@dataclass(frozen=True, slots=True)
class Course:
    """Where one order is. `passed_s`: in this stage, as far as somebody looked. `seen_s`: the last look.

    `from_percent` is what was in force when the stage began; `why` tells how it ended. While traffic returns
    `percent` is the most that is still taken from any service, and `apart` are those with their own ramps.
    """

    stage: Stage
    percent: float
    seen_s: float
    passed_s: float = 0.0
    from_percent: float = 0.0
    ramp: Ramp = field(default_factory=Ramp)
    why: str = ""
    apart: tuple[tuple[ServiceKey, Ramp], ...] = ()


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast traffic leaves and returns, and what is seen of the places to which it returns.

    `outcomes`: by service, since its step began. Of none: nobody looks, and time alone counts.
    """

    failback: Failback = field(default_factory=Failback)
    drain_s: float = DRAIN_S
    outcomes: Mapping[ServiceKey, Outcome] = field(default_factory=dict)


def begun(order: TrafficOrder, now_s: float, age_s: float = 0.0) -> Course:
    """Accepted now, or `age_s` ago by another replica, which is as far as we are."""
    course = Course(Stage.RISING, 0.0, now_s, max(0.0, age_s))
    course = replace(course, percent=_risen(order, course))
    if course.percent != order.percent:
        return course
    rest_s = max(0.0, age_s - order.over_s)
    course = _moved(course, _reached(order))
    return replace(course, passed_s=rest_s)


def advanced(order: TrafficOrder, course: Course, now_s: float, pace: Pace = Pace()) -> Course:
    """The course by now. At most one stage further, and never more than one step of the traffic."""
    step_s = min(max(0.0, now_s - course.seen_s), LONGEST_LOOK_S)
    course = replace(course, seen_s=now_s, passed_s=course.passed_s + step_s)
    if course.stage in GIVES and order.expires_at_s is not None and now_s >= order.expires_at_s:
        return ended(order, course, "expired", pace)
    match course.stage:
        case Stage.RISING:
            course = replace(course, percent=_one_step_up(order, course))
            return _moved(course, _reached(order)) if course.percent == order.percent else course
        case Stage.DRAINING if course.passed_s >= pace.drain_s:
            return _moved(course, Cue.WAITED)
        case Stage.RETURNING:
            return _returned(course, pace)
    return course


def ended(order: TrafficOrder, course: Course, why: str, pace: Pace = Pace()) -> Course:
    """Nobody asks for it any more. What was taken away comes back in steps; a freeze is simply over."""
    if course.stage not in GIVES:
        return course
    moved = replace(_moved(course, Cue.ENDED), why=why)
    if order.action is Action.FREEZE or course.percent <= 0:
        return _moved(replace(moved, percent=0.0), Cue.REACHED)
    return _at(replace(moved, ramp=ramp.begun(pace.failback, 0.0)))


def edited(order: TrafficOrder, course: Course, before: TrafficOrder) -> Course:
    """The course when its order asks for something else than `before`."""
    if course.stage not in GIVES or (order.percent, order.over_s) == (before.percent, before.over_s):
        return course
    return replace(course, stage=Stage.RISING, passed_s=0.0, from_percent=course.percent)


def in_force(order: TrafficOrder, course: Course) -> ActiveOrder | None:
    """What `plan` is to make of it now; None: nothing."""
    if course.stage is Stage.OVER:
        return None
    if course.stage is Stage.RETURNING:
        apart = tuple((service, _left(course, one)) for service, one in course.apart)
        return ActiveOrder(order, _left(course, course.ramp), apart=apart)
    return ActiveOrder(order, course.percent, course.stage is Stage.DRAINED)


def watched_s(course: Course, service: ServiceKey) -> float:
    """For how long a service has been at its step, or in its hold, on the way back."""
    return course.passed_s - _ramp_of(course, service).since_s


def next_s(order: TrafficOrder, course: Course, pace: Pace = Pace()) -> float | None:
    """In how many seconds time alone moves it on; None: never."""
    waits: list[float] = []
    if course.stage in GIVES and order.expires_at_s is not None:
        waits.append(order.expires_at_s - course.seen_s)
    match course.stage:
        case Stage.RISING:
            step_s = _step_s(order)
            waits.append(step_s - course.passed_s % step_s if step_s else 0.0)
        case Stage.DRAINING:
            waits.append(pace.drain_s - course.passed_s)
        case Stage.RETURNING:
            waits.extend(_next_returns(course, pace))
    return max(0.0, min(waits)) if waits else None


def _moved(course: Course, cue: Cue) -> Course:
    return replace(course, stage=NEXT[course.stage, cue], passed_s=0.0, from_percent=course.percent)


def _reached(order: TrafficOrder) -> Cue:
    return Cue.EMPTIES if order.action is Action.DRAIN and order.percent >= 100 else Cue.REACHED


def _steps(order: TrafficOrder) -> int:
    return max(1, min(MOST_STEPS, int(order.over_s)))


def _step_s(order: TrafficOrder) -> float:
    return order.over_s / _steps(order)


def _risen(order: TrafficOrder, course: Course) -> float:
    """The percent of its step: the first counts at once, the last a step before the time is over."""
    count, step_s = _steps(order), _step_s(order)
    step = count if not step_s else min(count, 1 + int(course.passed_s / step_s))
    if step == count:
        return order.percent
    return course.from_percent + (order.percent - course.from_percent) * step / count


def _one_step_up(order: TrafficOrder, course: Course) -> float:
    """As `_risen`; but a step that nobody saw in time is not made up for at once."""
    wanted = _risen(order, course)
    most = abs(order.percent - course.from_percent) / _steps(order) + 1e-6
    return min(max(wanted, course.percent - most), course.percent + most)


def held_back(course: Course) -> str:
    """Which services do not come back with the others, in words; "" when all do."""
    return ", ".join(
        f"{service}, which was not well there, is given {one.percent:g} % of its share"
        for service, one in course.apart
        if one.percent < course.ramp.percent
    )


def _seen(course: Course, pace: Pace) -> Mapping[ServiceKey, Outcome]:
    return pace.outcomes if course.passed_s < RETURNS_WITHIN_S else {}


def _returned(course: Course, pace: Pace) -> Course:
    # the ramps go by the time of this stage, which no clock can move
    outcomes, apart = _seen(course, pace), dict(course.apart)
    if course.ramp.stage is not ramp.Stage.DONE:
        apart |= {key: course.ramp for key, one in outcomes.items() if one not in _FINE and key not in apart}
    apart = {
        key: ramp.advanced(one, pace.failback, outcomes.get(key, Outcome.WELL), course.passed_s)
        for key, one in apart.items()
    }
    main = ramp.advanced(course.ramp, pace.failback, _best(outcomes, apart), course.passed_s)
    course = _at(replace(course, ramp=main, apart=tuple(apart.items())))
    if all(one.stage is ramp.Stage.DONE for one in (main, *apart.values())):
        return _moved(course, Cue.REACHED)
    return course


def _next_returns(course: Course, pace: Pace) -> Iterator[float]:
    outcomes, apart = _seen(course, pace), dict(course.apart)
    ramps = [(course.ramp, _best(outcomes, apart))]
    ramps += [(one, outcomes.get(key, Outcome.WELL)) for key, one in apart.items()]
    for one, outcome in ramps:
        if one.stage is not ramp.Stage.DONE:
            due_s = ramp.next_s(one, pace.failback, outcome)
            yield (RETURNS_WITHIN_S if due_s is None else due_s) - course.passed_s


def _best(outcomes: Mapping[ServiceKey, Outcome], apart: Mapping[ServiceKey, Ramp]) -> Outcome:
    """What counts for all that go together: the best that is seen of any of them."""
    seen = {one for key, one in outcomes.items() if key not in apart}
    return next((one for one in _FINE if one in seen), Outcome.WELL)


def _ramp_of(course: Course, service: ServiceKey) -> Ramp:
    return next((one for key, one in course.apart if key == service), course.ramp)


def _left(course: Course, at: Ramp) -> float:
    """What is still taken away from who is there on the way back."""
    return course.from_percent * (100.0 - at.percent) / 100.0


def _at(course: Course) -> Course:
    return replace(
        course, percent=max(_left(course, one) for one in (course.ramp, *(one for _, one in course.apart)))
    )
