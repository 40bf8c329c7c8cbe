"""A service fails in one cluster, and the nearest other one carries half of it: the rest goes on at once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from support.backend import serving
from support.fleet import HASTY, NO_EJECTION, Fleet, fleet, policy
from support.manifests import Place, endpoint_slice, pod, service
from support.mesh import ZONES, Mesh
from support.mtls import Mtls
from support.shares import attempts
from support.tideover import Setup, running_tideover
from support.wait import until

pytestmark = pytest.mark.envoy
REGIONS = {"paris": "eu-west", "lyon": "eu-west", "dublin": "eu-north"}
COUNTS = {"paris": 2, "lyon": 1, "dublin": 2}
CALLS = 75  # per second, of all callers
LYON = 35.0  # is what its pod carries; the policy says what the others' do


def three(folder: Path, mtls: Mtls) -> Mesh:
    clusters = {name: {"locality": {"region": region}} for name, region in REGIONS.items()}
    world = Mesh(Setup(folder, clusters=clusters, settings=mtls.settings), counts=COUNTS)
    place = Place(world.address("lyon-1"), zone=ZONES["lyon"], pod="lyon-1")
    world.folders["lyon"].write(
        world.name,
        service(world.name, ports=[{"port": world.port, "targetPort": world.target_port}]),
        endpoint_slice(world.name, [place], port=world.target_port),
        pod("lyon-1", annotations={"tideover.dev/capacity": f"{LYON:g}"}),
    )
    return world


def limits(world: Mesh, each: float, mode: str = "WaterfallByZone") -> None:
    slowly = {**HASTY, "failback": {**HASTY["failback"], "holdDown": "60s"}}
    policy(world, **slowly, **NO_EJECTION, capacity={"requestsPerSecondPerEndpoint": each, "mode": mode})


async def capacity(callers: Fleet) -> dict[str, Any]:
    """What `tideover status` says of it."""
    found = (await callers.asked("status"))["health"].get("capacity", [])
    return dict(found[0]) if found else {}


async def metric(callers: Fleet, name: str) -> float:
    _, page = await callers.tideover.http("/metrics")
    (line,) = [line for line in page.splitlines() if line.startswith(f"tideover_{name}{{")]
    return float(line.rpartition(" ")[2])


async def of_lyon(world: Mesh, seconds: float, share: float) -> str:
    """Why what lyon gets from now on does not fit that share of the calls; "" when it does."""
    begin_s = time.monotonic()
    await until(lambda: time.monotonic() > begin_s + seconds)
    got = attempts(world, "lyon", begin_s, begin_s + seconds)
    assert attempts(world, "paris", begin_s, begin_s + seconds).some == 0
    return "" if got.at_most(share) and got.at_least(share) else f"{got} is not {share:.0%}"


async def test_who_is_near_gets_what_it_carries_and_what_fits_nowhere_is_told_before_calls_fail(
    tmp_path: Path,
) -> None:
    mtls = Mtls(tmp_path / "tls")
    world = three(tmp_path, mtls)
    limits(world, 60)
    async with (
        serving(*world.backends.values()),
        running_tideover(world.setup) as tideover,
        fleet(world, tideover, mtls, 3, per_second=CALLS / 3) as callers,
    ):
        for caller in callers.callers:
            await caller.calls.only_from("paris-1", "paris-2")
        calm_s = time.monotonic()
        await until(lambda: time.monotonic() > calm_s + 2)  # two reports of how much is called
        per_s = attempts(world, "paris", calm_s, calm_s + 2).some / 2
        assert await capacity(callers) == {}
        callers.statuses("paris", 503)
        await until(lambda: callers.sees("paris", "UNHEALTHY"), 20, lambda: tideover.log()[-3000:])
        # from the first moment on: the verdict and who takes its traffic are one push
        assert await of_lyon(world, 1, LYON / per_s) == ""
        assert await of_lyon(world, 1, LYON / per_s) == ""
        found = await capacity(callers)
        assert {one["cluster"]: one["capacity"] for one in found["places"]} == {"lyon": LYON, "dublin": 120}
        assert found["shortfall"] == 0
        # spray: by endpoints, whatever is near
        limits(world, 60, "SprayEverywhere")
        await until(lambda: shared(callers, {"lyon": 1 / 3, "dublin": 2 / 3}), 20)
        assert await of_lyon(world, 2, 1 / 3) == ""
        # and now there is not enough room
        limits(world, 12)
        await callers.happened("CapacityShort")
        found = await capacity(callers)
        assert found["shortfall"] == pytest.approx(per_s - LYON - 24, abs=0.15 * per_s)
        assert await metric(callers, "capacity_shortfall_requests_per_second") > 0
        assert "too many" in str((await callers.asked("status"))["health"])
        assert callers.failed() == []


async def shared(callers: Fleet, wanted: dict[str, float]) -> bool:
    """Whether status says that places are sent these shares."""
    sent = {one["cluster"]: one.get("expected", 0.0) for one in (await capacity(callers)).get("places", [])}
    total = sum(sent.values())
    return bool(total) and all(abs(sent.get(n, 0) / total - part) < 0.03 for n, part in wanted.items())
