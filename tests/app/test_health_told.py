"""What is judged is told everywhere in the same words: events, status, explain, clients, metrics."""

from __future__ import annotations

import io
from dataclasses import replace

import grpc
import pytest
from prometheus_client import generate_latest
from rich.console import Console

from support.admin import RATINGS, SNAPSHOT_AT_S, FakeReplica, connected, serving, two_clusters, verdict
from tideover_app.cli import tables, tables_explain
from tideover_app.cli.output import document
from tideover_app.health_metrics import HealthMetrics
from tideover_app.health_news import Told, losses_by_cluster, news
from tideover_app.health_view import HealthView, Looking, Pace
from tideover_app.order_words import concerning, told
from tideover_app.ordering import Shown
from tideover_app.replica import Kind
from tideover_core.capacity import Load, Plan
from tideover_core.failover_news import Topic
from tideover_core.latest import Latest
from tideover_core.model import Locality, ServiceKey
from tideover_core.names import Target
from tideover_core.orders import Action, TrafficOrder
from tideover_core.steering import Admission, PortSteering, Site
from tideover_core.target import Aim
from tideover_core.world import merge
from tideover_health.active.prober_run import ProberStatus
from tideover_health.hds_server import HdsStatus
from tideover_health.metrics_server import MetricsStatus
from tideover_health.verdict import Alarm, Silence, State, Subject, Verdict
from tideover_health.verdict import Kind as Judged
from tideover_proto.admin.v1 import admin_pb2 as pb
from tideover_proto.admin.v1 import admin_pb2_grpc

PARIS = Site("paris", Locality("eu-west", "eu-west-a"))
WORDS = (
    "port 9080 at eu-west/eu-west-a/ in paris: "
    "down, is given 0 % of its share for 12 s; 90 % of calls fail, 4 of 4 voters"
)
PACE = Pace(1.0, 2.2, 4, 3, 2, last_report_s={"sidecar-1": SNAPSHOT_AT_S})
NOW_S = SNAPSHOT_AT_S + 12
PLAN = Plan({PARIS.locality: {PARIS: 1.0}}, {PARIS: Load(80.0, 100.0)}, 20.0)
ALARM = Alarm(RATINGS, 9080, "all places look sick: nothing is moved", SNAPSHOT_AT_S)
VIEW = HealthView(
    at_s=NOW_S,
    enabled=True,
    verdicts=(verdict(),),
    alarms=(ALARM,),
    heard=Silence(7, SNAPSHOT_AT_S, None, {"of no service": 2}),
    pace=PACE,
    looking=Looking(
        ProberStatus(6, 24.0, 12.0, 2.0, unasked={"HTTP checks of HTTP/2 ports are made by Envoys only": 3}),
        HdsStatus(4, 3, 9, 1.0, 17),
        MetricsStatus(5, 0.1, 40, 2, {"consecutive_gateway_failure": 2}),
    ),
    ejections={("judge", "site", "calls"): 3, ("envoy", "endpoint", "consecutive_gateway_failure"): 2},
    plans={Target(RATINGS, 9080): PLAN},
    doubted=frozenset({"bookinfo/ratings:9080"}),
)
SPENT = "the budget is spent: 1 of 2 places are emptied, at most 1 may be"
S, D, H, R = State.SUSPECT, State.DOWN, State.HOLDING, State.RAMPING


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (None, verdict(S, 100), None),
        (verdict(S, 100), verdict(D), Kind.SERVICE_UNHEALTHY),
        (None, verdict(D), Kind.SERVICE_UNHEALTHY),
        (verdict(D), verdict(H), None),
        (verdict(H), verdict(R, 5), Kind.SERVICE_RECOVERING),
        (verdict(R, 5), verdict(R, 25), Kind.STEP_TAKEN),
        (verdict(R, 25), verdict(R, 25, causes=("still",)), None),
        (verdict(R, 25), verdict(R, 5), Kind.STEP_ABORTED),
        (verdict(R, 25), verdict(D), Kind.STEP_ABORTED),
        (verdict(R, 25), verdict(H), Kind.STEP_ABORTED),
        (None, verdict(R, 5), Kind.SERVICE_RECOVERING),
        (verdict(R, 50), None, Kind.SERVICE_RECOVERED),
        (verdict(D), None, Kind.SERVICE_RECOVERED),
        (verdict(S, 100), None, None),
        (verdict(S, 100), verdict(S, 100, blocked="TrafficOrder a/b freezes cluster/paris"), Kind.FROZEN),
        (None, verdict(R, 25, blocked="TrafficOrder a/b"), Kind.FROZEN),
        (
            verdict(S, 100, blocked="the budget is spent"),
            verdict(S, 100, blocked="the budget is spent"),
            None,
        ),
        (verdict(S, 100, blocked="the budget is spent"), verdict(S, 100), Kind.NO_LONGER_FROZEN),
        (verdict(S, 100, blocked="the budget is spent"), verdict(D), Kind.SERVICE_UNHEALTHY),
        (None, verdict(S, 100, blocked="1 of at least 3 voters"), None),
    ],
)
def test_which_change_is_which_event(
    before: Verdict | None, now: Verdict | None, expected: Kind | None
) -> None:
    known, _ = news(Told(), [before] if before else [], [], NOW_S)
    _, lines = news(known, [now] if now else [], [], NOW_S)
    assert [line[0] for line in lines] == ([expected] if expected else [])


