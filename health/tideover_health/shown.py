"""Verdicts as people are shown them."""

from __future__ import annotations

from tideover_core.ramp import Outcome, Stage

from .port import Port
from .standing import Standing
from .verdict import State, Verdict

_WAITS = {
    Outcome.BLIND: "nobody is heard, so it stays as it is",
    Outcome.UNCLEAR: "what is seen is not clear, so it stays at this step",
    Outcome.FAILING: "an active check fails, so it stays as it is",
}


def verdict_of(port: Port, standing: Standing, skew_s: float) -> Verdict:
    """The verdict on this subject. `skew_s`: how far the judge's time is ahead of the caller's clock."""
    finding, ramp, failback = standing.finding, standing.ramp, port.places.failback
    votes = finding.votes
    due_s = standing.due_s(failback)
    causes = [standing.cause] if standing.moved and standing.cause else []
    if finding.cause not in causes:
        causes.append(f"{finding.rule}: {finding.cause}")
    return Verdict(
        service=port.places.service,
        port=port.places.port,
        subject=standing.subject,
        state=standing.state,
        percent=ramp.percent,
        since_s=standing.since_s - skew_s,
        error_percent=votes.low if votes.voters else None,
        voters_for=votes.bad,
        voters_against=votes.voters - votes.bad,
        histogram=votes.histogram if votes.voters else (),
        relapses=ramp.relapses,
        causes=tuple(causes),
        blocked=standing.blocked,
        next_step=_next_step(standing, failback.steps),
        next_s=None if due_s is None else due_s - skew_s,
    )


def _next_step(standing: Standing, steps: tuple[float, ...]) -> str:
    ramp = standing.ramp
    if not standing.moved:
        return "emptied if it stays so" if standing.state is State.SUSPECT and not standing.blocked else ""
    if standing.outcome in _WAITS:
        return _WAITS[standing.outcome]
    if ramp.stage is Stage.HOLDING:
        return f"after the hold-down of {ramp.hold_s:g} s: {steps[0] if steps else 100:g} % of its share"
    following = steps[ramp.step + 1] if ramp.step + 1 < len(steps) else 100.0
    return f"if it stays well: {following:g} % of its share"
