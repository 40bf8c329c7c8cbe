"""CDS, read by an independent decoder: every default of interfaces.md is in the bytes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType, ClusterLbPolicy
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import HttpProtocolOptions

from tideover_core.model import Protocol
from tideover_core.policy import ConnectionPool, LoadBalancing, Outlier, Retry, Settings, TcpKeepalive
from tideover_wire.resource import TypeUrl
from tideover_xds.resources.cluster import cluster

NAME = "bookinfo/ratings:9080"
UNLIMITED = 2**32 - 1
HTTP = [Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC]


def read(
    protocol: Protocol = Protocol.HTTP, settings: Settings | None = None, *, proxyless: bool = False
) -> Any:
    return Cluster.parse(cluster(NAME, protocol, settings or Settings(), proxyless=proxyless).body)


def http_options(message: Any) -> Any:
    packed = message.typed_extension_protocol_options[
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    ]
    assert packed.type_url.endswith("HttpProtocolOptions")
    return HttpProtocolOptions.parse(packed.value)


@pytest.mark.parametrize("protocol", list(Protocol))
def test_every_cluster_takes_its_endpoints_from_the_same_stream(protocol: Protocol) -> None:
    message = read(protocol)
    assert (message.name, message.type) == (NAME, ClusterDiscoveryType.EDS)
    assert message.eds_cluster_config.eds_config.ads is not None
    assert message.eds_cluster_config.service_name == ""


@pytest.mark.parametrize("protocol", list(Protocol))
def test_health_found_by_envoy_counts_at_once_and_a_removed_host_is_gone(protocol: Protocol) -> None:
    message = read(protocol)
    assert message.common_lb_config.update_merge_window == timedelta(0)
    assert message.common_lb_config.locality_weighted_lb_config is not None
    assert message.ignore_health_on_host_removal


@pytest.mark.parametrize("protocol", list(Protocol))
def test_panic_only_below_one_percent(protocol: Protocol) -> None:
    assert read(protocol).common_lb_config.healthy_panic_threshold.value == 1


def test_min_health_percent_is_the_panic_threshold_as_in_istio() -> None:
    message = read(settings=Settings(outlier=Outlier(min_health_percent=30)))
    assert message.common_lb_config.healthy_panic_threshold.value == 30


@pytest.mark.parametrize("protocol", list(Protocol))
def test_connecting_takes_a_second_at_most_and_silent_peers_are_noticed(protocol: Protocol) -> None:
    message = read(protocol)
    assert message.connect_timeout == timedelta(seconds=1)
    keepalive = message.upstream_connection_options.tcp_keepalive
    assert (keepalive.keepalive_time, keepalive.keepalive_probes, keepalive.keepalive_interval) == (10, 3, 3)


@pytest.mark.parametrize("protocol", [Protocol.HTTP2, Protocol.GRPC])
def test_http2_pings_silent_peers(protocol: Protocol) -> None:
    keepalive = http_options(read(protocol)).explicit_http_config.http2_protocol_options.connection_keepalive
    assert (keepalive.interval, keepalive.timeout) == (timedelta(seconds=5), timedelta(seconds=2))


def test_http_is_http1_and_tcp_has_no_http_at_all() -> None:
    assert http_options(read()).explicit_http_config.http_protocol_options is not None
    for protocol in (Protocol.TCP, Protocol.TLS):
        assert read(protocol).typed_extension_protocol_options == {}


def test_h2_upgrade_policy_makes_http_http2() -> None:
    message = read(settings=Settings(connection_pool=ConnectionPool(http2_upgrade=True)))
    assert http_options(message).explicit_http_config.http2_protocol_options is not None


@pytest.mark.parametrize(
    ("said_s", "per_try_s", "connect_s"),
    [(None, None, 1), (None, 10, 1), (None, 0.5, 0.25), (0.1, 0.5, 0.1), (3, None, 3)],
)
def test_connecting_is_given_up_before_a_try_is(
    said_s: float | None, per_try_s: float | None, connect_s: float
) -> None:
    settings = Settings(
        connection_pool=ConnectionPool(connect_timeout_s=said_s), retry=Retry(per_try_timeout_s=per_try_s)
    )
    assert read(settings=settings).connect_timeout == timedelta(seconds=connect_s)


def test_breakers_are_off_and_retries_have_a_budget() -> None:
    (limits,) = read().circuit_breakers.thresholds
    assert (limits.max_connections, limits.max_pending_requests, limits.max_requests) == (UNLIMITED,) * 3
    assert limits.max_retries is None
    assert limits.retry_budget.budget_percent.value == 20
    assert limits.retry_budget.min_retry_concurrency == 1000


def test_a_policy_sets_the_retry_budget() -> None:
    (limits,) = read(
        settings=Settings(retry=Retry(budget_percent=50, min_concurrent=7))
    ).circuit_breakers.thresholds
    assert (limits.retry_budget.budget_percent.value, limits.retry_budget.min_retry_concurrency) == (50, 7)


def test_a_connection_pool_says_otherwise_on_every_count() -> None:
    pool = ConnectionPool(
        max_connections=1, max_pending_requests=2, max_requests=3, max_retries=4,
        max_requests_per_connection=5, connect_timeout_s=0.25, idle_timeout_s=60,
        max_connection_duration_s=600, tcp_keepalive=TcpKeepalive(1, 2, 4),
    )  # fmt: skip
    message = read(settings=Settings(connection_pool=pool))
    (limits,) = message.circuit_breakers.thresholds
    assert (limits.max_connections, limits.max_pending_requests) == (1, 2)
    assert (limits.max_requests, limits.max_retries, limits.retry_budget) == (3, 4, None)
    assert message.connect_timeout == timedelta(milliseconds=250)
    common = http_options(message).common_http_protocol_options
    assert common.idle_timeout == timedelta(seconds=60)
    assert common.max_connection_duration == timedelta(seconds=600)
    assert common.max_requests_per_connection == 5
    keepalive = message.upstream_connection_options.tcp_keepalive
    assert (keepalive.keepalive_time, keepalive.keepalive_interval, keepalive.keepalive_probes) == (1, 2, 4)


def test_a_limit_on_streams_of_a_connection() -> None:
    pool = ConnectionPool(max_concurrent_streams=9)
    options = http_options(read(Protocol.GRPC, Settings(connection_pool=pool)))
    assert options.explicit_http_config.http2_protocol_options.max_concurrent_streams == 9


@pytest.mark.parametrize(
    ("protocol", "policy"),
    [
        (Protocol.HTTP, ClusterLbPolicy.LEAST_REQUEST),
        (Protocol.HTTP2, ClusterLbPolicy.LEAST_REQUEST),
        (Protocol.TCP, ClusterLbPolicy.LEAST_REQUEST),
        (Protocol.GRPC, ClusterLbPolicy.ROUND_ROBIN),
    ],
)
def test_least_request_and_round_robin_for_grpc(protocol: Protocol, policy: ClusterLbPolicy) -> None:
    assert read(protocol).lb_policy == policy


def test_a_policy_chooses_the_load_balancing() -> None:
    assert read(settings=Settings(load_balancing=LoadBalancing.RANDOM)).lb_policy == ClusterLbPolicy.RANDOM


@pytest.mark.parametrize("protocol", list(Protocol))
def test_outlier_detection_is_on_for_gateway_and_local_errors_only(protocol: Protocol) -> None:
    outlier = read(protocol).outlier_detection
    assert (outlier.interval, outlier.base_ejection_time) == (timedelta(seconds=1), timedelta(seconds=30))
    assert outlier.max_ejection_percent == 100
    assert outlier.split_external_local_origin_errors
    assert (outlier.consecutive_gateway_failure, outlier.enforcing_consecutive_gateway_failure) == (5, 100)
    assert outlier.consecutive_local_origin_failure == 5
    assert outlier.enforcing_consecutive_local_origin_failure == 100
    assert outlier.enforcing_consecutive_5xx == 0
    assert (outlier.enforcing_success_rate, outlier.enforcing_local_origin_success_rate) == (0, 0)


def test_plain_errors_count_when_a_policy_says_so() -> None:
    said = Outlier(consecutive_5xx=3, consecutive_gateway_errors=None, max_ejection_percent=20)
    outlier = read(settings=Settings(outlier=said)).outlier_detection
    assert (outlier.consecutive_5xx, outlier.enforcing_consecutive_5xx) == (3, 100)
    assert outlier.enforcing_consecutive_gateway_failure == 0
    assert outlier.max_ejection_percent == 20


def test_a_proxyless_client_gets_what_grpc_reads_and_no_more() -> None:
    message = read(Protocol.GRPC, proxyless=True)
    assert (message.type, message.lb_policy) == (ClusterDiscoveryType.EDS, ClusterLbPolicy.ROUND_ROBIN)
    assert message.eds_cluster_config.eds_config.ads is not None
    assert message.circuit_breakers.thresholds[0].max_requests == UNLIMITED
    assert message.outlier_detection is None
    assert message.typed_extension_protocol_options == {}


def test_equal_settings_share_their_version_and_different_names_do_not() -> None:
    one = cluster(NAME, Protocol.HTTP, Settings(), proxyless=False)
    again = cluster(NAME, Protocol.HTTP, Settings(retry=Retry()), proxyless=False)
    other = cluster("bookinfo/ratings:9081", Protocol.HTTP, Settings(), proxyless=False)
    assert (one.version, one.body) == (again.version, again.body)
    assert one.version != other.version


def test_the_envelopes_hold_the_same_body() -> None:
    from envoy_data_plane.envoy.service.discovery.v3 import Resource
    from envoy_data_plane.google.protobuf import Any as AnyMessage

    one = cluster(NAME, Protocol.HTTP, Settings(), proxyless=False)
    packed = AnyMessage.parse(one.any_bytes)
    wrapped = Resource.parse(one.wrapped)
    assert (packed.type_url, packed.value) == (TypeUrl.CLUSTER, one.body)
    assert (wrapped.name, wrapped.version) == (NAME, one.version)
    assert (wrapped.resource.type_url, wrapped.resource.value) == (TypeUrl.CLUSTER, one.body)


def test_load_reports_are_asked_for_and_cannot_kill_envoy() -> None:
    """With active checks an endpoint that is removed while it fails kills Envoy at the next load report."""
    for protocol in Protocol:
        message = read(protocol)
        assert message.health_checks == []
        assert message.ignore_health_on_host_removal
        assert ("named_metrics.*" in message.lrs_report_endpoint_metrics) is protocol.is_http
        assert message.lrs_server is None  # the bootstrap says it for all clusters
    assert read(Protocol.GRPC, proxyless=True).lrs_server.self is not None
