"""Tideover's own policy: every field, and errors that name the field."""

from __future__ import annotations

from typing import Any

import pytest

from tideover_core.model import ServiceKey
from tideover_core.policy import (
    ActiveCheck,
    Capacity,
    CheckKind,
    DistributeRule,
    Failback,
    FailoverRule,
    Fill,
    FleetHealth,
    Outlier,
    Place,
    Retry,
    Scope,
    Settings,
    Share,
    Spill,
)
from tideover_discovery.kubernetes.failover_policies import failover_policy
from tideover_discovery.kubernetes.objects import FailoverPolicy, Metadata, Refusal


def policy(**spec: Any) -> FailoverPolicy:
    return FailoverPolicy(Metadata("ratings", "bookinfo", None, None, "2026-01-01T00:00:00Z"), spec=spec)


def settings(**spec: Any) -> Settings:
    return failover_policy(policy(**spec)).settings


EU, NORTH = {"region": "eu-west"}, {"region": "eu-north"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, Settings()),
        ({"near": ["network", "region", "app=x"]}, Settings(near=("network", "region", "app=x"))),
        ({"scope": "Region"}, Settings(scope=Scope.REGION)),
        (
            {"failover": [{"from": EU, "to": [NORTH, {"cluster": "virginia"}]}], "others": False},
            Settings(
                failover=(FailoverRule(Place("eu-west"), (Place("eu-north"), Place(cluster="virginia"))),),
                others=False,
            ),
        ),
        ({"failover": [{"to": [NORTH]}]}, Settings(failover=(FailoverRule(Place(), (Place("eu-north"),)),))),
        (
            {"distribute": [{"from": EU, "to": [{**EU, "percent": 80}, {**NORTH, "percent": 20}]}]},
            Settings(
                distribute=(
                    DistributeRule(
                        Place("eu-west"), (Share(Place("eu-west"), 80), Share(Place("eu-north"), 20))
                    ),
                )
            ),
        ),
        ({"spill": {"belowHealthyPercent": 70}}, Settings(spill=Spill(70, 0))),
        ({"spill": {"minHealthyEndpoints": 2}}, Settings(spill=Spill(None, 2))),
        (
            {
                "outlier": {
                    "consecutiveErrors": 7,
                    "interval": "500ms",
                    "baseEjection": "1m",
                    "maxEjectionPercent": 50,
                }
            },
            Settings(outlier=Outlier(7, 7, None, True, 0.5, 60, 50)),
        ),
        ({"outlier": {"consecutiveErrors": 0}}, Settings(outlier=Outlier(None, None))),
        (
            {
                "retry": {
                    "attempts": 1,
                    "budgetPercent": 10,
                    "minConcurrent": 5,
                    "idempotent": True,
                    "perTryTimeout": "2s",
                }
            },
            Settings(retry=Retry(1, 10, 5, True, 2)),
        ),
        ({"retry": {}}, Settings(retry=Retry())),
        ({"budget": {"maxDrainedPercent": 50}}, Settings(max_drained_percent=50)),
        ({"budget": {"maxDrainedPercent": 0}}, Settings(max_drained_percent=0)),
        ({"fleetHealth": {}}, Settings(fleet_health=FleetHealth())),
        (
            {
                "fleetHealth": {
                    "unhealthyAboveErrorPercent": 40,
                    "healthyBelowErrorPercent": 40,
                    "window": "2s",
                    "minRequests": 5,
                    "minReporters": 2,
                }
            },
            Settings(fleet_health=FleetHealth(40, 40, 2, 5, 2)),
        ),
        (
            {"activeCheck": {"http": {"path": "/healthz"}, "interval": "2s", "timeout": "2s"}},
            Settings(active_check=ActiveCheck(CheckKind.HTTP, "/healthz", interval_s=2, timeout_s=2)),
        ),
        ({"activeCheck": {"tcp": {}}}, Settings(active_check=ActiveCheck(CheckKind.TCP))),
        (
            {"activeCheck": {"grpc": {"service": "a.B"}, "unhealthyThreshold": 3, "healthyThreshold": 4}},
            Settings(
                active_check=ActiveCheck(
                    CheckKind.GRPC, service="a.B", unhealthy_threshold=3, healthy_threshold=4
                )
            ),
        ),
        ({"failback": {}}, Settings(failback=Failback())),
        (
            {
                "failback": {
                    "holdDown": "1s",
                    "steps": [10, 100],
                    "stepEvery": "500ms",
                    "abortAboveErrorPercent": 1,
                }
            },
            Settings(failback=Failback(1, (10.0, 100.0), 0.5, 1)),
        ),
        ({"capacity": {}}, Settings(capacity=Capacity())),
        (
            {"capacity": {"targetUtilizationPercent": 80}},
            Settings(capacity=Capacity(target_utilization_percent=80)),
        ),
        (
            {"capacity": {"requestsPerSecondPerEndpoint": 100, "mode": "SprayInRegion"}},
            Settings(capacity=Capacity(100, Fill.SPRAY_IN_REGION)),
        ),
    ],
)
def test_fields(spec: dict[str, Any], expected: Settings) -> None:
    assert settings(**spec) == expected


