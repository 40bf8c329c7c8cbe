"""Which takes keep their promise, and what the report says of those that do not."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from tideover_app.demo import promises, report
from tideover_app.demo.chart import chart, lanes_of, round_up
from tideover_app.demo.layout import AWAY, HOME
from tideover_app.demo.measure import Call
from tideover_app.demo.page import page
from tideover_app.demo.promises import Mark, Scene, Take

ALL = (
    promises.NOT_READY,
    promises.BACK,
    promises.KILLED,
    promises.LOST,
    promises.FROZEN,
    promises.EVACUATED,
    promises.BEHEADED,
)


def calls(
    scene: Scene, moved_after_s: float = 0.1, bad: dict[int, Call] | None = None, gap: bool = False
) -> list[Call]:
    """Ten seconds of calls to ratings around a fault at 5 s."""
    elsewhere = {HOME: AWAY, AWAY: HOME}[scene.goes_to]
    made = []
    for i in range(1000):
        end_s = i / 100
        place = elsewhere if end_s < 5 + moved_after_s else scene.goes_to
        if gap and 5 <= end_s < 5 + moved_after_s:
            continue
        made.append(Call(HOME, "ratings", "GET", end_s - 0.005, end_s, place, 200))
    for index, call in (bad or {}).items():
        made[index] = call
    return made


def take(scene: Scene, **more: object) -> Take:
    fields = {"began_s": 3.0, "changed_s": 5.0, "until_s": 9.0, "ended_s": 9.5} | more
    return Take(scene, **fields)  # type: ignore[arg-type]


def failed(at_s: float, *, cut: bool = False) -> Call:
    method = "POST" if cut else "GET"
    return Call(
        HOME, "ratings", method, at_s - 0.005, at_s, status=503, cut=cut, error="no <healthy> upstream"
    )


@pytest.mark.parametrize("scene", ALL, ids=lambda s: s.letter)
def test_a_quick_move_without_failures_keeps_every_promise(scene: Scene) -> None:
    assert promises.result(take(scene), calls(scene), 10).broken == ()


@pytest.mark.parametrize(
    ("scene", "kept"),
    [
        (promises.NOT_READY, False),
        (promises.BACK, False),
        (promises.KILLED, False),
        (promises.LOST, False),
        (promises.FROZEN, True),
        (promises.EVACUATED, False),
        (promises.BEHEADED, False),
    ],
    ids=lambda v: getattr(v, "letter", v),
)
def test_one_failed_call_breaks_all_but_f(scene: Scene, kept: bool) -> None:
    result = promises.result(take(scene), calls(scene, bad={400: failed(4.0)}), 10)
    assert result.kept is kept
    assert kept or result.broken == ("1 of 650 calls failed",)


@pytest.mark.parametrize(
    ("scene", "kept"),
    [
        (promises.NOT_READY, False),
        (promises.BACK, False),
        (promises.KILLED, True),
        (promises.LOST, False),
        (promises.FROZEN, True),
        (promises.BEHEADED, True),
    ],
    ids=lambda v: getattr(v, "letter", v),
)
def test_calls_cut_in_flight_are_forgiven_where_processes_die_unannounced(scene: Scene, kept: bool) -> None:
    result = promises.result(take(scene), calls(scene, bad={400: failed(4.0, cut=True)}), 10)
    assert (result.count.failed, result.count.cut, result.kept) == (0, 1, kept)


@pytest.mark.parametrize(
    ("scene", "limit_s"),
    [(promises.NOT_READY, 0.5), (promises.LOST, 0.5), (promises.KILLED, 3.0)],
    ids=lambda v: getattr(v, "letter", v),
)
def test_a_slow_move_breaks_the_promise(scene: Scene, limit_s: float) -> None:
    assert promises.result(take(scene), calls(scene, limit_s - 0.1), 10).kept
    late = promises.result(take(scene), calls(scene, limit_s + 0.1), 10)
    assert late.broken == (f"the calls moved after {limit_s + 0.1:.2f} s, not within {limit_s:g} s",)


def test_calls_that_never_move_break_any_promise() -> None:
    for scene in ALL:
        assert "the calls did not move" in promises.result(take(scene), calls(scene, 100), 10).broken


def test_a_scene_that_did_not_heal_is_not_kept() -> None:
    scene = promises.KILLED
    assert promises.result(take(scene, trouble="not healthy again"), calls(scene), 10).broken == (
        "not healthy again",
    )


def test_json_has_the_promised_shape() -> None:
    scene = promises.NOT_READY
    result = promises.result(take(scene, retried=2), calls(scene), 10)
    shown = json.loads(json.dumps(report.as_json([result])))
    assert shown["passed"] is True
    keys = ("name", "calls", "failed", "retried", "secondsUntilMoved")
    assert {key: shown["scenes"][0][key] for key in keys} == {
        "name": "ratings in paris turns unready",
        "calls": 650,
        "failed": 0,
        "retried": 2,
        "secondsUntilMoved": 0.1,
    }


def test_json_of_calls_that_never_moved_says_null() -> None:
    scene = promises.NOT_READY
    shown = report.as_json([promises.result(take(scene), calls(scene, 100), 10)])
    assert shown["passed"] is False
    assert shown["scenes"][0]["secondsUntilMoved"] is None  # type: ignore[index]


def test_the_page_needs_nothing_else_and_is_well_formed() -> None:
    takes = [take(scene, marks=[Mark(5.0, "a & b"), Mark(5.1, "moved")]) for scene in ALL]
    made = [calls(scene, bad={400: failed(4.0)}) for scene in ALL]
    results = [promises.result(t, c, 10) for t, c in zip(takes, made, strict=True)]
    html = page(takes, results, made[0], "<facts>", passed=False)
    assert not re.search(r"https?://|src=|@import|url\(|<script|<link", html)
    body = html.partition("<body>")[2].partition("</body>")[0]
    root = ElementTree.fromstring(body.replace("&nbsp;", " "))
    assert len(root.findall(".//svg")) == len(ALL)
    assert "&lt;facts&gt;" in html


def test_the_chart_draws_home_away_and_failed() -> None:
    scene = promises.NOT_READY
    picture = ElementTree.fromstring(chart(take(scene), calls(scene, bad={400: failed(4.0)})))
    classes = [path.get("class") for path in picture.findall("path")]
    assert classes == ["home", "away", "failed", "slow"]


def test_labels_that_would_overlap_get_rows_of_their_own() -> None:
    marks = [Mark(1.0, "not ready on disk"), Mark(1.05, "moved"), Mark(8.0, "run again")]
    assert lanes_of(marks, 0, 10) == [0, 1, 0]


@pytest.mark.parametrize(
    ("value", "edge"), [(0.5, 1), (1, 1), (75, 100), (120, 200), (210, 300), (4200, 5000)]
)
def test_axes_end_at_round_numbers(value: float, edge: float) -> None:
    assert round_up(value) == edge
