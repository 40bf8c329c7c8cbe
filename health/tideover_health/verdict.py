"""What was judged of an endpoint, a site or a pair of places, and why: for status, explain and metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from tideover_core.model import Locality, ServiceKey
from tideover_core.steering import EndpointKey, Site


class Kind(StrEnum):
    """What a verdict is about."""

    ENDPOINT = "endpoint"
    SITE = "site"
    PAIR = "pair"  # clients of one place, and a site


class State(StrEnum):
    """Where a subject is. Only the last three move traffic."""

    HEALTHY = "healthy"
    SUSPECT = "suspect"  # looks bad, but not for long enough, too few say so, or the budget is spent
    DOWN = "down"  # given nothing, and still seen to be bad
    HOLDING = "holding"  # given nothing; nothing bad is seen, the hold-down runs
    RAMPING = "ramping"  # given a step's share


class Subject(NamedTuple):
    """What is judged, within one service port. `source` is set for a pair, `endpoint` for an endpoint."""

    kind: Kind
    site: Site
    source: Locality | None = None  # region and zone
    endpoint: EndpointKey | None = None

    def __str__(self) -> str:
        if self.endpoint is not None:
            _, address, port = self.endpoint
            return f"{f'[{address}]' if ':' in address else address}:{port} ({self.site})"
        return f"{self.source} -> {self.site}" if self.source is not None else str(self.site)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One subject that is not simply healthy."""

    service: ServiceKey
    port: int
    subject: Subject
    state: State
    percent: float  # of its share that it is given
    since_s: float  # on the judge's clock: the state, or the step of the way back
    error_percent: float | None = None  # the middle voter's; None: nothing is seen
    voters_for: int = 0  # that it is bad
    voters_against: int = 0
    histogram: tuple[int, ...] = ()  # voters by error rate, in tenths
    relapses: int = 0
    causes: tuple[str, ...] = ()
    blocked: str = ""  # why nothing is done: a Freeze, the budget, too few voters
    next_step: str = ""
    next_s: float | None = None  # when, if what is seen stays so
    stage: str = ""  # "step 2 of 4" of its way back


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that people should look at: everything looks sick, so nothing is moved; or (`short`) more is
    called than all places carry."""

    service: ServiceKey
    port: int
    message: str
    since_s: float
    short: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """How well the fleet is heard: when who was heard last, and what was dropped, by reason."""

    reporters: int = 0
    last_report_s: float | None = None
    last_check_s: float | None = None
    dropped: dict[str, int] = field(default_factory=dict)
