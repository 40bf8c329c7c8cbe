"""What Envoy's statistics say and load reports cannot: places that callers have ejected, and slow answers."""

from __future__ import annotations

import pytest

from health.fleet import DUBLIN, NAME, PARIS, Fleet, callers, of_site
from tideover_core.model import Locality
from tideover_health.signals import Members, Report, Row, Voter
from tideover_health.verdict import State

ENDS = {"paris": 2, "dublin": 2}


def report(fleet: Fleet, who: Voter, *rows: Row) -> None:
    fleet.judge.take(Report(who, 1.0, rows), fleet.now_s)


def seconds(fleet: Fleet, who: list[Voter], *, ejected: int, ejectors: int, elsewhere: int = 0) -> None:
    """Ten seconds: each of them fails twice in paris and then calls there no more; `ejectors` say what they
    have ejected, of all places together. Calls to dublin go well, or `elsewhere` fail once as well."""
    for second in range(10):
        for number, voter in enumerate(who):
            rows = [Row(NAME, PARIS, 0, 2)] if second == 0 else []
            if elsewhere and second == 0:
                rows.append(Row(NAME, DUBLIN, 0, elsewhere))
            elif not elsewhere:
                rows.append(Row(NAME, DUBLIN, 2, 0))
            report(fleet, voter, *rows)
            if number < ejectors:
                fleet.judge.take(Members(voter, NAME, 4, 4 - ejected, ejected), fleet.now_s)
        fleet.run(1)


@pytest.mark.parametrize(
    ("ejected", "ejectors", "elsewhere", "moved"),
    [
        (2, 4, 0, True),
        (2, 3, 0, True),
        (2, 2, 0, False),  # half of them are not most
        (2, 1, 0, False),
        (1, 4, 0, False),  # one of two endpoints: calls end for another reason
        (0, 4, 0, False),
        (2, 4, 2, False),  # calls ended in two places, which two ejections do not explain
        (4, 4, 2, False),  # all of both: nothing is well to move to
    ],
)
def test_a_place_that_most_callers_have_ejected_is_bad_however_few_calls_they_made(
    ejected: int, ejectors: int, elsewhere: int, moved: bool
) -> None:
    fleet = Fleet(callers(4, silent=True, per_second=0), counts=ENDS)
    seconds(
        fleet, [one.voter for one in fleet.callers], ejected=ejected, ejectors=ejectors, elsewhere=elsewhere
    )
    assert (fleet.percent("paris") == 0) is moved
    assert fleet.percent("dublin") == 100
    if moved:
        found = fleet.verdict(of_site("paris"))
        assert found is not None
        assert (found.state, "callers have ejected all endpoints there" in str(found.causes)) == (
            State.DOWN,
            True,
        )


def test_the_hold_down_begins_when_endpoints_are_no_longer_ejected() -> None:
    fleet = Fleet(callers(4, silent=True, per_second=0), counts=ENDS)
    who = [one.voter for one in fleet.callers]
    seconds(fleet, who, ejected=2, ejectors=4)
    for ejected, for_s, percent in ((2, 45, 0), (0, 27, 0), (0, 8, 5)):  # the hold-down is 30 s
        for _ in range(for_s):
            for voter in who:
                report(fleet, voter, Row(NAME, DUBLIN, 2, 0))
                fleet.judge.take(Members(voter, NAME, 4, 4 - ejected, ejected), fleet.now_s)
            fleet.run(1)
        assert fleet.percent("paris") == percent


@pytest.mark.parametrize(
    ("dublin_ms", "moved"),
    [(None, True), (50.0, True), (5000.0, False)],
    ids=["nobody calls elsewhere", "others get theirs quickly", "it is slow for others elsewhere too"],
)
def test_who_calls_one_place_only_is_heard_of_slow_answers(dublin_ms: float | None, moved: bool) -> None:
    fleet = Fleet(callers(4, silent=True, per_second=0), counts=ENDS)
    there = [Voter(f"spiffe://d{n}", locality=DUBLIN, node=f"d{n}") for n in range(2)]
    for second in range(30):
        slow_ms = 5000.0 if second >= 20 else 50.0
        for caller in fleet.callers:
            report(fleet, caller.voter, Row(NAME, PARIS, 10, 0, in_progress=int(slow_ms / 100)))
            latency = ((Locality(zone=PARIS.zone), slow_ms),)
            fleet.judge.take(Members(caller.voter, NAME, 4, 4, 0, latency), fleet.now_s)
        for voter in there if dublin_ms is not None else ():
            report(fleet, voter, Row(NAME, DUBLIN, 10, 0, in_progress=1))
            theirs = ((Locality(zone=DUBLIN.zone), dublin_ms if second >= 20 else 50.0),)
            fleet.judge.take(Members(voter, NAME, 4, 4, 0, theirs), fleet.now_s)  # type: ignore[arg-type]  # plain tuples
        fleet.run(1)
    assert (fleet.percent("paris") == 0) is moved
    assert fleet.percent("dublin") == 100


def test_answers_that_are_slow_between_two_zones_only_move_that_pair() -> None:
    fleet = Fleet(callers(3, silent=True, per_second=0), counts=ENDS)
    far = Locality("eu-west", "eu-west-b")
    theirs = [Voter(f"spiffe://b{n}", locality=far, node=f"b{n}") for n in range(4)]
    for second in range(30):
        for voter in (*(one.voter for one in fleet.callers), *theirs):
            slow_ms = 5000.0 if second >= 20 and voter.locality == PARIS else 50.0
            report(fleet, voter, Row(NAME, PARIS, 10, 0, in_progress=int(slow_ms / 100)))
            latency = ((Locality(zone=PARIS.zone), slow_ms),)
            fleet.judge.take(Members(voter, NAME, 4, 4, 0, latency), fleet.now_s)
        fleet.run(1)
    assert fleet.percent("paris") == 100
    assert (fleet.percent("paris", PARIS), fleet.percent("paris", far)) == (0, 100)


@pytest.mark.parametrize("others_call", [False, True])
def test_who_sends_no_statistics_is_no_longer_counted_once_silent_for_a_window(others_call: bool) -> None:
    fleet = Fleet(callers(6, silent=True, per_second=0), counts=ENDS)
    who = [one.voter for one in fleet.callers]
    for second in range(16):
        for number, voter in enumerate(who):
            tells, calls = number < 3, number >= 3 and others_call
            paris = (
                [Row(NAME, PARIS, 5, 0) if calls else Row(NAME, PARIS, 0, 2)] if calls or not second else []
            )
            report(fleet, voter, *paris, Row(NAME, DUBLIN, 2, 0))
            if tells:
                fleet.judge.take(Members(voter, NAME, 4, 2, 2), fleet.now_s)
        fleet.run(1)
    assert (fleet.percent("paris") == 0) is not others_call