def test_alarms_begin_and_end_and_lines_name_the_service() -> None:
    known, lines = news(Told(), [verdict()], [ALARM], NOW_S)
    assert lines == [
        (Kind.SERVICE_UNHEALTHY, "Service bookinfo/ratings", WORDS),
        (Kind.FROZEN, "Service bookinfo/ratings", f"port 9080: {ALARM.message}"),
    ]
    assert news(known, [verdict()], [ALARM], NOW_S)[1] == []
    assert [line[0] for line in news(known, [verdict()], [], NOW_S)[1]] == [Kind.NO_LONGER_FROZEN]


def test_an_endpoint_and_a_path_are_named() -> None:
    endpoint = verdict(subject=Subject(Judged.ENDPOINT, PARIS, endpoint=("default", "fd00::1", 80)))
    path = verdict(subject=Subject(Judged.PAIR, PARIS, Locality("eu-north", "eu-north-a")))
    said = [line[2].partition(": ")[0] for line in news(Told(), [endpoint, path], [], NOW_S)[1]]
    assert sorted(said) == [
        "port 9080, calls from eu-north/eu-north-a/ to eu-west/eu-west-a/ in paris",
        "port 9080, endpoint [fd00::1]:80 at eu-west/eu-west-a/ in paris",
    ]


def test_a_shortfall_is_told_where_it_begins_and_ends_whatever_its_size() -> None:
    short = replace(ALARM, message="20 requests/s too many", short=True)
    known, lines = news(Told(), [], [ALARM, short], NOW_S)
    assert [line[0] for line in lines] == [Kind.FROZEN, Kind.CAPACITY_SHORT]
    known, lines = news(known, [], [replace(short, message="30 requests/s too many")], NOW_S)
    assert [line[0] for line in lines] == [Kind.NO_LONGER_FROZEN]
    assert [line[0] for line in news(known, [], [], NOW_S)[1]] == [Kind.CAPACITY_ENOUGH]


def test_an_order_says_who_why_how_far_and_what_comes_next() -> None:
    aim = Aim(cluster="paris")
    order = TrafficOrder(
        "t", "kernel", Action.DRAIN, aim, expires_at_s=NOW_S + 7200, reason="upgrade", author="user:alice"
    )
    draining = Shown(order, "Draining", 100.0, NOW_S - 12, "state", next_s=18.0)
    world = FakeReplica().world.value
    assert list(concerning([draining], world, RATINGS)) == [draining]
    assert list(concerning([draining], world, ServiceKey("x", "y"))) == []
    assert told(draining, NOW_S) == (
        "TrafficOrder t/kernel: Drain cluster/paris 100 % (upgrade); placed 12 s ago by user:alice; "
        "Draining, 100 % in force; drained in 18 s; ends in 2 h"
    )
    freeze = replace(order, action=Action.FREEZE, author="", expires_at_s=None)
    assert told(Shown(freeze, "InForce", 100.0, NOW_S, "hub"), NOW_S) == (
        "TrafficOrder t/kernel: Freeze cluster/paris (upgrade); placed 0 s ago by its object; InForce; "
        "ends when it is deleted"
    )


