"""CDS: one cluster per service port (and subset), with every default of Tideover written out.

A cluster says how to treat endpoints, never which: those come by EDS under the same name. The
body is the name followed by a template; services with equal settings share the template's bytes,
so 2,000 services cost 2,000 joins and a handful of messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2, outlier_detection_pb2
from envoy.config.core.v3 import address_pb2, protocol_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf.wrappers_pb2 import UInt32Value

from tideover_core.model import Protocol
from tideover_core.policy import ConnectionPool, LoadBalancing, Outlier, Retry, Settings, TcpKeepalive
from tideover_wire.resource import Resource, TypeUrl

from .fields import dump, resource, text
from .messages import ads, seconds

UNLIMITED = 2**32 - 1
CONNECT_TIMEOUT_S = 1.0
PANIC_PERCENT = 1
# what backends say of themselves (ORCA) comes with load reports; `*` alone would be nothing
BACKEND_METRICS = ("cpu_utilization", "mem_utilization", "application_utilization", "named_metrics.*")
HTTP2_PING_EVERY_S, HTTP2_PING_TIMEOUT_S = 5.0, 2.0
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

_POLICIES = {
    LoadBalancing.LEAST_REQUEST: cluster_pb2.Cluster.LEAST_REQUEST,
    LoadBalancing.ROUND_ROBIN: cluster_pb2.Cluster.ROUND_ROBIN,
    LoadBalancing.RANDOM: cluster_pb2.Cluster.RANDOM,
}


@dataclass(frozen=True, slots=True)
class Treatment:
    """All that a cluster's template reads: equal treatments share their bytes."""

    protocol: Protocol
    load_balancing: LoadBalancing
    outlier: Outlier
    pool: ConnectionPool
    retry: Retry
    proxyless: bool


def cluster(name: str, protocol: Protocol, settings: Settings, *, proxyless: bool) -> Resource:
    """The CDS resource of one service port. `settings` are resolved; None means the default."""
    # gRPC itself has no least request; its servers balance long streams, where turns are fairer
    turns = proxyless or protocol is Protocol.GRPC
    default = LoadBalancing.ROUND_ROBIN if turns else LoadBalancing.LEAST_REQUEST
    chosen = settings.load_balancing or default
    treatment = Treatment(
        protocol,
        LoadBalancing.ROUND_ROBIN if proxyless else chosen,
        settings.outlier or Outlier(),
        settings.connection_pool or ConnectionPool(),
        settings.retry or Retry(),
        proxyless,
    )
    return resource(TypeUrl.CLUSTER, name, text(1, name) + _template(treatment))


@lru_cache(maxsize=1024)
def _template(treatment: Treatment) -> bytes:
    """The cluster without its name. EDS asks by the cluster's name when no service_name is set."""
    return dump(_proxyless(treatment) if treatment.proxyless else _for_envoy(treatment))


def _proxyless(treatment: Treatment) -> cluster_pb2.Cluster:
    message = cluster_pb2.Cluster(type=cluster_pb2.Cluster.EDS, lb_policy=cluster_pb2.Cluster.ROUND_ROBIN)
    message.eds_cluster_config.eds_config.CopyFrom(ads())
    # load reports go to whom the cluster comes from; Envoy's bootstrap says it once for all clusters
    message.lrs_server.self.SetInParent()
    # gRPC reads max_requests only, and its own default of 1024 would refuse calls
    message.circuit_breakers.thresholds.add(
        max_requests=UInt32Value(value=_limit(treatment.pool.max_requests))
    )
    return message


def _for_envoy(treatment: Treatment) -> cluster_pb2.Cluster:
    pool = treatment.pool
    message = cluster_pb2.Cluster(
        type=cluster_pb2.Cluster.EDS,
        connect_timeout=seconds(_connect_timeout_s(pool, treatment.retry)),
        lb_policy=_POLICIES[treatment.load_balancing],
        # a removed host that passes checks would keep its traffic, and can crash Envoy
        ignore_health_on_host_removal=True,
        circuit_breakers=_breakers(pool, treatment.retry),
        outlier_detection=_outlier(treatment.outlier),
        upstream_connection_options=cluster_pb2.UpstreamConnectionOptions(
            tcp_keepalive=_keepalive(pool.tcp_keepalive or TcpKeepalive())
        ),
    )
    # Envoy's own 15 s of waiting stay: a new Envoy is not ready before its endpoints came, however busy
    # we are, and a changed cluster serves with the old ones until the new came (with 1 s as well)
    message.eds_cluster_config.eds_config.CopyFrom(ads())
    if treatment.protocol.is_http:
        message.lrs_report_endpoint_metrics.extend(BACKEND_METRICS)
    common = message.common_lb_config
    common.locality_weighted_lb_config.SetInParent()
    # Envoy's own 50 % sends most calls to dead hosts when two priorities are both weak. Istio
    # means this threshold by minHealthPercent
    common.healthy_panic_threshold.CopyFrom(
        percent_pb2.Percent(value=max(PANIC_PERCENT, treatment.outlier.min_health_percent))
    )
    # the default of 1 s delays ejections that Envoy itself decides: 1557 errors instead of 6
    common.update_merge_window.SetInParent()
    if treatment.protocol.is_http:
        options = _http_options(treatment.protocol, pool)
        message.typed_extension_protocol_options[_HTTP_OPTIONS].Pack(options, deterministic=True)
    return message


