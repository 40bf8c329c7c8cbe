"""Verdicts as people are shown them."""

from __future__ import annotations

from collections.abc import Mapping

from tideover_core.policy import Failback
from tideover_core.ramp import NEXT, Move, Outcome, Stage, following

from .port import Port
from .standing import Standing
from .verdict import Kind, State, Subject, Verdict

# why a hold begins anew, or a step does not go on
_WAITS: Mapping[Outcome, str] = {
    Outcome.BAD: "it is still seen bad",
    Outcome.POOR: "too many calls still fail",
    Outcome.FAILING: "an active check fails",
    Outcome.AVOIDED: "callers may still have it ejected themselves, or have only just begun to call it",
    Outcome.UNCLEAR: "what is seen is not clear, or one voter alone sees errors",
}


def verdict_of(port: Port, standing: Standing, skew_s: float) -> Verdict:
    """The verdict on this subject. `skew_s`: how far the judge's time is ahead of the caller's clock."""
    finding, ramp, failback = standing.finding, standing.ramp, port.places.failback
    votes = finding.votes
    due_s = None if standing.blocked else standing.due_s(failback)
    causes = [f"cause: {standing.cause}"] if standing.moved and standing.cause else []
    if not causes or finding.cause != standing.cause.removeprefix("relapse: "):
        causes.append(f"{'now ' if causes else ''}{finding.rule}: {finding.cause}")
    stepping = ramp.stage is Stage.STEPPING
    blocked = standing.blocked or _moved_with_its_place(port, standing)
    return Verdict(
        service=port.places.service,
        port=port.places.port,
        subject=standing.subject,
        state=standing.state,
        percent=ramp.percent,
        since_s=(ramp.since_s if stepping else standing.since_s) - skew_s,
        error_percent=votes.low if votes.voters else None,
        voters_for=votes.bad,
        voters_against=votes.voters - votes.bad,
        histogram=votes.histogram if votes.voters else (),
        relapses=ramp.relapses,
        causes=tuple(causes),
        blocked=blocked,
        next_step="" if blocked else _next_step(standing, failback),
        next_s=None if due_s is None else due_s - skew_s,
        stage=_stage(ramp.percent, failback) if stepping else "",
    )


def _moved_with_its_place(port: Port, standing: Standing) -> str:
    """Why nothing is decided of an endpoint that looks bad, in a place that is given nothing."""
    subject = standing.subject
    whole = port.standings.get(Subject(Kind.SITE, subject.site))
    if subject.kind is not Kind.ENDPOINT or standing.moved or whole is None or whole.ramp.percent:
        return ""
    return "its whole place is given nothing"


def _stage(percent: float, failback: Failback) -> str:
    return f"step {1 + sum(step < percent for step in failback.steps)} of {len(failback.steps)}"


def _next_step(standing: Standing, failback: Failback) -> str:
    """What comes next if what is seen stays so, without when."""
    ramp, outcome = standing.ramp, standing.outcome
    if not standing.moved:
        return "emptied if it stays so" if standing.state is State.SUSPECT else ""
    holding = ramp.stage is Stage.HOLDING
    share = f"{following(failback, ramp.percent):g} % of its share"
    hold = f"the hold-down of {ramp.hold_s:g} s"
    match NEXT[ramp.stage, outcome]:
        case Move.ON_BLINDLY:
            silent = "nobody is heard, and no data is not bad data"
            return f"{silent}: it stays so, then goes on at half the pace: {share}"
        case Move.AGAIN:
            return f"{_WAITS[outcome]}: when that is over {hold} begins, then {share}"
        case Move.STAY:
            return f"{_WAITS[outcome]}, so it stays at this step"
        case Move.ON_SOON:
            return f"seen well, so after half of {hold}: {share}"
        case Move.ON_LATE:
            return f"without calls, after twice the time of a step: {share}"
    return f"after {hold}: {share}" if holding else f"if it stays well: {share}"
