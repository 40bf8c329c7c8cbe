"""An assignment in the JSON shape that `explain` and `simulate` share (interfaces.md)."""

from __future__ import annotations

from .assignment import Assignment, LeftOut, Placed, Priority, WeightedLocality
from .model import Vantage


def explained(assignment: Assignment, service_vantage: Vantage, version: str) -> dict[str, object]:
    """The assignment with every cause, for a vantage; `version` is that of the resource it became."""
    return {
        "service": str(assignment.service),
        "port": assignment.port,
        "subset": assignment.subset,
        "vantage": {
            "locality": str(service_vantage.locality),
            "cluster": service_vantage.cluster,
            "network": service_vantage.network,
        },
        "priorities": [_priority(n, priority) for n, priority in enumerate(assignment.priorities)],
        "leftOut": [_left_out(left_out) for left_out in assignment.left_out],
        "overprovisioningPercent": assignment.overprovisioning_percent,
        "policies": list(assignment.policies),
        "version": version,
        "remarks": [],  # a running control plane says here what it has judged
    }


def _priority(number: int, priority: Priority) -> dict[str, object]:
    return {
        "priority": number,
        "expectedTrafficPercent": priority.expected_traffic_percent,
        "localities": [_locality(locality) for locality in priority.localities],
    }


def _locality(locality: WeightedLocality) -> dict[str, object]:
    return {
        "locality": str(locality.locality),
        "weight": locality.weight,
        "causes": list(locality.causes),
        "endpoints": [_endpoint(placed) for placed in locality.endpoints],
    }


def _endpoint(placed: Placed) -> dict[str, object]:
    endpoint = placed.endpoint
    return {
        "address": endpoint.address,
        "port": endpoint.port,
        "cluster": endpoint.cluster,
        "network": endpoint.network,
        "weight": placed.weight,
        "health": placed.health.value,
        "causes": list(placed.causes),
    }


def _left_out(left_out: LeftOut) -> dict[str, object]:
    endpoint = left_out.endpoint
    return {
        "address": endpoint.address,
        "port": endpoint.port,
        "cluster": endpoint.cluster,
        "network": endpoint.network,
        "reason": left_out.reason,
    }
