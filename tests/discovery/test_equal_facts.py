"""Equal objects give equal facts, from files and from the lists and watches of a live API server."""

from __future__ import annotations

import json
import random
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.test_assembler import as_watched, without_generation
from discovery.worlds import Files, dump, ground
from support.manifests import Object
from tideover_discovery.kubernetes.assembler import Assembler
from tideover_discovery.kubernetes.decoding import Unread, decode, key
from tideover_discovery.kubernetes.manifest import Item, item_of
from tideover_discovery.kubernetes.objects import Key

names = st.sampled_from(["a", "b", "c"])
flags = st.none() | st.booleans()
labels = st.dictionaries(
    st.sampled_from(["version", "istio-locality", "rack"]), st.sampled_from(["v1", "x.y.z"])
)
annotations = st.dictionaries(
    st.sampled_from(["tideover.dev/weight", "noise", "networking.istio.io/traffic-distribution"]),
    st.sampled_from(["3", "x", "PreferClose"]),
)
_REGION, _ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
topology = st.fixed_dictionaries({}, optional={_REGION: st.just("eu"), _ZONE: names, "rack": names})


def said(**fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Some of these fields; the others are not said."""
    return st.fixed_dictionaries({}, optional=fields)


def thing(version: str, kind: str, metadata: st.SearchStrategy[Any], **fields: Any) -> st.SearchStrategy[Any]:
    head = {"apiVersion": st.just(version), "kind": st.just(kind), "metadata": metadata}
    return st.builds(lambda one, more: {**one, **more}, st.fixed_dictionaries(head), said(**fields))


def about(**fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    must = {"name": names, "namespace": st.sampled_from(["one", "two"])}
    return st.fixed_dictionaries(must, optional={"annotations": annotations, "uid": st.just("7"), **fields})


services = thing(
    "v1", "Service", about(creationTimestamp=st.just("2026-01-01T00:00:00Z")),
    spec=said(
        ports=st.lists(
            said(name=names, protocol=st.sampled_from(["TCP", "UDP"]), appProtocol=st.just("grpc")).flatmap(
                lambda port: st.sampled_from([{**port, "port": number} for number in (80, 81, 0)])
            ),
            max_size=3,
        ),
        type=st.sampled_from(["ClusterIP", "ExternalName"]),
        clusterIP=st.sampled_from(["None", "10.96.0.1"]),
        ipFamilies=st.lists(st.sampled_from(["IPv4", "IPv6"]), max_size=2),
        internalTrafficPolicy=st.sampled_from(["Local", "Cluster"]),
        trafficDistribution=st.sampled_from(["PreferClose", "odd"]),
        sessionAffinity=st.sampled_from(["None", "ClientIP"]),
    ),
)  # fmt: skip
ends = st.builds(
    lambda addresses, more: {"addresses": addresses, **more},
    st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1", "127.0.0.1", "odd"]), max_size=2),
    said(
        conditions=st.none() | said(ready=flags, serving=flags, terminating=flags),
        nodeName=names, zone=names, hostname=st.sampled_from(["a", "pg-0", "X"]),
        targetRef=st.none()
        | said(kind=st.sampled_from(["Pod", "Node"]), name=names, namespace=st.just("two")),
    ),
)  # fmt: skip
slices = thing(
    "discovery.k8s.io/v1", "EndpointSlice",
    st.builds(lambda one, name: {**one, "labels": {"kubernetes.io/service-name": name}}, about(), names),
    endpoints=st.none() | st.lists(ends, max_size=3),
    ports=st.none() | st.lists(said(name=names, port=st.sampled_from([8080, 8081])), max_size=2),
)  # fmt: skip
slices = st.builds(
    lambda one, family: {**one, "addressType": family}, slices, st.sampled_from(["IPv4", "IPv6", "FQDN"])
)
exports = thing("multicluster.x-k8s.io/v1alpha1", "ServiceExport", about())
pods = thing("v1", "Pod", about(labels=labels), spec=st.just({"nodeName": "a", "containers": [{}]}))
nodes = thing(
    "v1", "Node", st.fixed_dictionaries({"name": names, "labels": topology}), status=st.just({"x": 1})
)
spaces = thing(
    "v1",
    "Namespace",
    st.builds(lambda n, a: {"name": n, "annotations": a}, names | st.just("one"), annotations),
)
worlds = st.lists(services | slices | pods | nodes | spaces | exports, max_size=14, unique_by=lambda one: (
    one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]
))  # fmt: skip


def watched(objects: list[Object], *, listed: bool) -> dict[Key, Item | None]:
    """As a live source reads them: some by their metadata alone; items of lists say no kind."""
    found: dict[Key, Item | None] = {}
    for one in objects:
        raw = dict(as_watched(one))
        if listed and raw["kind"] != "PartialObjectMetadata":
            del raw["kind"], raw["apiVersion"]
        try:
            body = decode(json.dumps(raw).encode(), one["kind"])
        except Unread:
            continue
        found[key(body)] = item_of(body)
    return found


@settings(deadline=None, max_examples=300)
@given(worlds, st.randoms(use_true_random=False), st.booleans())
def test_files_and_watches_of_equal_objects_give_equal_facts(
    objects: list[Object], chance: random.Random, listed: bool
) -> None:
    json_file = Files().read_named({"a.json": dump(*objects)})
    yaml_file = Files().read_named({"a.yaml": yaml.safe_dump({"kind": "List", "items": objects}).encode()})
    at_once = Assembler(ground()).update(watched(objects, listed=listed))
    one_by_one, shuffled = Assembler(ground()), list(objects)
    chance.shuffle(shuffled)
    for one in shuffled:
        one_by_one.update(watched([one], listed=not listed))
    expected = without_generation(json_file)
    assert without_generation(at_once) == expected
    assert without_generation(one_by_one.facts) == expected
    if objects:
        assert without_generation(yaml_file) == expected
