"""The judge, orders and restarts: what is frozen, what returns, what is remembered."""

from __future__ import annotations

import json

import pytest

from health.fleet import (
    NAME,
    PARIS,
    PORT,
    SERVICE,
    Fleet,
    callers,
    end,
    of_site,
    site,
    world,
)
from tideover_core.model import Locality
from tideover_core.orders import Action, ActiveOrder, TrafficOrder
from tideover_core.ramp import Outcome
from tideover_core.target import Aim
from tideover_health.judge import Judge
from tideover_health.signals import Report, Row, Voter


def broken(now_s: float, at: Locality, name: str, number: int) -> float:
    return float(name == "paris" and now_s >= 1020)


def freeze(**aim: str) -> ActiveOrder:
    return ActiveOrder(TrafficOrder("t", "stop", Action.FREEZE, Aim(**aim)), 100.0)


def test_a_freeze_keeps_what_it_holds_as_it_is() -> None:
    fleet = Fleet(callers(6), fault=broken)
    fleet.become(orders=(freeze(cluster="paris"),))
    fleet.run(20).run(10)
    assert fleet.changes == []
    found = fleet.verdict(of_site("paris"))
    assert found is not None
    assert found.blocked == "TrafficOrder t/stop freezes cluster/paris"
    fleet.become(orders=())
    fleet.run(3)
    assert fleet.percent("paris") == 0
    fleet.become(orders=(freeze(cluster="paris"),))
    fleet.fault = lambda *_: 0.0
    fleet.run(60)
    assert fleet.percent("paris") == 0
    fleet.become(orders=(freeze(cluster="dublin"),))
    fleet.run(60)
    assert fleet.percent("paris") == 100


def test_a_place_that_an_order_drains_is_none_to_move_to() -> None:
    fleet = Fleet(callers(6), {"paris": 10, "dublin": 10}, fault=broken)
    drain = ActiveOrder(TrafficOrder("t", "out", Action.DRAIN, Aim(cluster="dublin")), 100.0)
    fleet.become(orders=(drain,))
    fleet.run(20).run(10)
    assert fleet.changes == []


TO_PARIS = Aim(cluster="paris")


def returning(watched_s: float = 5.0, aim: Aim = TO_PARIS, **errors: int) -> list[Outcome]:
    """What is seen where traffic returns: two callers with so many errors of ten calls, by cluster."""
    one = Judge()
    one.judge(world({"paris": 10, "dublin": 10}), 1000.0)
    for second in range(1, 6):
        for voter in ("a", "b"):
            rows = [Row(NAME, site(name).locality, 10 - bad, bad) for name, bad in errors.items()]
            caller = Voter(f"spiffe://{voter}", locality=PARIS, node=voter)
            one.take(Report(caller, 1.0, tuple(rows)), 1000.0 + second)
    return list(one.returning(aim, lambda service: watched_s, 1005.0).values())


@pytest.mark.parametrize(
    ("errors", "outcome"),
    [
        ({"paris": 0, "dublin": 0}, Outcome.WELL),
        ({"dublin": 0}, Outcome.NOTHING),
        ({}, Outcome.NOTHING),  # that nobody is heard does not hold up who asks for it
        ({"paris": 2, "dublin": 0}, Outcome.POOR),
        ({"paris": 2, "dublin": 2}, Outcome.WELL),  # not worse than elsewhere
        ({"paris": 9, "dublin": 0}, Outcome.BAD),
    ],
)
def test_what_is_seen_where_an_order_lets_traffic_return(errors: dict[str, int], outcome: Outcome) -> None:
    assert returning(**errors) == [outcome]


def test_only_what_was_seen_since_the_step_began_counts_there() -> None:
    assert returning(0.5, paris=9, dublin=0) == [Outcome.NOTHING]


def test_of_a_single_endpoint_its_neighbours_errors_say_nothing() -> None:
    one = end("paris", 1)
    aim = Aim(address=one.address, port=one.port)
    assert returning(aim=aim, paris=2, dublin=0) == [Outcome.NOTHING]
    assert returning(aim=aim, paris=0, dublin=0) == [Outcome.WELL]


def test_a_service_without_another_place_does_not_hold_up_what_returns() -> None:
    alone = Judge()
    alone.judge(world({"paris": 10}), 1000.0)
    assert alone.returning(Aim(cluster="paris"), lambda service: 1.0, 1001.0) == {}
    assert alone.returning(Aim(cluster="rome"), lambda service: 1.0, 1001.0) == {}


def test_what_is_frozen_does_not_step_back() -> None:
    one = Judge()
    one.judge(world({"paris": 10, "dublin": 10}, orders=(freeze(cluster="paris"),)), 1000.0)
    assert one.returning(Aim(cluster="paris"), lambda service: 1.0, 1001.0) == {}


# -- restarts


def test_verdicts_survive_a_restart_and_the_time_between_does_not_count() -> None:
    fleet = Fleet(callers(6), fault=broken).run(20).run(5)
    saved = json.loads(json.dumps(fleet.judge.saved()))
    later = Judge()
    assert later.restore(saved, 50_000.0) == ""
    steering = later.judge(fleet.world, 50_000.0)
    assert steering[SERVICE][PORT] == fleet.changes[-1][1]
    assert later.judge(fleet.world, 50_020.0)[SERVICE][PORT].sites[site("paris")].percent == 0


@pytest.mark.parametrize(
    "spoil",
    [
        {"version": 2},
        {"subjects": [{}]},
        {"subjects": "x"},
        {"subjects": [None]},
        {"at_s": "soon"},
        {"at_s": None},
    ],
)
def test_garbage_is_refused_as_a_whole(spoil: dict[str, object]) -> None:
    fleet = Fleet(callers(6), fault=broken).run(20).run(5)
    later = Judge()
    assert later.restore({**fleet.judge.saved(), **spoil}, 1.0) != ""
    assert later.judge(fleet.world, 2.0) == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("percent", 200.0),
        ("percent", float("nan")),
        ("state", "healthy"),
        ("kind", "pair"),
        ("stage", "x"),
        ("since_s", 1e999),
        ("emptied_s", float("nan")),
        ("locality", "a/b/c/d"),
        ("endpoint", [1]),
    ],
)
def test_a_spoilt_subject_is_refused(key: str, value: object) -> None:
    fleet = Fleet(callers(6), fault=broken).run(20).run(5)
    saved = json.loads(json.dumps(fleet.judge.saved()))
    saved["subjects"][0][key] = value
    assert Judge().restore(saved, 1.0) != ""
