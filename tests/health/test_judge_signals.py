"""The judge and what it is told: bad input, bursts, clocks, loads, signals beside load reports."""

from __future__ import annotations

from dataclasses import replace

import pytest

from health.fleet import (
    DUBLIN,
    NAME,
    PARIS,
    PORT,
    SERVICE,
    Fleet,
    callers,
    end,
    of_site,
    site,
    with_check,
    world,
)
from tideover_core.model import Locality, Protocol
from tideover_core.policy import FleetHealth, Settings
from tideover_health.bounds import MAX_PLACES
from tideover_health.judge import Judge
from tideover_health.ledger import MAX_ROWS
from tideover_health.signals import Checked, Members, Report, Row, Voter
from tideover_health.verdict import State

VOTER = Voter("spiffe://a", locality=PARIS)


def judge(**counts: int) -> Judge:
    found = Judge()
    found.judge(world(counts or {"paris": 10, "dublin": 10}), 0.0)
    return found


def broken(now_s: float, at: Locality, name: str, number: int) -> float:
    return float(name == "paris" and now_s >= 1020)


# -- bad input


@pytest.mark.parametrize(
    ("rows", "interval_s", "reason"),
    [
        ((Row(NAME, PARIS, -1, 5),), 1.0, "numbers"),
        ((Row(NAME, PARIS, 5, -5),), 1.0, "numbers"),
        ((Row(NAME, PARIS, 2**64, 0),), 1.0, "numbers"),
        ((Row("bookinfo/nobody:80", PARIS, 1, 1),), 1.0, "name"),
        ((Row("\0/../:99999999", PARIS, 1, 1),), 1.0, "name"),
        ((Row(NAME, Locality("mars"), 1, 1),), 1.0, "locality"),
        ((Row(NAME, PARIS, 1, 1, address=("10.9.9.9", 1)),), 1.0, "address"),
        ((Row(NAME, PARIS, 1, 1),), 9e9, "interval"),
        ((Row(NAME, PARIS, 1, 1),), 0.0, "interval"),
        ((Row(NAME, PARIS, 1, 1),), -1.0, "interval"),
        ((Row(NAME, PARIS, 1, 1),), float("nan"), "interval"),
        ((Row(NAME, PARIS, 1, 1),), float("inf"), "interval"),
    ],
)
def test_what_is_absurd_or_unknown_is_dropped_and_counted(
    rows: tuple[Row, ...], interval_s: float, reason: str
) -> None:
    found = judge()
    found.take(Report(VOTER, interval_s, rows), 1.0)
    assert found.heard().dropped == {reason: 1}
    assert found.loads(1.0) == {}
    assert found.doubted() == frozenset()


def test_a_million_endpoints_in_one_report_are_bounded() -> None:
    found = judge()
    row = Row(NAME, PARIS, 0, 1, address=("10.9.9.9", 1))
    found.take(Report(VOTER, 1.0, (row,) * 1_000_000), 1.0)
    assert found.heard().dropped["rows"] == 1_000_000 - MAX_ROWS


def test_strangers_cannot_fill_memory_with_places_or_rob_proven_ones_of_theirs() -> None:
    found = judge()
    for number in range(1000):
        row = Row(NAME, PARIS, 1, 0)
        found.take(Report(Voter("", locality=Locality(str(number))), 1.0, (row,)), 1.0)
    assert found.heard().reporters == MAX_PLACES
    found.take(Report(VOTER, 1.0, (Row(NAME, PARIS, 1, 0),)), 1.0)
    assert found.heard().reporters == MAX_PLACES + 1


def test_before_the_first_world_nothing_is_known_and_nothing_breaks() -> None:
    found = Judge()
    found.take(Report(VOTER, 1.0, (Row(NAME, PARIS, 1, 1),)), 1.0)
    found.take(Checked(VOTER, NAME, ("10.0.0.1", PORT), False), 1.0)
    found.take(Members(VOTER, NAME, 1, 0, 1), 1.0)
    assert (found.next_s(), found.verdicts(1.0), found.heard().dropped["name"]) == (None, [], 3)


