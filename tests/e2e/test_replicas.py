"""Two control planes, one Envoy: whichever dies, in whichever way, the other goes on where it stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.envoy import Envoy, running_envoy
from support.load import Load, load
from support.mesh import Mesh, mesh
from support.tideover import Setup, Tideover, running_tideover
from support.wait import until

pytestmark = pytest.mark.envoy


@dataclass
class Pair:
    """Both replicas with the Envoy that knows them, the first one first."""

    world: Mesh
    first: Tideover
    second: Tideover
    envoy: Envoy
    calls: Load


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[Pair]:
    """Two replicas reading the same clusters, an Envoy that is with the first, and callers."""
    async with mesh(folder) as world:
        clusters: dict[str, Any] = {
            name: {**cluster, "manifests": str(world.setup.cluster_path(name))}
            for name, cluster in world.setup.clusters.items()
        }
        other = Setup(folder / "second", clusters, {"name": "replica-1"})
        async with running_tideover(world.setup) as first, running_tideover(other) as second:
            bootstrap = await first.bootstrap(
                "--server", f"127.0.0.1:{other.xds_port}", "--node-id", "caller-1",
                "--cluster", "paris", "--namespace", "bookinfo", "--locality", "eu-west/eu-west-a",
                "--keepalive-interval", "0.5s", "--keepalive-timeout", "0.5s",
            )  # fmt: skip
            port = bootstrap["node"]["metadata"]["HTTP_PORT"]
            async with running_envoy(bootstrap, folder) as envoy, load(port, world.host) as calls:
                assert await has_caller(first)
                await calls.only_from("paris-1", "paris-2")
                yield Pair(world, first, second, envoy, calls)


async def has_caller(tideover: Tideover) -> bool:
    return "caller-1" in (await tideover.cli("clients", "-o", "json")).out


@pytest.mark.parametrize("death", ["SIGKILL", "SIGTERM", "SIGSTOP"])
async def test_the_other_replica_takes_over_and_sends_nothing_again(tmp_path: Path, death: str) -> None:
    async with pair(tmp_path) as both:
        updates = await both.envoy.updates()
        os.kill(both.first.process.pid, getattr(signal, death))
        try:
            await until(lambda: has_caller(both.second), 20, both.envoy.log)
            assert await both.envoy.updates() == updates, "same content, same version on every replica"
            both.world.unready("paris")
            await both.calls.only_from("dublin-1", "dublin-2")
            assert both.calls.failed() == []
            assert await both.envoy.rejected() == {}
        finally:
            if death == "SIGSTOP":
                os.kill(both.first.process.pid, signal.SIGCONT)
