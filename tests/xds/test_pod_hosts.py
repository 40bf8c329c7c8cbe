"""Hosts of single pods of headless services: a route, a cluster and the endpoints of just that pod."""

from __future__ import annotations

from dataclasses import replace

import pytest
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration

from support.xds_worlds import changed, client, cluster, endpoint, got, service, two_clusters, world
from tideover_core.model import Protocol, ServiceFacts, ServiceKey
from tideover_core.world import World
from tideover_wire.resource import TypeUrl
from tideover_xds.cache import Cache
from tideover_xds.resources.hosts import Written, every_host, qualified, written

CDS, EDS, LDS, RDS = TypeUrl.CLUSTER, TypeUrl.ENDPOINT, TypeUrl.LISTENER, TypeUrl.ROUTE
PG, PG0 = "db/pg:5432", "db/pg:5432#@pg-0"


def headless(
    *hostnames: str,
    name: str = "pg",
    namespace: str = "db",
    protocol: Protocol = Protocol.HTTP,
    in_cluster: str = "paris",
) -> ServiceFacts:
    net = {"paris": "10.0.0", "dublin": "10.1.0"}[in_cluster]
    ends = [
        endpoint(f"{net}.{number}", 5432, in_cluster, hostname=hostname)
        for number, hostname in enumerate(hostnames, 1)
    ]
    ports = {5432: protocol}
    named = tuple(sorted({hostname for hostname in hostnames if hostname}))
    return service(name, ends, namespace=namespace, ports=ports, headless=True, hostnames=named)


def one(*services: ServiceFacts) -> World:
    return world(cluster("paris", *services))


def addresses(cache: Cache, name: str, **who: str) -> list[str]:
    message = ClusterLoadAssignment.parse(got(cache.view(client(**who)), EDS, name).body)
    return [
        end.endpoint.address.socket_address.address
        for group in message.endpoints
        for end in group.lb_endpoints
    ]


def hosts(found: World, namespace: str = "bookinfo") -> dict[str, set[str]]:
    body = got(Cache(found).view(client(namespace=namespace)), RDS, "outbound/http").body
    return {host.name: set(host.domains) for host in RouteConfiguration.parse(body).virtual_hosts}


def test_each_pod_has_its_hosts_its_cluster_and_its_endpoints() -> None:
    found = one(headless("pg-0", "pg-1", ""))
    cache = Cache(found)
    suffixes = ("", ".svc", ".svc.cluster.local", ".svc.clusterset.local")
    expected = {f"pg-0.pg.db{suffix}{end}" for suffix in suffixes for end in ("", ":5432")}
    assert hosts(found)[PG0] == expected
    assert hosts(found, "db")[PG0] == expected
    assert addresses(cache, PG0) == ["10.0.0.1"]
    assert addresses(cache, "db/pg:5432#@pg-1") == ["10.0.0.2"]
    assert addresses(cache, PG) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert list(cache.view(client()).names(CDS)) == [PG, PG0, "db/pg:5432#@pg-1"]
    assert cache.view(client()).get(CDS, "db/pg:5432#@pg-2") is None
    assert cache.view(client()).get(EDS, "db/pg:5432#@") is None


def test_one_host_in_two_clusters_is_the_clients_own() -> None:
    both = world(
        cluster("paris", headless("pg-0", "pg-1")), cluster("dublin", headless("pg-0", in_cluster="dublin"))
    )
    cache = Cache(both)
    assert addresses(cache, PG0) == ["10.0.0.1"]
    assert addresses(cache, PG0, cluster="dublin") == ["10.1.0.1"]
    assert addresses(cache, "db/pg:5432#@pg-1", cluster="dublin") == ["10.0.0.2"]
    assert addresses(cache, PG0, cluster="virginia") == ["10.1.0.1", "10.0.0.1"]


