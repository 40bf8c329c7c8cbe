"""Where one subject stands: a state machine that is a table, and the ramp by which it comes back.

Between the thresholds nothing changes; what looks bad must look so for a moment; what relapses waits longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

from tideover_core.model import Locality
from tideover_core.policy import Failback
from tideover_core.ramp import Outcome, Ramp, Stage, advanced, begun, emptied, hold_s, next_s
from tideover_core.steering import Admission, Site

from .rules import SILENCE, Finding, Look, Opinion
from .verdict import Kind, State, Subject

# of the window: so long it must look bad. Endpoints wait until it is known whether their whole place is bad
CONFIRM_PARTS: Mapping[Kind, float] = {Kind.SITE: 0.05, Kind.PAIR: 0.05, Kind.ENDPOINT: 0.15}
FORGET_HOLDS = 10.0  # so many hold-downs must pass without a relapse for the next hold to be short again
_FEW_FAILURES = 3  # in a step: fewer are no relapse
_MANY_FAILURES = 5
LONGEST_EJECTION_S = 300.0  # Envoy's max_ejection_time; each ejection that follows soon lasts longer
_MISSED = 8.0  # calls: so many are no chance
_EJECTION_ENDS_S = 2.0  # later than it should: Envoy looks once in its interval

# of what gets all its traffic; DOWN is reached from SUSPECT, when it is confirmed and the budget allows
STEPS: Mapping[tuple[State, Opinion], State] = {
    (State.HEALTHY, Opinion.BAD): State.SUSPECT,
    (State.HEALTHY, Opinion.FEW): State.SUSPECT,
    (State.HEALTHY, Opinion.UNCLEAR): State.HEALTHY,
    (State.HEALTHY, Opinion.WELL): State.HEALTHY,
    (State.HEALTHY, Opinion.NOTHING): State.HEALTHY,
    (State.SUSPECT, Opinion.BAD): State.SUSPECT,
    (State.SUSPECT, Opinion.FEW): State.SUSPECT,
    (State.SUSPECT, Opinion.UNCLEAR): State.SUSPECT,
    (State.SUSPECT, Opinion.WELL): State.HEALTHY,
    (State.SUSPECT, Opinion.NOTHING): State.HEALTHY,
}
# of what is given nothing: what is still seen there
SEEN: Mapping[Outcome, State] = {
    Outcome.BAD: State.DOWN,
    Outcome.POOR: State.DOWN,
    Outcome.FAILING: State.DOWN,
    Outcome.UNCLEAR: State.HOLDING,
    Outcome.WELL: State.HOLDING,
    Outcome.PASSED: State.HOLDING,
    Outcome.NOTHING: State.HOLDING,
    Outcome.BLIND: State.HOLDING,
    Outcome.AVOIDED: State.HOLDING,
}


class Standing:
    """One subject that is not simply healthy, or was not lately."""

    __slots__ = (
        "bad_since_s",
        "blocked",
        "cause",
        "emptied_s",
        "finding",
        "outcome",
        "ramp",
        "since_s",
        "state",
        "subject",
        "tried_until_s",
    )

    def __init__(self, subject: Subject, now_s: float) -> None:
        self.subject = subject
        self.state = State.HEALTHY
        self.since_s = now_s
        self.bad_since_s: float | None = None
        self.emptied_s = float("-inf")  # when it was last given nothing
        self.tried_until_s = float("-inf")  # a step that callers avoided at first
        self.ramp = Ramp(since_s=float("-inf"))
        self.finding: Finding = SILENCE
        self.outcome = Outcome.NOTHING
        self.cause = self.blocked = ""

    @property
    def moved(self) -> bool:
        """Whether it is given less than its share."""
        return self.ramp.stage is not Stage.DONE

    @property
    def admission(self) -> Admission:
        """For the steering. It stays the same while the percentage does."""
        if self.ramp.stage is Stage.HOLDING:
            return Admission(0.0, f"judged bad: {self.cause}")
        return Admission(
            self.ramp.percent, f"step of {self.ramp.percent:g} % of its share, after: {self.cause}"
        )

    def settle(self, finding: Finding, now_s: float) -> None:
        """What is thought of it, while it gets all its traffic."""
        self.finding, self.blocked = finding, ""
        if finding.opinion is not Opinion.BAD:
            self.bad_since_s = None
        elif self.bad_since_s is None:
            self.bad_since_s = now_s
        self._now_is(STEPS[self.state, finding.opinion], now_s)
        if finding.opinion is Opinion.FEW:
            self.blocked = finding.missing

    def confirmed(self, window_s: float, now_s: float) -> bool:
        """Whether it looked bad for long enough."""
        wait_s = CONFIRM_PARTS[self.subject.kind] * window_s
        if self.finding.rule == "checks":
            wait_s *= 2  # callers are asked first
        return self.bad_since_s is not None and now_s >= self.bad_since_s + wait_s

    def empty(self, failback: Failback, now_s: float) -> None:
        """It is given nothing from now on."""
        before = self.ramp
        if before.relapses or before.hold_s or before.since_s > float("-inf"):
            before = replace(before, relapses=before.relapses + 1)
        self.ramp = emptied(failback, now_s, before)
        self.cause, self.bad_since_s, self.emptied_s = self.finding.cause, None, now_s
        self._now_is(State.DOWN, now_s)

    def begin(self, failback: Failback, cause: str, now_s: float) -> None:
        """It starts at the first step."""
        self.ramp = replace(begun(failback, now_s), relapses=self.ramp.relapses)
        self.cause = cause
        self._now_is(State.RAMPING if self.moved else State.HEALTHY, now_s)

    def advance(self, failback: Failback, outcome: Outcome, now_s: float) -> bool:
        """One look at it on its way back; whether what it is given has changed."""
        before, self.outcome = self.ramp, outcome
        self.ramp = advanced(before, failback, outcome, now_s)
        if self.ramp.stage is Stage.HOLDING:
            self.emptied_s = self.ramp.since_s
            if before.stage is not Stage.HOLDING:
                self.cause = f"relapse: {self.finding.cause}"
            self._now_is(SEEN[outcome], now_s)
        else:
            self._now_is(State.RAMPING if self.moved else State.HEALTHY, now_s)
        return self.ramp.percent != before.percent

    def unless_avoided(
        self, outcome: Outcome, missed_per_s: float, ejection_s: float, failback: Failback, now_s: float
    ) -> Outcome:
        """The outcome; in a step no calls say nothing as long as ejections of callers' own may last.

        Each Envoy ends those by itself, and all its calls would come at once to a place that is through with
        its steps. A step that was avoided is tried out from its first calls on. `missed_per_s`: calls that
        should come, and who called there before makes them elsewhere.
        """
        if self.ramp.stage is not Stage.STEPPING or not ejection_s:
            return outcome
        if outcome is Outcome.WELL:
            if self.outcome is Outcome.AVOIDED and self.tried_until_s < self.ramp.since_s:
                self.tried_until_s = now_s + failback.step_every_s
            return Outcome.AVOIDED if now_s < self.tried_until_s else outcome
        longest_s = max(ejection_s, LONGEST_EJECTION_S)
        missed = missed_per_s * (now_s - self.ramp.since_s)
        lasts_s = longest_s if missed > _MISSED else min(ejection_s * (1 + self.ramp.relapses), longest_s)
        over = now_s >= self.emptied_s + lasts_s + _EJECTION_ENDS_S
        return outcome if over or outcome not in (Outcome.NOTHING, Outcome.PASSED) else Outcome.AVOIDED

    def forgettable(self, failback: Failback, now_s: float) -> bool:
        """Whether nothing is left to remember of it."""
        if self.state is not State.HEALTHY or self.bad_since_s is not None:
            return False
        return now_s >= self.ramp.since_s + memory_s(failback, self.ramp)

    def due_s(self, failback: Failback) -> float | None:
        """When its ramp goes on, if what is seen stays so."""
        return next_s(self.ramp, failback, self.outcome) if self.moved else None

    def _now_is(self, state: State, now_s: float) -> None:
        if state is not self.state:
            self.state, self.since_s = state, now_s

    def saved(self) -> dict[str, Any]:
        """As JSON has it."""
        subject, ramp = self.subject, self.ramp
        return {
            "kind": subject.kind.value,
            "cluster": subject.site.cluster,
            "locality": str(subject.site.locality),
            "source": None if subject.source is None else str(subject.source),
            "endpoint": None if subject.endpoint is None else list(subject.endpoint),
            "state": self.state.value,
            "since_s": self.since_s,
            "cause": self.cause,
            "stage": ramp.stage.value,
            "ramp_since_s": ramp.since_s,
            "percent": ramp.percent,
            "hold_s": ramp.hold_s,
            "relapses": ramp.relapses,
            "emptied_s": self.emptied_s if isfinite(self.emptied_s) else None,
        }


def restored(saved: Mapping[str, Any], later_s: float) -> Standing:
    """What `saved` gave, that much later. KeyError, TypeError or ValueError: it is no such thing."""
    source, end = saved["source"], saved["endpoint"]
    subject = Subject(
        Kind(saved["kind"]),
        Site(str(saved["cluster"]), Locality.parse(saved["locality"])),
        None if source is None else Locality.parse(source),
        None if end is None else (str(end[0]), str(end[1]), int(end[2])),
    )
    if (subject.source is not None) != (subject.kind is Kind.PAIR) or (subject.endpoint is not None) != (
        subject.kind is Kind.ENDPOINT
    ):
        raise ValueError(f"a {subject.kind} with parts of another")
    standing = Standing(subject, float(saved["since_s"]) + later_s)
    standing.state, standing.cause = State(saved["state"]), str(saved["cause"])
    percent = float(saved["percent"])
    emptied = [float(at_s)] if (at_s := saved.get("emptied_s")) is not None else []
    times = (standing.since_s, float(saved["ramp_since_s"]), float(saved["hold_s"]), *emptied)
    if not 0.0 <= percent <= 100.0 or not all(map(isfinite, times)):
        raise ValueError("no percentage, or no time")
    standing.ramp = Ramp(
        Stage(saved["stage"]),
        float(saved["ramp_since_s"]) + later_s,
        percent,
        float(saved["hold_s"]),
        max(0, int(saved["relapses"])),
    )
    standing.emptied_s = max((at_s + later_s for at_s in emptied), default=float("-inf"))
    if standing.moved == (standing.state in (State.HEALTHY, State.SUSPECT)):
        raise ValueError("a state that does not go with its ramp")
    return standing


def memory_s(failback: Failback, ramp: Ramp) -> float:
    """How long after its way back it is remembered that it was bad."""
    return max(FORGET_HOLDS * failback.hold_down_s, 2.0 * hold_s(failback, ramp.relapses))


def outcome_of(
    look: Look, finding: Finding, failback: Failback, others_percent: float, blind: bool
) -> Outcome:
    """What was seen since the stage or step began. `others_percent`: errors of the best other place."""
    found = look.all
    if finding.opinion is Opinion.BAD:
        return Outcome.BAD
    if not found.voters:
        if look.checks.fails:
            return Outcome.FAILING
        if blind:
            return Outcome.BLIND
        return Outcome.PASSED if look.checks.passes else Outcome.NOTHING
    most_percent = failback.abort_above_error_percent + others_percent
    if found.low > most_percent and found.failed >= _FEW_FAILURES:
        if found.voters < 2 and not look.checks.fails:
            return Outcome.UNCLEAR  # one alone changes nothing for others
        broken = found.low > look.health.unhealthy_above_error_percent and found.failed >= _MANY_FAILURES
        return Outcome.BAD if broken else Outcome.POOR
    if found.high <= most_percent and (found.high < look.well_below + others_percent or not found.failed):
        return Outcome.WELL
    return Outcome.UNCLEAR
