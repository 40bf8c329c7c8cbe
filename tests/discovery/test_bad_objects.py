"""Objects that an API server should never have let in: refused by name, and the rest goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from discovery.worlds import RATINGS, Files, endpoints, facts, ground, said
from support.manifests import Object, Place, endpoint_slice, node, pod, service
from tideover_core.model import ServiceKey
from tideover_discovery.kubernetes.assembler import Assembler
from tideover_discovery.kubernetes.decoding import decode, key
from tideover_discovery.kubernetes.manifest import item_of
from tideover_discovery.kubernetes.objects import Refusal
from tideover_discovery.kubernetes.resources import followed

GOOD = [service("reviews"), endpoint_slice("reviews", [Place("10.0.0.9")])]
REVIEWS = ServiceKey("bookinfo", "reviews")


def named(thing: Object, name: str, namespace: str = "bookinfo") -> Object:
    return {**thing, "metadata": {**thing["metadata"], "name": name, "namespace": namespace}}


@pytest.mark.parametrize(
    ("name", "namespace"),
    [
        ("Ratings", "bookinfo"),
        ("RATINGS", "bookinfo"),
        ("rаtings", "bookinfo"),  # a Cyrillic a
        ("ratіngs", "bookinfo"),  # a Ukrainian i
        ("ratings\u200b", "bookinfo"),  # a space of no width
        ("ｒatings", "bookinfo"),  # full width
        ("ratings.", "bookinfo"),
        ("ratings.bookinfo", "bookinfo"),
        ("ratings#v1", "bookinfo"),
        ("ratings:9080", "bookinfo"),
        ("ratings/x", "bookinfo"),
        ("@pg-0", "bookinfo"),
        ("-ratings", "bookinfo"),
        ("r" * 64, "bookinfo"),
        ("ratings", "Bookinfo"),
        ("ratings", "bооkinfo"),
        ("ratings", "book.info"),
        ("ratings", "b" * 64),
    ],
)
def test_names_that_look_like_others_are_refused_and_said(name: str, namespace: str) -> None:
    good = [service("ratings"), endpoint_slice("ratings", [Place("10.0.0.1")])]
    found = facts(*good, *GOOD, named(service("x"), name, namespace))
    assert set(found.services) == {RATINGS, REVIEWS}
    assert [e.address for e in endpoints(found)] == ["10.0.0.1"]
    (problem,) = found.problems
    assert "no name that Kubernetes allows" in problem.message
    assert (
        problem.message.isascii()
        or repr(name)[1:-1] in problem.message
        or repr(namespace)[1:-1] in problem.message
    )


def test_a_slice_for_a_service_that_only_looks_alike_is_nobodys() -> None:
    found = facts(service("ratings"), endpoint_slice("Ratings", [Place("10.6.6.6")], suffix="a") | {
        "metadata": {"name": "ratings-x", "namespace": "bookinfo",
                     "labels": {"kubernetes.io/service-name": "Ratings"}},
    })  # fmt: skip
    assert endpoints(found) == ()
    assert said(found) == [
        "EndpointSlice bookinfo/ratings-x: its Service bookinfo/Ratings does not exist; ignored"
    ]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "0.0.0.0", "0.0.0.1", "::", "169.254.1.1",
        "169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1", "fd00:ec2::254", "100.100.100.200",
        "192.0.0.192", "255.255.255.255", "localhost", "10.0.0.1:80", "10.0.0", "", " ", "0x7f.1",
        "2130706433", "x" * 10_000,
    ],
)  # fmt: skip
def test_addresses_that_nobody_may_steer_others_to(address: str) -> None:
    found = facts(service("ratings"), endpoint_slice("ratings", [Place(address), Place("10.0.0.2")]), *GOOD)
    assert [e.address for e in endpoints(found)] == ["10.0.0.2"]
    (problem,) = found.problems
    assert problem.consequence == "this endpoint is left out; the slice's others count"
    assert len(problem.message) < 200


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ({"endpoints": "none"}, "endpoints"),
        ({"endpoints": [None]}, "endpoints"),
        ({"endpoints": [{}]}, "addresses"),
        ({"endpoints": [{"addresses": None}]}, "addresses"),
        ({"endpoints": [{"addresses": [7]}]}, "addresses"),
        ({"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": "yes"}}]}, "ready"),
        ({"endpoints": [{"addresses": ["10.0.0.1"], "conditions": []}]}, "conditions"),
        ({"endpoints": [{"addresses": ["10.0.0.1"], "zone": 1}]}, "zone"),
        ({"endpoints": [{"addresses": ["10.0.0.1"], "targetRef": "p1"}]}, "targetRef"),
        ({"endpoints": [{"addresses": ["10.0.0.1"], "hostname": 1}]}, "hostname"),
        ({"ports": {}}, "ports"),
        ({"ports": [{"port": 0}]}, "port"),
        ({"ports": [{"port": 65536}]}, "port"),
        ({"ports": [{"port": "http"}]}, "port"),
        ({"ports": [{"port": 1e300}]}, "port"),
        ({"addressType": "ipv4"}, "addressType"),
        ({"addressType": 4}, "addressType"),
        ({"metadata": None}, "metadata"),
        ({"metadata": {}}, "metadata.name"),
        ({"metadata": {"name": "x", "labels": {"kubernetes.io/service-name": None}}}, "labels"),
        ({"metadata": {"name": "x"}}, "names no Service"),
    ],
)  # fmt: skip
def test_slices_with_absurd_fields_are_refused_and_nothing_else_is(broken: dict[str, Any], word: str) -> None:
    found = facts(service("ratings"), endpoint_slice("ratings", [Place("10.0.0.1")]) | broken, *GOOD)
    assert [e.address for e in found.services[REVIEWS].endpoints[9080]] == ["10.0.0.9"]
    assert any(word in problem.message for problem in found.problems)


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (None, "spec"),
        ([], "spec"),
        ({"ports": "80"}, "ports"),
        ({"ports": [{}]}, "port"),
        ({"ports": [{"port": -1}]}, "port -1"),
        ({"ports": [{"port": 2**63}]}, "port"),
        ({"ports": [{"port": 80.5}]}, "port"),
        ({"ports": [{"port": 80, "appProtocol": 7}]}, "appProtocol"),
        ({"ipFamilies": "IPv4"}, "ipFamilies"),
        ({"clusterIP": 7}, "clusterIP"),
        ({"type": {}}, "type"),
    ],
)
def test_services_with_absurd_fields_are_refused_and_nothing_else_is(spec: Any, word: str) -> None:
    found = facts(service("ratings") | {"spec": spec}, *GOOD)
    assert REVIEWS in found.services
    assert any(word in problem.message for problem in found.problems)


def test_a_family_that_does_not_exist_is_like_none() -> None:
    found = facts(service("ratings", ipFamilies=["IPv9"]), endpoint_slice("ratings", [Place("10.0.0.1")]))
    assert [e.address for e in endpoints(found)] == ["10.0.0.1"]


@pytest.mark.parametrize("said", ["NaN", "inf", "1e9", "-1", "0", "0.0", "1 ", "²", "1.2345", "9" * 4000])
def test_a_capacity_without_sense_does_not_count(said: str) -> None:
    annotated = pod("p1", annotations={"tideover.dev/capacity": said})
    found = facts(service("ratings"), endpoint_slice("ratings", [Place("10.0.0.1", pod="p1")]), annotated)
    assert endpoints(found)[0].capacity == 0
    assert "tideover.dev/capacity" in found.problems[0].message
    assert found.problems[0].consequence == "what the policy says counts"


def test_a_pod_says_what_it_carries() -> None:
    annotated = pod("p1", annotations={"tideover.dev/capacity": "12.5"})
    found = facts(service("ratings"), endpoint_slice("ratings", [Place("10.0.0.1", pod="p1")]), annotated)
    assert endpoints(found)[0].capacity == 12.5
    assert found.problems == ()


@pytest.mark.parametrize("weight", ["NaN", "1e3", "0x10", "1 ", "+1", "²", "-0", "9" * 4000])
def test_weights_without_sense_count_as_one(weight: str) -> None:
    annotated = pod("p1", annotations={"tideover.dev/weight": weight})
    found = facts(service("ratings"), endpoint_slice("ratings", [Place("10.0.0.1", pod="p1")]), annotated)
    assert endpoints(found)[0].weight == 1
    assert len(found.problems[0].message) < 300


def test_labels_of_nodes_and_pods_without_sense_are_refused_and_the_endpoint_counts() -> None:
    found = facts(
        service("ratings"),
        endpoint_slice("ratings", [Place("10.0.0.1", "z", node="n1", pod="p1")]),
        node("n1", "eu", "a") | {"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": 7}}},
        pod("p1") | {"metadata": {"name": "p1", "namespace": "bookinfo", "labels": []}},
    )
    assert [str(e.locality) for e in endpoints(found)] == ["eu-west/z/"]
    assert {problem.object for problem in found.problems} == {"Node n1", "Pod bookinfo/p1"}


def test_annotations_of_any_size_cost_nothing_once_they_are_read() -> None:
    """Kubernetes allows 256 KiB of them per object; only those that are read are kept."""
    big = {f"noise-{n}": "x" * 1000 for n in range(1000)} | {"tideover.dev/weight": "7"}
    body = decode(json.dumps(pod("p1", annotations=big)).encode(), "Pod")
    assert body.metadata.annotations == {"tideover.dev/weight": "7"}
    noisy = service("ratings")
    noisy["metadata"]["annotations"] = big
    assert not decode(json.dumps(noisy).encode(), "Service").metadata.annotations


def test_ten_thousand_endpoints_in_one_service() -> None:
    """A hundred slices of a hundred: all are there, and one that changes leaves the others as they are."""
    slices = [
        endpoint_slice(
            "ratings",
            [Place(f"10.{part}.{n // 250}.{n % 250}", pod=f"p-{part}-{n}") for n in range(100)],
            suffix=f"{part:03}",
        )
        for part in range(100)
    ]
    assembler = Assembler(ground())
    assembler.update({key(body): item_of(body) for body in map(decode, [service("ratings"), *slices])})
    before = assembler.facts
    assert len(endpoints(before)) == 10_000
    slices[7]["endpoints"][3]["conditions"]["ready"] = False
    body = decode(slices[7])
    after = assembler.update({key(body): item_of(body)})
    differ = [now for old, now in zip(endpoints(before), endpoints(after), strict=True) if old is not now]
    assert [e.address for e in differ if not e.ready] == ["10.7.0.3"]
    assert len(differ) == 100  # of the one slice that was read again
    assert after.problems == ()


def test_two_objects_of_one_name_in_one_list_are_said() -> None:
    files = Files()
    found = files.say(service("ratings"), service("ratings", ports=[{"port": 1}]))
    assert [port.number for port in found.services[RATINGS].ports] == [9080]
    assert "which counts" in said(found)[0]


@pytest.mark.parametrize("kind", ["Service", "EndpointSlice", "Pod", "Node", "Namespace", "FailoverPolicy"])
@pytest.mark.parametrize("other", ["Service", "Pod", "EndpointSlice", "Secret", "PartialObjectMetadata"])
def test_a_server_that_says_another_kind_than_it_was_asked_for_is_not_believed(kind: str, other: str) -> None:
    """Least of all that what it was asked for is gone."""
    if other == kind or (other == "PartialObjectMetadata" and kind in ("Pod", "Node", "Namespace")):
        return
    read = next(resource.read for resource in followed() if resource.kind == kind)
    about = {"name": "a", "labels": {"kubernetes.io/service-name": "a"}}
    version = "discovery.k8s.io/v1" if other == "EndpointSlice" else "v1"
    told = {"kind": other, "apiVersion": version, "metadata": about, "addressType": "IPv4"}
    with pytest.raises(Refusal, match=other):
        read(Raw(json.dumps(told).encode()))
