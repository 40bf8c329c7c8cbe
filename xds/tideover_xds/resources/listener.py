"""LDS: what a sidecar listens on for its application, and what a proxyless gRPC client resolves."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from envoy.config.core.v3 import base_pb2, protocol_pb2
from envoy.config.listener.v3 import api_listener_pb2, listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from google.protobuf.wrappers_pb2 import UInt32Value

from tideover_core.names import parse_wire_name
from tideover_core.policy import Retry
from tideover_wire.node import Client
from tideover_wire.resource import Resource, TypeUrl

from .fields import dump, resource
from .messages import ads, on_loopback, packed, seconds
from .retry import grpc_retry_policy
from .route import HTTP_ROUTES

HTTP_LISTENER = "outbound/http"
STREAM_IDLE_TIMEOUT_S = 3600.0
# Nothing is sent before a connection stands, so that trying again is safe. But unlike for HTTP, hosts
# that were tried are picked again, and by least request even preferred, until they are ejected after 5
# failures each: hence many tries, and pauses in which an ejection reaches Envoy's worker
CONNECT_ATTEMPTS = 32
CONNECT_PAUSE_S, LONGEST_CONNECT_PAUSE_S = 0.005, 0.02
_LOWEST_PORT = 1024
_HIGHEST_PORT = 65535
_MANAGER = "envoy.filters.network.http_connection_manager"


def with_usable_ports(client: Client) -> Client:
    """The client with those TCP_PORTS that can have a listener; the others become its problems.

    Envoy refuses a listener whose port is taken, and what it refuses stays refused: so the first by
    name wins, whatever the order in the node.
    """
    usable: dict[str, int] = {}
    problems: list[str] = []
    taken = {client.http_port: "the HTTP listener"}
    for name, port in sorted(client.tcp_ports.items()):
        if not _LOWEST_PORT <= port <= _HIGHEST_PORT:
            problems.append(f"TCP_PORTS {name}: {port} is not in {_LOWEST_PORT}-{_HIGHEST_PORT}; no listener")
        elif parse_wire_name(name) is None:
            problems.append(f"TCP_PORTS {name!r} is not NAMESPACE/SERVICE:PORT; no listener")
        elif port in taken:
            problems.append(f"TCP_PORTS {name}: {port} is already used by {taken[port]}; no listener")
        else:
            usable[name] = port
            taken[port] = name
    if not problems:
        return client
    return replace(client, tcp_ports=usable, problems=(*client.problems, *problems))


@lru_cache(maxsize=256)
def http_listener(port: int) -> Resource:
    """The outbound HTTP listener of a sidecar."""
    manager = hcm_pb2.HttpConnectionManager(
        stat_prefix="outbound_http",
        codec_type=hcm_pb2.HttpConnectionManager.AUTO,
        stream_idle_timeout=seconds(STREAM_IDLE_TIMEOUT_S),
        # the server's own Server header reaches the caller
        server_header_transformation=hcm_pb2.HttpConnectionManager.PASS_THROUGH,
        http_protocol_options=protocol_pb2.Http1ProtocolOptions(accept_http_10=True),
        strip_trailing_host_dot=True,
        http_filters=[_router()],
    )
    manager.rds.route_config_name = HTTP_ROUTES
    # 0: no listener without its routes; after a time-out Envoy would answer 404 to everything
    manager.rds.config_source.CopyFrom(ads(initial_fetch_timeout_s=0))
    manager.upgrade_configs.add(upgrade_type="websocket")
    return _listener(HTTP_LISTENER, port, _filter(_MANAGER, manager))


def tcp_listener(name: str, port: int, retry: Retry) -> Resource:
    """The listener of one TCP service port; `name` is its cluster's too."""
    proxy = tcp_proxy_pb2.TcpProxy(
        stat_prefix="outbound_tcp",
        cluster=name,
        idle_timeout=seconds(STREAM_IDLE_TIMEOUT_S),
        max_connect_attempts=UInt32Value(value=CONNECT_ATTEMPTS if retry.attempts > 0 else 1),
    )
    proxy.backoff_options.base_interval.CopyFrom(seconds(CONNECT_PAUSE_S))
    proxy.backoff_options.max_interval.CopyFrom(seconds(LONGEST_CONNECT_PAUSE_S))
    return _listener(name, port, _filter("envoy.filters.network.tcp_proxy", proxy))


def api_listener(name: str, cluster: str, retry: Retry) -> Resource:
    """What a proxyless gRPC client gets for its target `xds:///name`: everything goes to one cluster."""
    action = route_components_pb2.RouteAction(
        cluster=cluster, timeout=seconds(0), retry_policy=grpc_retry_policy(retry)
    )
    route = route_components_pb2.Route(match=route_components_pb2.RouteMatch(prefix=""), route=action)
    host = route_components_pb2.VirtualHost(name=cluster, domains=["*"], routes=[route])
    manager = hcm_pb2.HttpConnectionManager(
        route_config=route_pb2.RouteConfiguration(name=name, virtual_hosts=[host]), http_filters=[_router()]
    )
    message = listener_pb2.Listener(
        name=name, api_listener=api_listener_pb2.ApiListener(api_listener=packed(manager))
    )
    return resource(TypeUrl.LISTENER, name, dump(message))


def _listener(name: str, port: int, network_filter: listener_components_pb2.Filter) -> Resource:
    message = listener_pb2.Listener(
        name=name,
        address=on_loopback(port),
        traffic_direction=base_pb2.TrafficDirection.OUTBOUND,
        filter_chains=[listener_components_pb2.FilterChain(filters=[network_filter])],
    )
    return resource(TypeUrl.LISTENER, name, dump(message))


def _filter(
    name: str, config: hcm_pb2.HttpConnectionManager | tcp_proxy_pb2.TcpProxy
) -> listener_components_pb2.Filter:
    return listener_components_pb2.Filter(name=name, typed_config=packed(config))


def _router() -> hcm_pb2.HttpFilter:
    return hcm_pb2.HttpFilter(name="envoy.filters.http.router", typed_config=packed(router_pb2.Router()))
