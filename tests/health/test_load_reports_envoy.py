"""Real Envoys with the bootstrap that we print report what they see, as often and as closely as asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from health.load_reports import Plane, Told, caller, reporting
from support.backend import HttpBackend, TcpBackend, serving
from support.envoy import Envoy
from support.load import call, load
from support.ports import free_port
from support.wait import until
from support.xds_serving import serving_xds
from support.xds_worlds import RATINGS, cluster, endpoint, service, world
from tideover_core.model import Locality, Protocol
from tideover_core.world import World
from tideover_health.load_reports_server import LoadReportOptions
from tideover_health.unasked_server import Unasked

pytestmark = pytest.mark.envoy
PG = "bookinfo/pg:5432"
HOST, XDS = "ratings.bookinfo:9080", "cluster.tideover-xds"
PARIS, DUBLIN = Locality("eu-west", "eu-west-a"), Locality("eu-north", "eu-north-a")
QUICK = LoadReportOptions(interval_s=0.3, look_every_s=0.05)


@dataclass
class Scene:
    """Two backends in paris, and one Envoy there that calls them."""

    plane: Plane
    envoy: Envoy
    http: int
    first: HttpBackend
    second: HttpBackend

    @property
    def told(self) -> Told:
        return self.plane.told

    async def calls(self, count: int, *statuses: int) -> None:
        """So many calls, one after another, and how they may end."""
        for _ in range(count):
            answer = await call(self.http, HOST)
            assert answer.status in statuses, answer


def two_in_paris(port: int) -> World:
    both = [endpoint(address, port) for address in ("127.0.1.1", "127.0.1.2")]
    return world(cluster("paris", service("ratings", both)))


@asynccontextmanager
async def scene(folder: Path, options: LoadReportOptions = QUICK) -> AsyncIterator[Scene]:
    port = free_port()
    first, second = (HttpBackend(f"paris-{n}", port, f"127.0.1.{n}") for n in (1, 2))
    async with (
        serving(first, second),
        reporting(two_in_paris(port), options) as plane,
        caller(plane.port, folder) as (envoy, http),
    ):
        await until(lambda: plane.told.reports, what="the first report")
        yield Scene(plane, envoy, http, first, second)


async def test_every_call_is_reported_once_by_place_and_by_endpoint_when_in_doubt(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        await it.calls(30, 200)
        await until(lambda: it.told.totals(RATINGS) == (30, 0), what=lambda: it.told.reports)
        assert {row.locality for row in it.told.rows(RATINGS)} == {PARIS}
        assert not it.told.by_address(RATINGS)

        it.told.doubted = frozenset({RATINGS})
        it.plane.server.touch()
        await until(lambda: it.plane.server.reporters()[0].by_endpoint)
        since = len(it.told.reports)
        await it.calls(30, 200)
        await until(lambda: it.told.totals(RATINGS, since) == (30, 0))
        found = it.told.by_address(RATINGS, since)
        assert set(found) == {(one.host, one.port) for one in (it.first, it.second)}
        assert sum(succeeded for succeeded, _ in found.values()) == 30

        it.told.doubted = frozenset()
        await until(lambda: not it.plane.server.reporters()[0].by_endpoint)
        since = len(it.told.reports)
        await it.calls(30, 200)
        await until(lambda: it.told.totals(RATINGS, since) == (30, 0), what="nothing lost or counted twice")
        assert not it.told.by_address(RATINGS, since)
        assert await it.envoy.rejected() == {}


async def test_failures_are_reported_503s_and_refused_connections(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        it.first.status = it.second.status = 503
        await it.calls(10, 503)
        await until(lambda: it.told.totals(RATINGS)[1] >= 10)
        assert it.told.totals(RATINGS)[0] == 0
        since = len(it.told.reports)
        await it.first.stop()
        await it.second.stop()
        await it.calls(10, 503)
        await until(lambda: it.told.totals(RATINGS, since)[1] >= 10, what="connections that were refused")
        await it.first.start()
        await it.second.start()


async def test_the_interval_is_kept_and_changes_while_reporting(tmp_path: Path) -> None:
    async with scene(tmp_path) as it, load(it.http, HOST, per_second=50):
        since = len(it.told.reports)
        await until(lambda: len(it.told.reports) >= since + 4)
        said = [report.interval_s for _, report in it.told.reports[since:]]
        assert all(0.2 < interval_s < 0.6 for interval_s in said), said
        # as if many had come: the fleet is asked less often, after its next report
        it.plane.server._options = LoadReportOptions(interval_s=0.9)
        await until(lambda: it.plane.server.reporters()[0].interval_s == 0.9)
        since = len(it.told.reports)
        await until(lambda: len(it.told.reports) >= since + 2)
        said = [report.interval_s for _, report in it.told.reports[since:]]
        assert all(interval_s > 0.8 for interval_s in said[-2:]), said


async def test_clusters_that_come_later_are_reported_too(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        here = [endpoint(it.first.host, it.first.port)]
        both = [service("ratings", here), service("reviews", here)]
        it.plane.serving.replace(world(cluster("paris", *both)))
        name, host = "bookinfo/reviews:9080", "reviews.bookinfo:9080"
        await until(lambda: _known(it.envoy, name), what="Envoy has the cluster")

        async def counted() -> bool:
            return (await call(it.http, host)).status == 200 and it.told.totals(name)[0] > 0

        await until(counted, what="calls of the new cluster are counted")


async def _known(envoy: Envoy, name: str) -> bool:
    return name in await envoy.clusters()


async def test_nothing_is_lost_when_we_restart(tmp_path: Path) -> None:
    """Envoy comes back after 5 s with everything that it counted meanwhile."""
    port, told, backends = free_port(), Told(), free_port()
    first, second = (HttpBackend(f"paris-{n}", backends, f"127.0.1.{n}") for n in (1, 2))
    async with (
        serving(first, second),
        reporting(two_in_paris(backends), QUICK, told=told, port=port) as plane,
        caller(plane.port, tmp_path) as (_, http),
    ):
        await until(lambda: told.reports)
        for _ in range(10):
            assert (await call(http, HOST)).status == 200
        await until(lambda: told.totals(RATINGS) == (10, 0))
        await plane.server.stop()
        await plane.serving.server.stop(1)
        for _ in range(10):
            assert (await call(http, HOST)).status == 200
        async with reporting(two_in_paris(backends), QUICK, told=told, port=port):
            await until(lambda: told.totals(RATINGS) == (20, 0), 20, lambda: told.totals(RATINGS))


async def test_a_replica_that_judges_nothing_stays_whole_in_the_eyes_of_envoy(tmp_path: Path) -> None:
    """Refused as an unknown method, Envoy would eject the replica, and its xDS streams with it."""
    unasked = Unasked()
    async with (
        serving_xds(two_in_paris(free_port()), more=unasked.handlers()) as serving,
        caller(serving.port, tmp_path) as (envoy, _),
    ):

        async def opened() -> bool:
            return (await envoy.stats("tideover-xds.upstream_rq_active"))[f"{XDS}.upstream_rq_active"] >= 2

        await until(opened, what="configuration and load reports")
        stats = await envoy.stats("ejections_enforced_total|load_reporter")
        assert stats[f"{XDS}.outlier_detection.ejections_enforced_total"] == 0
        assert stats["load_reporter.errors"] == 0


async def test_what_backends_say_of_themselves_is_reported(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        it.first.answers = it.second.answers = {
            "endpoint-load-metrics": 'JSON {"cpu_utilization": 0.25, "named_metrics": {"latency_ms": 8}}'
        }
        await it.calls(4, 200)
        await until(lambda: it.told.totals(RATINGS) == (4, 0))
        said = [metric for row in it.told.rows(RATINGS) for metric in row.metrics]
        assert {name for name, _, _ in said} == {"cpu_utilization", "named_metrics.latency_ms"}
        assert sum(total for name, total, _ in said if name == "cpu_utilization") == 1.0
        assert sum(answers for name, _, answers in said if name == "cpu_utilization") == 4


async def test_of_tcp_services_nothing_is_reported_that_could_be_judged(tmp_path: Path) -> None:
    """Neither connections that are refused nor those that are served."""
    port, local = free_port(), free_port()
    served = TcpBackend("dublin-1", port, "127.0.2.1")
    database = {5432: Protocol.TCP}
    plan = world(
        cluster("paris", service("pg", [endpoint("127.0.1.1", port)], ports=database)),  # nobody listens
        cluster("dublin", service("pg", [endpoint("127.0.2.1", port, "dublin")], ports=database)),
    )
    async with (
        serving(served),
        reporting(plan, QUICK) as plane,
        caller(plane.port, tmp_path, tcp_ports={PG: local}) as (envoy, _),
    ):
        await until(lambda: listening(envoy, local))
        for _ in range(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", local)
            assert await asyncio.wait_for(reader.readline(), 10) == b"dublin-1\n"
            writer.close()
        failed = await envoy.stats("^cluster.bookinfo/pg_5432.upstream_cx_connect_fail$")
        assert sum(failed.values()) > 0
        since = len(plane.told.reports)
        await until(lambda: len(plane.told.reports) >= since + 3, what="three more reports")
        assert plane.told.totals(PG) == (0, 0)


async def listening(envoy: Envoy, port: int) -> bool:
    return f":{port}" in await envoy.get("/listeners")
