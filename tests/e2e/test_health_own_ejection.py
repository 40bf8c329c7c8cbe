"""Envoys eject what fails by themselves (the default), and make no calls then: nothing tells how it is."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from support.fleet import HASTY, Fleet, fleet, policy
from support.mesh import mesh
from support.mtls import Mtls
from support.shares import attempts, steps
from support.tideover import running_tideover
from support.wait import until

pytestmark = pytest.mark.envoy
EJECTION_S = 3
# much shorter than Envoys keep away: through with all steps before the first call, if those did not wait
SOON = {"holdDown": "500ms", "steps": [20, 50, 100], "stepEvery": "500ms"}


async def test_the_judge_sees_it_all_the_same_and_the_first_step_waits_for_calls(tmp_path: Path) -> None:
    mtls = Mtls(tmp_path / "tls")
    async with mesh(tmp_path, settings=mtls.settings) as world, running_tideover(world.setup) as tideover:
        policy(world, **{**HASTY, "failback": SOON}, outlier={"baseEjection": f"{EJECTION_S}s"})
        async with fleet(world, tideover, mtls, 3, per_second=50) as callers:
            for caller in callers.callers:
                await caller.calls.only_from("paris-1", "paris-2")
            callers.statuses("paris", 503)
            await until(lambda: ejected(callers), 20)
            await callers.happened("ServiceUnhealthy")
            for caller in callers.callers:
                await caller.calls.only_from("dublin-1", "dublin-2")
            callers.statuses("paris", 200)
            emptied_s = time.monotonic()
            await callers.happened("ServiceRecovered", 40)
            taken = steps(await callers.told(), time.monotonic())
            assert [step.share for step in taken] == [0, 0.2, 0.5, 1]
            for step in taken[:-1]:
                got = attempts(world, "paris", max(step.begin_s, emptied_s), step.end_s)
                assert got.at_most(step.share), (step, got)
            for step in taken[1:-1]:  # a step that nobody tried is none
                assert attempts(world, "paris", step.begin_s, step.end_s).some > 10, step
            assert callers.failed() == []


async def ejected(callers: Fleet) -> bool:
    """Whether every Envoy has ejected all of paris."""
    world = callers.world
    paris = {world.hostport(one) for one in world.names("paris")}
    for caller in callers.callers:
        hosts = (await caller.envoy.clusters())[world.wire_name]
        if not paris <= {host.hostport for host in hosts if host.ejected}:
            return False
    return True
