"""Objects into facts: readiness, weights, names of ports, addresses once, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.worlds import RATINGS, Files, endpoints, facts, said
from support.manifests import Place, endpoint_slice, namespace, node, pod, service
from tideover_core.exports import Export
from tideover_core.model import Protocol, ServiceKey, ServicePort
from tideover_discovery.kubernetes.endpoints import conditions
from tideover_discovery.kubernetes.objects import Conditions

TWO = [Place("10.0.0.1", pod="p1"), Place("10.0.0.2", pod="p2")]


def test_a_service_its_port_and_its_endpoints() -> None:
    found = facts(service("ratings"), endpoint_slice("ratings", [Place("10.0.0.1", "eu-west-b", node="n1")]))
    ratings = found.services[RATINGS]
    assert ratings.ports == (ServicePort(9080, "http", Protocol.HTTP),)
    assert ratings.created == "2026-01-01T00:00:00Z"
    (endpoint,) = ratings.endpoints[9080]
    assert endpoint.key == ("default", "10.0.0.1", 9080)
    assert (str(endpoint.locality), endpoint.cluster, endpoint.node) == ("eu-west/eu-west-b/", "paris", "n1")
    assert (endpoint.ready, endpoint.serving, endpoint.terminating, endpoint.weight) == (True, True, False, 1)
    assert found.problems == ()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, (True, True, False)),
        (Conditions(), (True, True, False)),
        (Conditions(ready=False), (False, False, False)),
        (Conditions(ready=True, serving=False), (True, False, False)),
        (Conditions(ready=False, serving=True, terminating=True), (False, True, True)),
        (Conditions(terminating=True), (True, True, True)),
    ],
)
def test_absent_conditions(said: Conditions | None, expected: tuple[bool, bool, bool]) -> None:
    assert conditions(said) == expected


@settings(deadline=None)
@given(*[st.none() | st.booleans()] * 3)
def test_absent_ready_is_true_and_absent_serving_is_ready(
    ready: bool | None, serving: bool | None, terminating: bool | None
) -> None:
    found = conditions(Conditions(ready, serving, terminating))
    assert found[0] is (True if ready is None else ready)
    assert found[1] is (found[0] if serving is None else serving)
    assert found[2] is (terminating or False)


def test_ports_are_tied_together_by_name_whatever_their_numbers() -> None:
    ports = [{"port": 80, "name": "web"}, {"port": 81, "name": "admin"}]
    found = facts(
        service("ratings", ports=ports),
        endpoint_slice("ratings", [Place("10.0.0.1")], port=8080, port_name="web", suffix="a"),
        endpoint_slice("ratings", [Place("10.0.0.1")], port=9090, port_name="admin", suffix="b"),
    )
    assert [e.port for e in endpoints(found, 80)] == [8080]
    assert [e.port for e in endpoints(found, 81)] == [9090]


def test_one_named_port_may_have_other_numbers_in_other_slices() -> None:
    found = facts(
        service("ratings"),
        endpoint_slice("ratings", [Place("10.0.0.1")], port=8080, suffix="a"),
        endpoint_slice("ratings", [Place("10.0.0.2")], port=8081, suffix="b"),
    )
    assert [(e.address, e.port) for e in endpoints(found)] == [("10.0.0.1", 8080), ("10.0.0.2", 8081)]


def test_a_port_without_a_name() -> None:
    unnamed = service("ratings", ports=[{"port": 9080, "name": None}])
    part: dict[str, Any] = endpoint_slice("ratings", [Place("10.0.0.1")])
    for ports in ([{"port": 9080}], [{"port": 9080, "name": ""}], [{"port": 9080, "name": None}]):
        found = facts(unnamed, {**part, "ports": ports})
        assert found.services[RATINGS].ports[0].protocol is Protocol.TCP
        assert [e.address for e in endpoints(found)] == ["10.0.0.1"]


def test_a_slice_port_that_the_service_does_not_have() -> None:
    found = facts(service("ratings"), endpoint_slice("ratings", [Place("10.0.0.1")], port_name="web"))
    assert endpoints(found) == ()
    (problem,) = said(found)
    assert problem.startswith(
        "EndpointSlice bookinfo/ratings-abcde: its port 'web' is no TCP port of the Service"
    )


def test_the_pod_gives_labels_weight_and_place() -> None:
    found = facts(
        service("ratings"),
        endpoint_slice(
            "ratings",
            [Place("10.0.0.1", "z", node="n1", pod="p1"), Place("10.0.0.2", "z", node="n1", pod="p2")],
        ),
        node("n1", "us", "us-1", **{"topology.istio.io/subzone": "rack"}),
        pod("p1", labels={"version": "v1"}, annotations={"tideover.dev/weight": "3"}),
        pod("p2", labels={"istio-locality": "asia.asia-1.r"}),
    )
    one, two = endpoints(found)
    assert (one.labels, one.weight, str(one.locality), one.pod) == (
        {"version": "v1"},
        3,
        "us/us-1/rack",
        "p1",
    )
    assert (two.weight, str(two.locality)) == (1, "asia/asia-1/r")
    assert {name: str(there) for name, there in found.nodes.items()} == {"n1": "us/us-1/rack"}
    assert found.node_labels["n1"]["topology.istio.io/subzone"] == "rack"


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "", "99999999999999999999", "10001", "٣"])
def test_a_weight_that_makes_no_sense_is_one(text: str) -> None:
    found = facts(
        service("ratings"),
        endpoint_slice("ratings", TWO),
        pod("p1", annotations={"tideover.dev/weight": text}),
    )
    assert [e.weight for e in endpoints(found)] == [1, 1]
    (problem,) = said(found)
    assert "pod p1: annotation tideover.dev/weight" in problem
    assert problem.endswith("weight 1 counts")


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1", "169.254.169.254", "::1"])
def test_a_bad_address_is_left_out_and_named_and_the_others_count(address: str) -> None:
    found = facts(service("ratings"), endpoint_slice("ratings", [Place(address), Place("10.0.0.2")]))
    assert [e.address for e in endpoints(found)] == ["10.0.0.2"]
    (problem,) = found.problems
    assert problem.object == "EndpointSlice bookinfo/ratings-abcde"
    assert address in problem.message
    assert problem.where.startswith("paris.json:")


def test_a_bad_address_behind_two_ports_is_named_once() -> None:
    part: dict[str, Any] = endpoint_slice("ratings", [Place("127.0.0.1"), Place("10.0.0.2")])
    part["ports"].append({"name": "admin", "port": 1})
    found = facts(service("ratings", ports=[{"port": 9080}, {"port": 1, "name": "admin"}]), part)
    assert len(found.problems) == 1
    assert [e.address for e in endpoints(found, 1)] == ["10.0.0.2"]


def test_the_demo_switch_allows_loopback() -> None:
    found = facts(service("ratings"), endpoint_slice("ratings", [Place("127.0.0.1")]), allow_loopback=True)
    assert [e.address for e in endpoints(found)] == ["127.0.0.1"]
    assert found.problems == ()


def test_an_endpoint_without_address() -> None:
    part: dict[str, Any] = endpoint_slice("ratings", [Place("10.0.0.1")])
    part["endpoints"].append({"addresses": []})
    found = facts(service("ratings"), part)
    assert len(endpoints(found)) == 1
    assert "without address" in said(found)[0]


def test_slices_of_both_families_count_and_fqdn_slices_do_not() -> None:
    four = endpoint_slice("ratings", [Place("10.0.0.1")], suffix="4")
    six = {**endpoint_slice("ratings", [Place("fd00::1")], suffix="6"), "addressType": "IPv6"}
    names = {**endpoint_slice("ratings", [Place("x.example")], suffix="n"), "addressType": "FQDN"}
    found = facts(service("ratings"), four, six, names)
    assert [e.address for e in endpoints(found)] == ["10.0.0.1", "fd00::1"]
    assert said(found) == [
        "EndpointSlice bookinfo/ratings-n: addressType FQDN is not supported; the slice is ignored"
    ]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_address_in_two_slices_is_one_endpoint_and_the_readier_counts(order: tuple[int, int]) -> None:
    slices = [
        endpoint_slice("ratings", [Place("10.0.0.1", "a", ready=False)], suffix="a"),
        endpoint_slice("ratings", [Place("10.0.0.1", "b", ready=True)], suffix="b"),
    ]
    found = facts(service("ratings"), *[slices[n] for n in order])
    (endpoint,) = endpoints(found)
    assert (endpoint.ready, endpoint.locality.zone) == (True, "b")


def test_slices_without_their_service_are_named() -> None:
    found = facts(endpoint_slice("ratings", TWO))
    assert found.services == {}
    assert said(found) == [
        "EndpointSlice bookinfo/ratings-abcde: its Service bookinfo/ratings does not exist; ignored"
    ]


def test_a_service_that_says_zero_has_zero() -> None:
    assert endpoints(facts(service("ratings"))) == ()


def test_services_of_one_name_in_two_namespaces() -> None:
    found = facts(
        service("ratings"),
        service("ratings", "other"),
        endpoint_slice("ratings", TWO),
        endpoint_slice("ratings", [Place("10.0.1.1")], "other"),
    )
    assert [e.address for e in endpoints(found)] == ["10.0.0.1", "10.0.0.2"]
    assert [e.address for e in found.services[ServiceKey("other", "ratings")].endpoints[9080]] == ["10.0.1.1"]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"sessionAffinity": "ClientIP"}, "sessionAffinity: ClientIP is not supported"),
        ({"trafficDistribution": "PreferMoon"}, "trafficDistribution 'PreferMoon' is unknown"),
        (
            {"ports": [{"port": 9080, "name": "http"}, {"port": 53, "name": "dns", "protocol": "UDP"}]},
            "port 53 (dns) speaks UDP",
        ),
        ({"ports": [{"port": 9080, "name": "http"}, {"port": 0, "name": "x"}]}, "port 0 is not between"),
        ({"ports": [{"port": 9080, "name": "http"}, {"port": 9080, "name": "x"}]}, "port 9080 occurs twice"),
    ],
)
def test_what_a_service_asks_for_in_vain_is_said(spec: dict[str, Any], problem: str) -> None:
    found = facts(service("ratings", **spec), endpoint_slice("ratings", TWO))
    assert len(endpoints(found)) == 2
    (text,) = said(found)
    assert text.startswith(f"Service bookinfo/ratings: {problem}")


def test_an_external_name_is_refused() -> None:
    found = facts(service("ratings", type="ExternalName", externalName="db.example.com"))
    assert found.services == {}
    assert "ExternalName (db.example.com)" in said(found)[0]


def test_internal_traffic_policy_local_is_a_fact() -> None:
    assert facts(service("ratings", internalTrafficPolicy="Local")).services[RATINGS].internal_traffic_local
    assert (
        not facts(service("ratings", internalTrafficPolicy="Cluster"))
        .services[RATINGS]
        .internal_traffic_local
    )


def annotated(thing: dict[str, Any], **annotations: str) -> dict[str, Any]:
    return {**thing, "metadata": {**thing["metadata"], "annotations": annotations}}


ISTIO = "networking.istio.io/traffic-distribution"


@pytest.mark.parametrize(
    ("spec", "on_service", "on_namespace", "expected"),
    [
        ("PreferClose", {}, {}, "PreferClose"),
        ("PreferSameZone", {}, {}, "PreferSameZone"),
        ("PreferSameNode", {}, {}, "PreferSameNode"),
        (None, {ISTIO: "prefersamezone"}, {}, "PreferSameZone"),
        ("PreferSameNode", {ISTIO: "PreferClose"}, {}, "PreferSameNode"),
        (None, {}, {ISTIO: "PreferClose"}, "PreferClose"),
        (None, {ISTIO: "Any"}, {ISTIO: "PreferClose"}, ""),
        (None, {}, {}, ""),
    ],
)
def test_traffic_distribution(
    spec: str | None, on_service: dict[str, str], on_namespace: dict[str, str], expected: str
) -> None:
    found = facts(
        annotated(service("ratings", trafficDistribution=spec), **on_service),
        annotated(namespace("bookinfo"), **on_namespace),
    )
    assert found.services[RATINGS].traffic_distribution == expected
    assert found.problems == ()


def test_topology_mode_is_said_to_be_unsupported() -> None:
    found = facts(annotated(service("ratings"), **{"service.kubernetes.io/topology-mode": "Auto"}))
    assert "topology-mode is not supported" in said(found)[0]


def test_exports() -> None:
    export = {
        "apiVersion": "multicluster.x-k8s.io/v1alpha1",
        "kind": "ServiceExport",
        "metadata": {"name": "ratings", "namespace": "bookinfo"},
    }
    assert facts(export).exports == {RATINGS: Export(fault="NoService")}
    found = facts(export, service("ratings", ports=[{"port": 80}, {"port": 53, "protocol": "UDP"}]))
    assert found.exports[RATINGS].offered is not None
    assert [port.number for port in found.exports[RATINGS].offered.ports] == [80, 53]


def test_an_export_follows_its_service() -> None:
    files = Files()
    export = {
        "apiVersion": "multicluster.x-k8s.io/v1beta1",
        "kind": "ServiceExport",
        "metadata": {"name": "ratings", "namespace": "bookinfo", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"exportedLabels": {"a": "b"}},
    }
    faults = []
    for more in (
        [],
        [service("ratings")],
        [service("ratings", type="ExternalName", externalName="x")],
        [service("ratings")],
    ):
        found = files.say(export, *more).exports[RATINGS]
        assert (found.created, found.labels) == ("2026-01-01T00:00:00Z", {"a": "b"})
        assert (found.offered is None) is bool(found.fault)
        faults.append(found.fault)
    assert faults == ["NoService", "", "InvalidServiceType", ""]
    assert files.say(service("ratings")).exports == {}


def test_what_other_implementations_imported_is_no_input() -> None:
    """Their slices and ServiceImports are copies of what other clusters say themselves."""
    imported = endpoint_slice("ratings", [Place("10.7.0.1")])
    imported["metadata"]["labels"] = {
        "multicluster.kubernetes.io/service-name": "ratings",
        "multicluster.kubernetes.io/source-cluster": "dublin",
    }
    imported["metadata"]["name"] = "imported-ratings"
    circle = {
        "apiVersion": "multicluster.x-k8s.io/v1beta1",
        "kind": "ServiceImport",
        "metadata": {"name": "ratings", "namespace": "bookinfo"},
        "spec": {"type": "ClusterSetIP", "ports": []},
    }
    found = facts(service("ratings"), endpoint_slice("ratings", [Place("10.0.0.1")]), imported, circle)
    assert [one.address for one in endpoints(found)] == ["10.0.0.1"]
    assert (found.exports, found.problems) == ({}, ())


def test_equal_objects_are_the_same_facts_and_a_change_touches_one_service_only() -> None:
    def world(ready: bool) -> list[dict[str, Any]]:
        return [
            service("ratings"),
            service("reviews"),
            endpoint_slice("ratings", [Place("10.0.0.1", ready=ready, pod="p1", node="n1")]),
            endpoint_slice("reviews", [Place("10.0.0.9", pod="p9", node="n1")]),
            node("n1", "eu-west", "eu-west-a"),
            pod("p1"),
            pod("p9", labels={"a": "b"}),
        ]

    files = Files()
    first = files.say(*world(True))
    assert files.say(*world(True)) is first
    changed = files.say(*world(False))
    reviews = ServiceKey("bookinfo", "reviews")
    assert changed.services[reviews] is first.services[reviews]
    assert changed.services[RATINGS] != first.services[RATINGS]
    assert (first.generation, changed.generation) == (1, 2)


@pytest.mark.parametrize(
    "change",
    [
        node("n1", "eu-west", "eu-west-b"),
        pod("p1", annotations={"tideover.dev/weight": "5"}),
        pod("p1", labels={"version": "v2"}),
    ],
)
def test_a_change_of_a_node_or_pod_reaches_the_endpoints_on_it(change: dict[str, Any]) -> None:
    base = [service("ratings"), endpoint_slice("ratings", [Place("10.0.0.1", pod="p1", node="n1")])]
    files = Files()
    first = files.say(*base, node("n1", "eu-west", "eu-west-a"), pod("p1"))
    rest = [node("n1", "eu-west", "eu-west-a")] if change["kind"] == "Pod" else [pod("p1")]
    then = files.say(*base, *rest, change)
    assert endpoints(then) != endpoints(first)
    assert endpoints(then) == endpoints(facts(*base, *rest, change))


@settings(deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_objects_does_not_matter(order: list[int]) -> None:
    objects = [
        service("ratings"),
        endpoint_slice("ratings", TWO, suffix="a"),
        endpoint_slice("ratings", [Place("10.0.0.3"), Place("10.0.0.1", ready=False)], suffix="b"),
        pod("p1", labels={"a": "b"}),
        node("n1", "eu-west", "eu-west-a"),
        endpoint_slice("reviews", TWO),
    ]
    found = facts(*[objects[n] for n in order])
    assert found.services == facts(*objects).services
