"""Places that come, go and come back: none of them gets its whole load at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from health.fleet import PARIS, PLACES, PORT, SERVICE, Fleet, callers, end, facts, site, world
from tideover_core.model import Locality
from tideover_core.orders import Action, ActiveOrder, TrafficOrder
from tideover_core.target import Aim
from tideover_core.world import Mesh, World, merge
from tideover_health.judge import Judge


def broken(now_s: float, at: Locality, name: str, number: int) -> float:
    return float(name == "paris" and 1020 <= now_s < 1025)


def without_ready(cluster: str) -> World:
    """The usual world, in which nothing of that cluster is ready."""
    known = [facts(name, 10) for name in PLACES]
    unready = {PORT: tuple(replace(end(cluster, n), ready=False) for n in range(10))}
    known = [
        replace(one, services={SERVICE: replace(one.services[SERVICE], endpoints=unready)})
        if one.cluster == cluster
        else one
        for one in known
    ]
    return merge(known, Mesh())


def test_a_new_place_gets_its_first_traffic_in_steps() -> None:
    fleet = Fleet(callers(6), {"dublin": 10}).run(70)
    fleet.become({"paris": 10, "dublin": 10})
    assert fleet.percent("paris") == 5
    fleet.run(5)
    assert 0 < fleet.share(PARIS, "paris") < 0.15
    fleet.run(60)
    assert fleet.percent("paris") == 100


def test_but_a_frozen_one_gets_all_at_once_as_facts_say() -> None:
    """Else it would stay at its first step for as long as the freeze lasts."""
    frozen = ActiveOrder(TrafficOrder("t", "stop", Action.FREEZE, Aim(cluster="paris")), 100.0)
    fleet = Fleet(callers(6), {"dublin": 10}).run(70)
    fleet.become({"paris": 10, "dublin": 10}, orders=(frozen,))
    assert fleet.run(5).changes == []


def test_what_is_found_when_we_start_does_not() -> None:
    fleet = Fleet(callers(6), {"dublin": 10}).run(5)
    fleet.become({"paris": 10, "dublin": 10})
    fleet.run(1)
    assert fleet.changes == []


def test_a_new_place_does_not_wait_for_reporters_where_there_never_were_any() -> None:
    fleet = Fleet([], {"dublin": 10}).run(70)
    fleet.become({"paris": 10, "dublin": 10})
    fleet.run(90)
    assert fleet.percent("paris") == 100


def test_after_a_restart_it_is_known_whether_there_were_any() -> None:
    fleet = Fleet(callers(6), fault=broken).run(20).run(5)
    for heard, percent in ((True, 0), (False, 5)):
        later = Judge()
        assert later.restore({**fleet.judge.saved(), "heard": heard}, 0.0) == ""
        for second in range(40):
            steering = later.judge(fleet.world, float(second))
        assert steering[SERVICE][PORT].sites[site("paris")].percent == percent
    assert fleet.judge.saved()["heard"] is True


@pytest.mark.parametrize("away_s", [1, 30, 55, 70])
@pytest.mark.parametrize("unready", [False, True])
def test_what_was_bad_has_not_recovered_by_going_away_for_a_while(away_s: int, unready: bool) -> None:
    fleet = Fleet(callers(6), fault=broken).run(20).run(5)
    everywhere = fleet.world
    fleet.counts = {"dublin": 10, "virginia": 10}
    fleet.world = without_ready("paris") if unready else world(fleet.counts)
    fleet.decide()
    fleet.run(away_s)
    assert bool(fleet.changes[-1][1].sites) is (away_s < 60)
    fleet.counts, fleet.world = {"paris": 10, **fleet.counts}, everywhere
    fleet.decide()
    assert fleet.percent("paris") <= 5
    fleet.run(120)
    assert [s.sites[site("paris")].percent for _, s in fleet.changes if s.sites][-3:] == [5, 25, 50]
    assert fleet.percent("paris") == 100


def test_nor_has_it_when_it_is_not_listed_yet_after_a_restart() -> None:
    fleet = Fleet(callers(6), fault=broken).run(20).run(5)
    later = Judge()
    later.restore(fleet.judge.saved(), 0.0)
    later.judge(world({"dublin": 10, "virginia": 10}), 0.0)
    assert later.judge(fleet.world, 5.0)[SERVICE][PORT].sites[site("paris")].percent == 0


def test_of_what_never_comes_back_nothing_is_left() -> None:
    fleet = Fleet(callers(6), fault=broken).run(20).run(5)
    later = Judge()
    later.restore(fleet.judge.saved(), 0.0)
    places = world({"dublin": 10, "virginia": 10})
    assert later.judge(places, 0.0)
    assert later.next_s() == 60
    assert later.judge(places, 60.0) == {}
    assert (later.verdicts(60.0), later.next_s()) == ([], None)


def test_of_what_went_away_while_it_was_only_suspect_nothing_is_told() -> None:
    fleet = Fleet(callers(1), fault=broken).run(20).run(3)
    assert str(site("paris")) in fleet.states()
    fleet.become({"dublin": 10, "virginia": 10})
    assert fleet.run(1).states() == {}


def test_what_is_not_ready_for_long_is_not_looked_at_all_the_time() -> None:
    fleet = Fleet(
        callers(6), fault=lambda now_s, at, name, number: broken(now_s, at, name, number) * (number < 2)
    )
    fleet.run(20).run(10)
    assert fleet.steering.endpoints
    fleet.callers, fleet.world = [], without_ready("paris")
    fleet.decide()
    fleet.run(90)
    looks = 0
    for _ in range(20):
        due_s = fleet.judge.next_s()
        if due_s is None:
            break
        fleet.now_s, looks = max(fleet.now_s, due_s), looks + 1
        fleet.decide()
    assert due_s is None or fleet.now_s > 1000 + 120 + looks * 0.5
