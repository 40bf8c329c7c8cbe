"""Health Discovery Service: what an Envoy is asked to check, and what it says of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from envoy.config.core.v3 import health_check_pb2
from envoy.config.core.v3.base_pb2 import TransportSocket
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.service.health.v3 import hds_pb2
from envoy.type.v3.http_pb2 import CodecClientType
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError

from tideover_core.model import Locality, Protocol
from tideover_core.policy import CheckKind
from tideover_health.active.checks import Target
from tideover_wire.node import Client, read_node

SERVICE, METHOD = "envoy.service.health.v3.HealthDiscoveryService", "StreamHealthCheck"
# a name that no cluster of ours has: Envoy counts both under `cluster.NAME`
_PREFIX = "check/"
MOST_RESULTS = 1000  # of one report; nobody is asked to check as many


class Result(NamedTuple):
    """What one Envoy says of one endpoint."""

    name: str  # wire name
    address: tuple[str, int]
    healthy: bool
    timed_out: bool


def hello(raw: bytes) -> Client | None:
    """Who offers to check; None when the message is none of that kind. ValueError when it is nothing."""
    message = _parse(raw)
    if not message.HasField("health_check_request"):
        return None
    return read_node(message.health_check_request.node)


def results(raw: bytes) -> list[Result]:
    """What a report says; nothing of what is not ours. ValueError when the message is none."""
    clusters = _parse(raw).endpoint_health_response.cluster_endpoints_health
    return list(islice(_results(clusters), MOST_RESULTS))


def specifier(targets: Iterable[Target], report_every_s: float) -> bytes:
    """All that an Envoy is to check from now on; what is not in it any more it checks no more."""
    message = hds_pb2.HealthCheckSpecifier(interval=_duration(report_every_s))
    groups: dict[str, list[Target]] = {}
    for target in targets:
        groups.setdefault(target.name, []).append(target)
    message.cluster_health_checks.extend(_cluster(name, group) for name, group in groups.items())
    raw: bytes = message.SerializeToString(deterministic=True)
    return raw


def _cluster(name: str, targets: Sequence[Target]) -> Any:
    first = targets[0]
    cluster = hds_pb2.ClusterHealthCheck(cluster_name=_PREFIX + name, health_checks=[_check(first)])
    places: dict[Locality, list[Target]] = {}
    for target in targets:
        places.setdefault(target.locality, []).append(target)
    # a place without endpoints would kill Envoy; there is none here, as places come from endpoints
    for place, group in places.items():
        entry = cluster.locality_endpoints.add()
        entry.locality.region, entry.locality.zone = place.region, place.zone
        entry.locality.sub_zone = place.subzone
        for target in group:
            socket = entry.endpoints.add().address.socket_address
            socket.address, socket.port_value = target.address, target.port
    if first.tls and first.check.kind is not CheckKind.TCP:
        context = tls_pb2.UpstreamTlsContext()
        if first.check.kind is CheckKind.GRPC:  # whose servers refuse who does not ask for it
            context.common_tls_context.alpn_protocols.append("h2")
        tls = TransportSocket(name="envoy.transport_sockets.tls")
        tls.typed_config.Pack(context, deterministic=True)
        match = cluster.transport_socket_matches.add(name="tls", transport_socket=tls)
        match.match.SetInParent()
    return cluster


def _check(target: Target) -> Any:
    check = target.check
    message = health_check_pb2.HealthCheck(
        timeout=_duration(check.timeout_s),
        interval=_duration(check.interval_s),
        # endpoints that an Envoy checks for us get no traffic of it: its default is 60 s
        no_traffic_interval=_duration(check.interval_s),
        initial_jitter=_duration(min(check.interval_s, 1.0)),
        interval_jitter_percent=10,
        # a connection of before says nothing of new ones
        reuse_connection={"value": False},
        # the judge counts, as for our own checks
        unhealthy_threshold={"value": 1},
        healthy_threshold={"value": 1},
    )
    match check.kind:
        case CheckKind.TCP:
            message.tcp_health_check.SetInParent()
        case CheckKind.GRPC:
            message.grpc_health_check.service_name = check.service
            message.grpc_health_check.authority = target.host
        case CheckKind.HTTP:
            message.http_health_check.CopyFrom(_http(target))
    return message


def _http(target: Target) -> Any:
    http2 = target.protocol in (Protocol.HTTP2, Protocol.GRPC)
    message = health_check_pb2.HealthCheck.HttpHealthCheck(
        host=target.host,
        path=target.check.path,
        codec_client_type=CodecClientType.HTTP2 if http2 else CodecClientType.HTTP1,
    )
    message.expected_statuses.add(start=200, end=300)
    return message


def _results(clusters: Iterable[Any]) -> Iterator[Result]:
    for cluster in clusters:
        if not cluster.cluster_name.startswith(_PREFIX):
            continue
        name = cluster.cluster_name[len(_PREFIX) :]
        for place in cluster.locality_endpoints_health:
            for said in place.endpoints_health:
                status = said.health_status
                if status in _SAID:
                    socket = said.endpoint.address.socket_address
                    where = (socket.address, socket.port_value)
                    yield Result(name, where, status == _HEALTHY, status == _TIMEOUT)


def _parse(raw: bytes) -> Any:
    try:
        return hds_pb2.HealthCheckRequestOrEndpointHealthResponse.FromString(raw)
    except DecodeError as error:
        raise ValueError(f"not a message of the Health Discovery Service: {error}") from error


def _duration(seconds: float) -> Duration:
    message = Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message


_HEALTHY, _UNHEALTHY, _TIMEOUT = (
    health_check_pb2.HealthStatus.Value(name) for name in ("HEALTHY", "UNHEALTHY", "TIMEOUT")
)
_SAID = (_HEALTHY, _UNHEALTHY, _TIMEOUT)
