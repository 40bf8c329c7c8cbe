"""What judging must show, by a simulated fleet: the sentences of the issue, one test each."""

from __future__ import annotations

from itertools import pairwise

import pytest

from health.fleet import DUBLIN, PARIS, STEP_S, VIRGINIA, Fault, Fleet, callers, of_site, site
from tideover_core.model import Locality
from tideover_core.policy import Failback, FleetHealth, Outlier, Settings
from tideover_health.verdict import Kind, State

FAULT_S = 1020.0


def broken(cluster: str, until_s: float = float("inf"), rate: float = 1.0, ends: int = 1000) -> Fault:
    """From `FAULT_S` on; the first `ends` endpoints only."""

    def fault(now_s: float, at: Locality, name: str, number: int) -> float:
        return rate if name == cluster and FAULT_S <= now_s < until_s and number < ends else 0.0

    return fault


# -- moving away


def test_a_service_that_answers_503_is_moved_within_two_and_a_half_seconds() -> None:
    fleet = Fleet(callers(6), fault=broken("paris")).run(20)
    assert fleet.changes == []
    fleet.run(2.4)
    assert fleet.percent("paris") == 0
    assert len(fleet.changes) == 1
    fleet.run(1)
    assert fleet.share(PARIS, "dublin") == 1.0
    found = fleet.verdict(of_site("paris"))
    assert found is not None
    assert found.state in (State.DOWN, State.HOLDING)
    assert "6 of 6 voters see errors" in found.causes[0]


def test_callers_of_low_rate_profit_from_what_all_see_together() -> None:
    fleet = Fleet(callers(30, per_second=0.5), fault=broken("paris")).run(20).run(6)
    assert fleet.percent("paris") == 0


def test_thirty_percent_errors_move_it_where_the_policy_says_so() -> None:
    settings = Settings(fleet_health=FleetHealth(unhealthy_above_error_percent=20))
    fleet = Fleet(callers(6), settings=settings, fault=broken("paris", rate=0.3)).run(20).run(4)
    assert fleet.percent("paris") == 0
    fleet = Fleet(callers(6), fault=broken("paris", rate=0.3)).run(20).run(10)
    assert fleet.percent("paris") == 100


@pytest.mark.parametrize("rate", [0.0, 0.06, 0.5, 1.0])
@pytest.mark.parametrize("per_second", [20.0, 300.0])
def test_one_liar_of_ten_moves_nothing(rate: float, per_second: float) -> None:
    fleet = Fleet(callers(9, per_second=5))
    fleet.callers += callers(1, "liar", lies=rate, per_second=per_second)
    fleet.run(30)
    assert fleet.changes == []


def test_nor_does_a_liar_disturb_the_way_back() -> None:
    fleet = Fleet(callers(9), fault=broken("paris", FAULT_S + 5))
    fleet.callers += callers(1, "liar", lies=1.0, per_second=300)
    fleet.run(20).run(90)
    assert fleet.percent("paris") == 100
    assert fleet.moves("paris") == 2


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
    fleet.run(20)
    assert not any(s.sites or s.endpoints for _, s in fleet.changes)


def test_a_pair_becomes_the_whole_site_when_the_others_see_it_bad_too() -> None:
    def fault(now_s: float, at: Locality, name: str, number: int) -> float:
        late_s = 0 if at == DUBLIN else 10
        return float(now_s >= FAULT_S + late_s and name == "paris")

    fleet = Fleet(callers(1), fault=fault)
    fleet.callers += callers(5, "d", at=DUBLIN)
    fleet.run(20).run(5)
    assert (fleet.percent("paris"), fleet.percent("paris", DUBLIN)) == (100, 0)
    fleet.run(10)
    assert fleet.percent("paris") == 0


def test_one_voter_in_each_of_three_zones_is_enough_for_the_site() -> None:
    fleet = Fleet([], fault=broken("paris"))
    for at in (PARIS, DUBLIN, VIRGINIA):
        fleet.callers += callers(1, at.zone, at=at)
    fleet.run(20).run(3)
    assert fleet.percent("paris") == 0


def test_zones_without_recent_calls_are_moved_by_what_the_others_see() -> None:
    """A caller that saw it well before the fault does not say that it is well now."""
    fleet = Fleet(callers(4), fault=broken("paris"))
    fleet.callers += callers(3, "d", at=DUBLIN, per_second=0.2)
    fleet.run(20).run(3)
    assert fleet.percent("paris", DUBLIN) == 0


# -- who may say so


def test_a_lone_reporter_changes_nothing_for_others() -> None:
    assert Fleet(callers(1), fault=broken("paris")).run(60).changes == []


