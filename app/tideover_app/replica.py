"""What a running replica shows to the admin API: values to read, nothing to decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from tideover_core.guard import Held
from tideover_core.latest import Latest
from tideover_core.model import Problem, SourceStatus
from tideover_core.world import World
from tideover_wire.node import Client
from tideover_wire.stream import Sent

if TYPE_CHECKING:
    from .admin_desk import OrderDesk
    from .health_view import HealthView


class Kind(StrEnum):
    """What an event is about."""

    SERVICE_FAILING_OVER = "ServiceFailingOver"  # fewer ready than it needs somewhere
    SERVICE_RECOVERED = "ServiceRecovered"
    SOURCE_STALE = "SourceStale"
    SOURCE_FRESH = "SourceFresh"
    PROBLEM_FOUND = "ProblemFound"
    PROBLEM_GONE = "ProblemGone"
    CLIENT_OPENED = "ClientOpened"
    CLIENT_CLOSED = "ClientClosed"
    CLIENT_NACKED = "ClientNacked"
    REMOVALS_HELD = "RemovalsHeld"  # much of a cluster vanished at once
    REMOVALS_OVER = "RemovalsNoLongerHeld"
    REMOVALS_ACCEPTED = "RemovalsAccepted"  # by an operator
    ORDER_PLACED = "OrderPlaced"
    ORDER_IN_FORCE = "OrderInForce"  # all that it asks for
    ORDER_DRAINED = "OrderDrained"  # and calls that ran had their time
    ORDER_ENDED = "OrderEnded"  # its traffic returns in steps
    ORDER_OVER = "OrderOver"
    ORDER_REFUSED = "OrderRefused"  # an object that is not acted on
    CONFIGURATION_APPLIED = "ConfigurationApplied"
    CONFIGURATION_REFUSED = "ConfigurationRefused"
    SERVICE_UNHEALTHY = "ServiceUnhealthy"  # calls fail, though its endpoints are ready
    SERVICE_RECOVERING = "ServiceRecovering"  # the first step of its way back
    STEP_TAKEN = "StepTaken"
    STEP_ABORTED = "StepAborted"  # errors came back with the traffic
    FROZEN = "Frozen"  # something looks bad, and nothing is done about it
    NO_LONGER_FROZEN = "NoLongerFrozen"
    CAPACITY_SHORT = "CapacityShort"  # more is called than all places carry
    CAPACITY_ENOUGH = "CapacityEnough"
    REPORTER_REFUSED = "ReporterRefused"  # who it claims to be is not what it proves


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of `tideover events`. `number` counts from 1 and never repeats in a process."""

    number: int
    at_s: float  # Unix time
    kind: Kind
    object: str  # "Service bookinfo/ratings", "Cluster paris", "Client sidecar-1"
    message: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the replica may be asked, and what it is waiting for or going without."""

    ready: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Connected:
    """One stream of one client, as it is now."""

    stream_id: int
    peer: str
    client: Client
    opened_at_s: float
    sent: tuple[Sent, ...]
    nacks: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a cluster's facts come from. `kind`: manifests, kubeconfig, inCluster, or what registered it.

    `held`: what vanished at once and is held back, with times in Unix time.
    """

    kind: str = "manifests"
    server: str = ""
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class Watching:
    """How the watch of one kind of objects in one cluster has gone so far. `errors` are counted by cause."""

    cluster: str
    kind: str
    lists: int
    watches: int
    events: int
    errors: Mapping[str, int]


class Replica(Protocol):
    """A control plane as the admin API and the HTTP endpoints see it. One event loop."""

    name: str
    region: str
    started_at_s: float
    world: Latest[World]
    happenings: Latest[tuple[Happening, ...]]  # the newest 1,000, oldest first
    orders: OrderDesk | None  # None: it keeps none

    def sources(self) -> Mapping[str, SourceStatus]:
        """Freshness by cluster, in the order of the configuration."""
        ...

    def origins(self) -> Mapping[str, Origin]:
        """Where each cluster's facts come from."""
        ...

    def watching(self) -> Sequence[Watching]:
        """How the watches of live clusters have gone."""
        ...

    def accept_removals(self, cluster: str, author: str) -> Held | None:
        """What that cluster no longer says is really gone: what was held of it, None for nothing."""
        ...

    def problems(self) -> Sequence[Problem]:
        """All that is refused now: in files, in the merge, in clients' nodes."""
        ...

    def clients(self) -> Sequence[Connected]:
        """Open streams, oldest first."""
        ...

    def health(self) -> HealthView:
        """What is judged of services, and how well they are seen."""
        ...

    def readiness(self) -> Readiness:
        """Ready when each source was heard, or is known from the snapshot, or the grace has passed."""
        ...
