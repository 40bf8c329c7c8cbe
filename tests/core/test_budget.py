"""How much judgements may take away."""

from __future__ import annotations

import pytest

from tideover_core.budget import allowed, refuses_endpoints, refuses_site


@pytest.mark.parametrize(
    ("total", "drained", "others_well", "percent", "may"),
    [
        (3, 0, 2, 50, True),
        (3, 1, 1, 50, False),  # 1.5 is 1
        (4, 1, 2, 50, True),
        (4, 2, 1, 50, False),
        (2, 0, 1, 10, True),  # one may always go while another is well
        (2, 0, 0, 100, False),  # everything looks sick
        (1, 0, 0, 100, False),
        (2, 0, 1, 0, False),
        (3, 1, 1, 100, True),
        (3, 2, 0, 100, False),
        (100, 28, 1, 29, True),
        (4, 1, 2, 1e9, True),
        (4, 1, 2, -5, False),
    ],
)
def test_sites(total: int, drained: int, others_well: int, percent: float, may: bool) -> None:
    assert (refuses_site(total, drained, others_well, percent) == "") is may


@pytest.mark.parametrize(
    ("total", "bad", "may"), [(10, 5, True), (10, 6, False), (9, 5, False), (1, 1, False)]
)
def test_endpoints(total: int, bad: int, may: bool) -> None:
    assert (refuses_endpoints(total, bad, 50) == "") is may


def test_rounding_down_is_not_fooled_by_floating_point() -> None:
    assert allowed(100, 29) == 29
