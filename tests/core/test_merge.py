"""Merging clusters: what did not change keeps its identity, conflicts are said, sameness is honoured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tideover_core import world as worlds
from tideover_core.exports import Export
from tideover_core.leaving import Leaving
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
from tideover_core.policy import DestinationRule, FailoverPolicy, Scope, Settings
from tideover_core.world import Mesh, Presence, Sameness, World, located, merge

RATINGS = ServiceKey("bookinfo", "ratings")
REVIEWS = ServiceKey("bookinfo", "reviews")
HTTP = ServicePort(9080, "http", Protocol.HTTP)


def end(address: str, cluster: str = "paris", **said: Any) -> Endpoint:
    return Endpoint(address, 9080, cluster, said.pop("network", "default"), Locality("eu-west", "a"), **said)


def service(
    key: ServiceKey, *ends: Endpoint, ports: Sequence[ServicePort] = (HTTP,), **said: Any
) -> ServiceFacts:
    return ServiceFacts(key, tuple(ports), {ports[0].number: ends}, **said)


def cluster(name: str, *services: ServiceFacts, **said: Any) -> ClusterFacts:
    fields = {"network": "default", "locality": Locality("eu-west")} | said
    return ClusterFacts(name, services={one.key: one for one in services}, **fields)


def test_nothing_changed_is_the_same_world() -> None:
    paris = cluster("paris", service(RATINGS, end("10.0.0.1")))
    world = merge([paris])
    assert merge([paris], previous=world) is world
    equal = cluster("paris", service(RATINGS, end("10.0.0.1")))
    assert merge([equal], previous=world).services is world.services


def test_an_untouched_service_is_the_same_object(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [service(ServiceKey("shop", f"s{n}"), end(f"10.1.0.{n}")) for n in range(200)]
    paris = cluster("paris", service(RATINGS, end("10.0.0.1")), *many)
    world = merge([paris, cluster("dublin", *many)])
    changed = replace(paris, services={**paris.services, RATINGS: service(RATINGS, end("10.0.0.2"))})
    unions = 0
    union = worlds.union_ports

    def counted(parts: Any) -> Any:
        nonlocal unions
        unions += 1
        return union(parts)

    monkeypatch.setattr(worlds, "union_ports", counted)
    after = merge([changed, world.clusters["dublin"]], previous=world)
    assert unions == 1
    assert [key for key in after.services if after.services[key] is not world.services[key]] == [RATINGS]
    assert after.clusters["dublin"] is world.clusters["dublin"]


def test_an_untouched_part_is_the_same_object() -> None:
    dublin = cluster("dublin", service(RATINGS, end("10.1.0.1", "dublin")))
    world = merge([cluster("paris", service(RATINGS, end("10.0.0.1"))), dublin])
    after = merge([cluster("paris", service(RATINGS, end("10.0.0.2"))), dublin], previous=world)
    assert after.services[RATINGS].parts[0] is world.services[RATINGS].parts[0]


def test_a_changed_presence_changes_its_service_only() -> None:
    paris = cluster("paris", service(RATINGS, end("10.0.0.1")), service(REVIEWS, end("10.0.0.2")))
    world = merge([paris])
    past = {("paris", RATINGS): {9080: Presence({Locality("eu-west", "a"): 5})}}
    after = merge([paris], presences=past, previous=world)
    assert after.services[REVIEWS] is world.services[REVIEWS]
    assert after.services[RATINGS] is not world.services[RATINGS]
    assert merge([paris], presences=past, previous=after) is after


def test_rules_keep_their_identity_and_come_oldest_first() -> None:
    old = DestinationRule("bookinfo", "z", "*", created="2026-01-01T00:00:00Z")
    young = DestinationRule("bookinfo", "a", "*", created="2026-02-01T00:00:00Z")
    unknown = DestinationRule("bookinfo", "b", "*")
    paris = cluster("paris", destination_rules=(unknown, young))
    world = merge([paris], Mesh(destination_rules=(old,)))
    assert world.destination_rules == (old, young, unknown)
    again = cluster("paris", service(REVIEWS), destination_rules=(replace(young), unknown))
    after = merge([again], Mesh(destination_rules=(old,)), previous=world)
    assert after is not world
    assert after.destination_rules is world.destination_rules


def test_one_rule_that_two_clusters_hold_counts_once_as_the_oldest() -> None:
    rule = FailoverPolicy("bookinfo", "all", (), Settings(scope=Scope.REGION), "2026-02-01T00:00:00Z")
    older = replace(rule, created="2026-01-01T00:00:00Z")
    world = merge(
        [cluster("paris", failover_policies=(rule,)), cluster("dublin", failover_policies=(older,))]
    )
    assert world.failover_policies == (older,)
    assert world.problems == ()


def test_one_name_with_two_contents_is_said() -> None:
    one = FailoverPolicy("bookinfo", "all", (), Settings(scope=Scope.REGION))
    other = FailoverPolicy("bookinfo", "all", (), Settings(scope=Scope.CLUSTER))
    world = merge([cluster("paris", failover_policies=(one,)), cluster("dublin", failover_policies=(other,))])
    assert len(world.failover_policies) == 2
    (problem,) = world.problems
    assert problem.object == "FailoverPolicy bookinfo/all"
    assert "2 different forms" in problem.message


def test_policies_that_disagree_on_the_same_services_are_said() -> None:
    older = FailoverPolicy("bookinfo", "b", (RATINGS,), Settings(scope=Scope.REGION), "2026-01-01T00:00:00Z")
    younger = FailoverPolicy("bookinfo", "a", (RATINGS,), Settings(scope=Scope.CLUSTER, others=False))
    agrees = FailoverPolicy("bookinfo", "c", (RATINGS,), Settings(scope=Scope.REGION))
    elsewhere = FailoverPolicy("bookinfo", "d", (REVIEWS,), Settings(scope=Scope.CLUSTER))
    mesh = Mesh(failover_policies=(younger, older, agrees, elsewhere))
    world = merge([cluster("paris", service(RATINGS))], mesh)
    (problem,) = world.problems
    assert problem.object == "FailoverPolicy bookinfo/a"
    assert problem.message == "says scope otherwise than FailoverPolicy bookinfo/b for the same services"
    assert "the older one wins" in problem.consequence
    later = merge([cluster("paris", service(RATINGS, end("10.0.0.1")))], mesh, previous=world)
    assert later.problems == (problem,)


def test_rules_for_other_clients_do_not_disagree() -> None:
    host = "ratings.bookinfo.svc.cluster.local"
    one = DestinationRule("bookinfo", "a", host, Settings(enabled=True))
    other = DestinationRule("bookinfo", "b", host, Settings(enabled=False), workload_selector={"app": "x"})
    assert merge([cluster("paris")], Mesh(destination_rules=(one, other))).problems == ()
    same = DestinationRule("bookinfo", "b", host, Settings(enabled=False))
    assert len(merge([cluster("paris")], Mesh(destination_rules=(one, same))).problems) == 1


def test_an_address_of_two_clusters_of_one_network_is_a_problem_until_it_is_gone() -> None:
    paris = cluster("paris", service(RATINGS, end("10.0.0.1"), end("10.0.0.2")))
    dublin = cluster("dublin", service(RATINGS, end("10.0.0.1", "dublin"), end("10.0.0.2", "dublin")))
    world = merge([paris, dublin])
    (problem,) = world.problems
    assert problem.object == "Service bookinfo/ratings"
    assert (
        problem.message
        == "10.0.0.1:9080 (and 1 more) on network default is claimed by clusters dublin and paris"
    )
    assert "each client gets its own cluster's" in problem.consequence
    other = cluster("lyon", service(REVIEWS, end("10.9.0.1", "lyon")))
    assert merge([paris, dublin, other], previous=world).problems == (problem,)
    moved = cluster("dublin", service(RATINGS, end("10.1.0.1", "dublin")))
    assert merge([paris, moved], previous=world).problems == ()


def test_an_address_on_two_networks_is_no_problem() -> None:
    island = cluster(
        "island", service(RATINGS, end("10.0.0.1", "island", network="island")), network="island"
    )
    assert merge([cluster("paris", service(RATINGS, end("10.0.0.1"))), island]).problems == ()


def test_ports_that_differ_are_a_problem_and_all_are_served() -> None:
    tcp = ServicePort(9080, "tcp", Protocol.TCP)
    more = ServicePort(9090, "http", Protocol.HTTP)
    paris = cluster("paris", service(RATINGS, ports=[HTTP], created="2026-01-01T00:00:00Z"))
    dublin = cluster("dublin", service(RATINGS, ports=[tcp, more], created="2026-02-01T00:00:00Z"))
    world = merge([paris, dublin])
    assert world.services[RATINGS].ports == (HTTP, more)
    problem, missing = world.problems
    assert missing.message == "port 9090 is in dublin only, not in paris"
    assert problem.message == "port 9080 is tcp in dublin, http in paris"
    assert problem.consequence.startswith("served as http")


def test_a_port_name_that_differs_is_no_problem() -> None:
    web = ServicePort(9080, "web", Protocol.HTTP)
    world = merge([cluster("paris", service(RATINGS)), cluster("dublin", service(RATINGS, ports=[web]))])
    assert world.problems == ()


def test_traffic_distributions_that_differ_are_a_problem() -> None:
    paris = cluster("paris", service(RATINGS, traffic_distribution="PreferClose"))
    dublin = cluster("dublin", service(RATINGS, traffic_distribution="PreferSameNode"))
    (problem,) = merge([paris, dublin]).problems
    assert problem.message == "trafficDistribution is PreferSameNode in dublin, PreferClose in paris"


def test_sameness_exported_marks_what_is_not_exported() -> None:
    paris = cluster("paris", service(RATINGS), exports={RATINGS: Export()})
    world = merge([paris, cluster("dublin", service(RATINGS))], Mesh(sameness=Sameness.EXPORTED))
    assert {part.cluster: part.exported for part in world.services[RATINGS].parts} == {
        "paris": True,
        "dublin": False,
    }


OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
EXPORTED = Mesh(sameness=Sameness.EXPORTED)


def port_of(protocol: Protocol) -> list[ServicePort]:
    return [ServicePort(9080, protocol.value, protocol)]


def test_with_sameness_exported_the_oldest_export_decides_not_the_oldest_service() -> None:
    http, tcp = port_of(Protocol.HTTP), port_of(Protocol.TCP)
    paris = cluster("paris", service(RATINGS, ports=http, created=OLD), exports={RATINGS: Export(NEW)})
    dublin = cluster("dublin", service(RATINGS, ports=tcp, created=NEW), exports={RATINGS: Export(OLD)})
    assert merge([paris, dublin], EXPORTED).services[RATINGS].ports == tuple(tcp)
    assert merge([paris, dublin]).services[RATINGS].ports == tuple(http)


def test_what_is_exported_decides_before_what_is_not() -> None:
    http, tcp = port_of(Protocol.HTTP), port_of(Protocol.TCP)
    paris = cluster("paris", service(RATINGS, ports=http, created=OLD))
    dublin = cluster("dublin", service(RATINGS, ports=tcp, created=NEW), exports={RATINGS: Export(NEW)})
    assert merge([paris, dublin], EXPORTED).services[RATINGS].ports == tuple(tcp)


def test_an_export_that_comes_ages_or_goes_changes_just_its_service() -> None:
    other = ServiceKey("bookinfo", "other")
    paris = cluster("paris", service(RATINGS), service(other))
    before = merge([paris], EXPORTED)
    for exports in ({RATINGS: Export(OLD)}, {RATINGS: Export(NEW)}, {}):
        paris = replace(paris, exports=exports, generation=paris.generation + 1)
        now = merge([paris], EXPORTED, previous=before)
        assert now.services[RATINGS] is not before.services[RATINGS]
        assert now.services[RATINGS].exported is bool(exports)
        assert now.services[other] is before.services[other]
        before = now


def test_the_newest_generation_of_a_cluster_counts() -> None:
    new = replace(cluster("paris", service(RATINGS, end("10.0.0.2"))), generation=2)
    old = replace(cluster("paris", service(RATINGS, end("10.0.0.1"))), generation=1)
    for order in ([new, old], [old, new]):
        assert merge(order).clusters["paris"] is new


def test_incomplete_is_said_and_becomes_complete() -> None:
    paris = cluster("paris", service(RATINGS))
    world = merge([paris], complete=False)
    assert not world.complete
    after = merge([paris], previous=world)
    assert after.complete
    assert after.services is world.services


LYON = cluster(
    "lyon", network="lyon", locality=Locality("eu-west", "c"), nodes={"n1": Locality("eu-west", "d")}
)


@pytest.mark.parametrize(
    ("said", "place", "network"),
    [
        (Vantage(cluster="lyon"), "eu-west/c/", "lyon"),
        (Vantage(cluster="lyon", node="n1"), "eu-west/d/", "lyon"),
        (Vantage(cluster="lyon", node="n9"), "eu-west/c/", "lyon"),
        (Vantage(Locality("eu-north"), "lyon", node="n1"), "eu-north//", "lyon"),
        (Vantage(cluster="lyon", network="other"), "eu-west/c/", "other"),
        (Vantage(cluster="nowhere", network=""), "//", "default"),
        (Vantage(), "//", "default"),
    ],
)
def test_a_vantage_is_completed_by_its_node_then_its_cluster(said: Vantage, place: str, network: str) -> None:
    found = located(merge([LYON]), said)
    assert (str(found.locality), found.network) == (place, network)


def test_a_complete_vantage_stays_itself() -> None:
    vantage = Vantage(Locality("eu-north"), "nowhere", "other")
    assert located(World(), vantage) is vantage


def test_a_cluster_that_leaves_touches_its_own_services_only() -> None:
    paris = cluster("paris", service(RATINGS, end("10.0.0.1")))
    dublin = cluster("dublin", service(REVIEWS, end("10.1.0.1", "dublin")))
    world = merge([paris, dublin])
    mesh = Mesh(leaving={"paris": Leaving.DRAINING})
    after = merge([paris, dublin], mesh, previous=world)
    assert after.services[REVIEWS] is world.services[REVIEWS]
    assert after.services[RATINGS] is not world.services[RATINGS]
    assert merge([paris, dublin], mesh, previous=after) is after
    assert merge([paris, dublin], previous=after) == world
