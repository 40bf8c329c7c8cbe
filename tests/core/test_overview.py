"""What fails over now by a verdict or an order, and that it says so."""

from __future__ import annotations

import pytest

from support.golden import load_cases, order, steering
from tideover_core.leaving import Leaving
from tideover_core.overview import PlaceHealth, failing_over
from tideover_core.world import Mesh, World, merge

TWO = next(case.world for case in load_cases() if case.name == "orders: a drained cluster gets no new calls")


def world(verdicts: str = "", *orders: str, leaving: str = "") -> World:
    """Three healthy endpoints each at paris eu-west/a and dublin eu-west/b."""
    mesh = Mesh(
        steering=steering(verdicts),
        orders=tuple(order(line, number) for number, line in enumerate(orders)),
        leaving={leaving: Leaving.DRAINING} if leaving else {},
    )
    return merge(TWO.clusters.values(), mesh)


def failing(found: World) -> list[PlaceHealth]:
    return list(failing_over(found))


@pytest.mark.parametrize(
    ("found", "stays", "cause"),
    [
        (world("site paris eu-west/a 0 503"), 0, "503"),
        (world("site paris eu-west/a 25 step 2 of 4"), 25, "step 2 of 4"),
        (world("endpoint 10.0.1.1 0 503"), 93, "503"),
        (world("endpoint 10.0.1.1 0 503\nendpoint 10.0.1.2 0 refused"), 46, "503, refused"),
        (world("pair eu-west/a paris eu-west/a 5 slow"), 5, "slow"),
        (world("", "drain cluster/paris 30"), 70, "ops/drain-0 drains cluster/paris 30 %"),
        (world("", "drain cluster/paris"), 0, "drains cluster/paris 100 %"),
        (world("site paris eu-west/a 50 step", "drain cluster/paris 80"), 20, "step, TrafficOrder"),
        (world("", "shift cluster/paris 20 cluster/dublin"), 80, "shifts cluster/paris 20 %"),
        (world(leaving="paris"), 0, "cluster paris is leaving"),
    ],
)
def test_a_place_fails_over_by_a_verdict_or_an_order(found: World, stays: int, cause: str) -> None:
    (place,) = failing(found)
    assert (place.cluster, place.stays_percent, place.ready_percent) == ("paris", stays, 100)
    assert cause in str(place)


def test_a_path_is_told_apart_from_its_place() -> None:
    (path,) = failing(world("pair eu-west/b paris eu-west/a 0 from there all fail"))
    assert (str(path.source), path.stays_percent) == ("eu-west/b/", 0)
    assert "from there all fail" in str(path)


@pytest.mark.parametrize(
    "found",
    [
        world(),
        world("", "drain endpoint/10.0.1.1:9080", "freeze cluster/paris"),
        world("", "shift cluster/paris 20 cluster/dublin", "freeze cluster/paris"),
        world("site paris eu-west/a 0 503\nsite dublin eu-west/b 0 503"),  # ignored: there is nothing else
    ],
)
def test_what_moves_nothing_is_not_told(found: World) -> None:
    assert failing(found) == []


def test_a_shift_to_where_everything_is_drained_moves_nothing() -> None:
    (place,) = failing(world("", "drain cluster/dublin", "shift cluster/paris 20 cluster/dublin"))
    assert (place.cluster, place.stays_percent) == ("dublin", 0)
