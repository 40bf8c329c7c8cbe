"""`examples/` works as it is: what a newcomer tries first."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from support.tideover import command

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy, so that nothing is left in the tree."""
    return Path(shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("state")))


async def simulate(folder: Path, service: str, *arguments: str) -> Any:
    answer = await command(
        "simulate", "-c", "tideover.yaml", "--service", service, "--from", "eu-west/eu-west-a",
        "--cluster", "paris", "-o", "json", *arguments, cwd=folder,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    return answer.json()


def places(answer: Any) -> list[list[str]]:
    """Localities of each priority."""
    return [[one["locality"] for one in p["localities"]] for p in answer["priorities"]]


async def test_check_finds_nothing_wrong(folder: Path) -> None:
    answer = await command("check", "-c", "tideover.yaml", cwd=folder)
    assert answer.code == 0, answer.out + answer.err


async def test_the_example_with_live_clusters_lacks_nothing_but_the_kubeconfig(folder: Path) -> None:
    answer = await command("check", "-c", "live.yaml", "-o", "json", cwd=folder)
    assert [error["key"] for error in answer.json()["errors"]] == ["clusters[0].kubeconfig"]


async def test_simulate_shows_the_near_order(folder: Path) -> None:
    near, zone, far = places(await simulate(folder, "bookinfo/ratings"))
    assert (near, zone, far) == (["eu-west/eu-west-a/"], ["eu-west/eu-west-b/"], ["eu-north/eu-north-a/"])


async def test_simulate_without_a_zone_and_without_a_cluster(folder: Path) -> None:
    zone = await simulate(folder, "bookinfo/ratings", "--without", "zone/eu-west-a")
    assert places(zone) == [["eu-west/eu-west-b/"], ["eu-north/eu-north-a/"]]
    cluster = await simulate(folder, "bookinfo/ratings", "--without", "cluster/paris")
    assert places(cluster) == [["eu-north/eu-north-a/"]]


async def test_data_residency_holds_even_when_its_region_is_lost(folder: Path) -> None:
    whole = await simulate(folder, "bookinfo/mongodb")
    assert {place for priority in places(whole) for place in priority} == {
        "eu-west/eu-west-a/",
        "eu-west/eu-west-b/",
    }
    lost = await simulate(folder, "bookinfo/mongodb", "--without", "cluster/paris")
    assert places(lost) == []


async def test_a_fifth_of_details_is_served_by_the_other_region(folder: Path) -> None:
    first = (await simulate(folder, "bookinfo/details"))["priorities"][0]["localities"]
    total = sum(one["weight"] for one in first)
    north = sum(one["weight"] for one in first if one["locality"].startswith("eu-north"))
    assert round(100 * north / total) == 20
