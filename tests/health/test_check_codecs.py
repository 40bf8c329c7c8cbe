"""What is nonsense on the streams of health discovery and of the metrics service: never believed."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from typing import Any

import grpc
import pytest
from envoy.config.core.v3 import health_check_pb2
from envoy.config.core.v3.base_pb2 import Node
from envoy.service.health.v3 import hds_pb2
from hypothesis import given
from hypothesis import strategies as st

from support.health_serving import proven, serving
from support.wait import until
from tideover_core.latest import Latest
from tideover_core.model import Locality, Protocol
from tideover_core.policy import ActiveCheck
from tideover_core.world import World
from tideover_health.active.checks import Target
from tideover_health.codecs import hds, metrics
from tideover_health.hds_server import HdsOptions, HdsServer
from tideover_health.metrics_server import MetricsOptions, MetricsServer
from tideover_health.signals import Checked, Members
from tideover_proto.metrics.v1 import metrics_pb2

NAME = "bookinfo/ratings:9080"
TARGET = Target(NAME, "default", "10.0.1.1", 80, ActiveCheck(interval_s=0.05, timeout_s=0.05))
HEALTHY = health_check_pb2.HealthStatus.Value("HEALTHY")
UNHEALTHY = health_check_pb2.HealthStatus.Value("UNHEALTHY")
HDS = f"/{hds.SERVICE}/{hds.METHOD}"
METRICS = f"/{metrics.SERVICE}/{metrics.METHOD}"


def report(*said: tuple[str, str, int, int]) -> bytes:
    message = hds_pb2.HealthCheckRequestOrEndpointHealthResponse()
    for name, address, port, status in said:
        cluster = message.endpoint_health_response.cluster_endpoints_health.add(cluster_name=name)
        one = cluster.locality_endpoints_health.add().endpoints_health.add(health_status=status)
        one.endpoint.address.socket_address.address = address
        one.endpoint.address.socket_address.port_value = port
    return bytes(message.SerializeToString())


def hello(node: str = "e1", zone: str = "a") -> bytes:
    message = hds_pb2.HealthCheckRequestOrEndpointHealthResponse()
    message.health_check_request.node.id = node
    message.health_check_request.node.locality.zone = zone
    return bytes(message.SerializeToString())


@given(st.binary(max_size=200))
def test_bytes_are_read_or_refused(raw: bytes) -> None:
    for read in (hds.hello, hds.results, metrics.hello, lambda raw: metrics.clusters(raw, "a")):
        with suppress(ValueError):  # refused, which is right
            read(raw)


def test_only_what_says_something_is_read_and_not_without_end() -> None:
    ours = f"check/{NAME}"
    said = hds.results(
        report((ours, "10.0.1.1", 80, HEALTHY), (ours, "10.0.1.2", 80, 0), ("other", "x", 1, 2))
    )
    assert said == [hds.Result(NAME, ("10.0.1.1", 80), True, False)]
    many = hds.results(report(*[(ours, "10.0.1.1", 80, HEALTHY)] * 3000))
    assert len(many) == hds.MOST_RESULTS


def test_no_place_without_endpoints_is_ever_sent() -> None:
    places = [Locality("eu-west", "a"), Locality("eu-west", "b")]
    wanted = [
        Target(NAME, "default", f"10.0.1.{n}", 80, ActiveCheck(), Protocol.TLS, places[n % 2])
        for n in range(5)
    ]
    sent = hds_pb2.HealthCheckSpecifier.FromString(hds.specifier(wanted, 1))
    (cluster,) = sent.cluster_health_checks
    assert sorted(len(place.endpoints) for place in cluster.locality_endpoints) == [2, 3]
    assert cluster.health_checks[0].HasField("no_traffic_interval")
    assert cluster.transport_socket_matches
    nothing = hds_pb2.HealthCheckSpecifier.FromString(hds.specifier([], 1))
    assert nothing.interval.seconds == 1, "0 would be a report without pause"


async def test_an_envoy_is_believed_only_about_what_it_was_asked() -> None:
    told: list[Checked] = []
    server = HdsServer(
        told.append, proven, Latest((TARGET,)), World, HdsOptions(share_out_every_s=0.05, shortest_gap_s=0)
    )
    running = asyncio.create_task(server.run())
    async with serving(server.handlers()) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stream = channel.stream_stream(HDS)()
        await stream.write(hello())
        assert await stream.read() == hds.specifier([TARGET], 1.0)
        ours, where = f"check/{NAME}", ("10.0.1.1", 80)
        # before it can have looked
        await stream.write(report((ours, *where, UNHEALTHY)))
        await stream.write(report((ours, "10.0.1.2", 80, UNHEALTHY), ("check/a/b:1", *where, UNHEALTHY)))
        await stream.write(report((ours, *where, HEALTHY)))
        await until(lambda: told)
        assert [(one.address, one.healthy, one.checker.id) for one in told] == [(where, True, "spiffe://e1")]
        await stream.write(report((ours, *where, UNHEALTHY)))
        await until(lambda: len(told) == 2)
        assert not told[1].healthy
        await stream.write(b"\xff\xff")
        assert await stream.code() is grpc.StatusCode.INVALID_ARGUMENT
        await until(lambda: server.status.checkers == 0)
        nobody = channel.stream_stream(HDS)()
        await nobody.write(report((ours, *where, UNHEALTHY)))
        assert await nobody.code() is grpc.StatusCode.INVALID_ARGUMENT
    running.cancel()
    await asyncio.wait({running})


async def test_three_envoys_of_three_places_check_and_the_others_wait_for_one_to_go() -> None:
    server = HdsServer(lambda _: None, proven, Latest((TARGET,)), World, HdsOptions(share_out_every_s=0.05))
    running = asyncio.create_task(server.run())
    async with serving(server.handlers()) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        streams: list[Any] = []
        for number in range(8):
            stream = channel.stream_stream(HDS)()
            await stream.write(hello(f"e{number}", "abcd"[number % 4]))
            streams.append(stream)
        await until(
            lambda: (server.status.checkers, server.status.working, server.status.checked) == (8, 3, 1)
        )
        for stream in streams:
            stream.cancel()
            await until(lambda: server.status.working == min(3, server.status.checkers))
        # one that stays to the end of ours ends with OK
        last = channel.stream_stream(HDS)()
        await last.write(hello())
        await until(lambda: server.status.working == 1)
        async with asyncio.timeout(20):
            await last.read()
            running.cancel()
            assert await last.code() is grpc.StatusCode.OK
        await asyncio.wait({running})


def pushed(*families: tuple[str, float], node: str = "") -> bytes:
    message = metrics_pb2.StreamMetrics()
    if node:
        message.identifier.node = Node(id=node, locality={"zone": "a"}).SerializeToString()
    for name, value in families:
        message.envoy_metrics.add(name=name).metric.add().gauge.value = value
    return bytes(message.SerializeToString())


@pytest.mark.parametrize(
    ("total", "healthy", "ejected", "believed"),
    [
        (3, 2, 1, True),
        (0, 0, 0, True),
        (3, 4, 0, False),
        (-1, -1, 0, False),
        (math.nan, 1, 0, False),
        (math.inf, 1, 0, False),
        (1e300, 1, 0, False),
        (3, 2, math.nan, False),
        (3, 2, -5, False),
    ],
)
def test_absurd_numbers_of_members(total: float, healthy: float, ejected: float, believed: bool) -> None:
    prefix = "cluster.bookinfo/ratings_9080"
    raw = pushed(
        (f"{prefix}.membership_total", total),
        (f"{prefix}.membership_healthy", healthy),
        (f"{prefix}.outlier_detection.ejections_active", ejected),
        ("cluster.tideover-xds.membership_total", 1),
        ("cluster.check/bookinfo/ratings_9080.membership_total", 1),
        ("server.live", 1),
    )
    assert set(metrics.clusters(raw, "a")) == ({NAME} if believed else set())


def test_latencies_by_zone_and_what_is_none() -> None:
    message = metrics_pb2.StreamMetrics.FromString(
        pushed(*((f"cluster.bookinfo/ratings_9080#v1.membership_{n}", 1) for n in ("total", "healthy")))
    )
    for zone, samples, value in [("z.1", 9, 250.0), ("idle", 0, 9.0), ("bad", 3, math.nan), ("neg", 3, -1.0)]:
        name = f"cluster.bookinfo/ratings_9080#v1.zone.a.{zone}.upstream_rq_time"
        summary = message.envoy_metrics.add(name=name).metric.add().summary
        summary.sample_count = samples
        summary.quantile.add(quantile=0.5, value=1)
        summary.quantile.add(quantile=0.99, value=value)
    ((name, cluster),) = metrics.clusters(message.SerializeToString(), "a").items()
    assert (name, cluster.latency_ms) == (f"{NAME}#v1", {"z.1": 250.0})


def test_ejections_count_from_where_an_envoy_is_first_heard_and_never_more_than_endpoints() -> None:
    def said(endpoints: int, **causes: float) -> dict[str, metrics.Cluster]:
        members = [(f"cluster.bookinfo/ratings_9080.membership_{n}", endpoints) for n in ("total", "healthy")]
        message = metrics_pb2.StreamMetrics.FromString(pushed(*members))
        for cause, count in causes.items():
            name = f"cluster.bookinfo/ratings_9080.outlier_detection.ejections_enforced_{cause}"
            message.envoy_metrics.add(name=name).metric.add().counter.value = count
        return metrics.clusters(message.SerializeToString(), "a")

    counts = metrics.Counts()
    assert counts.grown(said(3, consecutive_5xx=7, total=9)) == {}
    assert counts.grown(said(3, consecutive_5xx=8, success_rate=1)) == {
        "consecutive_5xx": 1,
        "success_rate": 1,
    }
    assert counts.grown(said(3)) == {}
    assert counts.grown(said(3, consecutive_5xx=1e12, made_up=5)) == {"consecutive_5xx": 3}
    assert counts.grown(said(3, consecutive_5xx=2)) == {}
    assert counts.grown(said(3, consecutive_5xx=math.nan)) == {}


async def test_a_flood_of_metrics_is_dropped_unread_and_nonsense_ends_the_stream() -> None:
    told: list[Members] = []
    options = MetricsOptions(most_read_per_second=1, shortest_gap_s=0)
    server = MetricsServer(told.append, proven, options)
    members = [(f"cluster.bookinfo/ratings_9080.membership_{name}", 1.0) for name in ("total", "healthy")]
    async with serving(server.handlers()) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stream = channel.stream_unary(METRICS)()
        await stream.write(pushed(*members, node="e1"))
        for _ in range(20):
            await stream.write(pushed(*members))
        await until(lambda: server.status.dropped + server.status.read == 21)
        assert server.status.dropped >= 10
        assert len(told) == server.status.read
        assert (told[0].voter.id, told[0].name, told[0].total) == ("spiffe://e1", NAME, 1)
        nobody = channel.stream_unary(METRICS)()
        await nobody.write(pushed(*members))
        assert await nobody.code() is grpc.StatusCode.INVALID_ARGUMENT
        server.end()
        assert await stream.code() is grpc.StatusCode.OK
        late = channel.stream_unary(METRICS)()
        await late.write(pushed(*members, node="e2"))
        assert await late.code() is grpc.StatusCode.UNAVAILABLE
