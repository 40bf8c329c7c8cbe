"""How often a fleet reports: within its budget, and told seldom."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from health.fleet import STEP_S, Caller, Fleet
from tideover_health import pace
from tideover_health.pace import Allowance, Asked, Clock, Lately, Pace, Slots, by_endpoint, interval_s

# reporters, interval now -> interval; 1 s and 500 reports a second
SIZES = [
    (0, 1.0, 1.0), (500, 1.0, 1.0), (501, 1.0, 1.5), (750, 1.5, 1.5), (1000, 1.0, 2.0), (5000, 1.0, 10.0),
    # shorter only when a fifth of the budget stays free
    (500, 1.5, 1.5), (420, 1.5, 1.5), (400, 1.5, 1.0), (5000, 15.0, 15.0), (4000, 15.0, 10.0), (1, 60.0, 1.0),
    # beyond all steps the longest stays
    (10**6, 1.0, 60.0),
]  # fmt: skip


@pytest.mark.parametrize(("reporters", "now_s", "expected_s"), SIZES)
def test_the_interval_follows_the_number_of_reporters(
    reporters: int, now_s: float, expected_s: float
) -> None:
    assert interval_s(reporters, now_s, 1.0, 500) == expected_s


@given(st.lists(st.integers(-3, 3), max_size=200), st.integers(0, 20_000), st.integers(1, 2000))
def test_newcomers_and_leavers_change_no_settings_back_and_forth(
    moves: list[int], start: int, rate: int
) -> None:
    """A fleet that wavers by a few is told at most once."""
    now_s = interval_s(start, 1.0, 1.0, rate)
    seen, size = {now_s}, start
    for move in moves:
        size = max(0, min(start + 3, max(start - 3, size + move)))
        now_s = interval_s(size, now_s, 1.0, rate)
        seen.add(now_s)
        assert size <= rate * now_s or now_s == 60.0
    assert len(seen) <= 2 or rate < 50  # with a handful of reporters a few are many


# 5,000 reporters report every 10 s; the fewest callers are the slowest to be believed
@pytest.mark.parametrize(("each_s", "count", "shown_s"), [(1.0, 3, 2.0), (2.0, 8, 3.5), (10.0, 3, 15.5)])
def test_what_status_says_of_detection_is_the_most_it_takes(
    each_s: float, count: int, shown_s: float
) -> None:
    assert Pace(each_s).detection_s == shown_s
    took = [detected_after_s(each_s, count, seed) for seed in range(20)]
    assert max(took) <= shown_s + STEP_S
    assert max(took) > 0.7 * shown_s, "and not much more than that"


def detected_after_s(each_s: float, count: int, seed: int) -> float:
    """How long it takes until a place that breaks at any moment is moved, by callers in any phase."""
    random = Random(seed)
    fleet = Fleet(
        Caller(f"spiffe://{number}", interval_s=each_s, offset_s=each_s * random.random())
        for number in range(count)
    )
    fleet.run(each_s * (2 + random.random()))
    broken_s = fleet.now_s
    fleet.fault = lambda now_s, at, cluster, endpoint: float(cluster == "paris")
    while not fleet.changes:
        fleet.step()
    return fleet.now_s - broken_s


ASKED = Clock().told(Asked(1.0), 100.0)
# clock, wanted, now -> may it be asked
MOMENTS = [
    pytest.param(Clock(), Asked(1.0), 0.0, True, id="never asked"),
    pytest.param(ASKED.heard(105.0), Asked(1.0), 105.0, False, id="the same again"),
    pytest.param(ASKED.heard(105.0), Asked(1.0, True), 105.0, True, id="right after a report"),
    pytest.param(ASKED.heard(105.0), Asked(1.0, True), 105.2, True, id="shortly after a report"),
    pytest.param(ASKED.heard(105.0), Asked(1.0, True), 105.5, False, id="would delay the next report"),
    pytest.param(ASKED.heard(100.1), Asked(1.0, True), 100.1, False, id="twice within an interval"),
    pytest.param(ASKED.heard(105.0), Asked(10.0), 105.5, False, id="longer: at its next report"),
    pytest.param(ASKED.heard(105.0), Asked(10.0), 105.0, True, id="longer: after a report"),
    pytest.param(
        Clock().told(Asked(10.0), 0.0).heard(100.0), Asked(1.0, True), 104.0, True, id="shorter: at once"
    ),
    pytest.param(
        Clock().told(Asked(10.0), 0.0).heard(100.0), Asked(1.0, True), 109.5, False, id="its report is due"
    ),
]


@pytest.mark.parametrize(("clock", "wanted", "now_s", "expected"), MOMENTS)
def test_when_a_client_may_be_asked(clock: Clock, wanted: Asked, now_s: float, expected: bool) -> None:
    assert clock.may_ask(wanted, now_s) is expected


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans(), st.booleans()), max_size=50))
def test_a_client_is_never_asked_twice_within_an_interval_nor_for_the_same(
    steps: list[tuple[float, bool, bool]],
) -> None:
    clock, now_s, asked = Clock(), 0.0, []
    for later_s, heard, wanted in steps:
        now_s += later_s
        clock = clock.heard(now_s) if heard else clock
        if clock.may_ask(Asked(1.0, wanted), now_s):
            clock = clock.told(Asked(1.0, wanted), now_s)
            asked.append((now_s, wanted))
    assert all(after - before >= 1 and this != that for (before, this), (after, that) in pairwise(asked))


@dataclass(frozen=True)
class One:
    number: int
    names: frozenset[str] = field(default_factory=frozenset)


def callers(count: int, *names: str, first: int = 0) -> list[One]:
    return [One(number, frozenset(names)) for number in range(first, first + count)]


def test_callers_of_doubted_services_report_by_endpoint_and_nobody_else() -> None:
    fleet = [*callers(3, "a", "b"), *callers(3, "b", first=3), *callers(3, "c", first=6)]
    assert by_endpoint(fleet, frozenset("a"), frozenset(), 10) == {0, 1, 2}
    assert by_endpoint(fleet, frozenset(), frozenset({1}), 10) == frozenset()
    assert by_endpoint(fleet, frozenset("z"), frozenset(), 10) == frozenset()


def test_of_too_many_each_doubted_service_has_its_share_and_those_asked_already_stay() -> None:
    fleet = [*callers(100, "popular"), *callers(2, "rare", first=100)]
    chosen = by_endpoint(fleet, frozenset({"popular", "rare"}), frozenset({50, 60}), 6)
    assert chosen == {50, 60, 0, 1, 100, 101}
    assert by_endpoint(fleet, frozenset({"popular", "rare"}), chosen, 6) == chosen


def test_reports_by_endpoint_have_a_share_of_the_budget() -> None:
    assert [pace.most_by_endpoint(s, 500) for s in (1.0, 10.0)] == [100, 1000]
    assert pace.most_by_endpoint(1.0, 1) == 5


def test_a_lone_newcomer_is_asked_at_once_and_those_of_a_restart_are_spread() -> None:
    slots = Slots()
    assert slots.take(10.0, 500, 1.0) == 0
    assert [round(slots.take(10.0, 500, 1.0), 3) for _ in range(3)] == [0.002, 0.004, 0.006]
    waits = [slots.take(20.0, 500, 1.0) for _ in range(1500)]
    assert max(waits) == 1.0
    assert sum(wait < 0.5 for wait in waits) == pytest.approx(750, abs=10)
    assert slots.take(1000.0, 500, 1.0) == 0


def test_bursts_are_read_and_floods_are_not() -> None:
    allowance = Allowance()
    assert [allowance.wait_s(5.0, 1.0) for _ in range(20)] == [0.0] * 20
    assert allowance.wait_s(5.0, 1.0) == 0.5
    assert [allowance.wait_s(100.0 + i, 1.0) for i in range(100)] == [0.0] * 100


def test_names_are_remembered_for_half_a_minute_to_a_minute_and_bounded() -> None:
    lately = Lately()
    lately.add(frozenset("a"), 0.0)
    lately.add(frozenset("b"), 20.0)
    assert lately.names == {"a", "b"}
    lately.add(frozenset("b"), 35.0)
    assert lately.names == {"a", "b"}
    lately.add(frozenset("b"), 70.0)
    assert lately.names == {"b"}
    lately.add(frozenset(), 500.0)
    assert lately.names == frozenset()
    lately.add(frozenset(f"s-{i}" for i in range(5000)), 501.0)
    assert len(lately.names) == Lately.MOST


def test_a_client_that_is_late_is_silent() -> None:
    assert Clock().silent_s(10.0) == 0
    assert ASKED.heard(105.0).silent_s(105.9) == 0
    assert ASKED.heard(105.0).silent_s(109.0) == pytest.approx(3.0)
    assert Clock().reported_at_s == -inf
