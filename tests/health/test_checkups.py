"""What active checks say together."""

from __future__ import annotations

import pytest

from health.fleet import DUBLIN, NAME, PARIS, end, site
from tideover_core.model import Locality
from tideover_core.policy import ActiveCheck
from tideover_health.checkups import MAX_CHECKERS, Checkups, Says
from tideover_health.signals import Checked, Voter

POLICY = ActiveCheck(unhealthy_threshold=2, healthy_threshold=3)


def told(checkups: Checkups, who: str, results: str, number: int = 0, at: Locality = PARIS) -> None:
    """`-` failed, `+` passed, one a second."""
    one = end("paris", number)
    for second, result in enumerate(results):
        checked = Checked(Voter(who, locality=at), NAME, (one.address, one.port), result == "+", result)
        checkups.take(checked, one, POLICY, float(second))


def says(checkups: Checkups, now_s: float = 5.0, of: object = None) -> Says:
    return checkups.says(site("paris"), POLICY, now_s, of)  # type: ignore[arg-type]  # of: a test gives either


@pytest.mark.parametrize(
    ("results", "failing", "passing"),
    [
        ("-", 0, 0),
        ("--", 1, 0),
        ("-+-+-", 0, 0),  # never twice in a row
        ("++", 0, 0),
        ("+++", 0, 1),
        ("+++-", 0, 1),
        ("+++--", 1, 0),
        ("--++", 1, 0),
        ("--+++", 0, 1),
    ],
)
def test_it_takes_as_many_in_a_row_as_the_policy_says(results: str, failing: int, passing: int) -> None:
    found = Checkups()
    told(found, "a", results)
    assert says(found)[:2] == (failing, passing)


@pytest.mark.parametrize(("bad", "well", "fails"), [(1, 0, True), (1, 1, False), (1, 2, False), (2, 1, True)])
def test_most_of_those_who_look_decide(bad: int, well: int, fails: bool) -> None:
    found = Checkups()
    for number in range(bad + well):
        told(found, f"c{number}", "--" if number < bad else "+++")
    assert says(found).fails is fails


def test_what_is_old_says_nothing() -> None:
    found = Checkups()
    told(found, "a", "--")
    assert says(found, 10.9).fails
    assert says(found, 11.1) == Says()
    assert found.failing(POLICY, 10.9) == [end("paris", 0).key]
    assert found.failing(POLICY, 11.1) == []
    told(found, "b", "+++", 1)
    assert found.failing(POLICY, 3) == [end("paris", 0).key]


def test_a_pair_is_judged_by_checks_from_there_only() -> None:
    found = Checkups()
    told(found, "near", "+++", at=PARIS)
    told(found, "far", "--", at=DUBLIN)
    assert says(found, of=DUBLIN).fails
    assert says(found, of=PARIS).passes


def test_an_endpoint_by_its_own_checks_but_who_sees_others_there_well_is_not_blind() -> None:
    found = Checkups()
    told(found, "a", "--", 0)
    assert says(found, of=end("paris", 0).key) == Says(1, 0, 1, True, "-", frozenset("a"))
    told(found, "a", "+++", 1)
    assert says(found, of=end("paris", 0).key) == Says(1, 0, 1, False, "-", frozenset("a"))


@pytest.mark.parametrize(
    ("failing", "passing", "fails", "passes"),
    [
        (0, 0, False, False),
        (1, 0, True, False),
        (2, 1, True, False),
        (1, 1, False, True),
        (1, 2, False, True),
    ],
)
def test_most_endpoints_of_a_place_decide(failing: int, passing: int, fails: bool, passes: bool) -> None:
    found = Checkups()
    for number in range(failing + passing):
        told(found, "a", "--" if number < failing else "+++", number)
    assert (says(found).fails, says(found).passes) == (fails, passes)


def test_so_many_checkers_of_one_endpoint_and_no_more() -> None:
    found = Checkups()
    for number in range(MAX_CHECKERS + 10):
        told(found, f"c{number:02}", "--")
    assert says(found).checkers == MAX_CHECKERS
