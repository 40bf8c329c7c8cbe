"""What a replica shows of health: for status, explain, events and metrics, which all use these words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tideover_core.steering import Loads
from tideover_health.verdict import Alarm, Kind, Silence, State, Verdict


@dataclass(frozen=True, slots=True)
class Pace:
    """How often clients report, and what that means."""

    interval_s: float = 0.0  # in force now; 0: nobody is asked
    detection_s: float = 0.0  # the longest time until what they see is judged
    proven: int = 0  # open report streams whose identity is proven
    unproven: int = 0
    last_report_s: Mapping[str, float] = field(default_factory=dict)  # node id -> Unix time


@dataclass(frozen=True, slots=True)
class HealthView:
    """All of it at one instant; times are Unix time."""

    enabled: bool = False
    verdicts: tuple[Verdict, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    heard: Silence = field(default_factory=Silence)
    pace: Pace = field(default_factory=Pace)
    checks_per_second: float = 0.0
    loads: Loads = field(default_factory=dict)

    def states(self) -> Counter[str]:
        """How many subjects are in which state; those that are healthy are not counted."""
        return Counter(one.state.value for one in self.verdicts)


def where(verdict: Verdict) -> str:
    """What a verdict is about, within its service."""
    subject, port = verdict.subject, f"port {verdict.port}"
    site = f"{subject.site.locality} in {subject.site.cluster}"
    match subject.kind:
        case Kind.ENDPOINT if subject.endpoint is not None:
            _, address, number = subject.endpoint
            host = f"[{address}]" if ":" in address else address
            return f"{port}, endpoint {host}:{number} at {site}"
        case Kind.PAIR:
            return f"{port}, calls from {subject.source} to {site}"
    return f"{port} at {site}"


def why(verdict: Verdict) -> str:
    """What was decided and why, in words."""
    said = [_given(verdict)]
    if verdict.causes:
        said.append(", ".join(verdict.causes))
    if verdict.blocked:
        said.append(f"nothing is done: {verdict.blocked}")
    if verdict.next_step:
        said.append(f"next: {verdict.next_step}")
    return "; ".join(said)


def _given(verdict: Verdict) -> str:
    if verdict.state in MOVED:
        return f"{verdict.state.value}, is given {verdict.percent:g} % of its share"
    return verdict.state.value


def about(verdict: Verdict) -> str:
    """A whole line, without the service."""
    return f"{where(verdict)}: {why(verdict)}"


def stopped(verdict: Verdict | None) -> str:
    """Why nothing is done about what is judged bad: an order, the budget. "" where only more must be seen."""
    why = verdict.blocked if verdict is not None else ""
    return why if why.startswith(STOPS) else ""


# how reasons begin that somebody should know of, and not only wait for more voters
STOPS = ("frozen by", "TrafficOrder", "the budget", "everything")
MOVED = (State.DOWN, State.HOLDING, State.RAMPING)  # the states in which traffic is elsewhere


def of_service(verdicts: Sequence[Verdict], service: object, port: int) -> list[Verdict]:
    """Those of one service port."""
    return [one for one in verdicts if one.service == service and one.port == port]