def test_unless_an_active_check_agrees() -> None:
    fleet = Fleet(callers(1), fault=broken("paris"))
    fleet.probes = True
    fleet.run(20).run(5)
    assert fleet.percent("paris") == 0


def test_all_that_prove_nothing_share_one_vote() -> None:
    assert Fleet(callers(20, ""), fault=broken("paris")).run(60).changes == []
    fleet = Fleet(callers(20, ""), fault=broken("paris"))
    fleet.probes = True
    fleet.run(20).run(5)
    assert fleet.percent("paris") == 0


def test_all_who_say_so_on_one_node_are_not_enough_where_there_are_two() -> None:
    lonely = Fleet(callers(4, node="n1"), fault=broken("paris"))
    lonely.run(20).run(5)
    assert lonely.percent("paris") == 0  # one node is all there is
    fleet = Fleet([*callers(4, node="n1", lies=1.0), *callers(3, "d", node="n2")]).run(30)
    assert fleet.changes == []
    found = fleet.verdict(of_site("paris"))
    assert found is not None
    assert (found.state, found.blocked) == (State.SUSPECT, "all who say so are on one node")


# -- coming back


def test_it_comes_back_in_steps_after_the_hold_down() -> None:
    fleet = Fleet(callers(6), fault=broken("paris", FAULT_S + 10)).run(20).run(100)
    percents = [s.sites[site("paris")].percent for _, s in fleet.changes if s.sites]
    assert percents == [0, 5, 25, 50]
    assert fleet.percent("paris") == 100
    assert fleet.changes[1][0] - fleet.changes[0][0] >= 30
    assert fleet.failed == 0 or fleet.now_s > FAULT_S + 10


def test_a_relapse_is_never_above_the_steps_share() -> None:
    def fault(now_s: float, at: Locality, name: str, number: int) -> float:
        return float(name == "paris" and (FAULT_S <= now_s < FAULT_S + 10 or now_s >= FAULT_S + 47))

    fleet = Fleet(callers(6), fault=fault).run(20).run(47)
    assert fleet.percent("paris") == 25
    fleet.run(4)
    assert fleet.share(PARIS, "paris") < 0.26
    assert fleet.percent("paris") == 0
    fleet.run(60)
    assert fleet.percent("paris") == 0
    assert fleet.failed == 0
    found = fleet.verdict(of_site("paris"))
    assert found is not None
    assert found.relapses == 1
    assert fleet.judge.ejections == {(Kind.SITE, "calls"): 1, (Kind.SITE, "relapse"): 1}
    assert found.next_step == "after the hold-down of 120 s: 5 % of its share"


def test_what_stays_broken_gets_a_first_step_only_ever_more_rarely() -> None:
    fleet = Fleet(callers(6), fault=broken("paris")).run(20).run(300)
    assert max(s.sites[site("paris")].percent for _, s in fleet.changes) == 5
    assert fleet.moves("paris") <= 5
    assert fleet.failed < 0.01 * fleet.calls + 6 * 20 * 3


