"""A world for orders: two services in paris (two zones) and dublin; one that lives in paris alone."""

from __future__ import annotations

from typing import Any

from tideover_core.model import (
    ClusterFacts,
    Endpoint,
    Locality,
    Protocol,
    ServiceFacts,
    ServiceKey,
    ServicePort,
)
from tideover_core.orders import Action, ActiveOrder, TrafficOrder
from tideover_core.policy import Capacity, FailoverPolicy, Settings
from tideover_core.target import Aim
from tideover_core.world import Mesh, World, merge

NOW_S = 1_764_000_000.0
CART, PAY, ONLY = ServiceKey("shop", "cart"), ServiceKey("shop", "pay"), ServiceKey("shop", "only")
PORT = ServicePort(80, "http", Protocol.HTTP)
PLACES = {
    "paris": (Locality("eu-west", "eu-west-a"), Locality("eu-west", "eu-west-b")),
    "dublin": (Locality("eu-north", "eu-north-a"),),
}


def drain(**aim: Any) -> TrafficOrder:
    return TrafficOrder("tideover-system", "kernel", Action.DRAIN, Aim(**aim), reason="kernel upgrade")


ORDER = drain(cluster="paris")


def service(key: ServiceKey, cluster: str, first: str, each: int = 2) -> ServiceFacts:
    ends = tuple(
        Endpoint(f"{first}.{zone}.{n}", 80, cluster, "default", locality)
        for zone, locality in enumerate(PLACES[cluster])
        for n in range(1, each + 1)
    )
    return ServiceFacts(key, (PORT,), {80: ends})


def two_clusters(*orders: ActiveOrder, capacity: float | None = None, only: bool = False) -> World:
    paris = [service(CART, "paris", "10.1"), service(PAY, "paris", "10.2")]
    if only:
        paris.append(service(ONLY, "paris", "10.3"))
    dublin = [service(CART, "dublin", "10.4"), service(PAY, "dublin", "10.5")]
    policy = FailoverPolicy("tideover-system", "all", (), Settings(capacity=Capacity(capacity)))
    return merge(
        [
            ClusterFacts(name, "default", PLACES[name][0], {one.key: one for one in parts})
            for name, parts in (("paris", paris), ("dublin", dublin))
        ],
        Mesh(orders=orders, failover_policies=(policy,) if capacity else ()),
    )
