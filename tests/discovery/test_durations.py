"""Durations as Kubernetes writes them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tideover_discovery.durations import seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1h2m3.5s", 3723.5),
        ("500ms", 0.5),
        ("0", 0),
        ("0s", 0),
        ("1m", 60),
        ("10us", 1e-5),
        ("5µs", 5e-6),
        (".5s", 0.5),
    ],
)
def test_examples(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize(
    "text", ["", "5", "s", "-1s", "1s ", "1 s", "1d", "1e3s", "1s2", "٣s", None, 5, 1.5, True, "9" * 12 + "h"]
)
def test_anything_else_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"duration|longer"):
        seconds(text)


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 999))
def test_parts_add_up(h: int, m: int, s: int, ms: int) -> None:
    assert seconds(f"{h}h{m}m{s}s{ms}ms") == pytest.approx(h * 3600 + m * 60 + s + ms / 1000)
