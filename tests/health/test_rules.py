"""Rules by which signals become opinions, and opinions outcomes on the way back: one table each."""

from __future__ import annotations

import pytest

from health.fleet import PARIS, PORT, SERVICE
from tideover_core.policy import Failback, FleetHealth
from tideover_core.ramp import Outcome
from tideover_core.steering import Site
from tideover_health.checkups import NOTHING_CHECKED, Says
from tideover_health.ledger import Cell, Evidence, Latency, Reporter
from tideover_health.places import Places
from tideover_health.rules import RULES, Look, Opinion, examine
from tideover_health.signals import Voter
from tideover_health.standing import STEPS, Standing, outcome_of
from tideover_health.verdict import Kind, State, Subject

BAD, WELL, UNCLEAR, FEW, NOTHING = Opinion
HEALTH, FAILBACK = FleetHealth(), Failback()
HOME = Evidence(Places(SERVICE, PORT))
FAIL_TWICE = Says(failing=3, checkers=2, detail="HTTP 503")
FAIL_ONCE = Says(failing=3, checkers=1)
FAIL_BESIDE = Says(failing=3, passing=1, checkers=1, blind=False)
FAIL_TO_V0 = Says(failing=3, checkers=1, failed_by=frozenset({"v0"}))
FAIL_TO_V9 = Says(failing=3, checkers=2, failed_by=frozenset({"v0", "v9"}))
PASS = Says(passing=3, checkers=0)


def cell(who: str, calls: int, failed: int, interval_s: float = 1.0) -> Cell:
    """What that voter saw in the second before `now_s`, which is 10."""
    found = Cell(Reporter(Voter(who, locality=PARIS, node=f"node-of-{who}"), 0.0), HOME, PARIS)
    found.interval_s = interval_s
    if calls:
        found.add(10 - interval_s, 10.0, calls, failed)
    return found


def look(*seen: tuple[int, int], checks: Says = NOTHING_CHECKED, http: bool = True) -> Look:
    """Voters by (calls, failed)."""
    cells = [cell(f"v{n}", *one) for n, one in enumerate(seen)]
    return Look(cells, HEALTH, 10.0, checks=checks, http=http)


@pytest.mark.parametrize(
    ("seen", "opinion", "rule"),
    [
        (look((10, 10), (10, 10), (10, 10)), BAD, "calls"),
        (look((10, 10), (10, 10), (10, 10), (10, 0)), BAD, "calls"),
        (look((10, 10), (10, 10), (10, 0), (10, 0)), UNCLEAR, "calls"),  # half of them is not most
        (look((10, 6), (10, 6), (10, 4)), BAD, "calls"),
        (look((10, 5), (10, 5), (10, 5)), UNCLEAR, "calls"),
        (look((10, 3), (10, 3), (10, 3)), UNCLEAR, "calls"),
        (look((20, 1), (20, 1), (20, 1)), WELL, "calls"),
        (look((10, 0), (10, 0), (10, 10)), WELL, "calls"),
        (look((10, 10), (10, 10)), BAD, "calls"),  # all there are
        (look((50, 50)), FEW, "few"),
        (look((5, 5), (5, 5), (5, 5)), FEW, "few"),  # too few calls
        (look((50, 50), checks=FAIL_ONCE), BAD, "few with a check"),
        (look((50, 50), checks=FAIL_TO_V0), FEW, "few"),  # who agrees with himself is still alone
        (look((50, 50), checks=FAIL_TO_V9), BAD, "few with a check"),
        (look((50, 50), checks=PASS), FEW, "few"),
        (look((50, 20), checks=FAIL_ONCE), UNCLEAR, "few"),
        (look((5, 5), checks=FAIL_TWICE), FEW, "few"),
        (look((5, 0), checks=FAIL_TWICE), WELL, "few"),  # calls beat checks, even few
        (look((10, 0), (10, 0), (10, 0), checks=FAIL_TWICE), WELL, "calls"),
        (look(checks=FAIL_TWICE), BAD, "checks"),
        (look(checks=FAIL_BESIDE), BAD, "checks"),
        (look(checks=FAIL_ONCE), FEW, "check"),
        (look(checks=PASS), WELL, "check"),
        (look(), NOTHING, "silence"),
        (look((10, 10), (10, 10), (10, 10), http=False), NOTHING, "silence"),
        (look((10, 10), (10, 10), (10, 10), http=False, checks=FAIL_TWICE), BAD, "checks"),
    ],
)
def test_the_first_rule_that_says_anything_decides(seen: Look, opinion: Opinion, rule: str) -> None:
    found = examine(seen)
    assert (found.opinion, found.rule) == (opinion, rule)
    assert found.cause
    assert rule in {*(one.name for one in RULES), "silence"}


def test_all_that_prove_nothing_are_one_vote_with_all_that_they_saw() -> None:
    found = Look([cell("", 10, 10), cell("", 30, 0)], HEALTH, 10.0).all
    assert (found.voters, found.calls, found.low) == (1, 40, 25)


def test_of_who_reports_rarely_the_last_report_counts() -> None:
    cells = [cell(who, 100, 100, interval_s=15.0) for who in "abc"]
    assert Look(cells, HEALTH, 10.0 + 15.0).all.voters == 3
    assert Look(cells, HEALTH, 10.0 + 20.0).all.voters == 0


