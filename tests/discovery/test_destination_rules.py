"""Istio's DestinationRule: what it means here, and that nothing in it is skipped in silence."""

from __future__ import annotations

from typing import Any

import pytest

from tideover_core.policy import (
    ConnectionPool,
    DestinationRule,
    DistributeRule,
    FailoverRule,
    LoadBalancing,
    Outlier,
    Place,
    Settings,
    Share,
    Subset,
    TcpKeepalive,
)
from tideover_discovery.kubernetes import objects
from tideover_discovery.kubernetes.destination_rules import destination_rule
from tideover_discovery.kubernetes.objects import Metadata, Refusal


def rule(spec: dict[str, Any]) -> tuple[DestinationRule, tuple[str, ...]]:
    whole = {"host": "ratings", **spec}
    return destination_rule(objects.DestinationRule(Metadata("ratings", "bookinfo"), spec=whole))


def settings(policy: dict[str, Any]) -> Settings:
    found, unsupported = rule({"trafficPolicy": policy})
    assert unsupported == ()
    return found.settings


def localities(setting: dict[str, Any]) -> Settings:
    return settings({"loadBalancer": {"localityLbSetting": setting}})


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("ratings", "ratings.bookinfo.svc.cluster.local"),
        ("ratings.other.svc.cluster.local", "ratings.other.svc.cluster.local"),
        ("Ratings.Other.svc.cluster.local.", "ratings.other.svc.cluster.local"),
        ("ratings.other.svc.clusterset.local", "ratings.other.svc.clusterset.local"),
        ("*.other.svc.cluster.local", "*.other.svc.cluster.local"),
        ("*.local", "*.local"),
        ("*", "*"),
    ],
)
def test_hosts(host: str, expected: str) -> None:
    found, unsupported = rule({"host": host})
    assert (found.host, unsupported) == (expected, ())