def test_flapping_every_five_seconds_for_two_minutes_makes_at_most_three_moves() -> None:
    def fault(now_s: float, at: Locality, name: str, number: int) -> float:
        flapping = FAULT_S <= now_s < FAULT_S + 120
        return float(name == "paris" and flapping and int(now_s - FAULT_S) // 5 % 2 == 0)

    fleet = Fleet(callers(6), fault=fault).run(140)
    assert 1 <= fleet.moves("paris") <= 3


def test_a_check_that_passes_speeds_it_up_and_one_that_fails_holds() -> None:
    fleet = Fleet(callers(6), fault=broken("paris", FAULT_S + 5))
    fleet.probes = True
    fleet.run(20).run(25)
    assert fleet.percent("paris") == 5
    fleet = Fleet(callers(6), fault=broken("paris"))
    fleet.probes = True
    fleet.run(20).run(100)
    assert len(fleet.changes) == 1


# -- silence


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("silent", ["reports", "probes", "both"])
def test_when_reports_stop_or_checks_or_both_nothing_moves(silent: str, moved: bool) -> None:
    fleet = Fleet(callers(6), fault=broken("paris", FAULT_S + 5) if moved else broken("nowhere"))
    fleet.probes = True
    fleet.run(20).run(3)
    before = len(fleet.changes)
    assert before == moved
    for caller in fleet.callers:
        caller.silent = silent in ("reports", "both")
    fleet.probes = silent == "reports"
    fleet.run(300)
    if silent != "probes":
        assert len(fleet.changes) == before
    elif moved:
        assert fleet.percent("paris") == 100


def test_silence_is_not_for_ever() -> None:
    fleet = Fleet(callers(6), fault=broken("paris", FAULT_S + 5))
    fleet.run(20).run(5)
    fleet.callers = []
    fleet.run(950)
    assert fleet.percent("paris") > 0


def test_a_place_that_nobody_calls_any_more_is_not_suspect() -> None:
    """The dip after our own push, or a caller that left, is no evidence."""
    fleet = Fleet(callers(6)).run(20)
    fleet.callers = [*callers(6, near=("dublin", "paris"))]
    fleet.run(60)
    assert fleet.changes == []


# -- only as far as needed


def test_a_few_bad_endpoints_are_emptied_alone() -> None:
    fleet = Fleet(callers(6), fault=broken("paris", ends=3)).run(20).run(15)
    assert fleet.percent("paris") == 100
    last = fleet.changes[-1][1]
    assert sorted(address for _, address, _ in last.endpoints) == ["10.0.0.0", "10.0.0.1", "10.0.0.2"]
    fleet.run(2)
    assert fleet.failed == 0


def test_six_of_ten_endpoints_that_answer_503_move_the_locality() -> None:
    fleet = Fleet(callers(6), fault=broken("paris", ends=6)).run(20).run(5)
    assert fleet.percent("paris") == 0


def test_more_bad_endpoints_than_the_budget_allows_move_the_locality_too() -> None:
    """Although the place as a whole is below the threshold."""
    settings = Settings(max_drained_percent=20)
    fleet = Fleet(callers(6), settings=settings, fault=broken("paris", ends=3)).run(20).run(15)
    assert fleet.percent("paris") == 0


def test_when_everything_looks_sick_nothing_moves_and_there_is_an_alarm() -> None:
    fleet = Fleet(callers(6), fault=lambda now_s, *_: float(now_s >= FAULT_S))
    fleet.callers += callers(3, "d", near=("dublin", "paris", "virginia"))
    fleet.callers += callers(3, "v", near=("virginia", "paris", "dublin"))
    fleet.run(20).run(30)
    assert fleet.changes == []
    assert "everything looks sick" in fleet.judge.alarms()[0].message
    assert {one.blocked for one in fleet.judge.verdicts(fleet.now_s) if one.subject.kind is Kind.SITE} == {
        "everything looks sick: no other place is well, so nothing moves"
    }


def test_the_budget_keeps_a_second_place_of_three() -> None:
    def fault(now_s: float, at: Locality, name: str, number: int) -> float:
        return float(now_s >= FAULT_S and name != "virginia")

    fleet = Fleet(callers(6), fault=fault).run(20).run(20)
    assert [fleet.percent(name) for name in ("paris", "dublin", "virginia")] == [0, 100, 100]
    found = fleet.verdict(of_site("dublin"))
    assert found is not None
    assert "the budget is spent" in found.blocked


def test_a_single_place_is_never_emptied() -> None:
    fleet = Fleet(callers(6), {"paris": 10}, fault=broken("paris")).run(20).run(30)
    assert fleet.changes == []


def test_one_service_changes_at_most_twice_a_second() -> None:
    def fault(now_s: float, at: Locality, name: str, number: int) -> float:
        return float(name == "paris" and now_s >= FAULT_S + 0.7 * number and number < 4)

    fleet = Fleet(callers(6, per_second=100), fault=fault).run(20).run(10)
    times = [at_s for at_s, _ in fleet.changes]
    assert len(times) > 1
    assert all(b - a >= 0.5 - STEP_S / 2 for a, b in pairwise(times))


@pytest.mark.parametrize("lasts_s", [20, 50])
def test_while_callers_avoid_it_by_themselves_the_first_step_waits_and_each_step_is_tried(
    lasts_s: float,
) -> None:
    """Envoys that have ejected it keep away for their own time, whatever they are sent: longer each time."""
    settings = Settings(failback=Failback(2, (5, 25, 50, 100), 2, 5), outlier=Outlier(base_ejection_s=20.0))
    fleet = Fleet(callers(6), settings=settings, fault=broken("paris", FAULT_S + 5))
    while fleet.percent("paris"):
        fleet.step()
    emptied_s = fleet.now_s
    while fleet.now_s < emptied_s + lasts_s + 25:
        near = ("paris", "dublin") if fleet.now_s > emptied_s + lasts_s else ("dublin",)
        for caller in fleet.callers:
            caller.near = near
        fleet.step()
    given = [(at_s, s.sites[site("paris")].percent if s.sites else 100.0) for at_s, s in fleet.changes]
    assert [percent for _, percent in given] == [0, 5, 25, 50, 100]
    assert given[1][0] < emptied_s + 4
    assert given[2][0] >= emptied_s + lasts_s + 2  # ejections are over, and the step was tried
    assert all(after - before >= 2 for (before, _), (after, _) in pairwise(given))
