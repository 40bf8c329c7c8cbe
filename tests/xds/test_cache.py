"""What is built, shared, and built again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.xds_rules import rule, ruled
from support.xds_worlds import (
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
from tideover_core.model import Protocol, ServiceKey
from tideover_core.policy import (
    ConnectionPool,
    FailoverPolicy,
    LoadBalancing,
    Retry,
    Settings,
    Subset,
)
from tideover_wire.resource import TypeUrl
from tideover_xds.cache import Cache
from tideover_xds.resources import types

CDS, EDS, LDS, RDS = TypeUrl.CLUSTER, TypeUrl.ENDPOINT, TypeUrl.LISTENER, TypeUrl.ROUTE
HTTP = "outbound/http"


# --- sharing


def test_equal_clients_share_one_view() -> None:
    cache = Cache(two_clusters())
    assert cache.view(client(id="a")) is cache.view(client(id="b"))
    assert cache.view(client()) is not cache.view(client(cluster="dublin"))


def test_clients_that_differ_in_what_nobody_reads_share_every_byte() -> None:
    cache = Cache(two_clusters())
    one = cache.view(client(labels={"pod-template-hash": "a"}, node="node-1"))
    other = cache.view(client(labels={"pod-template-hash": "b"}, node="node-2"))
    assert one is not other
    for url, name in ((CDS, RATINGS), (EDS, RATINGS), (LDS, HTTP), (RDS, HTTP)):
        assert got(one, url, name) is got(other, url, name)


def test_endpoints_are_shared_by_place_clusters_by_all_and_routes_by_namespace() -> None:
    cache = Cache(two_clusters())
    here, there = cache.view(client()), cache.view(client(cluster="dublin", namespace="shop"))
    assert got(here, CDS, RATINGS) is got(there, CDS, RATINGS)
    assert got(here, EDS, RATINGS).version != got(there, EDS, RATINGS).version
    assert got(here, RDS, HTTP).version != got(there, RDS, HTTP).version


def test_every_namespace_without_services_gets_one_table() -> None:
    cache = Cache(two_clusters())
    assert got(cache.view(client(namespace="x")), RDS, HTTP) is got(
        cache.view(client(namespace="y")), RDS, HTTP
    )


def test_a_rule_of_the_clients_namespace_is_for_its_clients_only() -> None:
    own = rule(namespace="shop", settings=Settings(connection_pool=ConnectionPool(max_connections=1)))
    cache = Cache(ruled(own))
    shop, other = cache.view(client(namespace="shop")), cache.view(client(namespace="other"))
    assert got(shop, CDS, RATINGS).version != got(other, CDS, RATINGS).version
    assert got(other, CDS, RATINGS) is got(cache.view(client(namespace="third")), CDS, RATINGS)
    # a changed cluster gets its endpoints sent again (O2), so that theirs differ as well
    assert got(shop, EDS, RATINGS).version != got(other, EDS, RATINGS).version


def test_ports_belong_to_one_listener_each() -> None:
    pg = service("pg", ports={5432: Protocol.TCP}, namespace="db")
    cache = Cache(world(cluster("paris", pg, service("ratings"))))
    one = cache.view(client(http_port=20001, tcp_ports={"db/pg:5432": 20002, "db/none:1": 20003}))
    other = cache.view(client(http_port=20001, tcp_ports={"db/pg:5432": 30000}))
    assert got(one, LDS, HTTP) is got(other, LDS, HTTP)
    assert got(one, LDS, "db/pg:5432").version != got(other, LDS, "db/pg:5432").version
    assert list(one.names(LDS)) == ["db/pg:5432", HTTP]
    assert one.get(LDS, "db/none:1") is None
    assert one.get(LDS, RATINGS) is None  # it did not ask for that


# --- names


def test_the_wildcard_covers_all_ports_sorted_and_one_listener() -> None:
    many = service("many", ports={80: Protocol.HTTP, 5432: Protocol.TCP}, namespace="a")
    view = Cache(world(cluster("paris", many, service("ratings")))).view(client())
    assert list(view.names(CDS)) == ["a/many:5432", "a/many:80", RATINGS]
    assert list(view.names(LDS)) == [HTTP]
    assert list(view.names(EDS)) == list(view.names(RDS)) == list(view.names("nonsense")) == []


@pytest.mark.parametrize(
    "name", ["", "nonsense", "bookinfo/ratings", "bookinfo/ratings:1", "x/y:9080", RATINGS + "#v9"]
)
def test_what_does_not_exist_is_none(name: str) -> None:
    view = Cache(two_clusters()).view(client())
    for url in TypeUrl:
        assert view.get(url, name) is None
    assert view.get("type.googleapis.com/nonsense", RATINGS) is None


def test_subsets_are_clusters_for_those_who_see_them() -> None:
    subset = rule(namespace="shop", subsets=(Subset("v1", {"version": "v1"}),))
    cache = Cache(ruled(subset))
    shop, other = cache.view(client(namespace="shop")), cache.view(client(namespace="other"))
    assert RATINGS + "#v1" in shop.names(CDS)
    assert RATINGS + "#v1" not in other.names(CDS)
    assert got(shop, EDS, RATINGS + "#v1").name == RATINGS + "#v1"
    assert other.get(CDS, RATINGS + "#v1") is None


def test_every_cluster_of_the_wildcard_has_endpoints_and_gets_them() -> None:
    cache = Cache(ruled(rule(subsets=(Subset("v1", {}),))))
    view = cache.view(client())
    for name in view.names(CDS):
        assert (got(view, CDS, name).name, got(view, EDS, name).name) == (name, name)


@pytest.mark.parametrize("name", ["ratings.bookinfo:09080", "ratings.bookinfo:", "ratings.bookinfo:x"])
def test_a_proxyless_target_has_one_spelling_of_its_port(name: str) -> None:
    view = Cache(two_clusters()).view(client(proxyless=True))
    assert view.get(LDS, name) is None
    assert got(view, LDS, "ratings.bookinfo:9080").name == "ratings.bookinfo:9080"


# --- change


def test_the_same_world_changes_nothing() -> None:
    cache = Cache(two_clusters())
    assert cache.update(cache.world) == {}


def test_a_changed_endpoint_names_its_assignment_only() -> None:
    cache = Cache(two_clusters())
    view = cache.view(client())
    before = {url: got(view, url, RATINGS if url in (CDS, EDS) else HTTP) for url in TypeUrl}
    changes = cache.update(changed(cache.world, "paris", service("ratings", [endpoint("10.0.0.9")])))
    assert changes == {EDS: frozenset({RATINGS})}
    assert got(view, EDS, RATINGS).version != before[EDS].version
    for url, name in ((CDS, RATINGS), (LDS, HTTP), (RDS, HTTP)):
        assert got(view, url, name) is before[url]


def test_a_pod_at_the_address_of_another_clusters_service_changes_that_one_too() -> None:
    there = service("ratings", [endpoint("10.1.0.1", cluster="dublin", pod="ratings-1")])
    here = service("reviews", [endpoint("10.0.0.1", pod="reviews-1")])
    cache = Cache(world(cluster("paris", here), cluster("dublin", there)))
    view = cache.view(client())
    before = got(view, EDS, RATINGS)
    moved = service("reviews", [endpoint("10.1.0.1", pod="reviews-2")])
    changes = cache.update(changed(cache.world, "paris", moved))
    assert changes == {EDS: frozenset({RATINGS, "bookinfo/reviews:9080"})}
    assert got(view, EDS, RATINGS).version != before.version
    cache.update(changed(cache.world, "paris", here))
    assert got(view, EDS, RATINGS).version == before.version


def test_a_changed_endpoint_of_one_port_leaves_the_other_port_alone() -> None:
    ports = {80: Protocol.HTTP, 81: Protocol.HTTP}
    before = service("two", {80: [endpoint("10.0.0.1")], 81: [endpoint("10.0.0.1", 81)]}, ports=ports)
    after = service("two", {80: [endpoint("10.0.0.2")], 81: [endpoint("10.0.0.1", 81)]}, ports=ports)
    cache = Cache(world(cluster("paris", before)))
    assert cache.update(changed(cache.world, "paris", after)) == {EDS: frozenset({"bookinfo/two:80"})}


def test_one_changed_endpoint_of_10000_builds_one_assignment(monkeypatch: pytest.MonkeyPatch) -> None:
    services = [
        service(f"s{n}", [endpoint(f"10.{n}.{i >> 8}.{i & 255}") for i in range(100)]) for n in range(100)
    ]
    cache = Cache(world(cluster("paris", *services)))
    view = cache.view(client())
    before = {name: got(view, EDS, name) for name in view.names(CDS)}
    planned: list[str] = []
    plan = types.plan
    monkeypatch.setattr(types, "plan", lambda w, t, v: planned.append(str(t.service)) or plan(w, t, v))
    facts = services[7].endpoints[9080]
    cache.update(
        changed(
            cache.world,
            "paris",
            replace(services[7], endpoints={9080: (replace(facts[0], ready=False), *facts[1:])}),
        )
    )
    after = {name: got(view, EDS, name) for name in view.names(CDS)}
    assert planned == ["bookinfo/s7"]
    assert {name for name in before if after[name] is not before[name]} == {"bookinfo/s7:9080"}


def test_what_comes_out_the_same_stays_the_same_object() -> None:
    one = two_clusters(dublin=["10.1.0.1"])
    cache = Cache(one)
    view = cache.view(client())
    before = got(view, EDS, RATINGS)
    facts = one.services[ServiceKey("bookinfo", "ratings")].parts[1].facts
    cache.update(
        changed(one, "paris", replace(facts, endpoints={9080: (endpoint("10.0.0.1", pod="renamed"),)}))
    )
    assert got(view, EDS, RATINGS) is before


def test_a_new_service_names_all_that_it_adds_and_a_gone_one_all_that_it_had() -> None:
    cache = Cache(two_clusters())
    view = cache.view(client())
    grpc = cache.view(client(proxyless=True))
    assert grpc.get(LDS, "new.shop:80") is None
    routes = got(view, RDS, HTTP)
    new = service("new", [endpoint("10.0.0.2")], namespace="shop", ports={80: Protocol.GRPC})
    added = cache.update(changed(cache.world, "paris", new))
    assert added is not None
    assert added[CDS] == added[EDS] == {"shop/new:80"}
    assert {"new.shop:80", "new.shop.svc.cluster.local", "new:80", "shop/new:80"} <= added[LDS]
    assert added[RDS] == {HTTP}
    assert "shop/new:80" in view.names(CDS)
    assert got(view, RDS, HTTP) is not routes
    assert got(grpc, LDS, "new.shop:80").name == "new.shop:80"
    paris = cache.world.clusters["paris"]
    without = replace(paris, services={k: s for k, s in paris.services.items() if k != new.key})
    removed = cache.update(world(without, cache.world.clusters["dublin"], previous=cache.world))
    assert removed == added
    assert view.get(CDS, "shop/new:80") is None
    assert "shop/new:80" not in view.names(CDS)
    assert got(view, RDS, HTTP).version == routes.version


def test_a_changed_rule_touches_the_services_it_is_about() -> None:
    cache = Cache(ruled())
    view = cache.view(client())
    reviews = got(view, CDS, "bookinfo/reviews:9080")
    ratings = got(view, EDS, RATINGS)
    pool = rule(settings=Settings(load_balancing=LoadBalancing.RANDOM))
    changes = cache.update(ruled(pool, previous=cache.world))
    assert changes is not None
    assert changes == {CDS: {RATINGS}, EDS: {RATINGS}}
    assert got(view, CDS, "bookinfo/reviews:9080") is reviews
    assert got(view, EDS, RATINGS).version != ratings.version


def test_a_rule_for_all_touches_all() -> None:
    cache = Cache(ruled())
    changes = cache.update(ruled(rule("*.bookinfo.svc.cluster.local"), previous=cache.world))
    assert changes is not None
    assert changes[CDS] == {RATINGS, "bookinfo/reviews:9080"}


@pytest.mark.parametrize("targets", [(ServiceKey("bookinfo", "ratings"),), ()])
def test_a_changed_retry_changes_routes(targets: tuple[ServiceKey, ...]) -> None:
    cache = Cache(ruled())
    view = cache.view(client())
    before = got(view, RDS, HTTP)
    policy = FailoverPolicy("bookinfo", "p", targets, Settings(retry=Retry(attempts=7)))
    changes = cache.update(ruled(policies=(policy,), previous=cache.world))
    assert changes is not None
    assert changes[RDS] == {HTTP}
    assert "ratings.bookinfo:9080" in changes[LDS]  # of a proxyless client
    assert changes[CDS] == ({RATINGS} if targets else {RATINGS, "bookinfo/reviews:9080"})
    assert got(view, RDS, HTTP).version != before.version


def test_a_policy_that_says_nothing_of_retries_touches_no_routes_and_no_listeners() -> None:
    cache = Cache(ruled())
    policy = FailoverPolicy("bookinfo", "p", (), Settings(near=("region",)))
    changes = cache.update(ruled(policies=(policy,), previous=cache.world))
    assert changes is not None
    assert changes.keys() == {CDS, EDS}


def test_a_subset_that_goes_is_named_and_gone() -> None:
    cache = Cache(ruled(rule(subsets=(Subset("v1", {}),))))
    view = cache.view(client())
    got(view, EDS, RATINGS + "#v1")
    changes = cache.update(ruled(previous=cache.world))
    assert changes is not None
    assert RATINGS + "#v1" in changes[CDS] & changes[EDS]
    assert view.get(EDS, RATINGS + "#v1") is None
    assert RATINGS + "#v1" not in view.names(CDS)


def test_completeness_touches_everything() -> None:
    cache = Cache(world(*two_clusters().clusters.values(), complete=False))
    assert not cache.view(client()).complete
    assert cache.update(world(*two_clusters().clusters.values())) is None
    assert cache.view(client()).complete
