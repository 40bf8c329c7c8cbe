"""Our CRDs: a real API server and our own parser judge the same objects alike."""

from __future__ import annotations

import json
import ssl
import urllib.request
from typing import Any

import msgspec
import pytest

from support.apiserver import ApiServer, Refused
from tideover_discovery.kubernetes.decoding import decode
from tideover_discovery.kubernetes.manifest import item_of
from tideover_discovery.kubernetes.objects import Refusal

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
WEST = {"region": "eu-west"}
GOOD_POLICIES: list[dict[str, Any]] = [
    {},
    {
        "targetRefs": [{"kind": "Service", "name": "ratings"}],
        "near": ["network", "region", "zone", "subzone", "example.com/rack", "version=v2"],
        "scope": "Anywhere",
        "failover": [{"from": WEST, "to": [{"region": "eu-north"}, {"cluster": "virginia"}]}],
        "others": False,
        "distribute": [
            {"from": WEST, "to": [{**WEST, "percent": 80}, {"region": "eu-north", "percent": 20}]}
        ],
        "spill": {"belowHealthyPercent": 70, "minHealthyEndpoints": 0},
        "capacity": {"requestsPerSecondPerEndpoint": 100, "mode": "WaterfallByZone"},
        "outlier": {
            "consecutiveErrors": 5,
            "interval": "1s",
            "baseEjection": "30s",
            "maxEjectionPercent": 100,
        },
        "fleetHealth": {
            "unhealthyAboveErrorPercent": 50,
            "healthyBelowErrorPercent": 10,
            "window": "10s",
            "minRequests": 20,
            "minReporters": 3,
        },
        "activeCheck": {
            "http": {"path": "/healthz"},
            "interval": "1s",
            "timeout": "500ms",
            "unhealthyThreshold": 2,
            "healthyThreshold": 2,
        },
        "failback": {
            "holdDown": "30s",
            "steps": [5, 25, 50, 100],
            "stepEvery": "10s",
            "abortAboveErrorPercent": 5,
        },
        "budget": {"maxDrainedPercent": 50},
        "retry": {
            "attempts": 2,
            "budgetPercent": 20,
            "minConcurrent": 1000,
            "idempotent": False,
            "perTryTimeout": "1m30.5s",
        },
    },
    {"near": [], "failover": [], "distribute": [], "targetRefs": []},
    {"distribute": [{"to": [{"percent": 33.333}, {"zone": "a", "percent": 66.667}]}]},
    {"failover": [{"to": [{}]}]},
    {"outlier": {"interval": "1.5us500ms"}},
    {"fleetHealth": {"unhealthyAboveErrorPercent": 10}},
    {"fleetHealth": {}},
    {"capacity": {}},
    {"capacity": {"mode": "SprayEverywhere", "targetUtilizationPercent": 80}},
    {"activeCheck": {"tcp": {}}},
    {"activeCheck": {"grpc": {}, "interval": "200ms", "timeout": "200ms"}},
    {"activeCheck": {"grpc": {"service": "bookinfo.Ratings"}, "interval": "5s", "timeout": "3s"}},
    {"failback": {"holdDown": "0", "steps": [12.5, 100]}},
    {"failback": {"steps": [100]}},
]
BAD_POLICIES: list[dict[str, Any]] = [
    {"nears": ["region"]},
    {"near": "region"},
    {"near": [""]},
    {"near": ["key"] * 33},
    {"scope": "Zone"},
    {"others": "no"},
    {"targetRefs": [{"kind": "Pod", "name": "x"}]},
    {"targetRefs": [{"name": ""}]},
    {"targetRefs": [{"kind": "Service"}]},
    {"targetRefs": [{"name": "x", "group": "apps"}]},
    {"targetRefs": [{"name": "x", "namespace": "other"}]},
    {"failover": [{"from": WEST}]},
    {"failover": [{"from": WEST, "to": []}]},
    {"failover": [{"from": {"country": "fr"}, "to": [WEST]}]},
    {"failover": [{"from": {"region": ""}, "to": [WEST]}]},
    {"distribute": [{"to": [{**WEST, "percent": 80}]}]},
    {"distribute": [{"to": [{**WEST, "percent": 80}, {"zone": "a", "percent": 21}]}]},
    {"distribute": [{"to": [{**WEST, "percent": 120}, {"zone": "a", "percent": -20}]}]},
    {"distribute": [{"to": [WEST]}]},
    {"distribute": [{"to": [{"percent": "100"}]}]},
    {"distribute": [{"to": []}]},
    {"spill": {"belowHealthyPercent": 0}},
    {"spill": {"belowHealthyPercent": 101}},
    {"spill": {"minHealthyEndpoints": -1}},
    {"spill": {"minHealthyEndpoints": 1.5}},
    {"outlier": {"interval": "0"}},
    {"outlier": {"interval": "soon"}},
    {"outlier": {"interval": "-1s"}},
    {"outlier": {"interval": "1"}},
    {"outlier": {"interval": 5}},
    {"outlier": {"interval": "90000h"}},
    {"outlier": {"baseEjection": "999us"}},
    {"outlier": {"maxEjectionPercent": 101}},
    {"outlier": {"consecutiveErrors": True}},
    {"outlier": {"consecutiveErrors": 2**31 + 1}},
    {"retry": {"attempts": "2"}},
    {"retry": {"attempts": 101}},
    {"retry": {"idempotent": "yes"}},
    {"retry": {"perTryTimeout": "99999h"}},
    {"budget": {}},
    {"budget": {"maxDrainedPercent": 101}},
    {"capacity": {"requestsPerSecondPerEndpoint": 0}},
    {"capacity": {"targetUtilizationPercent": 101}},
    {"capacity": {"requestsPerSecondPerEndpoint": 1, "mode": "Flood"}},
    {"fleetHealth": {"unhealthyAboveErrorPercent": 5}},
    {"fleetHealth": {"healthyBelowErrorPercent": 50.5}},
    {"fleetHealth": {"window": "0"}},
    {"fleetHealth": {"minReporters": 0}},
    {"activeCheck": {}},
    {"activeCheck": {"http": {}}},
    {"activeCheck": {"http": {"path": "healthz"}}},
    {"activeCheck": {"http": {"path": "/a\r\nb: c"}}},
    {"activeCheck": {"http": {"path": "/a b"}}},
    {"activeCheck": {"http": {"path": "/"}, "tcp": {}}},
    {"activeCheck": {"tcp": {"port": 80}}},
    {"activeCheck": {"tcp": {}, "grpc": {}}},
    {"activeCheck": {"grpc": {"service": 5}}},
    {"activeCheck": {"tcp": {}, "timeout": "2s"}},
    {"activeCheck": {"tcp": {}, "interval": "400ms"}},
    {"activeCheck": {"tcp": {}, "interval": "5s", "timeout": "1m"}},
    {"activeCheck": {"http": {"path": "/"}, "timeout": "0"}},
    {"activeCheck": {"http": {"path": "/"}, "healthyThreshold": 0}},
    {"failback": {"steps": []}},
    {"failback": {"steps": [5, 25]}},
    {"failback": {"steps": [25, 5, 100]}},
    {"failback": {"steps": [5, 5, 100]}},
    {"failback": {"steps": [0, 100]}},
    {"failback": {"abortAboveErrorPercent": -1}},
]

