"""What the demo's calls say: arithmetic on lists of calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tideover_app.demo.measure import (
    Call,
    Count,
    Scope,
    count,
    ended_between,
    percentile,
    seconds_until_moved,
    served_share,
    timeline,
)


def call(ended_s: float, served_by: str = "paris", **more: object) -> Call:
    fields = {"caller": "paris", "service": "ratings", "method": "GET", "began_s": ended_s - 0.005} | more
    return Call(ended_s=ended_s, served_by=served_by, **fields)  # type: ignore[arg-type]


def every_10_ms(begin_s: float, end_s: float, served_by: str) -> list[Call]:
    return [call(begin_s + i / 100, served_by) for i in range(round((end_s - begin_s) * 100))]


def moved(calls: list[Call], changed_s: float = 10.0, until_s: float = 20.0) -> float | None:
    return seconds_until_moved(calls, changed_s, until_s, lambda place: place == "dublin")


def test_moved_is_when_the_first_answers_from_elsewhere_came() -> None:
    calls = every_10_ms(9, 10.3, "paris") + every_10_ms(10.3, 15, "dublin")
    assert moved(calls) == pytest.approx(0.3)


def test_answers_before_the_change_do_not_count() -> None:
    assert moved(every_10_ms(9, 10, "dublin") + every_10_ms(10, 12, "paris")) is None


def test_one_straggler_of_several_hundred_is_less_than_one_percent() -> None:
    calls = every_10_ms(10, 15, "dublin")
    calls[250] = call(calls[250].ended_s, "paris")
    assert moved(calls) == pytest.approx(0)


def test_failed_calls_were_served_nowhere() -> None:
    calls = every_10_ms(10, 12, "") + every_10_ms(12, 15, "dublin")
    assert moved(calls) == pytest.approx(2)


def test_a_hang_moves_when_answers_come_not_when_the_old_place_falls_silent() -> None:
    assert moved(every_10_ms(9, 10, "paris") + every_10_ms(11, 15, "dublin")) == pytest.approx(1)


def test_going_back_is_not_having_moved() -> None:
    calls = every_10_ms(10, 12, "dublin") + every_10_ms(12, 15, "paris")
    assert moved(calls) is None


def test_what_comes_after_the_fault_is_the_way_back() -> None:
    calls = every_10_ms(10, 12, "dublin") + every_10_ms(12, 15, "paris")
    assert moved(calls, until_s=11.9) == pytest.approx(0)


def test_too_few_calls_say_nothing() -> None:
    assert moved([call(10.1, "dublin"), call(10.2, "dublin")]) is None
    assert moved([]) is None


@given(st.lists(st.tuples(st.floats(0, 30), st.sampled_from(["paris", "dublin", ""])), max_size=80))
def test_whoever_moved_was_served_there_from_then_on(points: list[tuple[float, str]]) -> None:
    calls = [call(end_s, place) for end_s, place in sorted(points)]
    found = moved(calls, changed_s=5, until_s=25)
    if found is not None:
        rest = [c for c in calls if 5 + found <= c.ended_s <= 25 and not c.failed]
        assert sum(c.served_by == "dublin" for c in rest) >= 0.99 * len(rest)
        assert len(rest) >= 5


def test_a_cut_call_is_its_own_number_not_a_failure() -> None:
    calls = [call(1), call(2, ""), call(3, "", method="POST", cut=True)]
    assert count(calls) == Count(calls=3, failed=1, cut=1)


def test_scope_is_who_called_what() -> None:
    ratings = Scope("paris", frozenset({"ratings"}))
    assert ratings.holds(call(1))
    assert not ratings.holds(call(1, caller="dublin"))
    assert not ratings.holds(call(1, service="reviews"))


def test_shares_name_the_failed_as_nowhere() -> None:
    assert served_share([call(1), call(2, "dublin"), call(3, "dublin"), call(4, "")]) == {
        "paris": 0.25,
        "dublin": 0.5,
        "": 0.25,
    }
    assert served_share([]) == {}


def test_ended_between_includes_its_begin_and_not_its_end() -> None:
    calls = [call(t) for t in (1.0, 2.0, 3.0)]
    assert [c.ended_s for c in ended_between(calls, 1.0, 3.0)] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 50, None), ([3, 1, 2], 50, 2), ([1, 2, 3, 4], 100, 4), ([1], 99, 1), (range(1, 101), 99, 99)],
)
def test_percentile_is_the_nearest_rank(values: list[float], percent: float, expected: float | None) -> None:
    assert percentile(values, percent) == expected


@given(st.lists(st.floats(0, 10), max_size=50), st.sampled_from([0.1, 0.2, 0.5]))
def test_a_timeline_loses_no_call(ends: list[float], bin_s: float) -> None:
    bins = timeline([call(end_s) for end_s in ends], 0, 10.5, bin_s)
    assert round(sum(sum(b.per_second.values()) for b in bins) * bin_s) == len(ends)


def test_a_timeline_shows_silence_as_empty_bins() -> None:
    bins = timeline([call(0.1), call(2.1, "")], 0, 3, 1)
    assert [b.per_second for b in bins] == [{"paris": 1}, {}, {"": 1}]
