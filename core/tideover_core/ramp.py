"""How what was emptied gets its traffic back: a hold-down, then steps, each watched; a relapse steps back and
the next hold is longer. One ramp for verdicts, for the end of a drain and for a new place's first traffic.

A state machine that is a table (`NEXT`). Pure: `now_s` is a steady clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from .policy import Failback

GROWTH = 4.0  # of the hold, with every relapse
LONGEST_HOLD_S = 600.0
BLIND_S = 900.0  # nobody sees anything: so long nothing moves; then it goes on, slowly


class Stage(StrEnum):
    """Where a ramp is."""

    HOLDING = "holding"  # 0 percent
    STEPPING = "stepping"  # one of the policy's steps
    DONE = "done"  # 100 percent


class Outcome(StrEnum):
    """What was seen of the place since this stage or step began."""

    WELL = "well"  # calls succeed
    PASSED = "passed"  # no calls, but an active check passes
    NOTHING = "nothing"  # no calls there, and no check, though reporters are heard
    BLIND = "blind"  # nobody is heard at all
    AVOIDED = "avoided"  # no calls, and callers that ejected it themselves may still keep away
    UNCLEAR = "unclear"  # between the thresholds, or too few who say it
    FAILING = "failing"  # no calls, and an active check fails
    POOR = "poor"  # more errors than a step may have
    BAD = "bad"  # broken


class Move(StrEnum):
    """What to do; those with a time do it when that is over."""

    STAY = "stay"
    AGAIN = "again"  # the hold begins anew, as long as it was
    ON = "on when the time is over"
    ON_SOON = "on when half the time is over"
    ON_LATE = "on when twice the time is over"
    ON_BLINDLY = "on when nobody was heard for long"
    BACK = "back by a step, with a longer hold"
    OUT = "back to nothing, with a longer hold"


H, S, D = Stage.HOLDING, Stage.STEPPING, Stage.DONE
NEXT: Mapping[tuple[Stage, Outcome], Move] = {
    (H, Outcome.WELL): Move.ON_SOON,
    (H, Outcome.PASSED): Move.ON_SOON,
    (H, Outcome.NOTHING): Move.ON,
    (H, Outcome.BLIND): Move.ON_BLINDLY,
    (H, Outcome.AVOIDED): Move.ON,
    (H, Outcome.UNCLEAR): Move.ON,
    (H, Outcome.FAILING): Move.AGAIN,
    (H, Outcome.POOR): Move.AGAIN,
    (H, Outcome.BAD): Move.AGAIN,
    (S, Outcome.WELL): Move.ON,
    (S, Outcome.PASSED): Move.ON,
    (S, Outcome.NOTHING): Move.ON_LATE,
    (S, Outcome.BLIND): Move.ON_BLINDLY,
    (S, Outcome.AVOIDED): Move.STAY,
    (S, Outcome.UNCLEAR): Move.STAY,
    (S, Outcome.FAILING): Move.STAY,
    (S, Outcome.POOR): Move.BACK,
    (S, Outcome.BAD): Move.OUT,
    **{(D, outcome): Move.STAY for outcome in Outcome},
}
WAITS: Mapping[Move, float] = {Move.ON: 1.0, Move.ON_SOON: 0.5, Move.ON_LATE: 2.0}


@dataclass(frozen=True, slots=True)
class Ramp:
    """Where a place is on its way back. Make one with `emptied`, `begun` or `Ramp()` (all of its traffic)."""

    stage: Stage = Stage.DONE
    since_s: float = 0.0  # when this stage or step began
    percent: float = 100.0  # of its share that it is given
    hold_s: float = 0.0  # how long the hold is, or a step after a relapse
    relapses: int = 0  # how often it went back


def emptied(failback: Failback, now_s: float, before: Ramp = Ramp()) -> Ramp:
    """Given nothing from now on. `before` tells of relapses that are not forgotten."""
    return Ramp(Stage.HOLDING, now_s, 0.0, hold_s(failback, before.relapses), before.relapses)


def begun(failback: Failback, now_s: float) -> Ramp:
    """At its first step, without a hold: the end of a drain, or a new place's first traffic."""
    return _at(Ramp(), following(failback, 0.0), now_s)


def following(failback: Failback, percent: float) -> float:
    """The next step above that one; after the last it is all of the traffic."""
    return min((step for step in failback.steps if step > percent), default=100.0)


def hold_s(failback: Failback, relapses: int) -> float:
    """How long the hold is after so many relapses."""
    longest_s = max(LONGEST_HOLD_S, failback.hold_down_s)
    return float(min(failback.hold_down_s * GROWTH ** min(relapses, 20), longest_s))


def advanced(ramp: Ramp, failback: Failback, outcome: Outcome, now_s: float) -> Ramp:
    """The ramp after what was seen; itself while nothing changes. At most one step at a time.

    A step is its percentage: a policy may have other steps since the last one was taken.
    """
    move = NEXT[ramp.stage, outcome]
    match move:
        case Move.STAY:
            return ramp
        case Move.AGAIN:
            return replace(ramp, since_s=now_s) if now_s > ramp.since_s else ramp
        case Move.BACK if lower := [step for step in failback.steps if 0 < step < ramp.percent]:
            relapses = _relapses(ramp)
            back = replace(ramp, relapses=relapses, hold_s=hold_s(failback, relapses))
            return _at(back, max(lower), now_s)
        case Move.BACK | Move.OUT:
            return emptied(failback, now_s, replace(ramp, relapses=_relapses(ramp)))
    due_s = next_s(ramp, failback, outcome)
    if due_s is None or now_s < due_s:
        return ramp
    return _at(replace(ramp, hold_s=0.0), following(failback, ramp.percent), now_s)


def next_s(ramp: Ramp, failback: Failback, outcome: Outcome) -> float | None:
    """When it goes on if what is seen stays so; None: not by time."""
    move = NEXT[ramp.stage, outcome]
    own_s = ramp.hold_s if ramp.stage is H else max(failback.step_every_s, ramp.hold_s)
    if move is Move.ON_BLINDLY:
        return ramp.since_s + max(BLIND_S, 2 * own_s)
    return ramp.since_s + WAITS[move] * own_s if move in WAITS else None


def _relapses(ramp: Ramp) -> int:
    """With this one; what gets worse on a step that it was sent back to is still the same."""
    return ramp.relapses if ramp.hold_s else ramp.relapses + 1


def _at(ramp: Ramp, percent: float, now_s: float) -> Ramp:
    """At that step; all of the traffic is the end."""
    if percent >= 100.0:
        return Ramp(Stage.DONE, now_s, 100.0, 0.0, ramp.relapses)
    return replace(ramp, stage=Stage.STEPPING, since_s=now_s, percent=percent)
