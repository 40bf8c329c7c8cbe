"""Three real clusters: what happens to a pod there moves calls, and no caller notices."""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from e2e.live import network, servers
from support.apiserver import ApiServer
from support.envoy import Envoy
from support.live_mesh import PLACES, LiveMesh, live_mesh
from support.tideover import running_tideover
from support.wait import until

pytestmark = pytest.mark.envoy
__all__ = ["network", "servers"]


async def test_an_unready_pod_leaves_the_envoys_of_every_cluster(
    tmp_path: Path, servers: dict[str, ApiServer], record_property: pytest.RecordProperty
) -> None:
    async with (
        live_mesh(tmp_path, servers, "moves") as world,
        running_tideover(world.setup) as tideover,
        AsyncExitStack() as stack,
    ):
        callers = {name: await stack.enter_async_context(world.called(tideover, name)) for name in PLACES}
        envoys = [envoy for envoy, _ in callers.values()]
        address = f"{world.workloads['paris'].pods['paris-1']}:{world.target}"
        took_ms = []
        for ready in (False, True) * 5:
            began = time.monotonic()
            await asyncio.to_thread(world.workloads["paris"].ready, "paris-1", ready)
            await until(lambda ready=ready: everywhere(world, envoys, address, ready), 10)
            took_ms.append((time.monotonic() - began) * 1000)
        # a number to read, and no promise: machines are noisy. benchmarks/ measures it well
        record_property("api_write_to_all_envoys_ms", round(statistics.median(took_ms)))
        world.ready("paris", False)
        await callers["paris"][1].only_from("dublin-1", "dublin-2", "virginia-1", "virginia-2")
        world.ready("paris", True)
        for name, (_, calls) in callers.items():
            await calls.only_from(f"{name}-1", f"{name}-2")


async def everywhere(world: LiveMesh, envoys: list[Envoy], address: str, ready: bool) -> bool:
    wanted = "HEALTHY" if ready else "UNHEALTHY"
    said = await asyncio.gather(*(envoy.health(world.wire_name) for envoy in envoys))
    return all(health.get(address) == wanted for health in said)
