"""Worlds of the cache's tests: two services in one cluster, under policies."""

from __future__ import annotations

from typing import Any

from support.xds_worlds import cluster, endpoint, service, world
from tideover_core.policy import DestinationRule, FailoverPolicy
from tideover_core.world import Mesh, World


def rule(
    host: str = "ratings.bookinfo.svc.cluster.local", *, name: str = "r", **fields: Any
) -> DestinationRule:
    return DestinationRule(fields.pop("namespace", "bookinfo"), name, host, **fields)


def ruled(
    *rules: DestinationRule, policies: tuple[FailoverPolicy, ...] = (), previous: World | None = None
) -> World:
    """Two services in one cluster, under these rules."""
    one = cluster(
        "paris", service("ratings", [endpoint("10.0.0.1")]), service("reviews", [endpoint("10.0.0.2")])
    )
    return world(one, mesh=Mesh(destination_rules=rules, failover_policies=policies), previous=previous)