def test_endpoints_that_are_moved_and_alarms_become_events_of_their_clusters() -> None:
    endpoint = verdict(subject=Subject(Judged.ENDPOINT, PARIS, endpoint=("default", "10.0.0.1", 80)))
    short = replace(ALARM, short=True)
    world = FakeReplica().world.value
    found = losses_by_cluster([endpoint, verdict(), verdict(S, 100)], [ALARM, short], world)
    topics = {cluster: sorted(topic for _, topic in losses) for cluster, losses in found.items()}
    assert topics == {"paris": ["failover", "short", "sick"], "dublin": ["short", "sick"]}
    _, text = found["paris"][RATINGS, Topic.FAILOVER]
    assert text == (
        "port 9080, endpoint 10.0.0.1:80 at eu-west/eu-west-a/ in paris is given 0 % of its share; "
        "90 % of calls fail, 4 of 4 voters"
    )


async def asked(replica: FakeReplica) -> tuple[pb.Status, pb.Explanation, pb.ClientList]:
    async with serving(replica) as address, grpc.aio.insecure_channel(address) as channel:
        stub = admin_pb2_grpc.AdminStub(channel)
        vantage = pb.Vantage(locality="eu-west/eu-west-a", cluster="paris")
        return (
            await stub.GetStatus(pb.GetStatusRequest()),
            await stub.Explain(pb.ExplainRequest(service="bookinfo/ratings", vantage=vantage)),
            await stub.ListClients(pb.ListClientsRequest()),
        )


async def test_status_explain_and_clients_say_the_same() -> None:
    replica = FakeReplica(judged=VIEW, connected=(connected(1, "sidecar-1", "paris"),))
    status, explanation, clients = await asked(replica)
    assert [one.text for one in status.verdicts] == [WORDS]
    assert status.verdicts[0].state == "down"
    assert not status.verdicts[0].HasField("error_percent")
    full = (
        "port 9080: a place is full, so the rest flows on; requests/s expected of what each carries: "
        "paris eu-west/eu-west-a/ 100 of 80"
    )
    assert list(explanation.remarks) == [WORDS, full, f"port 9080 for 12 s: {ALARM.message}"]
    assert clients.clients[0].last_report.seconds == SNAPSHOT_AT_S
    health = status.health
    assert (health.detection_seconds, health.proven_reporters, health.unproven_reporters) == (2.2, 4, 3)
    assert dict(health.dropped) == {"of no service": 2}
    pictures = [
        tables.status(document(status), SNAPSHOT_AT_S),
        tables_explain.explanation(document(explanation)),
        tables.clients(document(clients), SNAPSHOT_AT_S + 3),
    ]
    console = Console(file=io.StringIO(), width=400)
    console.print(*pictures)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert shown.count(WORDS) == 2
    assert "ALARM  bookinfo/ratings:9080 for 0 s: all places look sick" in shown
    assert "4 proven reporters and 3 unproven, which share one vote, every 1 s" in shown
    assert "where enough is called, what they see is judged within 2.2 s" in shown
    assert "this replica checks 6 endpoints, 12 checks a second; 24 are asked for: where most are" in shown
    assert "3 endpoints are not checked by this replica: HTTP checks of HTTP/2 ports" in shown
    assert "3 of 4 Envoys that offer it check 9 endpoints" in shown
    assert "5 Envoys send statistics; 2 messages were too many to be read" in shown
    assert "not counted since the start: 2 of no service" in shown
    assert [(one.source, one.kind, one.count) for one in health.ejections] == [
        ("envoy", "endpoint", 2),
        ("judge", "site", 3),
    ]
    assert "3 s ago" in shown
    assert f"bookinfo/ratings {full}" in shown
    assert "; 2 of them by endpoint: some calls or checks of bookinfo/ratings:9080 fail" in shown
    _, doubtful, _ = await asked(FakeReplica(judged=replace(VIEW, verdicts=(), alarms=(), plans={})))
    assert list(doubtful.remarks) == [
        "port 9080: some calls or checks fail, so callers are asked which endpoints it is"
    ]


