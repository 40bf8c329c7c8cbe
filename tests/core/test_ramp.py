"""The ramp: what was emptied gets its traffic back in steps, and what relapses waits longer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tideover_core.policy import Failback
from tideover_core.ramp import LONGEST_HOLD_S, NEXT, Outcome, Ramp, Stage, advanced, begun, emptied, next_s

POLICY = Failback(30, (5, 25, 50, 100), 10, 5)


def after(ramp: Ramp, story: list[tuple[float, Outcome]]) -> list[float]:
    """The percentages after each of these outcomes."""
    found = []
    for at_s, outcome in story:
        ramp = advanced(ramp, POLICY, outcome, at_s)
        found.append(ramp.percent)
    return found


def test_every_stage_and_outcome_is_in_the_table() -> None:
    assert set(NEXT) == {(stage, outcome) for stage in Stage for outcome in Outcome}


def test_without_data_the_first_step_comes_after_the_hold_down_and_is_the_test() -> None:
    nothing, well = Outcome.NOTHING, Outcome.WELL
    story = [(29.9, nothing), (30, nothing), (39.9, well), (40, well), (50, well), (60, well)]
    assert after(emptied(POLICY, 0), story) == [0, 5, 5, 25, 50, 100]


@pytest.mark.parametrize(
    ("outcome", "first_step_s"),
    [
        (Outcome.NOTHING, 30),
        (Outcome.PASSED, 15),  # a check only speeds it up
        (Outcome.WELL, 15),
        (Outcome.FAILING, None),  # and one that fails holds
        (Outcome.BAD, None),
        (Outcome.BLIND, 900),
    ],
)
def test_the_hold_down(outcome: Outcome, first_step_s: float | None) -> None:
    ramp, at_s, found = emptied(POLICY, 0), 0.0, None
    while at_s < 2000 and found is None:
        at_s += 1
        ramp = advanced(ramp, POLICY, outcome, at_s)
        found = at_s if ramp.percent else None
    assert found == first_step_s


@pytest.mark.parametrize(
    ("outcome", "next_step_s"),
    [
        (Outcome.WELL, 10),
        (Outcome.PASSED, 10),
        (Outcome.NOTHING, 20),
        (Outcome.UNCLEAR, None),  # one alone who sees errors: neither on nor back
        (Outcome.FAILING, None),
        (Outcome.BLIND, 900),
    ],
)
def test_a_step(outcome: Outcome, next_step_s: float | None) -> None:
    assert next_s(begun(POLICY, 0), POLICY, outcome) == next_step_s
    for at_s in (9.9, 10, 20, 900):
        assert (advanced(begun(POLICY, 0), POLICY, outcome, at_s).percent == 25) is (
            next_step_s is not None and at_s >= next_step_s
        )


def test_what_is_still_bad_begins_its_hold_anew() -> None:
    ramp = advanced(emptied(POLICY, 0), POLICY, Outcome.BAD, 25)
    assert next_s(ramp, POLICY, Outcome.NOTHING) == 55


def test_a_relapse_steps_back_and_holds_longer_each_time() -> None:
    ramp = begun(POLICY, 0)
    ramp = advanced(ramp, POLICY, Outcome.WELL, 10)
    assert ramp.percent == 25
    ramp = advanced(ramp, POLICY, Outcome.POOR, 12)
    assert (ramp.percent, next_s(ramp, POLICY, Outcome.WELL)) == (5, 12 + 120)
    ramp = advanced(ramp, POLICY, Outcome.POOR, 14)
    assert (ramp.percent, ramp.stage, ramp.hold_s) == (0, Stage.HOLDING, 120)  # one relapse, seen twice
    ramp = advanced(ramp, POLICY, Outcome.NOTHING, 134)
    ramp = advanced(ramp, POLICY, Outcome.POOR, 140)
    assert (ramp.percent, ramp.hold_s) == (0, 480)
    ramp = emptied(POLICY, 20, Ramp(relapses=9))
    assert ramp.hold_s == LONGEST_HOLD_S


def test_what_is_broken_in_a_step_is_emptied_at_once() -> None:
    ramp = Ramp(Stage.STEPPING, 0, 50)
    assert advanced(ramp, POLICY, Outcome.BAD, 1).percent == 0


@pytest.mark.parametrize("steps", [(), (100.0,), (0.0, 50.0)])
def test_odd_steps_end_too(steps: tuple[float, ...]) -> None:
    policy = Failback(1, steps, 1, 5)
    ramp = emptied(policy, 0)
    for at_s in range(1, 20):
        ramp = advanced(ramp, policy, Outcome.WELL, at_s)
    assert ramp.stage is Stage.DONE


@pytest.mark.parametrize(
    ("outcome", "at_s", "steps", "percent"),
    [
        (Outcome.POOR, 1, (60, 100), 0),  # none is below: not all of it, because there is no third step
        (Outcome.POOR, 1, (10, 20, 80, 100), 20),
        (Outcome.WELL, 10, (5, 100), 100),
        (Outcome.WELL, 10, (60, 70, 80, 100), 60),
        (Outcome.WELL, 10, (1, 2, 3, 51, 100), 51),
    ],
)
def test_a_policy_may_have_other_steps_since_the_last_one_was_taken(
    outcome: Outcome, at_s: float, steps: tuple[float, ...], percent: float
) -> None:
    ramp = Ramp(Stage.STEPPING, 0, 50)
    assert advanced(ramp, Failback(30, steps, 10, 5), outcome, at_s).percent == percent


@given(
    st.lists(st.tuples(st.floats(0, 700), st.sampled_from(list(Outcome))), max_size=60),
    st.lists(st.floats(0, 100), max_size=5).map(lambda steps: (*sorted(steps), 100.0)),
)
def test_it_rises_by_one_step_at_a_time_and_never_when_anything_bad_is_seen(
    story: list[tuple[float, Outcome]], steps: tuple[float, ...]
) -> None:
    policy = Failback(30, steps, 10, 5)
    ramp, at_s = emptied(policy, 0), 0.0
    for passed_s, outcome in story:
        at_s += passed_s
        before, ramp = ramp, advanced(ramp, policy, outcome, at_s)
        if ramp.percent > before.percent:
            assert outcome not in (Outcome.BAD, Outcome.POOR, Outcome.FAILING)
            # the next step above, those with equal percent aside
            assert ramp.percent <= min((step for step in steps if step > before.percent), default=100.0)
        assert 0 <= ramp.percent <= 100
        assert ramp.hold_s <= LONGEST_HOLD_S
