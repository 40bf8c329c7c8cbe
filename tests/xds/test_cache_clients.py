"""The cache: what of clients counts, and where they stand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support.xds_rules import rule, ruled
from support.xds_worlds import (
    PLACES,
    RATINGS,
    changed,
    client,
    cluster,
    endpoint,
    got,
    service,
    two_clusters,
    world,
)
from tideover_core.model import Locality, ServiceKey
from tideover_core.policy import (
    FailoverPolicy,
    LoadBalancing,
    Settings,
)
from tideover_core.world import Mesh, World
from tideover_wire.resource import TypeUrl
from tideover_xds.cache import Cache

CDS, EDS, LDS, RDS = TypeUrl.CLUSTER, TypeUrl.ENDPOINT, TypeUrl.LISTENER, TypeUrl.ROUTE
HTTP = "outbound/http"


# --- what of clients counts


def test_labels_and_nodes_count_as_soon_as_a_policy_reads_them_and_no_longer() -> None:
    hosts = [
        endpoint("10.0.0.1", node="n1", labels={"rack": "a"}),
        endpoint("10.0.0.2", node="n2", labels={"rack": "b"}),
    ]
    one = cluster("paris", service("ratings", hosts), service("reviews", hosts))

    def governed(*near: str, previous: World | None = None) -> World:
        policy = FailoverPolicy("bookinfo", "p", (ServiceKey("bookinfo", "ratings"),), Settings(near=near))
        return world(one, mesh=Mesh(failover_policies=(policy,) if near else ()), previous=previous)

    cache = Cache(governed())
    views = [cache.view(client(node=f"n{n}", labels={"rack": rack})) for n, rack in ((1, "a"), (2, "b"))]
    reviews = "bookinfo/reviews:9080"

    def versions(name: str) -> int:
        return len({got(view, EDS, name).version for view in views})

    assert (versions(RATINGS), versions(reviews)) == (1, 1)
    for near in (("rack",), ("node",)):
        changes = cache.update(governed(*near, previous=cache.world))
        assert changes is not None
        assert changes[EDS] == {RATINGS}
        assert (versions(RATINGS), versions(reviews)) == (2, 1), near
    cache.update(governed(previous=cache.world))
    assert versions(RATINGS) == 1


def test_a_workload_selector_tells_clients_apart() -> None:
    selecting = rule(
        workload_selector={"app": "caller"}, settings=Settings(load_balancing=LoadBalancing.RANDOM)
    )
    cache = Cache(ruled(selecting))
    selected, other = cache.view(client(labels={"app": "caller"})), cache.view(client(labels={"app": "x"}))
    assert got(selected, CDS, RATINGS).version != got(other, CDS, RATINGS).version


@pytest.mark.parametrize(
    "fields", [{"internal_traffic_local": True}, {"traffic_distribution": "PreferSameNode"}]
)
def test_a_service_may_make_the_node_count(fields: dict[str, Any]) -> None:
    hosts = [endpoint("10.0.0.1", node="n1"), endpoint("10.0.0.2", node="n2")]
    cache = Cache(world(cluster("paris", service("ratings", hosts))))
    views = [cache.view(client(node=node)) for node in ("n1", "n2")]
    assert got(views[0], EDS, RATINGS) is got(views[1], EDS, RATINGS)
    cache.update(changed(cache.world, "paris", service("ratings", hosts, **fields)))
    assert got(views[0], EDS, RATINGS).version != got(views[1], EDS, RATINGS).version


def test_labels_of_a_node_count_where_a_policy_reads_them() -> None:
    hosts = [endpoint("10.0.0.1", node="n1"), endpoint("10.0.0.2", node="n2")]
    policy = FailoverPolicy("bookinfo", "p", (), Settings(near=("rack",)))
    paris = cluster(
        "paris", service("ratings", hosts), node_labels={"n1": {"rack": "a"}, "n2": {"rack": "b"}}
    )
    cache = Cache(world(paris, mesh=Mesh(failover_policies=(policy,))))
    view = cache.view(client(node="n1"))
    before = got(view, EDS, RATINGS)
    moved = replace(paris, node_labels={"n1": {"rack": "b"}, "n2": {"rack": "b"}}, generation=1)
    assert cache.update(world(moved, mesh=Mesh(failover_policies=(policy,)), previous=cache.world)) is None
    assert got(view, EDS, RATINGS).version != before.version


# --- places


def test_a_client_without_locality_stands_where_its_node_does_and_moves_with_it() -> None:
    paris = cluster("paris", service("ratings", [endpoint("10.0.0.1")]), nodes={"n1": PLACES["paris"]})
    dublin = cluster("dublin", service("ratings", [endpoint("10.1.0.1", cluster="dublin")]))
    cache = Cache(world(paris, dublin))
    view = cache.view(client(locality=Locality(), node="n1"))
    assert view.vantage.locality == PLACES["paris"]
    before = got(view, EDS, RATINGS)
    moved = replace(paris, nodes={"n1": PLACES["dublin"]}, generation=1)
    assert cache.update(world(moved, dublin, previous=cache.world)) is None
    assert view.vantage.locality == PLACES["dublin"]
    assert got(view, EDS, RATINGS).version != before.version


def test_a_node_where_no_client_stands_touches_nobody() -> None:
    paris = cluster("paris", service("ratings", [endpoint("10.0.0.1")]), nodes={"n1": PLACES["paris"]})
    cache = Cache(world(paris))
    view = cache.view(client(node="n1"))
    more = replace(paris, nodes={**paris.nodes, "n2": PLACES["dublin"]}, generation=1)
    assert cache.update(world(more, previous=cache.world)) == {}
    assert view.vantage.locality == PLACES["paris"]


def test_a_client_without_cluster_is_served() -> None:
    view = Cache(two_clusters()).view(client(cluster="", locality=Locality()))
    assert got(view, EDS, RATINGS).name == RATINGS
