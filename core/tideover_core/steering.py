"""How much of the traffic that facts and policies would give it each destination is given, and why.

Made by health (verdicts, fail-back) and capacity, read by `plan`. Orders stand beside it (`orders.py`). What
is not named here is admitted wholly. Steering never empties an assignment: who has nothing else goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .model import Locality, ServiceKey

EndpointKey = tuple[str, str, int]  # network, address, port: `Endpoint.key`


class Site(NamedTuple):
    """What one cluster has of a service port in one locality."""

    cluster: str
    locality: Locality

    def __str__(self) -> str:
        return f"{self.cluster} {self.locality}"


Calls = tuple[ServiceKey, int, Locality, Site]  # service port, source place (region and zone), destination
Loads = Mapping[Calls, float]  # requests per second


class Admission(NamedTuple):
    """`percent` (0 to 100) of what it would get; the rest goes where it would if this were down."""

    percent: float
    cause: str


@dataclass(frozen=True, slots=True)
class PortSteering:
    """One service port. Of several admissions of one endpoint the smallest counts; all causes are shown.

    `pairs`: for clients of that locality (region and zone) only. `shares`: for clients of that locality, the
    fraction (sum 1) that capacity gives each site, what is admitted to it included (orders are not); absent:
    as the priorities say.
    """

    endpoints: Mapping[EndpointKey, Admission] = field(default_factory=dict)
    sites: Mapping[Site, Admission] = field(default_factory=dict)
    pairs: Mapping[tuple[Locality, Site], Admission] = field(default_factory=dict)
    shares: Mapping[Locality, Mapping[Site, float]] = field(default_factory=dict)


Steering = Mapping[int, PortSteering]  # by service port number
NO_STEERING: Steering = {}
