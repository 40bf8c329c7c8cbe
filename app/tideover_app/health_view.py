"""What a replica shows of health: for status, explain, events and metrics, which all use these words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tideover_core.capacity import Plan, Rates
from tideover_core.names import Target
from tideover_core.steering import Loads
from tideover_health.backends import Backends
from tideover_health.verdict import Alarm, Kind, Silence, State, Verdict

from .lengths import length

if TYPE_CHECKING:
    from tideover_health.active.prober_run import ProberStatus
    from tideover_health.hds_server import HdsStatus
    from tideover_health.metrics_server import MetricsStatus


@dataclass(frozen=True, slots=True)
class Pace:
    """How often clients report, and what that means."""

    interval_s: float = 0.0  # in force now; 0: nobody is asked
    detection_s: float = 0.0  # the longest time until what they see is judged
    proven: int = 0  # open report streams whose identity is proven
    unproven: int = 0
    by_endpoint: int = 0  # streams that report by endpoint: their services are in doubt
    per_second: float = 0.0  # reports of all of them, as asked for
    last_report_s: Mapping[str, float] = field(default_factory=dict)  # node id -> Unix time


@dataclass(frozen=True, slots=True)
class Looking:
    """How those do who look at endpoints besides their callers; None: nobody does."""

    prober: ProberStatus | None = None
    envoys: HdsStatus | None = None
    metrics: MetricsStatus | None = None


# (who, what kind of subject, why) -> how often something was given nothing any more, since the start
Ejections = Mapping[tuple[str, str, str], int]


@dataclass(frozen=True, slots=True)
class HealthView:
    """All of it at one instant; times are Unix time."""

    at_s: float = 0.0
    enabled: bool = False
    verdicts: tuple[Verdict, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    heard: Silence = field(default_factory=Silence)
    pace: Pace = field(default_factory=Pace)
    looking: Looking = field(default_factory=Looking)
    loads: Loads = field(default_factory=dict)
    learned: Mapping[Target, Rates] = field(default_factory=dict)  # where the configuration asks for it
    ejections: Ejections = field(default_factory=dict)
    doubted: frozenset[str] = frozenset()  # wire names of which some calls or checks fail
    plans: Mapping[Target, Plan] = field(default_factory=dict)  # where capacity is known
    backends: Backends = field(default_factory=dict)  # what they say of themselves, if they do


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


def why(verdict: Verdict, now_s: float) -> str:
    """What was decided, since when and why, and what comes next and when, in words."""
    said = [f"{_given(verdict)}{since(verdict.since_s, now_s)}"]
    if verdict.causes:
        said += verdict.causes
    if verdict.relapses:
        said.append(f"{verdict.relapses} {'relapse' if verdict.relapses == 1 else 'relapses'} so far")
    if verdict.blocked:
        said.append(f"nothing is done: {verdict.blocked}")
    if verdict.next_step:
        due = "" if verdict.next_s is None else f", in {length(verdict.next_s - now_s)}"
        said.append(f"next: {verdict.next_step}{due}")
    return "; ".join(said)


def _given(verdict: Verdict) -> str:
    if verdict.state not in MOVED:
        return verdict.state.value
    stage = f" ({verdict.stage})" if verdict.stage else ""
    return f"{verdict.state.value}{stage}, is given {verdict.percent:g} % of its share"


def about(verdict: Verdict, now_s: float) -> str:
    """A whole line, without the service."""
    return f"{where(verdict)}: {why(verdict, now_s)}"


def since(at_s: float, now_s: float) -> str:
    """Since when, in words; "" when it is just so."""
    return f" for {length(now_s - at_s)}" if now_s - at_s >= 1 else ""


def full(target: Target, plan: Plan) -> str:
    """What capacity makes of a service port, in words; "" while nothing is full."""
    if not plan.shares:
        return ""
    sites = [f"{site} {load.expected:,.0f} of {load.capacity:,.0f}" for site, load in plan.loads.items()]
    more = len(sites) - MOST_SITES
    rest = f", and {more} more" if more > 0 else ""
    return (
        f"port {target.port}: a place is full, so the rest flows on; "
        f"requests/s expected of what each carries: {', '.join(sites[:MOST_SITES])}{rest}"
    )


def stopped(verdict: Verdict | None) -> str:
    """Why nothing is done about what is judged bad: an order, the budget. "" where only more must be seen."""
    why = verdict.blocked if verdict is not None else ""
    return why if why.startswith(STOPS) else ""


# how reasons begin that somebody should know of, and not only wait for more voters; that everything looks
# sick is an alarm
STOPS = ("TrafficOrder", "the budget")
MOST_SITES = 10  # in one line
MOVED = (State.DOWN, State.HOLDING, State.RAMPING)  # the states in which traffic is elsewhere


def of_service(verdicts: Sequence[Verdict], service: object, port: int) -> list[Verdict]:
    """Those of one service port."""
    return [one for one in verdicts if one.service == service and one.port == port]