def test_who_is_silent_for_long_is_forgotten_and_so_are_services_that_went() -> None:
    found = judge()
    found.take(Report(VOTER, 1.0, (Row(NAME, PARIS, 1, 0),)), 1.0)
    found.take(Report(Voter("spiffe://b"), 1.0, (Row(NAME, PARIS, 1, 0),)), 500.0)
    assert found.heard().reporters == 1
    found.judge(world({}), 501.0)
    found.take(Report(Voter("spiffe://b"), 1.0, (Row(NAME, PARIS, 1, 1),)), 502.0)
    assert found.judge(world({}), 503.0) == {}
    assert found.loads(503.0) == {}


def test_who_reports_rarely_is_not_forgotten_between_two_reports() -> None:
    found = judge()
    found.take(Report(VOTER, 300.0, (Row(NAME, PARIS, 1, 0),)), 1.0)
    found.take(Report(Voter("spiffe://b"), 300.0, (Row(NAME, PARIS, 1, 0),)), 500.0)
    assert found.heard().reporters == 2


# -- periods


def test_a_burst_after_a_stalled_server_counts_for_when_it_was() -> None:
    """Ten seconds of errors that are over: reports of then come at once, the last ones are well."""
    fleet = Fleet(callers(6)).run(20)
    at_s = fleet.now_s + 12
    for caller in fleet.callers:
        for second in range(12):
            bad = 10 if second < 9 else 0
            fleet.judge.take(Report(caller.voter, 1.0, (Row(NAME, PARIS, 10 - bad, bad),)), at_s)
    fleet.judge.judge(fleet.world, at_s)
    fleet.judge.judge(fleet.world, at_s + 1)
    assert fleet.percent("paris") == 100
    found = fleet.verdict(of_site("paris"))
    assert found is None or found.state is State.HEALTHY or found.error_percent == 0


def test_a_reporter_that_restarts_is_the_same_voter() -> None:
    fleet = Fleet(callers(3), fault=broken).run(20)
    for caller in fleet.callers:
        fleet.judge.take(Report(caller.voter, 0.2, ()), fleet.now_s)
    fleet.run(3)
    found = fleet.verdict(of_site("paris"))
    assert found is not None
    assert found.voters_for + found.voters_against <= 3
    assert fleet.percent("paris") == 0


def test_longer_intervals_than_the_window_are_judged_too() -> None:
    found = judge()
    for second in range(0, 61, 15):
        for name in ("a", "b", "c"):
            bad = 100 if second >= 30 else 0
            row = Row(NAME, PARIS, 100 - bad, bad)
            found.take(Report(Voter(f"spiffe://{name}", locality=PARIS), 15.0, (row,)), float(second))
        for later in (0.2, 1.0):
            steering = found.judge(world({"paris": 10, "dublin": 10}), second + later)
    assert steering[SERVICE][PORT].sites[site("paris")].percent == 0


@pytest.mark.parametrize("jump_s", [-3600.0, -5.0, 3600.0])
def test_a_clock_that_jumps_moves_nothing(jump_s: float) -> None:
    fleet = Fleet(callers(6)).run(20)
    fleet.now_s += jump_s
    for caller in fleet.callers:
        caller.last_s = 0.0
    fleet.run(20)
    assert fleet.changes == []
    due_s = fleet.judge.next_s()
    assert due_s is None or due_s <= fleet.now_s + 3600


def test_nor_does_one_stop_judging() -> None:
    fleet = Fleet(callers(6), fault=lambda now_s, at, name, number: float(name == "paris" and now_s < 500))
    fleet.run(20)
    fleet.now_s -= 900
    for caller in fleet.callers:
        caller.last_s = 0.0
    fleet.run(5)
    assert fleet.percent("paris") == 0