def test_a_host_that_no_service_can_have_is_said() -> None:
    assert rule({"host": "db.example.com"})[1] == (
        "spec.host db.example.com is no Service of a cluster, so the rule applies to nothing",
    )


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"enabled": False}, Settings(enabled=False)),
        ({"enabled": True}, Settings(enabled=True)),
        (
            {"failover": [{"from": "eu-west", "to": "eu-north"}]},
            Settings(failover=(FailoverRule(Place("eu-west"), (Place("eu-north"),)),)),
        ),
        (
            {
                "failoverPriority": [
                    "topology.istio.io/network",
                    "topology.kubernetes.io/region=us",
                    "version",
                ]
            },
            Settings(near=("topology.istio.io/network", "topology.kubernetes.io/region=us", "version")),
        ),
        (
            {"distribute": [{"from": "eu/a/*", "to": {"eu/a/*": 80, "eu/b/*": 20}}]},
            Settings(
                distribute=(
                    DistributeRule(
                        Place("eu", "a"), (Share(Place("eu", "a"), 80), Share(Place("eu", "b"), 20))
                    ),
                )
            ),
        ),
        (
            {"distribute": [{"from": "*", "to": {"eu/*": 60, "us/a/r": 40}}]},
            Settings(
                distribute=(
                    DistributeRule(Place(), (Share(Place("eu"), 60), Share(Place("us", "a", "r"), 40))),
                )
            ),
        ),
    ],
)
def test_locality_settings(setting: dict[str, Any], expected: Settings) -> None:
    assert localities(setting) == expected


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (
            {"distribute": [{"from": "eu/*", "to": {"eu/*": 80, "us/*": 10}}]},
            r"distribute\[0\].to adds up to 90 %",
        ),
        ({"distribute": [{"from": "eu/*", "to": {}}]}, "adds up to 0 %"),
        ({"distribute": [{"from": "eu/*", "to": {"eu/*": 120, "us/*": -20}}]}, "not between 1 and 100"),
        ({"distribute": [{"from": "eu/*", "to": {"eu/*": 100, "us/*": 0}}]}, "not between 1 and 100"),
        ({"distribute": [{"from": "eu/*", "to": {"eu/*": "100"}}]}, "not a whole number"),
        ({"distribute": [{"from": "eu/*", "to": {"eu/*": 100, "us/*": None}}]}, r"to.us/\* is missing"),
        ({"distribute": [{"from": "eu/*", "to": {"eu/*": 50, "eu/a/*": 50}}]}, "overlaps"),
        (
            {"distribute": [{"from": "eu/*", "to": {"eu/*": 100}}, {"from": "eu/a/*", "to": {"us/*": 100}}]},
            "overlaps",
        ),
        ({"distribute": [{"from": "*/a", "to": {"eu/*": 100}}]}, "no locality"),
        ({"distribute": [{"from": "a/b/c/d", "to": {"eu/*": 100}}]}, "no locality"),
        ({"distribute": [{"to": {"eu/*": 100}}]}, "from is missing"),
        ({"failover": [{"from": "eu"}]}, "to is missing"),
        ({"failover": [{"from": "eu", "to": "eu"}]}, "fails over from"),
        ({"failover": [{"from": "eu/a", "to": "us"}]}, "from region to region"),
        ({"failover": "eu"}, "not a list"),
        ({"failover": ["eu"]}, "no mapping"),
        ({"enabled": "no"}, "not true or false"),
        ({"failoverPriority": [1]}, "not a list of texts"),
    ],
)
def test_a_locality_setting_that_makes_no_sense_refuses_the_rule(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(Refusal, match=words):
        localities(setting)


@pytest.mark.parametrize(
    ("simple", "expected"),
    [
        ("LEAST_REQUEST", LoadBalancing.LEAST_REQUEST),
        ("LEAST_CONN", LoadBalancing.LEAST_REQUEST),
        ("ROUND_ROBIN", LoadBalancing.ROUND_ROBIN),
        ("RANDOM", LoadBalancing.RANDOM),
        ("UNSPECIFIED", None),
    ],
)
def test_simple_load_balancing(simple: str, expected: LoadBalancing | None) -> None:
    assert settings({"loadBalancer": {"simple": simple}}).load_balancing == expected


@pytest.mark.parametrize(
    ("outlier", "expected"),
    [
        # what is not said is Envoy's default, as in Istio
        ({}, Outlier(None, None, 5, False, 10, 30, 10, 0)),
        (
            {
                "consecutive5xxErrors": 0,
                "consecutiveGatewayErrors": 3,
                "splitExternalLocalOriginErrors": True,
                "consecutiveLocalOriginFailures": 2,
                "interval": "1s",
                "baseEjectionTime": "2m",
                "maxEjectionPercent": 100,
                "minHealthPercent": 30,
            },
            Outlier(3, 2, None, True, 1, 120, 100, 30),
        ),
        ({"splitExternalLocalOriginErrors": True}, Outlier(None, 5, 5, True, 10, 30, 10, 0)),
        ({"consecutiveLocalOriginFailures": 2}, Outlier(None, None, 5, False, 10, 30, 10, 0)),
    ],
)
def test_outlier_detection(outlier: dict[str, Any], expected: Outlier) -> None:
    assert settings({"outlierDetection": outlier}).outlier == expected


def test_connection_pool() -> None:
    found = settings(
        {
            "connectionPool": {
                "tcp": {
                    "maxConnections": 10,
                    "connectTimeout": "30ms",
                    "maxConnectionDuration": "1h",
                    "tcpKeepalive": {"time": "7200s", "interval": "75s", "probes": 9},
                },
                "http": {
                    "http1MaxPendingRequests": 1,
                    "http2MaxRequests": 2,
                    "maxRequestsPerConnection": 3,
                    "maxRetries": 4,
                    "maxConcurrentStreams": 5,
                    "idleTimeout": "1m",
                    "h2UpgradePolicy": "UPGRADE",
                },
            }
        }
    )
    assert found.connection_pool == ConnectionPool(
        max_connections=10,
        max_pending_requests=1,
        max_requests=2,
        max_retries=4,
        max_requests_per_connection=3,
        max_concurrent_streams=5,
        connect_timeout_s=pytest.approx(0.03),
        idle_timeout_s=60,
        max_connection_duration_s=3600,
        tcp_keepalive=TcpKeepalive(7200, 75, 9),
        http2_upgrade=True,
    )


def test_ports_and_subsets_have_their_own_settings() -> None:
    by_port = [{"port": {"number": 80}, "outlierDetection": {}}]
    found, unsupported = rule(
        {
            "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}, "portLevelSettings": by_port},
            "subsets": [
                {"name": "v1", "labels": {"version": "v1"}},
                {
                    "name": "v2",
                    "labels": {"version": "v2"},
                    "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}, "portLevelSettings": by_port},
                },
            ],
        }
    )
    assert unsupported == ()
    port = Settings(outlier=Outlier(None, None, 5, False, 10, 30, 10, 0))
    random = Settings(load_balancing=LoadBalancing.RANDOM)
    assert (found.settings, found.port_settings) == (random, {80: port})
    assert found.subsets == (
        Subset("v1", {"version": "v1"}),
        Subset("v2", {"version": "v2"}, random, {80: port}),
    )


def test_export_to_and_workload_selector() -> None:
    found, unsupported = rule({"exportTo": [".", "other"], "workloadSelector": {"matchLabels": {"app": "x"}}})
    assert (found.export_to, found.workload_selector, unsupported) == ((".", "other"), {"app": "x"}, ())
    assert rule({})[0].export_to == ("*",)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"surprise": 1}, "spec.surprise"),
        ({"trafficPolicy": {"tunnel": {"protocol": "CONNECT"}}}, "spec.trafficPolicy.tunnel"),
        ({"trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}}, "spec.trafficPolicy.tls"),
        ({"trafficPolicy": {"proxyProtocol": {}}}, "spec.trafficPolicy.proxyProtocol"),
        ({"trafficPolicy": {"retryBudget": {"percent": 20}}}, "spec.trafficPolicy.retryBudget"),
        (
            {"trafficPolicy": {"loadBalancer": {"simple": "PASSTHROUGH"}}},
            "spec.trafficPolicy.loadBalancer.simple",
        ),
        (
            {"trafficPolicy": {"loadBalancer": {"consistentHash": {"httpHeaderName": "x"}}}},
            "spec.trafficPolicy.loadBalancer.consistentHash",
        ),
        (
            {"trafficPolicy": {"loadBalancer": {"warmup": {"duration": "1s"}}}},
            "spec.trafficPolicy.loadBalancer.warmup",
        ),
        (
            {"trafficPolicy": {"loadBalancer": {"localityLbSetting": {"odd": 1}}}},
            "spec.trafficPolicy.loadBalancer.localityLbSetting.odd",
        ),
        (
            {"trafficPolicy": {"outlierDetection": {"consecutiveErrors": 5}}},
            "spec.trafficPolicy.outlierDetection.consecutiveErrors",
        ),
        (
            {"trafficPolicy": {"connectionPool": {"tcp": {"idleTimeout": "1s"}}}},
            "spec.trafficPolicy.connectionPool.tcp.idleTimeout",
        ),
        (
            {"trafficPolicy": {"connectionPool": {"http": {"useClientProtocol": True}}}},
            "spec.trafficPolicy.connectionPool.http.useClientProtocol",
        ),
        (
            {"trafficPolicy": {"portLevelSettings": [{"port": {"number": 80}, "tls": {"mode": "SIMPLE"}}]}},
            "spec.trafficPolicy.portLevelSettings[0].tls",
        ),
        ({"subsets": [{"name": "a", "labels": {}, "odd": 1}]}, "spec.subsets[0].odd"),
        ({"workloadSelector": {"matchExpressions": []}}, "spec.workloadSelector.matchExpressions"),
    ],
)
def test_a_field_that_is_not_supported_is_named_and_the_rest_applies(
    spec: dict[str, Any], field: str
) -> None:
    found, unsupported = rule(spec)
    assert found.host == "ratings.bookinfo.svc.cluster.local"
    assert [text.split(" ")[0] for text in unsupported] == [field]