DRAIN: dict[str, Any] = {"action": "Drain", "target": {"cluster": "paris"}, "reason": "kernel upgrade"}
SHIFT = {**DRAIN, "action": "Shift", "to": {"region": "eu-north"}}
FREEZE = {**DRAIN, "action": "Freeze"}
GOOD_ORDERS: list[dict[str, Any]] = [
    DRAIN,
    {**DRAIN, "percent": 100, "expiresAt": "2026-11-23T10:00:00Z"},
    {**DRAIN, "percent": 0.5, "expiresAt": "2026-11-23T10:00:00.5+01:00"},
    SHIFT,
    {**SHIFT, "percent": 25, "to": {"cluster": "dublin", "zone": "a"}},
    FREEZE,
    {**DRAIN, "target": {"service": "ratings"}},
    {**DRAIN, "target": {"service": "bookinfo/ratings@paris", "region": "eu-west", "zone": "eu-west-a"}},
    {**DRAIN, "target": {"endpoint": "10.0.0.1:9080"}},
    {**DRAIN, "target": {"endpoint": "vpc-1/[2001:db8::1]:443"}},
    {**DRAIN, "over": "60s", "forceEmpty": True},
    {**SHIFT, "over": "0"},
]
BAD_ORDERS: list[dict[str, Any]] = [
    {},
    {"action": "Drain", "reason": "x"},
    {"action": "Drain", "target": {"cluster": "paris"}},
    {**DRAIN, "reason": ""},
    {**DRAIN, "reason": "x" * 1025},
    {**DRAIN, "action": "Stop"},
    {**DRAIN, "action": "drain"},
    {**DRAIN, "target": {}},
    {**DRAIN, "target": {"planet": "earth"}},
    {**DRAIN, "target": {"cluster": ""}},
    {**DRAIN, "target": {"cluster": "paris,zone/a"}},
    {**DRAIN, "target": {"region": "eu/west"}},
    {**DRAIN, "target": {"service": "a/b/c"}},
    {**DRAIN, "target": {"service": "ratings@"}},
    {**DRAIN, "target": {"endpoint": "10.0.0.1"}},
    {**DRAIN, "target": {"endpoint": "10.0.0.1:0"}},
    {**DRAIN, "target": {"endpoint": "10.0.0.1:65536"}},
    {**DRAIN, "target": {"endpoint": "10.0.0.999:80"}},
    {**DRAIN, "target": {"endpoint": "ratings:80"}},
    {**DRAIN, "to": {"region": "eu-north"}},
    {**SHIFT, "to": {}},
    {**SHIFT, "to": {"service": "ratings"}},
    {**DRAIN, "action": "Shift"},
    {**FREEZE, "percent": 50},
    {**DRAIN, "percent": 0},
    {**DRAIN, "percent": 101},
    {**DRAIN, "percent": "50"},
    {**DRAIN, "expiresAt": "tomorrow"},
    {**DRAIN, "expiresAt": "2026-11-23"},
    {**DRAIN, "expiresAt": "2026-11-23T10:00:00"},
    {**DRAIN, "expiresAt": 1795428000},
    {**DRAIN, "expires": "2026-11-23T10:00:00Z"},
    {**DRAIN, "over": "a while"},
    {**DRAIN, "over": "25h"},
    {**FREEZE, "over": "60s"},
    {**DRAIN, "forceEmpty": "yes"},
    {**SHIFT, "forceEmpty": True},
]


