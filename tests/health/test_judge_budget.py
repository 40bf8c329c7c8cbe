"""What may be moved: the budget, what counts as another place, and how often."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from health.fleet import (
    DUBLIN,
    NAME,
    PARIS,
    PLACES,
    PORT,
    SERVICE,
    STEP_S,
    VIRGINIA,
    Fleet,
    callers,
    end,
    facts,
    of_site,
    site,
    with_check,
    world,
)
from tideover_core.leaving import Leaving
from tideover_core.model import Locality
from tideover_core.orders import Action, ActiveOrder, TrafficOrder
from tideover_core.policy import Failback, Settings
from tideover_core.steering import Site
from tideover_core.target import Aim
from tideover_core.world import Mesh, merge
from tideover_health import bounds
from tideover_health.judge import Judge
from tideover_health.places import Places
from tideover_health.signals import Checked, Report, Row, Voter

FAULT_S = 1020.0


def broken(now_s: float, at: Locality, name: str, number: int) -> float:
    return float(name == "paris" and now_s >= FAULT_S)


def drained(cluster: str, percent: float) -> ActiveOrder:
    return ActiveOrder(TrafficOrder("t", "out", Action.DRAIN, Aim(cluster=cluster), percent), percent)


def test_a_place_that_an_order_empties_is_not_judged_as_well() -> None:
    fleet = Fleet(callers(6), fault=broken)
    fleet.become(orders=(drained("paris", 100),))
    assert fleet.run(20).run(10).changes == []
    found = fleet.verdict(of_site("paris"))
    assert found is not None
    assert found.blocked == "no traffic is meant to go there"


@pytest.mark.parametrize(("percent", "moved"), [(50, True), (100, False)])
def test_what_is_drained_in_part_may_take_more_what_is_drained_may_not(percent: float, moved: bool) -> None:
    fleet = Fleet(callers(6), {"paris": 10, "dublin": 10}, fault=broken)
    fleet.become(orders=(drained("dublin", percent),))
    fleet.run(20).run(5)
    assert (fleet.percent("paris") == 0) is moved


def test_a_freeze_holds_services_that_come_after_it() -> None:
    frozen = (ActiveOrder(TrafficOrder("t", "stop", Action.FREEZE, Aim(cluster="paris")), 100.0),)
    found, before = Judge(), world({}, orders=frozen)
    found.judge(before, 0.0)
    places = world({"paris": 10, "dublin": 10}, orders=before.orders, previous=before)
    assert places.orders is before.orders
    for second in range(1, 10):
        reported(found, [Row(NAME, PARIS, 0, 30), Row(NAME, DUBLIN, 30, 0)], float(second))
        assert found.judge(places, second + 0.5) == {}
    assert found.verdicts(9.5)[0].blocked == "TrafficOrder t/stop freezes cluster/paris"


def test_a_cluster_that_leaves_is_no_place_to_move_to() -> None:
    fleet = Fleet(callers(6), {"paris": 10, "dublin": 10}, fault=broken)
    leaving = merge([facts(name, 10) for name in fleet.counts], Mesh(leaving={"dublin": Leaving.DRAINING}))
    fleet.world = leaving
    fleet.decide()
    assert fleet.run(20).run(5).changes == []
    assert "everything looks sick" in fleet.judge.alarms()[0].message


def test_the_budget_holds_for_those_to_whom_another_place_is_broken_too() -> None:
    """Three places, of which one may go; for Dublin's clients one is gone already."""

    def fault(now_s: float, at: Locality, name: str, number: int) -> float:
        gray = name == "virginia" and at == DUBLIN and now_s >= FAULT_S
        return float(gray or (name == "paris" and now_s >= FAULT_S + 10))

    fleet = Fleet(callers(4), settings=Settings(max_drained_percent=34), fault=fault)
    fleet.callers += callers(4, "d", at=DUBLIN, near=("virginia", "paris", "dublin"))
    fleet.callers += callers(4, "v", at=VIRGINIA, near=("virginia", "paris", "dublin"))
    fleet.run(20).run(8)
    assert fleet.percent("virginia", DUBLIN) == 0
    fleet.run(20)
    assert fleet.percent("paris") == 100
    found = fleet.verdict(of_site("paris"))
    assert found is not None
    assert found.blocked == "the budget is spent: 1 of 3 places are emptied, at most 1 may be"


def test_two_places_that_break_at_nearly_once_are_two_changes_half_a_second_apart() -> None:
    def fault(now_s: float, at: Locality, name: str, number: int) -> float:
        return float(now_s >= FAULT_S + {"paris": 0.0, "dublin": 0.3}.get(name, 1e9))

    fleet = Fleet(callers(6), settings=Settings(max_drained_percent=100), fault=fault)
    fleet.callers += callers(6, "d", at=DUBLIN, near=("dublin", "virginia"))
    fleet.run(20).run(5)
    times = [at_s for at_s, _ in fleet.changes]
    assert (fleet.percent("paris"), fleet.percent("dublin")) == (0, 0)
    assert len(times) == 2
    assert times[1] - times[0] >= 0.5 - STEP_S / 2


def test_a_place_that_was_away_for_a_moment_and_was_well_gets_all_at_once() -> None:
    fleet = Fleet(callers(6)).run(70)
    fleet.become({"dublin": 10, "virginia": 10})
    fleet.run(5)
    fleet.become({"paris": 10, "dublin": 10, "virginia": 10})
    fleet.run(1)
    assert fleet.changes == []


