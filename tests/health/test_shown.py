"""What people are told of a verdict: cause, step, what comes next and when."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from health.fleet import PORT, SERVICE, of_site, site
from tideover_core.policy import Failback
from tideover_core.ramp import Outcome, Ramp, Stage
from tideover_health.places import Places
from tideover_health.port import Port
from tideover_health.rules import Finding, Opinion
from tideover_health.shown import verdict_of
from tideover_health.standing import Standing
from tideover_health.verdict import Kind, State, Subject, Verdict
from tideover_health.votes import Tally

FAILBACK = Failback(hold_down_s=30.0, steps=(5.0, 25.0, 50.0, 100.0), step_every_s=10.0)
HOLD = Ramp(Stage.HOLDING, 1000.0, 0.0, 30.0)
STEP = Ramp(Stage.STEPPING, 1000.0, 25.0)
VOTES = Tally(4, 40, 40, 100.0, 100.0, 3)
CALLS = Finding(Opinion.BAD, "calls", "3 of 4 voters see errors (the middle one 100 %)", VOTES)


def moved(ramp: Ramp, outcome: Outcome, **said: object) -> Verdict:
    """The verdict on a place that is on its way back, or waits for it."""
    port = Port(Places(SERVICE, PORT), Counter())
    port.places.failback = FAILBACK
    standing = port.standings[of_site("paris")] = Standing(of_site("paris"), 990.0)
    standing.ramp, standing.outcome, standing.cause = ramp, outcome, "3 of 4 voters see errors"
    standing.state = State.HOLDING if ramp.stage is Stage.HOLDING else State.RAMPING
    for name, value in said.items():
        setattr(standing, name, value)
    return verdict_of(port, standing, 0.0)


# stage, what is seen -> what comes next, and when
NEXT = [
    (HOLD, Outcome.NOTHING, "after the hold-down of 30 s: 5 % of its share", 1030.0),
    (HOLD, Outcome.UNCLEAR, "after the hold-down of 30 s: 5 % of its share", 1030.0),
    (HOLD, Outcome.PASSED, "seen well, so after half of the hold-down of 30 s: 5 % of its share", 1015.0),
    (
        HOLD,
        Outcome.BAD,
        "it is still seen bad: when that is over the hold-down of 30 s begins, then 5 % of its share",
        None,
    ),
    (
        HOLD,
        Outcome.FAILING,
        "an active check fails: when that is over the hold-down of 30 s begins, then 5 % of its share",
        None,
    ),
    (
        HOLD,
        Outcome.BLIND,
        "nobody is heard, and no data is not bad data: it stays so, then goes on at half the pace: "
        "5 % of its share",
        1900.0,
    ),
    (STEP, Outcome.WELL, "if it stays well: 50 % of its share", 1010.0),
    (STEP, Outcome.NOTHING, "without calls, after twice the time of a step: 50 % of its share", 1020.0),
    (STEP, Outcome.FAILING, "an active check fails, so it stays at this step", None),
    (
        STEP,
        Outcome.UNCLEAR,
        "what is seen is not clear, or one voter alone sees errors, so it stays at this step",
        None,
    ),
    (replace(STEP, percent=50.0), Outcome.WELL, "if it stays well: 100 % of its share", 1010.0),
]


@pytest.mark.parametrize(("ramp", "outcome", "following", "at_s"), NEXT)
def test_what_comes_next_and_when(ramp: Ramp, outcome: Outcome, following: str, at_s: float | None) -> None:
    found = moved(ramp, outcome)
    assert (found.next_step, found.next_s) == (following, at_s)


def test_every_outcome_of_every_stage_has_words() -> None:
    assert all(moved(ramp, outcome).next_step for ramp in (HOLD, STEP) for outcome in Outcome)


def test_a_step_is_counted_and_lasts_since_it_began_and_what_is_seen_now_stands_beside_the_cause() -> None:
    found = moved(STEP, Outcome.WELL)
    assert (found.stage, found.since_s) == ("step 2 of 4", 1000.0)
    assert found.causes == (
        "cause: 3 of 4 voters see errors",
        "now silence: nothing is seen; that is not bad",
    )
    bad = moved(HOLD, Outcome.BAD, finding=CALLS, cause=CALLS.cause)
    assert (bad.causes, bad.since_s, bad.stage) == ((f"cause: {CALLS.cause}",), 990.0, "")
    assert (bad.voters_for, bad.voters_against, bad.error_percent) == (3, 1, 100.0)


def test_what_is_frozen_has_no_next_step_but_a_reason() -> None:
    found = moved(STEP, Outcome.WELL, blocked="TrafficOrder t/stop freezes cluster/paris")
    assert (found.next_step, found.next_s) == ("", None)
    assert found.blocked == "TrafficOrder t/stop freezes cluster/paris"


def test_an_endpoint_that_looks_bad_in_a_place_that_is_given_nothing_waits_for_it() -> None:
    port = Port(Places(SERVICE, PORT), Counter())
    whole = port.standings[of_site("paris")] = Standing(of_site("paris"), 990.0)
    endpoint = Standing(Subject(Kind.ENDPOINT, site("paris"), None, ("default", "10.0.0.1", PORT)), 990.0)
    endpoint.state, endpoint.finding = State.SUSPECT, CALLS
    assert verdict_of(port, endpoint, 0.0).next_step == "emptied if it stays so"
    whole.ramp = HOLD
    found = verdict_of(port, endpoint, 0.0)
    assert (found.blocked, found.next_step) == ("its whole place is given nothing", "")
