"""Whatever stands in a file: nothing crashes, what is refused is named, the last good stays."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.worlds import Files, dump
from support.manifests import Place, endpoint_slice, namespace, node, pod, service
from tideover_core.model import ClusterFacts

GOOD: list[dict[str, Any]] = [
    service("ratings", sessionAffinity="None", internalTrafficPolicy="Cluster"),
    endpoint_slice("ratings", [Place("10.0.0.1", "a", True, True, False, "n1", "p1"), Place("fd00::1")]),
    pod("p1", node_name="n1", labels={"app": "x"}, annotations={"tideover.dev/weight": "2"}),
    node("n1", "eu", "a"),
    namespace("bookinfo"),
    {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "ratings", "namespace": "bookinfo"},
        "spec": {
            "host": "ratings",
            "exportTo": ["*"],
            "workloadSelector": {"matchLabels": {"a": "b"}},
            "trafficPolicy": {
                "tls": {"mode": "DISABLE"},
                "loadBalancer": {
                    "simple": "RANDOM",
                    "localityLbSetting": {
                        "enabled": True,
                        "failover": [{"from": "a", "to": "b"}],
                        "failoverPriority": ["x"],
                        "distribute": [{"from": "*", "to": {"eu/*": 100}}],
                    },
                },
                "outlierDetection": {"interval": "1s", "consecutive5xxErrors": 1},
                "connectionPool": {"tcp": {"tcpKeepalive": {"time": "1s"}}, "http": {"maxRetries": 1}},
                "portLevelSettings": [{"port": {"number": 9080}, "loadBalancer": {"simple": "RANDOM"}}],
            },
            "subsets": [{"name": "v1", "labels": {"version": "v1"}, "trafficPolicy": {}}],
        },
    },
    {
        "apiVersion": "tideover.dev/v1alpha1",
        "kind": "FailoverPolicy",
        "metadata": {"name": "ratings", "namespace": "bookinfo"},
        "spec": {
            "targetRefs": [{"kind": "Service", "name": "ratings"}],
            "near": ["region"],
            "scope": "Region",
            "failover": [{"from": {"region": "a"}, "to": [{"cluster": "b"}]}],
            "distribute": [{"from": {}, "to": [{"region": "a", "percent": 100}]}],
            "spill": {"belowHealthyPercent": 70},
            "outlier": {"interval": "1s"},
            "retry": {"attempts": 1},
            "budget": {"maxDrainedPercent": 1},
            "capacity": {"requestsPerSecondPerEndpoint": 100},
            "fleetHealth": {"unhealthyAboveErrorPercent": 50},
            "activeCheck": {"grpc": {"service": "a"}, "timeout": "1s"},
            "failback": {"steps": [5, 100]},
        },
    },
]


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in an object where something stands."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, inner in inside for found in paths(inner, (*path, key)))]


def with_value(objects: list[dict[str, Any]], path: tuple[Any, ...], value: Any) -> list[Any]:
    changed: Any = copy.deepcopy(objects)
    if not path:
        return [value]
    at = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return list(changed)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**40) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


def after(data: bytes, file: str, good: bytes | None = None) -> ClusterFacts:
    """The facts after a file said this; it said what is good before."""
    files = Files()
    if good is not None:
        files.read_named({file: good})
    return files.read_named({file: data})


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(paths(GOOD)), JSON, st.sampled_from(["a.json", "a.yaml"]))
def test_any_value_anywhere_is_read_refused_or_skipped(path: tuple[Any, ...], value: Any, file: str) -> None:
    objects = {"kind": "List", "items": with_value(GOOD, path, value)}
    text = json.dumps(objects) if file.endswith("json") else yaml.safe_dump(objects)
    found = after(text.encode(), file)
    for problem in found.problems:
        assert problem.object
        assert problem.message
        assert problem.consequence
        assert problem.where.startswith(file)


@pytest.mark.parametrize("value", [None, {}, [], "", 0, -1, True, [None], {"": None}, "x/y:1#z"], ids=repr)
def test_each_field_without_sense(value: Any) -> None:
    for path in paths(GOOD):
        after(json.dumps({"items": with_value(GOOD, path, value)}).encode(), "a.json")


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.sampled_from(["a.json", "a.yaml"]))
def test_any_bytes_are_read_or_refused_and_take_nothing_away(data: bytes, file: str) -> None:
    before = after(dump(*GOOD), file)
    found = after(data, file, dump(*GOOD))
    if found.problems:
        assert found.services == before.services


KUBECTL = yaml.safe_dump({"apiVersion": "v1", "items": GOOD, "kind": "List", "metadata": {}}).encode()


@settings(deadline=None)
@given(st.integers(0, len(KUBECTL) - 1))
def test_yaml_of_kubectl_cut_off_anywhere_takes_nothing_away(length: int) -> None:
    before = after(KUBECTL, "a.yaml")
    found = after(KUBECTL[:length], "a.yaml", KUBECTL)
    assert found.services == before.services
    assert found.destination_rules == before.destination_rules
    assert found.failover_policies == before.failover_policies


@settings(deadline=None)
@given(st.integers(0, len(dump(*GOOD)) - 1))
def test_json_cut_off_anywhere_takes_nothing_away(length: int) -> None:
    before = after(dump(*GOOD), "a.json")
    assert before.problems == ()
    found = after(dump(*GOOD)[:length], "a.json", dump(*GOOD))
    assert found.services == before.services
    assert found.destination_rules == before.destination_rules
    assert len(found.problems) == 1