def ours(kind: str, spec: dict[str, Any]) -> str:
    """Why our parser refuses it, "" when it does not; it is read as it comes from a watch."""
    try:
        item_of(decode(msgspec.json.encode(_object(kind, spec, "ns")), kind))
    except Refusal as refusal:
        return str(refusal)
    return ""


def theirs(server: ApiServer, kind: str, spec: dict[str, Any], namespace: str) -> str:
    """Why the API server refuses it, as `kubectl create` would be told."""
    admin = server.admin
    path = admin.path(kind, namespace)
    query = {"dryRun": "All", "fieldValidation": "Strict"}
    try:
        admin.request("POST", path, _object(kind, spec, namespace), query=query)
    except Refused as refusal:
        if refusal.status not in (400, 422):
            raise
        return str(refusal)
    return ""


def _object(kind: str, spec: dict[str, Any], namespace: str) -> dict[str, Any]:
    metadata = {"name": "judged", "namespace": namespace}
    return {"apiVersion": "tideover.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [("FailoverPolicy", GOOD_POLICIES, BAD_POLICIES), ("TrafficOrder", GOOD_ORDERS, BAD_ORDERS)],
)
def test_the_api_server_and_our_parser_judge_alike(
    paris: ApiServer, namespace: str, kind: str, good: list[dict[str, Any]], bad: list[dict[str, Any]]
) -> None:
    wrong = []
    for spec, expected in [(s, True) for s in good] + [(s, False) for s in bad]:
        here, there = ours(kind, spec), theirs(paris, kind, spec, namespace)
        if (not here) is not expected or (not there) is not expected:
            wrong.append((spec, expected, here or "taken by us", there or "taken by the API server"))
    assert wrong == []


def test_short_names_columns_and_status(paris: ApiServer, namespace: str) -> None:
    admin = paris.admin
    admin.create(_object("FailoverPolicy", {"targetRefs": [{"name": "ratings"}]}, namespace))
    found = admin.get("FailoverPolicy", "judged", namespace)
    assert found["spec"] == {"targetRefs": [{"kind": "Service", "name": "ratings"}]}
    condition = {
        "type": "Accepted",
        "status": "True",
        "reason": "Accepted",
        "message": "",
        "lastTransitionTime": "2026-11-23T10:00:00Z",
        "observedGeneration": 1,
    }
    admin.patch("FailoverPolicy", "judged", namespace, {"status": {"conditions": [condition]}}, "status")
    after = admin.get("FailoverPolicy", "judged", namespace)
    assert after["status"]["conditions"] == [condition]
    assert after["metadata"]["generation"] == found["metadata"]["generation"], (
        "a status is no change of the spec"
    )
    names = {
        r["name"]: (r.get("shortNames"), r["categories"])
        for r in admin.request("GET", "/apis/tideover.dev/v1alpha1")["resources"]
        if "/" not in r["name"]
    }
    assert names == {"failoverpolicies": (["fop"], ["tideover"]), "trafficorders": (["tro"], ["tideover"])}
    request = urllib.request.Request(
        f"{paris.url}{admin.path('FailoverPolicy', namespace)}",
        headers={"Authorization": f"Bearer {paris.token}", "Accept": TABLE},
    )
    with urllib.request.urlopen(request, context=ssl.create_default_context(cadata=paris.ca_pem)) as said:
        table = json.load(said)  # as `kubectl get` asks
    columns = [column["name"] for column in table["columnDefinitions"]]
    shown = dict(zip(columns, table["rows"][0]["cells"], strict=True))
    assert columns == ["Name", "Targets", "Accepted", "Conflicted", "Programmed", "Age"]
    assert (shown["Name"], shown["Targets"], shown["Accepted"]) == ("judged", "ratings", "True")
