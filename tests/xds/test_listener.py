"""LDS, read by an independent decoder: HTTP, TCP, and what proxyless gRPC clients resolve."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from envoy_data_plane.envoy.config.core.v3 import TrafficDirection
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpConnectionManagerCodecType,
    HttpConnectionManagerServerHeaderTransformation,
)
from envoy_data_plane.envoy.extensions.filters.network.tcp_proxy.v3 import TcpProxy

from support.xds_worlds import client
from tideover_core.policy import Retry
from tideover_wire.resource import Resource
from tideover_xds.resources.listener import api_listener, http_listener, tcp_listener, with_usable_ports


def read(resource: Resource) -> Any:
    return Listener.parse(resource.body)


def only_filter(resource: Resource) -> Any:
    (chain,) = read(resource).filter_chains
    (one,) = chain.filters
    return one.typed_config


def manager(packed: Any) -> Any:
    assert packed.type_url.endswith("HttpConnectionManager")
    return HttpConnectionManager.parse(packed.value)


def address(resource: Resource) -> tuple[str, int]:
    where = read(resource).address.socket_address
    return where.address, where.port_value


def test_the_http_listener_is_on_loopback_at_the_clients_port() -> None:
    listener = http_listener(15002)
    assert listener.name == read(listener).name == "outbound/http"
    assert address(listener) == ("127.0.0.1", 15002)
    assert read(listener).traffic_direction == TrafficDirection.OUTBOUND


def test_http_has_websocket_no_early_end_and_the_servers_own_header() -> None:
    hcm = manager(only_filter(http_listener(15001)))
    assert hcm.codec_type == HttpConnectionManagerCodecType.AUTO
    assert hcm.stream_idle_timeout == timedelta(hours=1)
    assert [one.upgrade_type for one in hcm.upgrade_configs] == ["websocket"]
    assert hcm.server_header_transformation == HttpConnectionManagerServerHeaderTransformation.PASS_THROUGH
    assert hcm.http_protocol_options.accept_http_10
    assert hcm.strip_trailing_host_dot
    assert hcm.request_timeout is None
    (router,) = hcm.http_filters
    assert Router.parse(router.typed_config.value) == Router()


def test_the_listener_waits_for_its_routes() -> None:
    rds = manager(only_filter(http_listener(15001))).rds
    assert rds.route_config_name == "outbound/http"
    assert rds.config_source.ads is not None
    assert rds.config_source.initial_fetch_timeout == timedelta(0)


def test_a_tcp_listener_is_named_as_its_cluster_and_tries_other_hosts() -> None:
    listener = tcp_listener("db/pg:5432", 15432, Retry())
    proxy = TcpProxy.parse(only_filter(listener).value)
    assert (listener.name, proxy.cluster) == ("db/pg:5432", "db/pg:5432")
    assert address(listener) == ("127.0.0.1", 15432)
    assert (proxy.idle_timeout, proxy.max_connect_attempts) == (timedelta(hours=1), 32)


def test_no_retries_means_one_attempt_to_connect() -> None:
    proxy = TcpProxy.parse(only_filter(tcp_listener("db/pg:5432", 15432, Retry(attempts=0))).value)
    assert proxy.max_connect_attempts == 1


def test_an_api_listener_sends_everything_to_its_cluster() -> None:
    listener = api_listener("ratings.bookinfo:9080", "bookinfo/ratings:9080", Retry())
    hcm = manager(read(listener).api_listener.api_listener)
    (host,) = hcm.route_config.virtual_hosts
    (route,) = host.routes
    assert (host.domains, route.match.prefix, route.route.cluster) == (["*"], "", "bookinfo/ratings:9080")
    assert (route.route.timeout, route.route.retry_policy.retry_on) == (timedelta(0), "unavailable")
    assert route.route.retry_policy.num_retries == 2
    assert [one.name for one in hcm.http_filters] == ["envoy.filters.http.router"]


def test_tcp_ports_that_can_be_met_are_no_problem() -> None:
    asked = client(tcp_ports={"db/pg:5432": 15432, "db/redis:6379": 16379})
    assert with_usable_ports(asked) is asked


@pytest.mark.parametrize(
    ("name", "port", "says"),
    [
        ("db/pg:5432", 15001, "already used by the HTTP listener"),
        ("db/z:1", 15432, "already used by db/pg:5432"),
        ("db/z:1", 80, "not in 1024-65535"),
        ("db/z:1", 0, "not in 1024-65535"),
        ("db/z:1", 99999, "not in 1024-65535"),
        ("postgres", 15433, "is not NAMESPACE/SERVICE:PORT"),
        ("outbound/http", 15433, "is not NAMESPACE/SERVICE:PORT"),
    ],
)
def test_a_port_that_cannot_be_had_is_the_clients_problem_and_no_listener(
    name: str, port: int, says: str
) -> None:
    asked = client(tcp_ports={"db/pg:5432": 15432, name: port}, problems=("zone is no string",))
    usable = with_usable_ports(asked)
    assert name not in {key for key, value in usable.tcp_ports.items() if value == port}
    assert usable.problems[0] == "zone is no string"
    (problem,) = usable.problems[1:]
    assert name in problem
    assert says in problem
    assert problem.endswith("no listener")


def test_of_two_that_want_one_port_the_first_by_name_wins_in_any_order() -> None:
    wishes = {"db/b:1": 20000, "db/a:1": 20000}
    for order in (wishes, dict(reversed(wishes.items()))):
        assert with_usable_ports(client(tcp_ports=order)).tcp_ports == {"db/a:1": 20000}
