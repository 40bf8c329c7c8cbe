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
    """What is said of the emptied place, by all commands alike; its state may change between two of them."""

    async def said() -> str:
        found = [one for one in await callers.verdicts() if one["service"].endswith(f"/{service.name}")]
        (verdict,) = [one for one in found if (one["kind"], one["cluster"]) == ("site", "paris")]
        told = await callers.asked("explain", f"bookinfo/{service.name}", *FROM_PARIS)
        alike = verdict["text"].split(";")[0].split(",")[0] in str(told["remarks"])
        return str(verdict["causes"]) if alike and verdict["percent"] == 0 else ""

    return str(await until(said))


async def test_what_envoys_ejected_slow_answers_full_backends_and_their_checks_are_seen_and_explained(
    tmp_path: Path,
) -> None:
    mtls = Mtls(tmp_path / "tls")
    # our own prober reaches nothing here: Envoys check
    settings = {**mtls.settings, "health": {"activeChecks": {"networks": ["none"]}}}
    async with mesh(tmp_path, settings=settings) as world, running_tideover(world.setup) as tideover:
        details, reviews, uncalled = (
            Mesh(world.setup, name=name, target_port=free_port())
            for name in ("details", "reviews", "uncalled")
        )
        # so few errors are nothing to judge by: all that is left is that Envoys have ejected
        health = {**HASTY, "fleetHealth": {**HASTY["fleetHealth"], "minRequests": 10_000}}
        policy(world, **health, outlier={"consecutiveErrors": 1, "interval": "100ms"})
        policy(details, **health, **NO_EJECTION)
        policy(reviews, **health, capacity={"targetUtilizationPercent": 80})
        policy(
            uncalled, **health, activeCheck={"http": {"path": "/"}, "interval": "500ms", "timeout": "400ms"}
        )
        for name in reviews.names("paris"):
            reviews.backends[name].answers = {
                "endpoint-load-metrics": 'JSON {"application_utilization": 1.6, "named_metrics": {"q": 7}}'
            }
        for name in uncalled.names("paris"):
            uncalled.backends[name].status = 503
        others = [*details.backends.values(), *reviews.backends.values(), *uncalled.backends.values()]
        async with (
            serving(*others),
            fleet(world, tideover, mtls, 2, more=["--metrics-every", "250ms", "--hds"]) as callers,
            AsyncExitStack() as stack,
        ):
            slow, full = [
                [
                    await stack.enter_async_context(load(one.port, service.host, callers=2, per_second=15))
                    for one in callers.callers
                ]
                for service in (details, reviews)
            ]
            for caller in callers.callers:
                await caller.calls.only_from("paris-1", "paris-2")
            callers.statuses("paris", 503)
            # details never fails; its answers turn slow once it is known how long they take
            await asyncio.gather(*(one.more(50) for one in slow))
            for name in details.names("paris"):
                details.backends[name].delay_s = 1.5

            async def emptied(service: Mesh) -> str:
                await until(
                    lambda: callers.sees("paris", "UNHEALTHY", of=service), 20, lambda: tideover.log()[-3000:]
                )
                return await why(callers, service)

            assert "callers have ejected all endpoints there" in await emptied(world)
            assert "active checks of" in await emptied(uncalled)
            # twice as full as the policy wants them: half of the calls, then less, as they go on to say so
            for calls in full:
                await until(
                    lambda calls=calls: any(name.startswith("dublin") for name in calls.served()),
                    20,
                    lambda: tideover.log()[-3000:],
                )
            told = await callers.asked("explain", "bookinfo/reviews", *FROM_PARIS)
            assert "backends say application_utilization 1.6, named_metrics.q 7 (2 callers)" in str(
                told["remarks"]
            )
            assert "callers wait up to" in await emptied(details)
            for caller, calls in zip(callers.callers, slow, strict=True):
                await caller.calls.only_from("dublin-1", "dublin-2")
                await calls.only_from("dublin-1", "dublin-2")
                assert await caller.envoy.rejected() == {}
            assert callers.failed() == [call for calls in (*slow, *full) for call in calls.failed()] == []