def test_plaintext_is_what_disabled_tls_means() -> None:
    assert settings({"tls": {"mode": "DISABLE"}}) == Settings()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"host": ""}, "spec.host is missing"),
        ({"host": None}, "spec.host is missing"),
        ({"host": 7}, "spec.host is 7, not text"),
        ({"host": "a*.b"}, "wildcard"),
        ({"subsets": [{"labels": {}}]}, r"spec.subsets\[0\].name is missing"),
        ({"subsets": [{"name": "a", "labels": {"version": 1}}]}, "put it in quotes"),
        ({"trafficPolicy": {"portLevelSettings": [{}]}}, "port.number is missing"),
        ({"trafficPolicy": {"portLevelSettings": [{"port": {"number": 0}}]}}, "between 1 and 65535"),
        ({"trafficPolicy": {"portLevelSettings": [{"port": {"number": 1}}] * 2}}, "occurs twice"),
        (
            {"trafficPolicy": {"outlierDetection": {"interval": "5"}}},
            "outlierDetection.interval '5' is no duration",
        ),
        ({"trafficPolicy": {"outlierDetection": {"maxEjectionPercent": 101}}}, "not between 0 and 100"),
        ({"trafficPolicy": {"outlierDetection": {"consecutive5xxErrors": True}}}, "not a whole number"),
        ({"trafficPolicy": {"connectionPool": {"http": {"h2UpgradePolicy": "X"}}}}, "h2UpgradePolicy"),
        ({"trafficPolicy": []}, "not a mapping"),
        # what an Envoy would refuse, or could not connect with
        ({"subsets": [{"name": "a.b#c", "labels": {}}]}, r"spec.subsets\[0\].name is 'a.b#c'"),
        ({"trafficPolicy": {"outlierDetection": {"interval": "0s"}}}, "interval is 0s, not between 0.001s"),
        ({"trafficPolicy": {"outlierDetection": {"baseEjectionTime": "0s"}}}, "baseEjectionTime is 0s"),
        ({"trafficPolicy": {"connectionPool": {"tcp": {"connectTimeout": "0s"}}}}, "connectTimeout is 0s"),
        ({"trafficPolicy": {"connectionPool": {"tcp": {"tcpKeepalive": {"time": "10h"}}}}}, "1s and 32767s"),
        ({"trafficPolicy": {"connectionPool": {"tcp": {"tcpKeepalive": {"interval": "1ms"}}}}}, "1s and"),
        ({"trafficPolicy": {"connectionPool": {"tcp": {"tcpKeepalive": {"probes": 200}}}}}, "0 and 127"),
        ({"trafficPolicy": {"connectionPool": {"http": {"maxConcurrentStreams": 2**31}}}}, "not between"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_and_says_which_field(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(Refusal, match=words):
        rule(spec)