def test_a_pod_that_comes_or_goes_changes_the_names_of_its_own_and_the_routes() -> None:
    before = one(headless("pg-0"), service("other", [endpoint("10.0.9.9")]))
    cache = Cache(before)
    view = cache.view(client())
    kept = got(view, CDS, PG0)
    after = changed(before, "paris", headless("pg-0", "pg-1"))
    said = cache.update(after)
    assert said is not None
    assert "db/pg:5432#@pg-1" in said[CDS.value]
    assert "outbound/http" in said[RDS.value]
    assert got(view, CDS, PG0) is kept
    assert addresses(cache, "db/pg:5432#@pg-1") == ["10.0.0.2"]
    said = cache.update(changed(after, "paris", headless("pg-1")))
    assert said is not None
    assert {PG0, PG} <= said[CDS.value]
    assert view.get(CDS, PG0) is None


def test_readiness_of_a_pod_changes_its_own_endpoints_and_no_routes() -> None:
    facts = headless("pg-0", "pg-1")
    cache = Cache(before := one(facts))
    got(cache.view(client()), EDS, PG0)
    first, second = facts.endpoints[5432]
    after = replace(facts, endpoints={5432: (replace(first, ready=False), second)})
    said = cache.update(changed(before, "paris", after))
    assert said is not None
    assert PG0 in said[EDS.value]
    assert RDS.value not in said


def test_tcp_ports_of_pods_are_listened_on_by_their_wire_name() -> None:
    cache = Cache(one(headless("pg-0", protocol=Protocol.TCP)))
    view = cache.view(client(tcp_ports={PG0: 15432}))
    assert PG0.encode() in got(view, LDS, PG0).body
    assert set(view.names(LDS)) == {"outbound/http", PG0}
    assert hosts(cache.world) == {"unknown-host": {"*"}}


def test_proxyless_clients_write_the_host_of_a_pod() -> None:
    cache = Cache(one(headless("pg-0", protocol=Protocol.GRPC)))
    view = cache.view(client(proxyless=True))
    assert PG0.encode() in got(view, LDS, "pg-0.pg.db.svc.cluster.local:5432").body
    assert view.get(LDS, "pg-1.pg.db:5432") is None
    assert view.get(LDS, "pg-0.pg.db.svc:1") is None


@pytest.mark.parametrize(
    ("host", "meant"),
    [
        ("pg-0.pg.db", Written(ServiceKey("db", "pg"), None, "pg-0")),
        ("pg-0.pg.db.svc:5432", Written(ServiceKey("db", "pg"), 5432, "pg-0")),
        ("pg-0.pg.db.svc.clusterset.local", Written(ServiceKey("db", "pg"), None, "pg-0")),
        ("pg.db.svc", Written(ServiceKey("db", "pg"), None)),  # a service's, whoever lives in `svc`
        ("a.pg.svc.svc", Written(ServiceKey("svc", "pg"), None, "a")),
        ("pg-0.pg.db.local", None),
        ("a.b.pg.db.svc", None),
        ("UPPER.pg.db", None),
        (".pg.db", None),
    ],
)
def test_what_a_host_means(host: str, meant: Written | None) -> None:
    assert written(host, "bookinfo") == meant


def test_a_namespace_called_svc_clashes_with_no_service() -> None:
    found = one(
        headless("a", namespace="svc", name="pg"), service("a", [endpoint("10.0.0.7")], namespace="pg")
    )
    domains = [domain for names in hosts(found).values() for domain in names]
    assert len(domains) == len(set(domains))
    assert "a.pg.svc" in hosts(found)["pg/a:9080"]
    assert "a.pg.svc.svc" in hosts(found)["svc/pg:5432#@a"]


def test_every_host_names_those_of_pods() -> None:
    found = one(headless("pg-0")).services[ServiceKey("db", "pg")]
    assert {"pg-0.pg.db", "pg-0.pg.db:5432", "pg.db.svc", *qualified(found.key)} <= every_host(found)


def test_services_that_are_not_headless_cost_nothing() -> None:
    assert Cache(two_clusters()).catalog.subsets(ServiceKey("bookinfo", "ratings")) == frozenset()
