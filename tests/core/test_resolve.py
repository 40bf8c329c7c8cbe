"""Settings, their causes, subsets, and what a vantage is cut down to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.test_merge import RATINGS, cluster, end, service
from tideover_core.model import Locality, ServiceKey, Vantage
from tideover_core.names import Target
from tideover_core.policy import (
    DestinationRule,
    FailoverPolicy,
    LoadBalancing,
    Outlier,
    Retry,
    Scope,
    Settings,
    Subset,
)
from tideover_core.resolve import Resolved, projection, resolve, subsets
from tideover_core.world import Mesh, World, merge

TARGET = Target(RATINGS, 9080)
HOST = "ratings.bookinfo.svc.cluster.local"
CLIENT = Vantage(
    Locality("eu-west", "a"), "paris", "default", "shop", "n1", {"app": "web", "rack": "r1", "tier": "x"}
)


def world(*policies: Any, **said: Any) -> World:
    rules = tuple(one for one in policies if isinstance(one, DestinationRule))
    own = tuple(one for one in policies if isinstance(one, FailoverPolicy))
    paris = cluster("paris", service(RATINGS, end("10.0.0.1"), **said), node_labels={"n1": {"rack": "r7"}})
    return merge([paris], Mesh(destination_rules=rules, failover_policies=own))


def test_nothing_said_is_nothing_set() -> None:
    assert resolve(world(), TARGET, CLIENT) == Resolved(Settings())


def test_fields_of_several_layers_meet_and_name_their_source() -> None:
    rule = DestinationRule(
        "bookinfo", "r", HOST, Settings(outlier=Outlier(), load_balancing=LoadBalancing.RANDOM)
    )
    policy = FailoverPolicy("bookinfo", "p", (RATINGS,), Settings(retry=Retry(5), outlier=Outlier(1)))
    mesh = FailoverPolicy("tideover-system", "m", (), Settings(scope=Scope.REGION, retry=Retry(9)))
    resolved = resolve(world(rule, policy, mesh), TARGET, CLIENT)
    assert resolved.settings == Settings(
        retry=Retry(5), outlier=Outlier(1), load_balancing=LoadBalancing.RANDOM, scope=Scope.REGION
    )
    assert dict(resolved.causes) == {
        "scope": "FailoverPolicy tideover-system/m",
        "outlier": "FailoverPolicy bookinfo/p",
        "load_balancing": "DestinationRule bookinfo/r",
        "retry": "FailoverPolicy bookinfo/p",
    }
    assert set(resolved.policies) == {
        "FailoverPolicy bookinfo/p", "DestinationRule bookinfo/r", "FailoverPolicy tideover-system/m",
    }  # fmt: skip


def test_a_policy_that_says_nothing_here_is_not_named() -> None:
    mesh = FailoverPolicy("tideover-system", "m", (), Settings(retry=Retry(9)))
    policy = FailoverPolicy("bookinfo", "p", (RATINGS,), Settings(retry=Retry(5)))
    assert resolve(world(mesh, policy), TARGET, CLIENT).policies == ("FailoverPolicy bookinfo/p",)


def test_a_policy_for_a_service_of_another_namespace_does_not_count() -> None:
    stranger = FailoverPolicy("shop", "p", (RATINGS,), Settings(scope=Scope.CLUSTER))
    owner = FailoverPolicy("tideover-system", "p", (RATINGS,), Settings(scope=Scope.REGION))
    assert resolve(world(stranger), TARGET, CLIENT).settings.scope is None
    assert resolve(world(stranger, owner), TARGET, CLIENT).settings.scope is Scope.REGION


def test_a_subset_comes_before_a_port_and_a_port_before_the_host() -> None:
    here, elsewhere = {9080: Settings(retry=Retry(2), outlier=Outlier(2))}, {80: Settings(retry=Retry(9))}
    own = {9080: Settings(load_balancing=LoadBalancing.RANDOM)}
    v1 = Subset("v1", {}, Settings(outlier=Outlier(1)))

    def found(subset: Subset, ports: dict[int, Settings]) -> tuple[Settings, dict[str, str]]:
        host = Settings(outlier=Outlier(3), retry=Retry(3), load_balancing=LoadBalancing.ROUND_ROBIN)
        rule = DestinationRule("bookinfo", "r", HOST, host, ports, (subset,))
        resolved = resolve(world(rule), Target(RATINGS, 9080, "v1"), CLIENT)
        return resolved.settings, {k: v.removeprefix("DestinationRule ") for k, v in resolved.causes}

    said, causes = found(v1, {})
    assert (said.outlier, said.retry) == (Outlier(1), Retry(3))
    assert causes["outlier"] == "bookinfo/r subset v1"
    # as in Istio, those of the port replace those of the host, and the subset's come before both
    for subset in (v1, replace(v1, port_settings=elsewhere)):
        said, causes = found(subset, here)
        assert said == Settings(outlier=Outlier(1), retry=Retry(2))
        assert causes == {"outlier": "bookinfo/r subset v1", "retry": "bookinfo/r port 9080"}
    said, causes = found(replace(v1, port_settings=own), here)
    assert said == own[9080]
    assert causes == {"load_balancing": "bookinfo/r subset v1 port 9080"}


def test_the_oldest_service_says_the_traffic_distribution() -> None:
    paris = cluster(
        "paris", service(RATINGS, traffic_distribution="PreferClose", created="2026-02-01T00:00:00Z")
    )
    lyon = cluster(
        "lyon", service(RATINGS, traffic_distribution="PreferSameNode", created="2026-01-01T00:00:00Z")
    )
    found = resolve(merge([paris, lyon]), TARGET, CLIENT)
    assert found.settings.near == ("network", "region", "zone", "subzone", "node")
    assert found.cause("near") == "Service bookinfo/ratings trafficDistribution PreferSameNode"


def test_subsets_are_those_that_a_client_may_see() -> None:
    shared = DestinationRule("bookinfo", "a", HOST, subsets=(Subset("v2", {}), Subset("v1", {})))
    private = DestinationRule("bookinfo", "b", HOST, subsets=(Subset("canary", {}),), export_to=(".",))
    assert subsets(world(shared, private), RATINGS, CLIENT) == ("v1", "v2")
    assert subsets(world(shared, private), RATINGS, Vantage(namespace="bookinfo")) == ("canary", "v1", "v2")


def test_a_projection_without_policies_is_the_place_alone() -> None:
    assert projection(world(), TARGET, CLIENT) == Vantage(Locality("eu-west", "a"), "paris", "default")


def test_a_projection_keeps_the_namespace_where_rules_differ_by_it() -> None:
    own = DestinationRule("shop", "r", HOST, Settings(outlier=Outlier(1)))
    service_s = DestinationRule("bookinfo", "r", HOST, Settings(outlier=Outlier(2)))
    assert projection(world(own), TARGET, CLIENT).namespace == "shop"
    assert projection(world(service_s), TARGET, CLIENT).namespace == ""


def test_a_projection_keeps_the_labels_that_are_used() -> None:
    near = FailoverPolicy("bookinfo", "p", (), Settings(near=("zone", "tier", "rack=r1")))
    assert projection(world(near), TARGET, CLIENT).labels == {"tier": "x"}
    picky = DestinationRule("shop", "r", HOST, workload_selector={"app": "web"})
    cut = projection(world(picky), TARGET, CLIENT)
    assert (cut.labels, cut.namespace) == ({"app": "web"}, "shop")


def test_a_projection_reads_labels_of_the_node_and_forgets_the_node() -> None:
    near = FailoverPolicy("bookinfo", "p", (), Settings(near=("rack",)))
    bare = Vantage(Locality("eu-west", "a"), "paris", "default", "shop", "n1")
    cut = projection(world(near), TARGET, bare)
    assert (cut.labels, cut.node) == ({"rack": "r7"}, "")


def test_a_projection_keeps_the_node_where_it_decides() -> None:
    near = FailoverPolicy("bookinfo", "p", (), Settings(near=("kubernetes.io/hostname",)))
    assert projection(world(near), TARGET, CLIENT).node == "n1"
    assert projection(world(internal_traffic_local=True), TARGET, CLIENT).node == "n1"


def test_what_does_not_exist_has_no_settings() -> None:
    nobody = Target(ServiceKey("x", "y"), 1)
    assert resolve(world(), nobody, CLIENT) == Resolved(Settings())
    assert projection(world(), nobody, CLIENT) == Vantage(Locality("eu-west", "a"), "paris", "default")
