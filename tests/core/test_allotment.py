"""Capacity plans of all services, from look to look."""

from __future__ import annotations

import pytest

from core.test_capacity import DN, PA, PB, TARGET, A, ends, percents, world
from core.test_merge import RATINGS
from tideover_core.allotment import UNHEARD_LOOKS, Allotment
from tideover_core.steering import Admission, PortSteering


def calls(rate: float) -> dict[object, float]:
    return {(RATINGS, 9080, A, PA): rate}


def test_shares_join_what_health_says_and_go_when_there_is_room_again() -> None:
    kept, judged = Allotment(), {RATINGS: {9080: PortSteering(sites={PB: Admission(0, "503")})}}
    now = world(steering=judged)
    kept.allot(now, judged, calls(30))
    steered = kept.steered(judged)[RATINGS][9080]
    assert steered.sites == judged[RATINGS][9080].sites
    assert percents(steered.shares) == {"a": {"a": 67, "n": 33}}
    kept.allot(now, judged, calls(5))
    assert kept.steered(judged) is judged


def test_equal_looks_are_equal_steering() -> None:
    kept, now = Allotment(), world()
    kept.allot(now, {}, calls(30))
    first = kept.steered({})
    kept.allot(now, {}, calls(30.0))
    assert kept.steered({}) == first


def test_who_is_not_heard_counts_for_a_while_as_it_was() -> None:
    kept, now = Allotment(), world()
    kept.allot(now, {}, calls(30))
    before = kept.steered({})
    kept.allot(now, {}, {})
    assert kept.steered({}) == before
    other = {(RATINGS, 9080, DN.locality, DN): 1.0}
    kept.allot(now, {}, other)
    assert percents(kept.steered({})[RATINGS][9080].shares)["a"] == {"a": 67, "b": 33}
    for _ in range(UNHEARD_LOOKS):
        kept.allot(now, {}, other)
    assert kept.steered({}) == {}


def test_when_nobody_is_heard_at_all_everything_stays_for_however_long() -> None:
    kept, now = Allotment(), world()
    kept.allot(now, {}, calls(30))
    before = kept.steered({})
    for _ in range(3 * UNHEARD_LOOKS):
        kept.allot(now, {}, {})
    assert kept.steered({}) == before != {}


def test_a_shortfall_is_told_before_it_hurts() -> None:
    kept = Allotment()
    kept.allot(world(), {}, calls(79))
    assert not kept.shortfalls()
    kept.allot(world(), {}, calls(100))
    assert kept.shortfalls()[TARGET].shortfall == pytest.approx(20)


def test_without_any_limit_nothing_is_planned() -> None:
    kept = Allotment()
    kept.allot(world(each=None), {}, calls(1000))
    assert kept.plans == {}


def test_what_one_endpoint_carried_well_is_its_capacity_when_asked() -> None:
    kept, now = Allotment(learn=True), world(each=None)
    kept.allot(now, {}, {(RATINGS, 9080, A, PA): 20.0, (RATINGS, 9080, A, DN): 8.0})
    # twice the load on half the endpoints, which are judged: nothing is learned from that
    judged = {RATINGS: {9080: PortSteering(sites={PA: Admission(0, "503")})}}
    kept.allot(world(*ends(PA, 1), *ends(PB, 2), *ends(DN, 4), each=None), judged, calls(100))
    assert {name[2]: name[4] for name in kept.learned()} == {"paris": 10.0, "dublin": 2.0}
    other = Allotment(learn=True)
    other.restore(kept.learned())
    assert other.learned() == kept.learned()
    with pytest.raises(ValueError, match="is no service"):
        other.restore([("nonsense", 1, "paris", "eu", 1.0)])


def test_what_is_moved_is_shared_out_in_the_same_look() -> None:
    kept, now = Allotment(), world()
    kept.allot(now, {}, calls(20))
    judged = {RATINGS: {9080: PortSteering(sites={PA: Admission(0, "503")})}}
    kept.allot(now, judged, calls(20))  # the world does not have the verdict yet
    assert kept.steered(judged)[RATINGS][9080].shares == {}  # the near ones take it exactly
    kept.allot(now, judged, calls(30))
    assert percents(kept.steered(judged)[RATINGS][9080].shares) == {"a": {"b": 67, "n": 33}}


@pytest.mark.parametrize(
    ("called", "failed", "demand"),
    [
        (60, 30, 30),  # all 30 failed once and were tried again
        (30, 30, 30),  # all fail, nobody tries again
        (36, 12, 30),
        (80, 30, 50),  # more is asked for than before
        (20, 10, 20),  # less is
    ],
)
def test_a_call_that_failed_and_was_tried_again_is_asked_for_once(
    called: float, failed: float, demand: float
) -> None:
    kept = Allotment()
    kept.allot(world(), {}, calls(30))
    kept.allot(world(), {}, calls(called), calls(failed))
    (plan,) = kept.plans.values()
    assert sum(load.expected for load in plan.loads.values()) == pytest.approx(demand)


def test_what_failed_is_not_what_a_place_carries() -> None:
    kept = Allotment(learn=True)
    kept.allot(world(each=None), {}, calls(100), calls(60))
    assert [rate for *_, rate in kept.learned()] == [20.0]
