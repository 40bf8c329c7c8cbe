"""What Envoys' statistics say and load reports cannot, end to end: total ejection, and slow answers."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from support.backend import serving
from support.fleet import HASTY, NO_EJECTION, Fleet, fleet, policy
from support.load import load
from support.mesh import Mesh, mesh
from support.mtls import Mtls
from support.ports import free_port
from support.tideover import running_tideover
from support.wait import until

pytestmark = pytest.mark.envoy
FROM_PARIS = ["--from", "eu-west/eu-west-a", "--cluster", "paris"]


async def why(callers: Fleet, service: Mesh) -> str:
    """What is said of the emptied place."""
    found = [one for one in await callers.verdicts() if one["service"].endswith(f"/{service.name}")]
    (verdict,) = [one for one in found if (one["kind"], one["cluster"]) == ("site", "paris")]
    assert verdict["percent"] == 0
    told = await callers.asked("explain", f"bookinfo/{service.name}", *FROM_PARIS)
    assert verdict["text"].split(";")[0].split(",")[0] in str(told["remarks"])
    return str(verdict["causes"])


async def test_what_envoys_ejected_and_answers_that_are_slow_are_seen_moved_and_explained(
    tmp_path: Path,
) -> None:
    mtls = Mtls(tmp_path / "tls")
    async with mesh(tmp_path, settings=mtls.settings) as world, running_tideover(world.setup) as tideover:
        details = Mesh(world.setup, name="details", target_port=free_port())
        # so few errors are nothing to judge by: all that is left is that Envoys have ejected
        health = {**HASTY, "fleetHealth": {**HASTY["fleetHealth"], "minRequests": 10_000}}
        policy(world, **health, outlier={"consecutiveErrors": 1, "interval": "100ms"})
        policy(details, **health, **NO_EJECTION)
        async with (
            serving(*details.backends.values()),
            fleet(world, tideover, mtls, 3, more=["--metrics-every", "250ms"]) as callers,
            AsyncExitStack() as stack,
        ):
            loads = [
                await stack.enter_async_context(load(one.port, details.host, callers=2, per_second=30))
                for one in callers.callers
            ]
            for caller in callers.callers:
                await caller.calls.only_from("paris-1", "paris-2")
            callers.statuses("paris", 503)
            # details never fails; its answers turn slow once it is known how long they take
            await asyncio.gather(*(one.more(120) for one in loads))
            for name in details.names("paris"):
                details.backends[name].delay_s = 1.5
            await until(lambda: callers.sees("paris", "UNHEALTHY"), 20, lambda: tideover.log()[-3000:])
            assert "callers have ejected all endpoints there" in await why(callers, world)
            await until(
                lambda: callers.sees("paris", "UNHEALTHY", of=details), 20, lambda: tideover.log()[-3000:]
            )
            assert "callers wait up to" in await why(callers, details)
            for caller, calls in zip(callers.callers, loads, strict=True):
                await caller.calls.only_from("dublin-1", "dublin-2")
                await calls.only_from("dublin-1", "dublin-2")
                assert calls.failed() == []
                assert await caller.envoy.rejected() == {}
            assert callers.failed() == []
