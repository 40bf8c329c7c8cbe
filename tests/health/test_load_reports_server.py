"""The server of load reports: whom it asks for what and when, and how streams end."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import grpc
import pytest

from health.load_reports import Told, intervals, raw_reporters, reporting, stats
from health.test_load_report_codec import RATINGS, place
from support.wait import holds, until
from support.xds_serving import serving_xds
from support.xds_worlds import two_clusters
from tideover_health.load_reports_server import LoadReportOptions
from tideover_health.signals import Voter
from tideover_health.streams_server import StreamLimits
from tideover_health.unasked_server import Unasked

QUICK = LoadReportOptions(interval_s=0.2, look_every_s=0.02)


async def test_a_report_becomes_a_signal_of_its_voter() -> None:
    async with reporting(two_clusters()) as plane, raw_reporters(plane.port) as (one,):
        await one.send(node="envoy-1")
        await until(lambda: one.asked == [(1.0, False)], what="asked at once")
        await one.send(stats(RATINGS, place(5, 1), interval_s=0.9))
        await until(lambda: plane.told.reports)
        ((_, report),) = plane.told.reports
        assert (report.voter, report.interval_s) == (Voter("envoy-1"), 0.9)
        assert [(row.name, row.succeeded, row.failed) for row in report.rows] == [(RATINGS, 5, 1)]
        (reporter,) = plane.server.reporters()
        assert (reporter.client.id, reporter.interval_s, reporter.by_endpoint) == ("envoy-1", 1.0, False)
        assert reporter.reported_s_ago < 60


async def test_another_interval_is_asked_for_right_after_the_next_report() -> None:
    async with reporting(two_clusters(), QUICK) as plane, raw_reporters(plane.port) as (one,):
        await one.send(node="envoy-1")
        await until(lambda: one.asked == [(0.2, False)])
        plane.server.configure(0.4, 500)
        assert plane.server.pace.interval_s == 0.4

        async def asked_after_a_report() -> bool:  # not twice within an interval
            await one.send(stats(RATINGS, place(1)))
            return one.asked == [(0.2, False), (0.4, False)]

        await until(asked_after_a_report)


async def test_nonsense_is_told_and_the_stream_goes_on() -> None:
    async with reporting(two_clusters()) as plane, raw_reporters(plane.port) as (one,):
        await one.send(node="envoy-1")
        await one.send(stats(RATINGS, place(2**63, 0, issued=0)), stats("a/b:80", place(1)))
        await until(lambda: [row.name for _, r in plane.told.reports for row in r.rows] == ["a/b:80"])
        (reporter,) = plane.server.reporters()
        assert reporter.refused == 1
        assert "9223372036854775808 calls; not counted" in reporter.problem


@pytest.mark.parametrize(
    ("message", "why"), [(b"\xff\xff", "not a Request"), (b"", "says nothing of who sends it")]
)
async def test_a_stream_that_makes_no_sense_is_refused(message: bytes, why: str) -> None:
    """With a code that Envoy takes for no failure of this replica."""
    async with reporting(two_clusters()) as plane, raw_reporters(plane.port) as (one,):
        await one.call.write(message)
        code, details = await one.ended()
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert why in details
        await until(lambda: plane.server.pace.reporters == 0)


async def test_a_stream_that_says_nothing_is_refused() -> None:
    options = LoadReportOptions(limits=StreamLimits(first_message_within_s=0.1), look_every_s=0.02)
    async with reporting(two_clusters(), options) as plane, raw_reporters(plane.port) as (one,):
        assert (await one.ended())[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_old_streams_end_well_and_so_do_all_when_we_stop() -> None:
    options = LoadReportOptions(limits=StreamLimits(age_s=0.2), look_every_s=0.02)
    async with reporting(two_clusters(), options) as plane, raw_reporters(plane.port) as (one,):
        await one.send(node="envoy-1")
        assert await one.ended() == (grpc.StatusCode.OK, "")
    async with reporting(two_clusters()) as plane, raw_reporters(plane.port) as (one,):
        await one.send(node="envoy-1")
        await until(lambda: one.asked)
        await plane.server.stop()
        assert await one.ended() == (grpc.StatusCode.OK, "")


async def test_only_callers_of_doubted_services_are_asked_for_endpoints_and_it_is_taken_back() -> None:
    async with reporting(two_clusters(), QUICK) as plane, raw_reporters(plane.port, 2) as (caller, other):
        for one, node, name in ((caller, "caller", RATINGS), (other, "other", "a/b:80")):
            await one.send(node=node)
            await until(lambda one=one: one.asked)
            await one.send(stats(name, place(1)))
        await until(lambda: len(plane.told.reports) == 2)
        plane.told.doubted = frozenset({RATINGS})
        plane.server.touch()

        async def report_until(*asked: tuple[float, bool]) -> None:
            await caller.send(stats(RATINGS, place(1)))
            await other.send(stats("a/b:80", place(1)))
            await asyncio.sleep(0.05)
            assert caller.asked[: len(asked)] == list(asked)[: len(caller.asked)]

        while len(caller.asked) < 2:
            await report_until((0.2, False), (0.2, True))
        assert plane.server.pace.by_endpoint == 1
        plane.told.doubted = frozenset()
        while len(caller.asked) < 3:
            await report_until((0.2, False), (0.2, True), (0.2, False))
        assert other.asked == [(0.2, False)]
        assert min(intervals(at_s for at_s, _ in caller.questions)) >= 0.15  # arrival; sent 0.2 s apart


async def test_nothing_is_asked_twice() -> None:
    async with reporting(two_clusters(), QUICK) as plane, raw_reporters(plane.port) as (one,):
        await one.send(node="envoy-1")
        await until(lambda: one.asked)
        for _ in range(5):
            await one.send(stats(RATINGS, place(1)))
            plane.server.touch()
        await until(lambda: len(plane.told.reports) == 5)
        await holds(lambda: len(one.asked) == 1, 0.3)


async def test_the_question_is_repeated_once_when_clusters_came_after_it() -> None:
    async with reporting(two_clusters(), QUICK) as plane, raw_reporters(plane.port) as (one,):
        plane.server.clusters_taken("envoy-1")  # of a client that does not report
        await one.send(node="envoy-1")
        await until(lambda: one.asked)
        plane.server.clusters_taken("envoy-1")
        plane.server.clusters_taken("envoy-1")
        await until(lambda: len(one.asked) == 2)
        plane.server.clusters_taken("envoy-1")  # a later change of its clusters
        await holds(lambda: one.asked == [(0.2, False)] * 2, 0.3)


async def test_a_fleet_that_grows_is_asked_less_often_after_its_next_report() -> None:
    options = LoadReportOptions(reports_per_second=4, look_every_s=0.02)
    async with reporting(two_clusters(), options) as plane, raw_reporters(plane.port, 7) as fleet:
        for number, one in enumerate(fleet[:4]):
            await one.send(node=f"envoy-{number}")
        await until(lambda: all(one.asked == [(1.0, False)] for one in fleet[:4]))
        assert plane.server.pace.reports_per_second == 4
        for number, one in enumerate(fleet[4:]):
            await one.send(node=f"late-{number}")
        await until(lambda: plane.server.pace.interval_s == 2.0)
        await until(lambda: all(one.asked == [(2.0, False)] for one in fleet[4:]), what="newcomers")
        await until(
            lambda: all(one.questions[0][0] + 1 < asyncio.get_running_loop().time() for one in fleet[:4])
        )
        for one in fleet[:4]:
            await one.send(stats(RATINGS, place(1)))
        await until(lambda: all(one.asked == [(1.0, False), (2.0, False)] for one in fleet[:4]))
        assert (plane.server.pace.detection_s, plane.server.pace.reports_per_second) == (3.5, 3.5)


async def test_a_flood_is_read_no_faster_than_it_was_asked_for() -> None:
    async with reporting(two_clusters()) as plane, raw_reporters(plane.port) as (one,):
        await one.send(node="envoy-1")
        await until(lambda: one.asked)

        async def flood() -> None:
            while True:
                await one.send(stats(RATINGS, place(1)))

        flooding = asyncio.create_task(flood())
        await until(lambda: len(plane.told.reports) >= 15)
        await holds(lambda: len(plane.told.reports) <= 24, 1.0)
        flooding.cancel()
        with suppress(asyncio.CancelledError):
            await flooding


async def test_a_replica_that_judges_nothing_keeps_streams_open_and_asks_nothing() -> None:
    unasked = Unasked()
    async with (
        serving_xds(two_clusters(), more=unasked.handlers()) as serving,
        raw_reporters(serving.port) as (one,),
    ):
        await one.send(node="envoy-1")
        await holds(lambda: not one.questions and not one._reading.done(), 0.3)
        await unasked.stop()
        assert await one.ended() == (grpc.StatusCode.OK, "")


async def test_streams_of_such_a_replica_get_old_too() -> None:
    more = Unasked(StreamLimits(age_s=0.1)).handlers()
    async with serving_xds(two_clusters(), more=more) as serving, raw_reporters(serving.port) as (one,):
        await one.send(node="envoy-1")
        assert await one.ended() == (grpc.StatusCode.OK, "")


async def test_reports_survive_our_restart_on_the_same_port() -> None:
    told = Told()
    async with reporting(two_clusters(), told=told) as plane, raw_reporters(plane.port) as (one,):
        port = plane.port
        await one.send(node="envoy-1")
        await until(lambda: one.asked)
    async with reporting(two_clusters(), told=told, port=port), raw_reporters(port) as (one,):
        await one.send(stats(RATINGS, place(3)), node="envoy-1")
        await until(lambda: told.totals(RATINGS) == (3, 0), what="counted at once, before it is asked anew")