def test_equal_steering_keeps_its_identity() -> None:
    fleet = Fleet(callers(6), fault=broken).run(20).run(5)
    before = fleet.judge.judge(fleet.world, fleet.now_s)
    after = fleet.judge.judge(fleet.world, fleet.now_s + 1)
    assert before[SERVICE] is after[SERVICE]


def test_loads_say_who_calls_where() -> None:
    fleet = Fleet(callers(5, per_second=10)).run(10)
    found = fleet.judge.loads(fleet.now_s)
    assert found[SERVICE, PORT, PARIS, site("paris")] == pytest.approx(50, rel=0.2)
    assert fleet.judge.loads(fleet.now_s + 60) == {}


def test_who_has_left_a_place_calls_nothing_there_with_the_next_report() -> None:
    """Or everything that has moved would count twice."""
    fleet = Fleet(callers(5, per_second=10), fault=broken).run(20).run(5)
    assert fleet.percent("paris") == 0
    found = fleet.judge.loads(fleet.now_s)
    assert found == {(SERVICE, PORT, PARIS, site("dublin")): pytest.approx(50, rel=0.2)}
    assert fleet.judge.failed_loads(fleet.now_s) == {}


def test_what_fails_is_told_apart() -> None:
    fleet = Fleet(callers(5, per_second=10), fault=lambda now, at, cluster, n: 0.3).run(10)
    attempts = fleet.judge.loads(fleet.now_s)[SERVICE, PORT, PARIS, site("paris")]
    failed = fleet.judge.failed_loads(fleet.now_s)[SERVICE, PORT, PARIS, site("paris")]
    assert 0.15 < failed / attempts < 0.45


@pytest.mark.parametrize("name", ["", "spiffe://one-service-account"])
def test_callers_that_share_a_vote_call_all_together(name: str) -> None:
    slowly = callers(20, per_second=10, interval_s=1.0007)  # Envoy says how long it really was
    fleet = Fleet([replace(one, id=name) for one in slowly]).run(20)
    found = fleet.judge.loads(fleet.now_s)
    assert found[SERVICE, PORT, PARIS, site("paris")] == pytest.approx(200, rel=0.1)
    for caller in fleet.callers:
        caller.near = ("dublin",)
    found = fleet.run(10).judge.loads(fleet.now_s)
    assert found == {(SERVICE, PORT, PARIS, site("dublin")): pytest.approx(200, rel=0.1)}


# -- signals beside load reports


def ejected(fleet: Fleet, all_of_it: bool) -> None:
    for caller in fleet.callers:
        healthy = 0 if all_of_it else 30
        fleet.judge.take(Members(caller.voter, NAME, 30, healthy, 30 - healthy), fleet.now_s)


@pytest.mark.parametrize("all_of_it", [False, True])
def test_who_has_ejected_everything_is_silent_but_its_last_word_stands(all_of_it: bool) -> None:
    fleet = Fleet(callers(6, interval_s=1.0), fault=broken).run(20).run(0.9)
    for caller in fleet.callers:
        caller.per_second = 0.0
    fleet.run(0.2)
    for _ in range(40):
        ejected(fleet, all_of_it)
        fleet.run(0.5)
    found = fleet.verdict(of_site("paris"))
    assert (found is not None and found.percent == 0) or not all_of_it


def slow(fleet: Fleet, paris_ms: float, dublin_ms: float) -> None:
    for caller in fleet.callers:
        rows = (Row(NAME, PARIS, 10, 0, in_progress=int(paris_ms / 100)), Row(NAME, DUBLIN, 10, 0, 1))
        fleet.judge.take(Report(caller.voter, 1.0, rows), fleet.now_s)
        latency = ((PARIS, paris_ms), (DUBLIN, dublin_ms))
        fleet.judge.take(Members(caller.voter, NAME, 30, 30, 0, latency), fleet.now_s)