def test_targets_are_services_of_its_own_namespace() -> None:
    found = failover_policy(policy(targetRefs=[{"kind": "Service", "name": "ratings"}, {"name": "x"}]))
    assert found.targets == (ServiceKey("bookinfo", "ratings"), ServiceKey("bookinfo", "x"))
    assert (str(found), found.created) == ("FailoverPolicy bookinfo/ratings", "2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"nearr": []}, "spec.nearr is unknown"),
        ({"spill": {"below": 1}}, "spec.spill.below is unknown"),
        (
            {"failover": [{"from": {"regoin": "x"}, "to": [NORTH]}]},
            r"spec.failover\[0\].from.regoin is unknown",
        ),
        ({"scope": "Moon"}, "spec.scope"),
        (
            {"distribute": [{"to": [{**EU, "percent": 80}]}]},
            r"spec.distribute\[0\].to: adds up to 80 %, not 100 %",
        ),
        ({"distribute": [{"to": [{**EU, "percent": 180}]}]}, "percent"),
        ({"distribute": [{"to": []}]}, r"spec.distribute\[0\].to"),
        ({"spill": {"belowHealthyPercent": 0}}, "belowHealthyPercent"),
        ({"outlier": {"interval": "5"}}, "spec.outlier.interval: '5' is no duration"),
        ({"outlier": {"interval": "0s"}}, "spec.outlier.interval"),
        ({"outlier": {"interval": 5}}, "spec.outlier.interval: 5 is no duration"),
        ({"retry": {"attempts": "2"}}, "spec.retry.attempts"),
        ({"retry": {"idempotent": "yes"}}, "spec.retry.idempotent"),
        ({"others": "no"}, "spec.others"),
        ({"targetRefs": [{"kind": "Pod", "name": "x"}]}, r"spec.targetRefs\[0\].kind"),
        ({"targetRefs": [{"name": ""}]}, r"spec.targetRefs\[0\].name"),
        ({"near": "region"}, "spec.near"),
        ({"budget": {}}, "spec.budget.maxDrainedPercent"),
        ({"capacity": {"requestsPerSecondPerEndpoint": float("inf")}}, "requestsPerSecondPerEndpoint"),
        (
            {"fleetHealth": {"unhealthyAboveErrorPercent": 5}},
            r"spec.fleetHealth: healthyBelowErrorPercent \(10\) is above unhealthyAboveErrorPercent \(5\)",
        ),
        ({"activeCheck": {}}, "spec.activeCheck: name exactly one of http, tcp and grpc"),
        ({"activeCheck": {"tcp": {}, "http": {"path": "/"}}}, "spec.activeCheck: name exactly one"),
        (
            {"activeCheck": {"tcp": {}, "timeout": "2s"}},
            r"spec.activeCheck: timeout \(2s\) is longer than interval \(1s\)",
        ),
        ({"activeCheck": {"http": {"path": "/x HTTP/1.1\r\nHost: y"}}}, "spec.activeCheck.http.path"),
        ({"failback": {"steps": [5, 5, 100]}}, "spec.failback.steps: each step is higher"),
        ({"activeCheck": {"http": {"path": "healthz"}}}, "spec.activeCheck.http.path"),
    ],
)
def test_an_error_names_the_field(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(Refusal, match=words):
        failover_policy(policy(**spec))
