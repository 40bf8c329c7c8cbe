"""A service that answers 503 while its endpoints are ready: what the fleet sees moves it, and only it."""

from __future__ import annotations

import re
import time
from itertools import pairwise
from pathlib import Path

import pytest

from support.backend import serving
from support.fleet import HASTY, NO_EJECTION, Fleet, fleet, policy
from support.load import load
from support.mesh import Mesh, mesh
from support.mtls import Mtls
from support.ports import free_port
from support.shares import Step, answers, attempts, steps
from support.tideover import running_tideover
from support.wait import holds, until

pytestmark = pytest.mark.envoy
FROM_PARIS = ["--from", "eu-west/eu-west-a", "--cluster", "paris"]


def shares(world: Mesh, before: dict[str, int]) -> float:
    """Which percent of the attempts since then paris got."""
    attempts = {name: world.backends[name].calls - count for name, count in before.items()}
    paris = sum(count for name, count in attempts.items() if name.startswith("paris"))
    return 100 * paris / max(1, sum(attempts.values()))


def counts(world: Mesh) -> dict[str, int]:
    return {name: backend.calls for name, backend in world.backends.items()}


async def settled(callers: Fleet) -> None:
    """All of them call paris, and have reported that this is well."""
    for caller in callers.callers:
        await caller.calls.only_from("paris-1", "paris-2")

    async def reported() -> bool:
        clients = (await callers.asked("clients"))["clients"]
        return all(one.get("lastReport") for one in clients)

    await until(reported, 20, lambda: callers.tideover.log()[-3000:])


async def test_only_the_service_that_fails_moves_nobody_notices_and_it_returns_in_steps(
    tmp_path: Path,
) -> None:
    mtls = Mtls(tmp_path / "tls")
    async with mesh(tmp_path, settings=mtls.settings) as world, running_tideover(world.setup) as tideover:
        details = Mesh(world.setup, name="details", target_port=free_port())
        policy(world, **HASTY, **NO_EJECTION)
        async with (
            serving(*details.backends.values()),
            fleet(world, tideover, mtls, 3, per_second=50) as callers,
            load(callers.callers[0].port, details.host, per_second=30) as others,
        ):
            await settled(callers)
            callers.statuses("paris", 503)
            await until(lambda: callers.sees("paris", "UNHEALTHY"), 20, lambda: tideover.log()[-3000:])
            for caller in callers.callers:
                await caller.calls.only_from("dublin-1", "dublin-2")
            assert await callers.sees("paris", "HEALTHY", of=details)
            told = await callers.asked("explain", "bookinfo/ratings", *FROM_PARIS)
            assert told["remarks"][0].startswith("port 9080 at eu-west/eu-west-a/ in paris: ")
            assert "is given 0 % of its share" in told["remarks"][0]
            # on a busy machine one may not have reported yet
            assert re.search(r"of [23] voters see errors", told["remarks"][0])
            assert [one["priority"] for one in told["priorities"]] == [0, 1]
            assert "judged bad" in str(told["priorities"])
            status = await callers.asked("status")
            assert [one["locality"] for one in status["failingOver"]] == ["eu-west/eu-west-a/"]
            assert status["health"]["provenReporters"] == 3
            assert "ServiceUnhealthy" in await callers.events()
            # it is well again, and comes back in steps
            callers.statuses("paris", 200)
            emptied_s = time.monotonic()
            await callers.happened("ServiceRecovering")
            await callers.happened("StepTaken")
            await until(lambda: callers.sees("paris", "HEALTHY"), 20)
            await callers.happened("ServiceRecovered")
            for caller in callers.callers:
                await caller.calls.only_from("paris-1", "paris-2")
            assert [step.share for step in await stepwise(callers, emptied_s)] == [0, 0.2, 0.5, 1]
            assert set(others.served()) == {"paris-1", "paris-2"}
            assert others.failed() == []
            assert callers.failed() == []
            assert all([await caller.envoy.rejected() == {} for caller in callers.callers])


async def test_on_its_way_back_a_place_never_gets_more_than_the_share_of_its_step_nor_when_it_relapses(
    tmp_path: Path,
) -> None:
    mtls = Mtls(tmp_path / "tls")
    async with mesh(tmp_path, settings=mtls.settings) as world, running_tideover(world.setup) as tideover:
        policy(world, **{**HASTY, "failback": {**HASTY["failback"], "holdDown": "1s"}}, **NO_EJECTION)
        async with fleet(world, tideover, mtls, 3, per_second=50) as callers:
            await settled(callers)
            callers.statuses("paris", 503)
            await until(lambda: callers.sees("paris", "UNHEALTHY"), 20)
            for caller in callers.callers:
                await caller.calls.only_from("dublin-1", "dublin-2")
            callers.statuses("paris", 200)
            emptied_s = time.monotonic()
            await callers.happened("StepTaken")
            callers.statuses("paris", 503)  # it relapses at its second step, of 50 %
            await callers.happened("StepAborted")
            await until(lambda: callers.sees("paris", "UNHEALTHY"), 20)
            shares = [step.share for step in await stepwise(callers, emptied_s)]
            assert shares[:3] == [0, 0.2, 0.5]
            assert shares[3:] in ([0], [0.2, 0])
            assert callers.failed() == []


async def stepwise(callers: Fleet, since_s: float) -> list[Step]:
    """What paris was given since it was emptied. It got just that, of all together and of each client, so
    that no client saw more move than the difference of two steps."""
    taken = steps(await callers.told(), time.monotonic())
    for before, step in pairwise([Step(0, since_s, since_s), *taken]):
        share = max(before.share, step.share)  # what was taken back is seen until the push has come
        begin_s = max(step.begin_s, since_s)
        everyone = attempts(callers.world, "paris", begin_s, step.end_s)
        for got in [
            everyone,
            *(answers(one.calls, "paris", begin_s, step.end_s) for one in callers.callers),
        ]:
            assert got.at_most(share), (step, got)
        assert step.share < before.share or everyone.at_least(0.8 * share), (step, everyone)  # after the push
    return taken


async def test_nothing_returns_while_the_control_plane_is_dead_nor_after_its_restart(
    tmp_path: Path,
) -> None:
    mtls = Mtls(tmp_path / "tls")
    async with mesh(tmp_path, settings=mtls.settings) as world:
        slowly = {**HASTY, "failback": {**HASTY["failback"], "holdDown": "60s"}}
        policy(world, **slowly, **NO_EJECTION)
        async with running_tideover(world.setup) as tideover, fleet(world, tideover, mtls, 3) as callers:
            await settled(callers)
            callers.statuses("paris", 503)
            await until(lambda: callers.sees("paris", "UNHEALTHY"), 20)
            await until((tmp_path / "state" / "verdicts.state").exists)
            await callers.happened("ServiceUnhealthy")
            await holds(lambda: callers.sees("paris", "UNHEALTHY"), 1.2)  # it is saved by then
            await tideover.kill()
            before = counts(world)
            await holds(lambda: callers.sees("paris", "UNHEALTHY"), 0.5)
            async with running_tideover(world.setup) as again:
                callers.tideover = again
                await until(lambda: connected(callers), 20)
                await holds(lambda: callers.sees("paris", "UNHEALTHY"), 2)
                (verdict,) = [one for one in await callers.verdicts() if one["kind"] == "site"]
                assert verdict["state"] in {"down", "holding"}
            assert shares(world, before) == 0
            assert callers.failed() == []


async def connected(callers: Fleet) -> bool:
    clients = (await callers.asked("clients"))["clients"]
    return len(clients) == len(callers.callers)
