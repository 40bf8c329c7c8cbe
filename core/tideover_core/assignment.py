"""The answer for one service port and one vantage: priorities, in them localities with weights,
in them endpoints with health, each with its causes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .model import Endpoint, Locality, ServiceKey


class Health(StrEnum):
    """What is sent to clients; the names are Envoy's."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    DRAINING = "DRAINING"


@dataclass(frozen=True, slots=True)
class Placed:
    """An endpoint at its place in an assignment.

    `on_trial`: it gets a part of its calls to see how they end; what fails there is tried again elsewhere.
    """

    endpoint: Endpoint
    health: Health
    weight: int
    causes: tuple[str, ...] = ()
    on_trial: bool = False


@dataclass(frozen=True, slots=True)
class WeightedLocality:
    """One locality inside one priority; `weight` is at least 1 and relative to its neighbours."""

    locality: Locality
    weight: int
    endpoints: tuple[Placed, ...]
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Priority:
    """One priority level; its number is its index in the assignment."""

    localities: tuple[WeightedLocality, ...]
    expected_traffic_percent: float = 0.0


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An endpoint that this vantage is not sent, and why."""

    endpoint: Endpoint
    reason: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """Priorities are contiguous from 0; every (network, address, port) occurs at most once."""

    service: ServiceKey
    port: int
    priorities: tuple[Priority, ...]
    subset: str = ""
    left_out: tuple[LeftOut, ...] = ()
    overprovisioning_percent: int = 140  # Envoy's overprovisioning_factor
    policies: tuple[str, ...] = ()
