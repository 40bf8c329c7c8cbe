"""EDS: an Assignment as Envoy's ClusterLoadAssignment.

Built from cached parts: bytes per endpoint are shared by every assignment that holds it, bytes per
locality are kept from the build before. One changed endpoint of 10,000 re-serialises itself, joins
its locality and hashes the whole; nothing else is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from envoy.config.core.v3 import address_pb2, base_pb2, health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from google.protobuf.wrappers_pb2 import UInt32Value

from tideover_core.assignment import Assignment, Health, Placed, WeightedLocality
from tideover_core.model import Locality
from tideover_wire.codec import varint
from tideover_wire.resource import Resource, TypeUrl

from .fields import block, dump, resource, text
from .retry import on_trial

# Envoy refuses a priority whose localities' weights, or a locality whose endpoints' weights, sum to more
_MAX_WEIGHT_SUM = 2**32 - 1
_ON_TRIAL = block(3, dump(on_trial()))  # LbEndpoint.metadata = 3
_STATUS = {
    Health.HEALTHY: health_check_pb2.HealthStatus.HEALTHY,
    Health.UNHEALTHY: health_check_pb2.HealthStatus.UNHEALTHY,
    Health.DRAINING: health_check_pb2.HealthStatus.DRAINING,
}


@dataclass(frozen=True, slots=True)
class EncodedLocality:
    """A locality at one priority, with the bytes it became."""

    locality: WeightedLocality
    weight: int
    field: bytes


@dataclass(frozen=True, slots=True)
class EncodedAssignment:
    """An assignment with its parts, for the next build to reuse."""

    resource: Resource
    localities: dict[tuple[int, Locality], EncodedLocality]


def endpoints(
    name: str, assignment: Assignment, cluster_version: str, previous: EncodedAssignment | None = None
) -> EncodedAssignment:
    """The EDS resource of `name`, reusing what `previous` has of it.

    `cluster_version` is folded into the version (rule O2): a changed cluster warms until its
    endpoints come again. Priorities are contiguous and weights set (rule E4), as gRPC demands.
    """
    before = previous.localities if previous is not None else {}
    parts: dict[tuple[int, Locality], EncodedLocality] = {}
    for number, priority in enumerate(assignment.priorities):
        weights = fitted([place.weight for place in priority.localities])
        for place, weight in zip(priority.localities, weights, strict=True):
            key = (number, place.locality)
            parts[key] = _locality(place, weight, number, before.get(key))
    policy = _policy(assignment.overprovisioning_percent)
    body = b"".join([text(1, name), *(part.field for part in parts.values()), policy])
    built = resource(TypeUrl.ENDPOINT, name, body, cluster_version)
    return EncodedAssignment(built, parts)


def assume_ready(assignment: Assignment) -> Assignment:
    """The same for a proxyless client, when nothing is healthy: everything, as if it were.

    gRPC drops what is not healthy before it looks at priorities, and has no panic mode: it would
    refuse calls that some endpoint may still answer.
    """
    priorities = assignment.priorities
    places = [place for priority in priorities for place in priority.localities]
    if any(placed.health is Health.HEALTHY for place in places for placed in place.endpoints):
        return assignment
    return replace(
        assignment,
        priorities=tuple(
            replace(priority, localities=tuple(_ready(place) for place in priority.localities))
            for priority in priorities
        ),
    )


def _ready(place: WeightedLocality) -> WeightedLocality:
    return replace(
        place, endpoints=tuple(replace(placed, health=Health.HEALTHY) for placed in place.endpoints)
    )


def fitted(weights: Sequence[int]) -> list[int]:
    """The weights, at least 1 each, scaled down together when their sum is more than Envoy takes."""
    total = sum(weights)
    if total <= _MAX_WEIGHT_SUM:
        return [max(1, weight) for weight in weights]
    # room for the ones that round up to 1
    scale = (_MAX_WEIGHT_SUM - len(weights)) / total
    return [max(1, int(weight * scale)) for weight in weights]


def _locality(
    place: WeightedLocality, weight: int, priority: int, before: EncodedLocality | None
) -> EncodedLocality:
    """The LocalityLbEndpoints field (ClusterLoadAssignment.endpoints = 2)."""
    if before is not None and before.weight == weight and before.locality.endpoints == place.endpoints:
        return before
    weights = fitted([placed.weight for placed in place.endpoints])
    # LocalityLbEndpoints.lb_endpoints = 2
    hosts = [_placed(placed, weight) for placed, weight in zip(place.endpoints, weights, strict=True)]
    body = b"".join([_place(place.locality), *hosts, _tail(weight, priority)])
    return EncodedLocality(place, weight, block(2, body))


def _placed(placed: Placed, weight: int) -> bytes:
    endpoint = placed.endpoint
    host = _host(endpoint.address, endpoint.port, placed.health, weight)
    return block(2, host + _ON_TRIAL) if placed.on_trial else block(2, host)


@lru_cache(maxsize=100_000)
def _host(address: str, port: int, health: Health, weight: int) -> bytes:
    """An LbEndpoint."""
    message = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(
            address=address_pb2.Address(
                socket_address=address_pb2.SocketAddress(address=address, port_value=port)
            )
        ),
        health_status=_STATUS[health],
        load_balancing_weight=UInt32Value(value=weight),
    )
    return dump(message)


@lru_cache(maxsize=4096)
def _place(locality: Locality) -> bytes:
    """LocalityLbEndpoints.locality = 1."""
    message = base_pb2.Locality(region=locality.region, zone=locality.zone, sub_zone=locality.subzone)
    return block(1, dump(message))


def _tail(weight: int, priority: int) -> bytes:
    """LocalityLbEndpoints.load_balancing_weight = 3 and priority = 5 (absent when 0)."""
    tail = block(3, dump(UInt32Value(value=weight)))
    return tail + varint(5 << 3) + varint(priority) if priority else tail


@lru_cache(maxsize=256)
def _policy(overprovisioning_percent: int) -> bytes:
    """ClusterLoadAssignment.policy = 4."""
    message = endpoint_pb2.ClusterLoadAssignment.Policy(
        overprovisioning_factor=UInt32Value(value=overprovisioning_percent)
    )
    return block(4, dump(message))