def _breakers(pool: ConnectionPool, retry: Retry) -> circuit_breaker_pb2.CircuitBreakers:
    limits = circuit_breaker_pb2.CircuitBreakers.Thresholds(
        max_connections=UInt32Value(value=_limit(pool.max_connections)),
        max_pending_requests=UInt32Value(value=_limit(pool.max_pending_requests)),
        max_requests=UInt32Value(value=_limit(pool.max_requests)),
    )
    # Envoy's default of 3 concurrent retries hid most of them; a budget overrides max_retries
    if pool.max_retries is not None:
        limits.max_retries.value = pool.max_retries
    else:
        limits.retry_budget.budget_percent.value = retry.budget_percent
        limits.retry_budget.min_retry_concurrency.value = retry.min_concurrent
    return circuit_breaker_pb2.CircuitBreakers(thresholds=[limits])


def _outlier(outlier: Outlier) -> outlier_detection_pb2.OutlierDetection:
    """Envoy's defaults look at plain 500s and success rates: each signal is on or off by name here."""
    message = outlier_detection_pb2.OutlierDetection(
        interval=seconds(outlier.interval_s),
        base_ejection_time=seconds(outlier.base_ejection_s),
        max_ejection_percent=UInt32Value(value=outlier.max_ejection_percent),
        split_external_local_origin_errors=outlier.split_local_origin,
        enforcing_success_rate=UInt32Value(value=0),
        enforcing_local_origin_success_rate=UInt32Value(value=0),
        enforcing_consecutive_5xx=_enforced(outlier.consecutive_5xx),
        enforcing_consecutive_gateway_failure=_enforced(outlier.consecutive_gateway_errors),
        enforcing_consecutive_local_origin_failure=_enforced(outlier.consecutive_local_origin_errors),
    )
    if outlier.consecutive_5xx:
        message.consecutive_5xx.value = outlier.consecutive_5xx
    if outlier.consecutive_gateway_errors:
        message.consecutive_gateway_failure.value = outlier.consecutive_gateway_errors
    if outlier.consecutive_local_origin_errors:
        message.consecutive_local_origin_failure.value = outlier.consecutive_local_origin_errors
    return message


def _enforced(count: int | None) -> UInt32Value:
    return UInt32Value(value=100 if count else 0)


def _http_options(protocol: Protocol, pool: ConnectionPool) -> http_protocol_options_pb2.HttpProtocolOptions:
    options = http_protocol_options_pb2.HttpProtocolOptions()
    common = options.common_http_protocol_options
    if pool.idle_timeout_s is not None:
        common.idle_timeout.CopyFrom(seconds(pool.idle_timeout_s))
    if pool.max_connection_duration_s is not None:
        common.max_connection_duration.CopyFrom(seconds(pool.max_connection_duration_s))
    if pool.max_requests_per_connection:
        common.max_requests_per_connection.value = pool.max_requests_per_connection
    if protocol is Protocol.HTTP and not pool.http2_upgrade:
        options.explicit_http_config.http_protocol_options.SetInParent()
        return options
    http2 = options.explicit_http_config.http2_protocol_options
    http2.connection_keepalive.CopyFrom(
        protocol_pb2.KeepaliveSettings(
            interval=seconds(HTTP2_PING_EVERY_S), timeout=seconds(HTTP2_PING_TIMEOUT_S)
        )
    )
    if pool.max_concurrent_streams:
        http2.max_concurrent_streams.value = pool.max_concurrent_streams
    return options


def _keepalive(keepalive: TcpKeepalive) -> address_pb2.TcpKeepalive:
    return address_pb2.TcpKeepalive(
        keepalive_probes=UInt32Value(value=keepalive.probes),
        keepalive_time=UInt32Value(value=max(1, round(keepalive.time_s))),
        keepalive_interval=UInt32Value(value=max(1, round(keepalive.interval_s))),
    )


def _limit(value: int | None) -> int:
    return UNLIMITED if value is None else value


def _connect_timeout_s(pool: ConnectionPool, retry: Retry) -> float:
    """Well below the time of one try: a try that ends while connecting is no failure of its host to Envoy."""
    if pool.connect_timeout_s is not None:
        return pool.connect_timeout_s
    if retry.per_try_timeout_s is not None:
        return min(CONNECT_TIMEOUT_S, retry.per_try_timeout_s / 2)
    return CONNECT_TIMEOUT_S
