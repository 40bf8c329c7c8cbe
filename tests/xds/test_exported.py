"""`sameness: exported`: the hosts of the cluster set are those of exported services, and come and go live."""

from __future__ import annotations

from dataclasses import replace

from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration

from support.xds_worlds import client, cluster, endpoint, got, service
from tideover_core.exports import Export
from tideover_core.model import ClusterFacts, Protocol, ServiceKey
from tideover_core.world import Mesh, Sameness, World, merge
from tideover_wire.resource import TypeUrl
from tideover_xds.cache import Cache

LDS, RDS = TypeUrl.LISTENER, TypeUrl.ROUTE
RATINGS = ServiceKey("bookinfo", "ratings")
SET = "ratings.bookinfo.svc.clusterset.local"


def facts(name: str, *, exported: bool, hostname: str = "") -> ClusterFacts:
    ends = [endpoint("10.0.0.1", 9080, name, hostname=hostname)]
    named = (hostname,) if hostname else ()
    one = service("ratings", ends, ports={9080: Protocol.HTTP}, headless=bool(named), hostnames=named)
    return replace(cluster(name, one), exports={RATINGS: Export()} if exported else {})


def exporting(*clusters: ClusterFacts, before: World | None = None) -> World:
    return merge(clusters, Mesh(Sameness.EXPORTED), previous=before)


def hosts(cache: Cache) -> set[str]:
    table = RouteConfiguration.parse(got(cache.view(client()), RDS, "outbound/http").body)
    return {domain for host in table.virtual_hosts for domain in host.domains}


def test_only_an_exported_service_has_hosts_of_the_cluster_set() -> None:
    lonely = hosts(Cache(exporting(facts("paris", exported=False))))
    assert "ratings.bookinfo.svc.cluster.local" in lonely
    assert not [host for host in lonely if "clusterset" in host]
    shared = hosts(Cache(exporting(facts("paris", exported=False), facts("dublin", exported=True))))
    assert {SET, f"{SET}:9080"} <= shared


def test_with_sameness_all_every_service_has_them() -> None:
    assert SET in hosts(Cache(merge([facts("paris", exported=False)])))


def test_they_come_and_go_with_the_export() -> None:
    world = exporting(facts("paris", exported=False))
    cache = Cache(world)
    assert SET not in hosts(cache)
    exported = exporting(facts("paris", exported=True), before=world)
    said = cache.update(exported)
    assert said is not None
    assert "outbound/http" in said[RDS.value]
    assert SET in hosts(cache)
    cache.update(exporting(facts("paris", exported=False), before=exported))
    assert SET not in hosts(cache)


def test_those_of_single_pods_likewise() -> None:
    own = f"pg-0.{SET}"
    assert own not in hosts(Cache(exporting(facts("paris", exported=False, hostname="pg-0"))))
    assert own in hosts(Cache(exporting(facts("paris", exported=True, hostname="pg-0"))))


def test_proxyless_clients_likewise() -> None:
    for exported in (False, True):
        view = Cache(exporting(facts("paris", exported=exported))).view(client(proxyless=True))
        assert (view.get(LDS, SET) is not None) is exported
        assert view.get(LDS, "ratings.bookinfo") is not None