async def test_endpoints_that_look_bad_as_all_of_their_place_does_are_a_number() -> None:
    ends = [
        verdict(S, 100, subject=Subject(Judged.ENDPOINT, PARIS, endpoint=("default", f"10.0.0.{n}", 9080)))
        for n in range(3)
    ]
    alone = verdict(D, subject=Subject(Judged.ENDPOINT, PARIS, endpoint=("default", "10.0.0.9", 9080)))
    view = replace(VIEW, verdicts=(verdict(), alone, *ends), alarms=(), plans={})
    status, explanation, _ = await asked(FakeReplica(judged=view))
    assert [remark.partition(":")[0] for remark in explanation.remarks] == [
        "port 9080 at eu-west/eu-west-a/ in paris",
        "port 9080, endpoint 10.0.0.9",
        "3 endpoints of these places look bad too; `status -o json` lists them",
    ]
    console = Console(file=io.StringIO(), width=400)
    console.print(tables.status(document(status), SNAPSHOT_AT_S))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert (shown.count("endpoint 10.0.0."), len(status.verdicts)) == (1, 5)
    assert "and 3 endpoints that look bad as all of their place does" in shown


async def test_a_verdict_on_a_path_is_no_remark_for_others() -> None:
    elsewhere = Subject(Judged.PAIR, PARIS, Locality("eu-north", "eu-north-a"))
    here = Subject(Judged.PAIR, PARIS, Locality("eu-west", "eu-west-a"))
    view = replace(VIEW, verdicts=(verdict(subject=elsewhere), verdict(subject=here)), alarms=(), plans={})
    _, explanation, _ = await asked(FakeReplica(judged=view))
    (remark,) = explanation.remarks
    assert "from eu-west/eu-west-a/" in remark


def test_metrics_say_shares_states_and_silence() -> None:
    replica = FakeReplica(judged=VIEW)
    ratings = replica.world.value.services[RATINGS]
    steering = {9080: PortSteering(sites={PARIS: Admission(0, "down")})}
    services = {**replica.world.value.services, RATINGS: replace(ratings, steering=steering)}
    replica.world.set(replace(replica.world.value, services=services))
    metrics = HealthMetrics(replica)
    text = generate_latest(metrics).decode()
    assert 'tideover_verdicts{kind="site",state="down"} 1.0' in text
    assert "tideover_last_report_seconds 12.0" in text
    assert 'tideover_reporters{identity="proven"} 4.0' in text
    assert 'tideover_reports_dropped_total{reason="of no service"} 2.0' in text
    assert "tideover_health_alarms 1.0" in text
    assert 'tideover_ejections_total{cause="calls",kind="site",source="judge"} 3.0' in text
    assert (
        'tideover_capacity_shortfall_requests_per_second{port="9080",service="bookinfo/ratings"} 20.0' in text
    )
    assert "tideover_checks_stretch 2.0" in text
    assert (
        'tideover_traffic_percent{locality="eu-north/eu-north-a/",port="9080",priority="1",'
        'service="bookinfo/ratings"}'
    ) in text
    # planning takes longer than the event loop may wait: a scrape shows what was planned at the last look
    replica.world.set(two_clusters())
    away = 'locality="eu-west/eu-west-a/",port="9080",priority="0",service="bookinfo/ratings"} 0.0'
    assert away in generate_latest(metrics).decode()
    metrics.look()()
    assert away not in generate_latest(metrics).decode()


def test_shares_of_traffic_are_those_of_clients_in_the_clusters_of_each_place() -> None:
    """Networks that do not reach each other: from each place its own cluster is all there is."""
    world = two_clusters((True, True))
    apart = merge(
        [
            replace(
                facts,
                network=name,
                services={
                    key: replace(
                        one,
                        endpoints={
                            port: tuple(replace(end, network=name) for end in ends)
                            for port, ends in one.endpoints.items()
                        },
                    )
                    for key, one in facts.services.items()
                },
            )
            for name, facts in world.clusters.items()
        ]
    )
    north = Locality("eu-north", "eu-north-a")
    loads = {(RATINGS, 9080, PARIS.locality, PARIS): 3.0, (RATINGS, 9080, north, Site("dublin", north)): 1.0}
    replica = FakeReplica(world=Latest(apart), judged=HealthView(enabled=True, loads=loads))
    text = generate_latest(HealthMetrics(replica)).decode()
    found = {line for line in text.splitlines() if line.startswith("tideover_traffic_percent{")}
    port = 'port="9080",priority="0",service="bookinfo/ratings"}'
    assert found == {
        f'tideover_traffic_percent{{locality="eu-west/eu-west-a/",{port} 75.0',
        f'tideover_traffic_percent{{locality="eu-north/eu-north-a/",{port} 25.0',
    }
