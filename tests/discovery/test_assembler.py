"""Change by change: the same facts as all at once, whatever came first, and only what is touched is new."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.worlds import RATINGS, Files, endpoints, facts, ground
from support.manifests import Object, Place, endpoint_slice, namespace, node, pod, service
from tideover_core.model import ClusterFacts, ServiceKey
from tideover_discovery.kubernetes.assembler import Assembler
from tideover_discovery.kubernetes.decoding import decode, key, make_key
from tideover_discovery.kubernetes.doubt import Doubts
from tideover_discovery.kubernetes.manifest import Item, item_of
from tideover_discovery.kubernetes.objects import Key, Refusal

REVIEWS = ServiceKey("bookinfo", "reviews")


def as_watched(thing: Object) -> Object:
    """What a watch says of it: of pods, nodes and namespaces the metadata alone."""
    if thing["kind"] not in ("Pod", "Node", "Namespace"):
        return thing
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"uid": "1", "resourceVersion": "7", "managedFields": [{}], **thing["metadata"]},
    }


def changed(*things: Object) -> dict[Key, Item | None]:
    found: dict[Key, Item | None] = {}
    for thing in things:
        body = decode(json.dumps(as_watched(thing)).encode(), thing["kind"])
        found[key(body)] = item_of(body)
    return found


def gone(thing: Object) -> dict[Key, Item | None]:
    metadata = thing["metadata"]
    return {make_key(thing["kind"], metadata.get("namespace"), metadata["name"]): None}


def without_generation(found: ClusterFacts) -> dict[str, Any]:
    where = [(p.object, p.message, p.consequence) for p in found.problems]
    names = ("services", "destination_rules", "failover_policies", "exports", "nodes", "node_labels")
    return {**{name: getattr(found, name) for name in names}, "problems": where}


# Every object that may be there, in a version or two
VERSIONS: list[list[Object]] = [
    [
        service("ratings"),
        service("ratings", ports=[{"port": 80}]),
        service("ratings", type="ExternalName"),
        service("ratings", trafficDistribution="PreferClose", sessionAffinity="ClientIP"),
    ],
    [service("reviews"), service("reviews", internalTrafficPolicy="Local")],
    [
        endpoint_slice("ratings", [Place("10.0.0.1", pod="p1", node="n1"), Place("10.0.0.2", pod="p2")]),
        endpoint_slice("ratings", [Place("10.0.0.1", pod="p1", node="n2"), Place("127.0.0.1")]),
        endpoint_slice("reviews", [Place("10.0.0.1", pod="p1", node="n1")]) | {"metadata": {
            "name": "ratings-abcde", "namespace": "bookinfo",
            "labels": {"kubernetes.io/service-name": "reviews"},
        }},
    ],
    [
        endpoint_slice("ratings", [Place("10.0.0.1", ready=False, pod="p1", node="n1")], suffix="b"),
        endpoint_slice("ratings", [Place("10.0.0.3", "z", pod="p3", node="n2")], suffix="b"),
        endpoint_slice("ratings", [], suffix="b"),
    ],
    [endpoint_slice("reviews", [Place("10.0.0.9", pod="p1", node="n1")])],
    [
        pod("p1", labels={"version": "v1"}),
        pod("p1", labels={"version": "v2"}, annotations={"tideover.dev/weight": "3"}),
        pod("p1", labels={"istio-locality": "a.b.c"}, annotations={"tideover.dev/weight": "x"}),
    ],
    [pod("p2", annotations={"noise": "1"})],
    [node("n1", "eu-west", "eu-west-a"), node("n1", "eu-west", "eu-west-b", rack="7")],
    [node("n2", "us", "us-1")],
    [
        namespace("bookinfo"),
        namespace("bookinfo") | {"metadata": {
            "name": "bookinfo", "annotations": {"networking.istio.io/traffic-distribution": "PreferClose"},
        }},
    ],
    [{"kind": "ServiceExport", "apiVersion": "multicluster.x-k8s.io/v1alpha1",
      "metadata": {"name": "ratings", "namespace": "bookinfo"}}],
    [
        {"kind": "DestinationRule", "apiVersion": "networking.istio.io/v1",
         "metadata": {"name": "ratings", "namespace": "bookinfo"}, "spec": {"host": "ratings", "odd": 1}},
        {"kind": "DestinationRule", "apiVersion": "networking.istio.io/v1",
         "metadata": {"name": "ratings", "namespace": "bookinfo"}, "spec": {"host": "reviews"}},
    ],
]  # fmt: skip
# (which object, which of its versions or None: gone)
STEPS = st.lists(
    st.sampled_from([(n, v) for n, all_ in enumerate(VERSIONS) for v in [*range(len(all_)), None]]),
    max_size=40,
)


@settings(deadline=None, max_examples=300)
@given(STEPS, st.integers(1, 4))
def test_change_by_change_is_the_same_as_all_at_once(
    steps: list[tuple[int, int | None]], at_once: int
) -> None:
    assembler, there = Assembler(ground()), dict[int, Object]()
    update: dict[Key, Item | None] = {}
    for count, (number, version) in enumerate(steps, 1):
        if version is None:
            there.pop(number, None)
            update |= gone(VERSIONS[number][0])
        else:
            there[number] = VERSIONS[number][version]
            update |= changed(there[number])
        if count % at_once and count < len(steps):
            continue
        assembler.update(update)
        update = {}
        expected = facts(*(there[n] for n in sorted(there)))
        assert without_generation(assembler.facts) == without_generation(expected)
        assert list(assembler.facts.services) == sorted(assembler.facts.services)
        slices = [thing for thing in there.values() if thing["kind"] == "EndpointSlice"]
        named = {thing["metadata"]["labels"]["kubernetes.io/service-name"] for thing in slices}
        assert assembler.slices_present == {ServiceKey("bookinfo", name) for name in named}


def test_nothing_that_matters_changed_is_no_change() -> None:
    assembler = Assembler(ground())
    things = [service("ratings"), endpoint_slice("ratings", [Place("10.0.0.1", pod="p1")]), pod("p1")]
    before = assembler.update(changed(*things))
    things[1]["metadata"]["annotations"] = {"endpoints.kubernetes.io/last-change-trigger-time": "later"}
    things[1]["metadata"]["resourceVersion"] = "8"
    things[2]["metadata"]["annotations"] = {"noise": "x" * 100_000}
    assert assembler.update(changed(*things)) is before
    assert assembler.update({}) is before
    assert assembler.update(gone(pod("other"))) is before


def test_a_change_touches_its_services_only_and_raises_the_generation() -> None:
    assembler = Assembler(ground())
    both = endpoint_slice("reviews", [Place("10.0.0.9", pod="p1"), Place("10.0.0.8", pod="p2")])
    one = endpoint_slice("ratings", [Place("10.0.0.1", pod="p1")])
    before = assembler.update(changed(service("ratings"), service("reviews"), one, both))
    then = assembler.update(changed(pod("p2", labels={"a": "b"})))
    assert then.services[RATINGS] is before.services[RATINGS]
    assert [dict(e.labels) for e in then.services[REVIEWS].endpoints[9080]] == [{"a": "b"}, {}]
    assert then.generation == before.generation + 1
    assert then.nodes is before.nodes


@pytest.mark.parametrize(
    "late",
    [
        pod("p1", labels={"version": "v2"}),
        pod("p1", annotations={"tideover.dev/weight": "7"}),
        node("n1", "us", "us-1"),
    ],
    ids=["labels", "weight", "node"],
)
def test_what_arrives_after_the_endpoint_updates_it_and_leaves_it_when_it_goes(late: Object) -> None:
    assembler = Assembler(ground())
    base = [service("ratings"), endpoint_slice("ratings", [Place("10.0.0.1", pod="p1", node="n1")])]
    first = assembler.update(changed(*base))
    then = assembler.update(changed(late))
    assert endpoints(then) != endpoints(first)
    assert endpoints(then) == endpoints(facts(*base, late))
    assert assembler.update(gone(late)).services == first.services


def test_an_endpoint_moves_between_slices_without_a_gap() -> None:
    """The controller writes the new slice first or the old one first; it may stand in both meanwhile."""
    here, there = Place("10.0.0.1", pod="p1"), Place("10.0.0.2", pod="p2")
    assembler = Assembler(ground())
    assembler.update(
        changed(
            service("ratings"),
            endpoint_slice("ratings", [here, there], suffix="a"),
            endpoint_slice("ratings", [], suffix="b"),
        )
    )
    before = assembler.facts
    assert assembler.update(changed(endpoint_slice("ratings", [there], suffix="b"))) is before
    assert assembler.update(changed(endpoint_slice("ratings", [here], suffix="a"))) is before


def test_services_with_slices_are_told_though_they_are_empty() -> None:
    assembler = Assembler(ground())
    assembler.update(changed(service("ratings"), endpoint_slice("ratings", []), service("reviews")))
    assert assembler.slices_present == {RATINGS}
    assembler.update(gone(endpoint_slice("ratings", [])))
    assert assembler.slices_present == frozenset()


def test_doubts_of_a_watch_keep_what_the_snapshot_knows() -> None:
    known = Files().say(service("ratings"), endpoint_slice("ratings", [Place("10.0.0.1")]))
    broken = Key("EndpointSlice", "bookinfo", "ratings-abcde")
    assembler = Assembler(ground(), known)
    doubts = Doubts(doubtful=frozenset({broken}))
    assert endpoints(assembler.update(changed(service("ratings")), doubts)) == endpoints(known)
    assert endpoints(assembler.update({}, doubts)) == endpoints(known)
    assert endpoints(assembler.update({})) == ()


def test_metadata_alone_is_refused_for_kinds_that_say_more() -> None:
    partial = as_watched(pod("p1"))
    for kind in ("", "Service", "EndpointSlice", "DestinationRule"):
        with pytest.raises(Exception, match="PartialObjectMetadata"):
            decode(json.dumps(partial).encode(), kind)
    with pytest.raises(Refusal, match="labels"):
        decode(json.dumps({**partial, "metadata": {"name": "p", "labels": {"a": 1}}}).encode(), "Pod")


def test_a_list_that_holds_other_kinds_is_read_by_what_they_say() -> None:
    body = decode(json.dumps(service("ratings")).encode(), "Pod")
    assert key(body) == Key("Service", "bookinfo", "ratings")
    assert key(decode(json.dumps(pod("p1")).encode(), "Service")) == Key("Pod", "bookinfo", "p1")
