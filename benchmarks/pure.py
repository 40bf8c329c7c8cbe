"""What decisions cost with one service of 10,000 endpoints: no files, no sockets, no other process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

from tideover_core.model import (
    ClusterFacts,
    Endpoint,
    Locality,
    Protocol,
    ServiceFacts,
    ServiceKey,
    ServicePort,
    Vantage,
)
from tideover_core.names import Target
from tideover_core.plan import plan
from tideover_core.world import World, merge
from tideover_xds.resources.endpoint import endpoints

ENDPOINTS = 10_000
ZONES = ("a", "b", "c")
PORT = 8080
SERVICE = ServiceKey("bench", "big")
TARGET = Target(SERVICE, PORT)
NAME = f"{SERVICE}:{PORT}"
VANTAGE = Vantage(Locality("eu-west", "eu-west-a"), "paris", "default", "bench")


def cluster(name: str, region: str, first: int, count: int) -> ClusterFacts:
    """A cluster with one service of `count` endpoints over three zones."""
    places = tuple(
        Endpoint(
            address=f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}",
            port=PORT,
            cluster=name,
            network="default",
            locality=Locality(region, f"{region}-{ZONES[i % len(ZONES)]}"),
        )
        for i in range(first, first + count)
    )
    port = ServicePort(PORT, "http", Protocol.HTTP)
    facts = ServiceFacts(SERVICE, (port,), {PORT: places})
    return ClusterFacts(name, "default", Locality(region), {SERVICE: facts})


def with_one_changed(facts: ClusterFacts) -> ClusterFacts:
    """The same facts at the next generation, one endpoint's readiness turned."""
    service = facts.services[SERVICE]
    first, *rest = service.endpoints[PORT]
    turned = replace(first, ready=not first.ready)
    changed = replace(service, endpoints={PORT: (turned, *rest)})
    return replace(facts, services={SERVICE: changed}, generation=facts.generation + 1)


def measure(rounds: int = 15) -> dict[str, Any]:
    """Median milliseconds of each step, for 10,000 endpoints in two clusters and six zones."""
    half = ENDPOINTS // 2
    paris, dublin = cluster("paris", "eu-west", 0, half), cluster("dublin", "eu-north", half, half)
    world = merge([paris, dublin])
    changed = merge([with_one_changed(paris), dublin], previous=world)
    whole, other = _planned(world), _planned(changed)
    before = endpoints(NAME, whole, "v")
    body = before.resource.body

    def build() -> None:
        endpoints(NAME, whole, "v")

    def change_one() -> None:
        endpoints(NAME, other, "v", before)

    build()  # fills the cache of bytes per endpoint, as the first client of a service does
    return {
        "endpoints": ENDPOINTS,
        "assignmentBytes": len(body),
        "mergeAllMs": _ms(lambda: merge([paris, dublin]), rounds),
        "mergeOneChangedMs": _ms(lambda: merge([with_one_changed(paris), dublin], previous=world), rounds),
        "planMs": _ms(lambda: _planned(world), rounds),
        "encodeWholeMs": _ms(build, rounds),
        "encodeOneChangedMs": _ms(change_one, rounds),
        "changeToBytesMs": _ms(lambda: _change(paris, dublin, world, before), rounds),
    }


def _planned(world: World) -> Any:
    assignment = plan(world, TARGET, VANTAGE)
    assert assignment is not None
    return assignment


def _change(paris: ClusterFacts, dublin: ClusterFacts, world: World, before: Any) -> None:
    """The whole pure way of one changed endpoint: merge, plan, bytes."""
    changed = merge([with_one_changed(paris), dublin], previous=world)
    endpoints(NAME, _planned(changed), "v", before)


def _ms(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return round(1000 * median(times), 3)
