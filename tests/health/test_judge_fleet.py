"""What judging must show, by a simulated fleet: the sentences of the issue, one test each."""

from __future__ import annotations

import pytest

from health.fleet import DUBLIN, PARIS, Fleet, callers, of_site
from tideover_core.model import Locality
from tideover_health.verdict import State

FAULT_S = 1020.0


def broken(cluster: str, until_s: float = float("inf"), rate: float = 1.0, ends: int = 1000):
    def fault(now_s: float, at: Locality, name: str, number: int) -> float:
        return rate if name == cluster and FAULT_S <= now_s < until_s and number < ends else 0.0

    return fault


def test_a_service_that_answers_503_is_moved_within_two_and_a_half_seconds() -> None:
    fleet = Fleet(callers(6), fault=broken("paris")).run(20)
    assert fleet.changes == []
    fleet.run(2.5)
    assert fleet.percent("paris") == 0
    assert len(fleet.changes) == 1
    fleet.run(1)
    assert fleet.share(PARIS, "dublin") == 1.0
    assert fleet.verdict(of_site("paris")).state in (State.DOWN, State.HOLDING)


@pytest.mark.parametrize("rate", [0.0, 0.06, 0.2, 0.5, 0.51, 1.0])
@pytest.mark.parametrize("per_second", [20.0, 2000.0])
def test_one_liar_of_ten_moves_nothing(rate: float, per_second: float) -> None:
    fleet = Fleet(callers(9))
    fleet.callers += callers(1, "liar", lies=rate, per_second=per_second)
    fleet.run(40)
    assert fleet.changes == []


def test_three_of_four_who_tell_the_truth_move_it() -> None:
    fleet = Fleet(callers(3), fault=broken("paris"))
    fleet.callers += callers(1, "liar", lies=0.0)
    fleet.run(20).run(3)
    assert fleet.percent("paris") == 0


def test_gray_failure_moves_that_pair_only() -> None:
    def fault(now_s: float, at: Locality, name: str, number: int) -> float:
        return float(now_s >= FAULT_S and at == DUBLIN and name == "paris")

    fleet = Fleet(callers(4), fault=fault)
    fleet.callers += callers(5, "d", at=DUBLIN)
    fleet.run(20).run(3)
    assert (fleet.percent("paris"), fleet.percent("paris", DUBLIN)) == (100, 0)
    fleet.run(3)
    assert fleet.share(PARIS, "paris") == 1.0
    assert fleet.share(DUBLIN, "paris") == 0.0


def test_flapping_every_five_seconds_for_two_minutes_makes_at_most_three_moves() -> None:
    def fault(now_s: float, at: Locality, name: str, number: int) -> float:
        return float(
            name == "paris" and FAULT_S <= now_s < FAULT_S + 120 and int(now_s - FAULT_S) // 5 % 2 == 0
        )

    fleet = Fleet(callers(6), fault=fault).run(140)
    assert 1 <= fleet.moves("paris") <= 3


def test_it_comes_back_in_steps_after_the_hold_down() -> None:
    fleet = Fleet(callers(6), fault=broken("paris", FAULT_S + 10)).run(20).run(100)
    percents = [s.sites[of_site("paris").site].percent for _, s in fleet.changes if s.sites]
    assert percents == [0, 5, 25, 50]
    assert fleet.percent("paris") == 100
    assert fleet.changes[1][0] - fleet.changes[0][0] >= 30