@pytest.mark.parametrize(
    ("usual_ms", "paris_ms", "dublin_ms", "moved"),
    [
        (50, 5000, 50, True),
        (50, 5000, 5000, False),  # everywhere: nothing to move to
        (50, 400, 50, False),  # not slow enough for anybody to care
        (2000, 5000, 50, False),  # it always was
    ],
)
def test_slow_answers(usual_ms: float, paris_ms: float, dublin_ms: float, moved: bool) -> None:
    fleet = Fleet(callers(4, silent=True, per_second=0)).run(1)
    for second in range(30):
        slow(fleet, usual_ms if second < 20 else paris_ms, 50 if second < 20 else dublin_ms)
        fleet.run(1)
    assert (fleet.percent("paris") == 0) is moved


def checked(
    found: Judge, who: str, cluster: str, healthy: bool, at_s: float, numbers: range = range(10)
) -> None:
    for number in numbers:
        one = end(cluster, number)
        for again in (0.0, 0.1):
            found.take(Checked(Voter(who), NAME, (one.address, one.port), healthy), at_s + again)


def test_where_nobody_calls_checks_of_two_places_are_enough_and_of_one_are_not() -> None:
    places = world({"paris": 10, "dublin": 10}, with_check())
    for checkers, moved in ((("a",), False), (("a", "b"), True)):
        found = Judge()
        found.judge(places, 0.0)
        for second in range(5):
            for who in checkers:
                checked(found, who, "paris", False, float(second))
            steering = found.judge(places, second + 0.5)
        assert bool(steering) is moved, checkers


def test_one_checker_that_sees_others_there_pass_empties_an_endpoint() -> None:
    places = world({"paris": 10, "dublin": 10}, with_check(), protocol=Protocol.TCP)
    found = Judge()
    found.judge(places, 0.0)
    for second in range(5):
        checked(found, "a", "paris", True, float(second), range(1, 10))
        checked(found, "a", "paris", False, float(second), range(1))
        steering = found.judge(places, second + 0.5)
    assert list(steering[SERVICE][PORT].endpoints) == [end("paris", 0).key]


def test_why_checks_fail_is_what_failed_also_after_a_single_success() -> None:
    places = world({"paris": 1, "dublin": 1}, with_check(), protocol=Protocol.TCP)
    found, one = Judge(), end("paris", 0)
    found.judge(places, 0.0)
    for at_s, healthy, detail in [
        (0.0, False, "HTTP 503"),
        (0.1, False, "HTTP 503"),
        (0.2, True, "HTTP 200"),
    ]:
        for who in ("a", "b"):
            found.take(Checked(Voter(who), NAME, (one.address, one.port), healthy, detail), at_s)
    found.judge(places, 0.5)
    assert {cause for verdict in found.verdicts(0.5) for cause in verdict.causes} == {
        "checks: active checks of 2 checkers fail (HTTP 503)"
    }


def test_calls_beat_checks() -> None:
    fleet = Fleet(callers(6), settings=with_check()).run(5)
    for _ in range(10):
        for who in ("a", "b"):
            checked(fleet.judge, who, "paris", False, fleet.now_s)
        fleet.run(1)
    assert not any(s.sites for _, s in fleet.changes)


def test_load_reports_say_nothing_of_tcp_services() -> None:
    fleet = Fleet(callers(6), fault=broken)
    fleet.world = world(fleet.counts, protocol=Protocol.TCP)
    fleet.judge = Judge()
    fleet.judge.judge(fleet.world, fleet.now_s)
    assert fleet.run(20).run(20).changes == []


def test_thresholds_that_contradict_each_other_settle() -> None:
    contradicting = Settings(fleet_health=FleetHealth(20.0, 80.0))
    fleet = Fleet(callers(6), settings=contradicting, fault=broken).run(20).run(10)
    assert fleet.percent("paris") == 0
    assert len(fleet.changes) == 1
