"""Envoy's arithmetic of spill and panic; the numbers marked measured were seen on Envoy 1.40."""

from __future__ import annotations

import pytest

from tideover_core.traffic import Hosts, expected_percents, overprovisioning

FACTOR = 140


@pytest.mark.parametrize(
    ("priorities", "factor", "expected"),
    [
        ([(10, 10), (10, 10)], FACTOR, [100, 0]),
        ([(7, 10), (10, 10)], FACTOR, [98, 2]),  # measured 98.3 / 1.7
        ([(5, 10), (10, 10)], FACTOR, [70, 30]),  # measured 71 / 29
        ([(2, 10), (10, 10)], FACTOR, [28, 72]),  # measured 27 / 73
        ([(8, 10), (10, 10)], 100, [80, 20]),  # measured 80 / 20
        ([(0, 10), (10, 10)], FACTOR, [0, 100]),
        ([(1, 100), (100, 100)], FACTOR, [1, 99]),
        ([(2, 10), (2, 10)], FACTOR, [50, 50]),  # 28 + 28, normalised
        ([(5, 10), (2, 10), (1, 10)], FACTOR, [70, 28, 2]),
        ([(1, 3), (1, 3), (0, 3)], FACTOR, [50, 50, 0]),
        ([(0, 3), (0, 1)], FACTOR, [75, 25]),  # panic everywhere: by size
        ([(0, 2), (0, 1)], FACTOR, [67, 33]),  # what rounding leaves goes to the first
        ([(0, 0), (3, 3)], FACTOR, [0, 100]),
        ([(7, 10)], FACTOR, [100]),
        ([(0, 10)], FACTOR, [100]),
        ([(1, 200), (0, 100)], 20_000, [100, 0]),  # no panic while the factor makes up for it
        ([], FACTOR, []),
    ],
)
def test_the_share_of_each_priority(
    priorities: list[tuple[int, int]], factor: int, expected: list[float]
) -> None:
    hosts = [Hosts(healthy, counted, counted) for healthy, counted in priorities]
    assert expected_percents(hosts, factor, 1.0) == expected


def test_below_one_percent_in_all_priorities_everything_is_used() -> None:
    weak = [Hosts(1, 200, 200), Hosts(0, 100, 100)]
    assert expected_percents(weak, FACTOR, 1.0) == [67, 33]
    assert expected_percents(weak, FACTOR, 0.4) == [100, 0]


def test_draining_hosts_are_used_in_panic_and_only_then() -> None:
    assert expected_percents([Hosts(0, 0, 9), Hosts(1, 1, 1)], FACTOR, 1.0) == [0, 100]
    assert expected_percents([Hosts(0, 0, 9), Hosts(0, 1, 1)], FACTOR, 1.0) == [90, 10]


@pytest.mark.parametrize(
    ("percent", "factor"),
    [(None, 140), (70, 143), (100, 100), (50, 200), (120, 100), (1, 10_000), (0, 10_000)],
)
def test_the_factor_for_spill_below(percent: float | None, factor: int) -> None:
    assert overprovisioning(percent) == factor