@pytest.mark.parametrize(
    ("slow", "voters", "running", "bad"),
    [
        (3, 4, 500, True),
        (2, 4, 500, False),
        (3, 6, 500, False),  # half of them is not most
        (4, 6, 500, True),
        (1, 1, 500, False),
        (2, 2, 500, True),
        (2, 3, 500, False),  # minReporters of them must be slow, where there are as many
        (4, 6, 1, False),  # only the slowest hundredth: one endpoint of many
    ],
)
def test_slow_is_what_most_callers_wait_for(slow: int, voters: int, running: int, bad: bool) -> None:
    cells = [cell(f"v{n}", 100, 0) for n in range(voters)]
    for n, one in enumerate(cells):
        one.running, one.rate = running, 100.0
        one.latency = Latency()
        one.latency.slow, one.latency.now_ms, one.latency.at_s = n < slow, 5000.0, 10.0
    found = examine(Look(cells, HEALTH, 10.0))
    assert (found.opinion is BAD and found.rule == "slow") is bad


def test_one_who_claims_many_quick_calls_does_not_hide_that_the_others_wait() -> None:
    cells = [cell(f"v{n}", 100, 0) for n in range(4)]
    for n, one in enumerate(cells):
        one.running, one.rate = (500, 100.0) if n else (0, 1e9)
        one.latency = Latency()
        one.latency.slow, one.latency.now_ms, one.latency.at_s = True, 5000.0 if n else 1e9, 10.0
    assert examine(Look(cells, HEALTH, 10.0)).rule == "slow"


def test_what_is_slow_does_not_become_usual() -> None:
    latency = Latency()
    for second in range(20):
        latency.add(50, 50, second)
    for second in range(1000):
        latency.add(5000, 50, second)
        assert latency.slow


@pytest.mark.parametrize(
    ("seen", "others_percent", "outcome"),
    [
        (look((10, 10), (10, 10), (10, 10)), 0, Outcome.BAD),
        (look((3, 3), (3, 3)), 0, Outcome.BAD),  # too few calls for a verdict, not for a step
        (look((2, 2), (1, 1), (1, 1)), 0, Outcome.POOR),  # four failures are not broken yet
        (look((3, 1), (3, 1), (3, 1)), 0, Outcome.POOR),
        (look((10, 1), (10, 1), (10, 1)), 0, Outcome.POOR),
        (look((10, 1), (10, 1)), 0, Outcome.UNCLEAR),  # two failures are no relapse
        (look((100, 12), (100, 12), (100, 12)), 10, Outcome.WELL),  # as everywhere else
        (look((100, 16), (100, 16), (100, 16)), 10, Outcome.POOR),
        (look((100, 0), (100, 9)), 0, Outcome.UNCLEAR),  # well enough to stay, not to go on
        (look((100, 0), (100, 0), (100, 0)), 0, Outcome.WELL),
        (look((100, 0)), 0, Outcome.WELL),
        (look((100, 100)), 0, Outcome.UNCLEAR),  # one alone changes nothing for others
        (look((100, 100), checks=FAIL_ONCE), 0, Outcome.BAD),
        (look(checks=FAIL_ONCE), 0, Outcome.FAILING),
        (look(checks=PASS), 0, Outcome.PASSED),
        (look(), 0, Outcome.NOTHING),
    ],
)
def test_outcomes_of_a_step(seen: Look, others_percent: float, outcome: Outcome) -> None:
    assert outcome_of(seen, examine(seen), FAILBACK, others_percent, blind=False) is outcome


@pytest.mark.parametrize("checks", [NOTHING_CHECKED, PASS])
def test_when_nobody_is_heard_a_check_that_passes_does_not_speed_anything_up(checks: Says) -> None:
    seen = look(checks=checks)
    assert outcome_of(seen, examine(seen), FAILBACK, 0, blind=True) is Outcome.BLIND


# -- standing


def standing() -> Standing:
    return Standing(Subject(Kind.SITE, Site("paris", PARIS)), 0.0)


def test_every_state_that_gets_all_its_traffic_knows_every_opinion() -> None:
    assert set(STEPS) == {(state, said) for state in (State.HEALTHY, State.SUSPECT) for said in Opinion}


def test_who_was_suspect_is_healthy_when_nothing_is_seen_any_more() -> None:
    found = standing()
    found.settle(examine(look((10, 10), (10, 10), (10, 10))), 1.0)
    assert found.state is State.SUSPECT
    found.settle(examine(look()), 2.0)
    assert (found.state, found.bad_since_s) == (State.HEALTHY, None)


@pytest.mark.parametrize(
    ("seen", "wait_s"), [(look((10, 10), (10, 10), (10, 10)), 0.5), (look(checks=FAIL_TWICE), 1.0)]
)
def test_callers_are_believed_sooner_than_checks(seen: Look, wait_s: float) -> None:
    found = standing()
    found.settle(examine(seen), 1.0)
    assert not found.confirmed(HEALTH.window_s, 1.0 + wait_s - 0.01)
    assert found.confirmed(HEALTH.window_s, 1.0 + wait_s)


def test_what_is_emptied_again_soon_after_it_came_back_holds_longer() -> None:
    found = standing()
    found.settle(examine(look((10, 10), (10, 10), (10, 10))), 1.0)
    found.empty(FAILBACK, 1.0)
    assert found.ramp.hold_s == 30
    at_s = 1.0
    while found.moved:
        at_s += 15
        found.advance(FAILBACK, Outcome.WELL, at_s)
    assert not found.forgettable(FAILBACK, at_s + 299)
    assert found.forgettable(FAILBACK, at_s + 300)
    found.empty(FAILBACK, at_s)
    assert (found.ramp.hold_s, found.ramp.relapses) == (120, 1)
