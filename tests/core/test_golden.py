"""Every golden world: what is planned is the table that the case expects."""

from __future__ import annotations

import pytest

from support.golden import Case, lines, load_cases, table
from tideover_core.plan import plan
from tideover_core.resolve import projection

CASES = load_cases()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_golden_world(case: Case) -> None:
    assignment = plan(case.world, case.target, case.located)
    if case.expected is None:
        assert assignment is None
        return
    assert assignment is not None
    assert lines(table(assignment)) == lines(case.expected)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_projection_says_all_that_a_plan_reads(case: Case) -> None:
    cut = projection(case.world, case.target, case.located)
    assert plan(case.world, case.target, cut) == plan(case.world, case.target, case.located)
    assert projection(case.world, case.target, cut) == cut


def test_cases_have_names_of_their_own() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) > 50


def test_the_table_can_disagree() -> None:
    case = next(case for case in CASES if case.expected)
    assignment = plan(case.world, case.target, case.located)
    assert assignment is not None
    assert lines(table(assignment)) != lines((case.expected or "") + "- 10.9.9.9 made up")
