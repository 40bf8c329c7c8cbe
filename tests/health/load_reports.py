"""A control plane with load reports in this process, real Envoys and raw clients that report to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc
from envoy.config.core.v3.base_pb2 import Node
from envoy.config.endpoint.v3.load_report_pb2 import ClusterStats
from envoy.service.load_stats.v3.lrs_pb2 import LoadStatsRequest, LoadStatsResponse

from support.envoy import Envoy, running_envoy
from support.ports import free_port
from support.xds_serving import Serving, serving_xds
from tideover_app.bootstrap import Bootstrap, Server
from tideover_app.bootstrap_envoy import EnvoyOptions, envoy
from tideover_core.model import Locality
from tideover_core.world import World
from tideover_health.load_reports_server import Context, LoadReportOptions, LoadReportsServer
from tideover_health.signals import Report, Row, Voter
from tideover_wire.events import Acked, Event
from tideover_wire.node import Client
from tideover_wire.resource import TypeUrl

METHOD = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats"


@dataclass
class Told:
    """Reports in order of arrival, and what is doubted."""

    reports: list[tuple[float, Report]] = field(default_factory=list)
    doubted: frozenset[str] = frozenset()

    def take(self, report: Report) -> None:
        self.reports.append((time.monotonic(), report))

    def rows(self, name: str, since: int = 0) -> list[Row]:
        return [row for _, report in self.reports[since:] for row in report.rows if row.name == name]

    def totals(self, name: str, since: int = 0) -> tuple[int, int]:
        """Succeeded and failed calls of whole localities."""
        rows = [row for row in self.rows(name, since) if row.address is None]
        return sum(row.succeeded for row in rows), sum(row.failed for row in rows)

    def by_address(self, name: str, since: int = 0) -> dict[tuple[str, int], tuple[int, int]]:
        found: dict[tuple[str, int], tuple[int, int]] = {}
        for row in self.rows(name, since):
            if row.address is not None:
                before = found.get(row.address, (0, 0))
                found[row.address] = (before[0] + row.succeeded, before[1] + row.failed)
        return found


async def by_node_id(_context: Context, client: Client) -> Voter:
    """Whoever a client says it is; only for tests."""
    return Voter(client.id, client.vantage.cluster, client.vantage.locality)


@dataclass
class Plane:
    """xDS and load reports on one port."""

    told: Told
    server: LoadReportsServer
    serving: Serving

    @property
    def port(self) -> int:
        return self.serving.port


@asynccontextmanager
async def reporting(
    world: World, options: LoadReportOptions | None = None, *, told: Told | None = None, port: int = 0
) -> AsyncIterator[Plane]:
    """It, for the length of a block; ends its streams before its connections, as `run` does."""
    told = told or Told()
    server = LoadReportsServer(told.take, by_node_id, lambda: told.doubted, options)
    async with serving_xds(world, more=server.handlers(), port=port) as serving:
        heard = serving.heard.event

        def event(stream_id: int, event: Event) -> None:
            heard(stream_id, event)
            if isinstance(event, Acked) and event.type_url == TypeUrl.CLUSTER:
                server.clusters_taken(serving.heard.clients[stream_id].id)

        serving.heard.event = event  # type: ignore[method-assign]
        try:
            yield Plane(told, server, serving)
        finally:
            await server.stop()


@asynccontextmanager
async def caller(
    port: int, folder: Path, node_id: str = "caller-1", tcp_ports: Mapping[str, int] = MappingProxyType({})
) -> AsyncIterator[tuple[Envoy, int]]:
    """A real Envoy in paris as `tideover bootstrap envoy` makes it, and its port for calls."""
    http_port = free_port()
    wanted = Bootstrap(
        node_id, ((Server("127.0.0.1", port),),), "paris", namespace="bookinfo",
        locality=Locality("eu-west", "eu-west-a"), http_port=http_port, tcp_ports=tcp_ports,
    )  # fmt: skip
    async with running_envoy(envoy(wanted, EnvoyOptions(admin_port=0)), folder, name=node_id) as started:
        yield started, http_port


class RawReporter:
    """A client of the service that sends what a test likes."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.questions: list[tuple[float, LoadStatsResponse]] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with suppress(grpc.aio.AioRpcError):  # `ended` tells
            while isinstance(raw := await self.call.read(), bytes):
                self.questions.append((time.monotonic(), LoadStatsResponse.FromString(raw)))

    async def send(self, *clusters: ClusterStats, node: str = "") -> None:
        message = LoadStatsRequest(cluster_stats=clusters)
        if node:
            message.node.CopyFrom(Node(id=node, user_agent_name="envoy"))
        await self.call.write(message.SerializeToString())

    async def ended(self) -> tuple[grpc.StatusCode, str]:
        """How the server ended it."""
        await asyncio.wait_for(self._reading, 10)
        return await self.call.code(), await self.call.details()

    @property
    def asked(self) -> list[tuple[float, bool]]:
        """Interval and endpoint granularity of every question."""
        return [
            (q.load_reporting_interval.ToTimedelta().total_seconds(), q.report_endpoint_granularity)
            for _, q in self.questions
        ]


@asynccontextmanager
async def raw_reporters(port: int, count: int = 1) -> AsyncIterator[list[RawReporter]]:
    """So many streams on one connection; nothing is sent yet."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        reporters = [RawReporter(channel.stream_stream(METHOD)()) for _ in range(count)]
        try:
            yield reporters
        finally:
            for one in reporters:
                one.call.cancel()
            await asyncio.gather(*(one._reading for one in reporters), return_exceptions=True)


def stats(name: str, *places: Any, interval_s: float = 1.0, dropped: int = 0, **fields: Any) -> ClusterStats:
    """What one cluster says; `places` are UpstreamLocalityStats."""
    message = ClusterStats(cluster_name=name, total_dropped_requests=dropped, **fields)
    message.load_report_interval.FromNanoseconds(round(interval_s * 1e9))
    message.upstream_locality_stats.extend(places)
    return message


def intervals(times: Iterable[float]) -> list[float]:
    found = list(times)
    return [later - earlier for earlier, later in pairwise(found)]