def test_who_saw_it_well_before_the_fault_does_not_say_that_it_is_well_now() -> None:
    fleet = Fleet(callers(4), fault=broken)
    fleet.callers += callers(3, "d", at=DUBLIN, per_second=0.2, owed=0.4)  # they call at 3, 8, 13, 18, 23 s
    fleet.run(20).run(2.4)
    assert fleet.percent("paris") == 0


# -- signals that contradict each other


def reported(found: Judge, rows: Iterable[Row], now_s: float) -> None:
    for who in "abcd":
        found.take(Report(Voter(f"spiffe://{who}", locality=PARIS, node=who), 1.0, tuple(rows)), now_s)


@pytest.mark.parametrize("failed", [0, 60])
def test_checks_of_many_endpoints_do_not_move_a_place_to_which_calls_go_well(failed: int) -> None:
    """Where callers say nothing of endpoints, as those of gRPC."""
    places = world({"paris": 10, "dublin": 10}, with_check())
    found = Judge()
    found.judge(places, 0.0)
    for second in range(1, 10):
        reported(found, [Row(NAME, PARIS, 100 - failed, failed)], float(second))
        for number in range(6):
            for who in "ab":
                one = end("paris", number)
                found.take(Checked(Voter(who), NAME, (one.address, one.port), False), float(second))
        steering = found.judge(places, second + 0.5)
    assert bool(steering) is bool(failed)
    assert found.doubted() == {NAME}  # what do callers say of those endpoints?


# -- bounds


@pytest.mark.parametrize("address", [None, ("10.0.0.1", PORT)])
def test_one_reporter_has_so_many_destinations_and_no_more(
    monkeypatch: pytest.MonkeyPatch, address: tuple[str, int] | None
) -> None:
    monkeypatch.setattr(bounds, "MAX_CELLS", 1)
    found = Judge()
    found.judge(world({"paris": 10, "dublin": 10}), 0.0)
    second = None if address is None else ("10.1.0.1", PORT)
    rows = (Row(NAME, PARIS, 1, 1, address=address), Row(NAME, DUBLIN, 1, 1, address=second))
    found.take(Report(Voter("spiffe://a", locality=PARIS), 1.0, rows), 1.0)
    assert found.heard().dropped == {"destinations": 1}


def test_on_a_day_when_everything_fails_judging_is_rationed_and_nobody_is_forgotten() -> None:
    keys = [replace(SERVICE, name=f"s{number}") for number in range(1200)]
    known = facts("paris", 1)
    services = {key: replace(known.services[SERVICE], key=key) for key in keys}
    places = merge([replace(known, services=services)], Mesh())
    found = Judge()
    found.judge(places, 0.0)
    rows = [Row(f"{key}:{PORT}", PARIS, 0, 30) for key in keys]
    reported(found, rows, 1.0)
    found.judge(places, 1.2)
    first = len(found.verdicts(1.2))
    assert 0 < first < len(keys)
    for tenth in range(13, 40):
        found.judge(places, tenth / 10)
    assert len(found.verdicts(4.0)) == len(keys)


# -- where things are


def test_calls_to_clusters_that_share_a_place_are_split_by_what_is_ready_there() -> None:
    here = replace(facts("dublin", 1), locality=PARIS)
    ends = (replace(end("dublin", 1), locality=PARIS),)
    here = replace(here, services={SERVICE: replace(here.services[SERVICE], endpoints={PORT: ends})})
    found = Judge()
    found.judge(merge([facts("paris", 3), here], Mesh()), 0.0)
    found.take(Report(Voter("spiffe://a", locality=PARIS), 1.0, (Row(NAME, PARIS, 40, 0),)), 1.0)
    rates = {key[3]: rate for key, rate in found.loads(1.0).items()}
    assert rates == {site("paris"): 30, Site("dublin", PARIS): 10}


def test_an_address_of_two_networks_is_told_apart_by_its_place_or_not_at_all() -> None:
    twin = replace(end("paris", 1), cluster="dublin", network="other", locality=DUBLIN)
    there = facts("dublin", 1)
    services = {SERVICE: replace(there.services[SERVICE], endpoints={PORT: (twin,)})}
    merged = merge([facts("paris", 3), replace(there, network="other", services=services)], Mesh())
    places = Places(SERVICE, PORT)
    places.update(merged.services[SERVICE], merged)
    address = (twin.address, twin.port)
    assert places.end(address) is None
    found = [places.end(address, place) for place in PLACES.values()]
    assert [one and one.cluster for one in found] == ["paris", "dublin", None]


@pytest.mark.parametrize(("steps", "moved"), [((50, 100), True), ((40, 100), False)])
def test_who_carries_half_of_its_share_well_may_take_what_another_loses(
    steps: tuple[float, ...], moved: bool
) -> None:
    """Two places, one on its way back when the other breaks."""

    def fault(now_s: float, at: Locality, name: str, number: int) -> float:
        return float(now_s >= FAULT_S if name == "dublin" else FAULT_S - 15 <= now_s < FAULT_S - 12)

    failback = Failback(hold_down_s=1.0, steps=steps, step_every_s=30.0)
    fleet = Fleet(callers(6), {"paris": 10, "dublin": 10}, settings=Settings(failback=failback), fault=fault)
    fleet.run(20)
    assert fleet.percent("paris") == steps[0]
    fleet.run(5)
    emptied = [of.sites[site("dublin")].percent for _, of in fleet.changes if site("dublin") in of.sites]
    assert (0.0 in emptied) is moved
