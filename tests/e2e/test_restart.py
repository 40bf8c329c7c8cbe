"""Law 1 on real Envoys: no death of the control plane removes or shrinks anything."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from support.delta import CDS, delta_client, node
from support.envoy import Envoy, running_envoy
from support.load import load
from support.mesh import Mesh, mesh
from support.tideover import Tideover, running_tideover
from support.wait import holds, until

pytestmark = pytest.mark.envoy
VARIANTS = pytest.mark.parametrize("variant", ["delta", "sotw"])
Held = dict[str, Any]


def paris(variant: str = "delta") -> list[str]:
    """Arguments of `tideover bootstrap envoy`; the node id is what `clients` shows."""
    place = ["--cluster", "paris", "--namespace", "bookinfo", "--locality", "eu-west/eu-west-a"]
    return ["--node-id", "caller-1", *place, *(["--sotw"] if variant == "sotw" else [])]


async def held(envoy: Envoy) -> Held:
    """Everything that an Envoy has from us, with versions; times and statistics left out."""
    dump = await envoy.config_dump()
    versions = {
        kind: sorted((name_of(one), version_of(one)) for one in resources)
        for kind, resources in dump.items()
        if kind != "endpoints"
    }
    hosts = await envoy.clusters()
    del hosts["tideover-xds"]  # ours, and Envoy's own view of whether we live
    return {"hosts": hosts, **versions}


def name_of(resource: Mapping[str, Any]) -> str:
    inner = resource.get("cluster") or resource.get("route_config") or resource
    return str(inner.get("name"))


def version_of(resource: Mapping[str, Any]) -> str:
    return str(resource.get("version_info") or resource.get("active_state", {}).get("version_info", ""))


def resent(before: Mapping[str, int], after: Mapping[str, int], variant: str) -> dict[str, int]:
    """Subscriptions that were updated in between. SotW: only wildcards may stay silent (rule S4)."""
    kinds = ("",) if variant == "delta" else (".cds.", ".lds.")
    return {n: c for n, c in after.items() if c != before[n] and any(kind in n for kind in kinds)}


async def connected(tideover: Tideover) -> bool:
    """Whether the caller's stream has come (back)."""
    return "caller-1" in (await tideover.cli("clients", "-o", "json")).out


@VARIANTS
async def test_kill_9_with_state_removes_nothing_and_resends_nothing(tmp_path: Path, variant: str) -> None:
    async with mesh(tmp_path) as world, AsyncExitStack() as stack:
        first = await stack.enter_async_context(running_tideover(world.setup))
        bootstrap = await first.bootstrap(*paris(variant))
        envoy = await stack.enter_async_context(running_envoy(bootstrap, tmp_path))
        calls = await stack.enter_async_context(load(bootstrap["node"]["metadata"]["HTTP_PORT"], world.host))
        world.unready("paris")  # in the middle of a failover
        await calls.only_from("dublin-1", "dublin-2")
        await until(lambda: list((tmp_path / "state").rglob("*")), what="the snapshot")
        before, updates = await held(envoy), await envoy.updates()
        await first.kill()
        await calls.more()
        async with running_tideover(world.setup) as second:
            await until(lambda: connected(second))
            await calls.more(100)
            assert await held(envoy) == before
            assert resent(updates, await envoy.updates(), variant) == {}
            world.write("paris")  # and it still follows
            await calls.only_from("paris-1", "paris-2")
        assert calls.failed() == []


@VARIANTS
async def test_kill_9_with_state_and_a_source_that_is_lost_goes_on_with_the_others(
    tmp_path: Path, variant: str
) -> None:
    async with mesh(tmp_path) as world, AsyncExitStack() as stack:
        first = await stack.enter_async_context(running_tideover(world.setup))
        bootstrap = await first.bootstrap(*paris(variant))
        envoy = await stack.enter_async_context(running_envoy(bootstrap, tmp_path))
        calls = await stack.enter_async_context(load(bootstrap["node"]["metadata"]["HTTP_PORT"], world.host))
        await calls.more()
        await until((tmp_path / "state/dublin.facts").exists, what="the snapshot")
        await first.kill()
        break_source(world, "dublin", "missing")
        async with running_tideover(world.setup):
            world.unready("paris")  # what is known from the snapshot serves, and nothing is held back
            await calls.only_from("dublin-1", "dublin-2")
            assert len(await envoy.health(world.wire_name)) == 4
        assert calls.failed() == []


@VARIANTS
@pytest.mark.parametrize("trouble", ["missing", "fifo"])
async def test_kill_9_with_empty_state_and_a_source_that_hangs_keeps_everything(
    tmp_path: Path, variant: str, trouble: str
) -> None:
    async with mesh(tmp_path) as world, AsyncExitStack() as stack:
        first = await stack.enter_async_context(running_tideover(world.setup))
        bootstrap = await first.bootstrap(*paris(variant))
        envoy = await stack.enter_async_context(running_envoy(bootstrap, tmp_path))
        calls = await stack.enter_async_context(load(bootstrap["node"]["metadata"]["HTTP_PORT"], world.host))
        world.unready("paris")  # all calls go to the cluster that we are about to know nothing of
        await calls.only_from("dublin-1", "dublin-2")
        before = await held(envoy)
        await first.kill()
        shutil.rmtree(tmp_path / "state", ignore_errors=True)
        repair = break_source(world, "dublin", trouble)
        async with running_tideover(world.setup, wait=False) as second:
            await until(lambda: connected(second))
            await calls.more(200)
            await holds(lambda: same(envoy, before), 1)
            repair()
            await calls.more(50)
            world.write("paris")
            await calls.only_from("paris-1", "paris-2")
            await until(lambda: has_all(envoy, world))
        assert calls.failed() == []


def break_source(world: Mesh, cluster: str, trouble: str) -> Any:
    """Make a cluster's folder a thing that never lists; the returned call gives it back."""
    path = world.setup.cluster_path(cluster)
    aside = path.with_name(f".{path.name}-aside")
    path.rename(aside)
    if trouble == "fifo":
        os.mkfifo(path)

    def repair() -> None:
        if trouble == "fifo":
            path.unlink()
        aside.rename(path)

    return repair


async def same(envoy: Envoy, before: Held) -> bool:
    return await held(envoy) == before


async def has_all(envoy: Envoy, world: Mesh) -> bool:
    health = await envoy.health(world.wire_name)
    return health == {world.hostport(name): "HEALTHY" for name in world.backends}


@VARIANTS
async def test_sigterm_ends_streams_well_and_the_next_one_sends_nothing_again(
    tmp_path: Path, variant: str
) -> None:
    async with mesh(tmp_path) as world, AsyncExitStack() as stack:
        first = await stack.enter_async_context(running_tideover(world.setup))
        bootstrap = await first.bootstrap(*paris(variant))
        envoy = await stack.enter_async_context(running_envoy(bootstrap, tmp_path))
        calls = await stack.enter_async_context(load(bootstrap["node"]["metadata"]["HTTP_PORT"], world.host))
        await calls.more()
        before, updates = await held(envoy), await envoy.updates()
        other = await stack.enter_async_context(delta_client(world.setup.xds_port, node("other")))
        await other.subscribe(CDS)
        await other.receive()
        assert await first.terminate() == 0
        assert await other.status() is grpc.StatusCode.OK  # which outlier detection ignores
        async with running_tideover(world.setup) as second:
            await until(lambda: connected(second))
            await calls.more()
            assert await held(envoy) == before
            assert resent(updates, await envoy.updates(), variant) == {}
        assert calls.failed() == []


async def test_a_change_made_while_the_control_plane_was_dead_arrives_after_it(tmp_path: Path) -> None:
    async with mesh(tmp_path) as world, AsyncExitStack() as stack:
        first = await stack.enter_async_context(running_tideover(world.setup))
        bootstrap = await first.bootstrap(*paris())
        await stack.enter_async_context(running_envoy(bootstrap, tmp_path))
        calls = await stack.enter_async_context(load(bootstrap["node"]["metadata"]["HTTP_PORT"], world.host))
        await calls.only_from("paris-1", "paris-2")
        await first.kill()
        world.unready("paris")
        async with running_tideover(world.setup):
            await calls.only_from("dublin-1", "dublin-2")
        assert calls.failed() == []


async def test_an_envoy_that_starts_first_waits_and_then_serves(tmp_path: Path) -> None:
    async with mesh(tmp_path) as world:
        bootstrap = await Tideover.bootstrap_of(world.setup, *paris())
        async with running_envoy(bootstrap, tmp_path, wait=False) as envoy:
            await holds(lambda: not_ready(envoy), 0.5)
            async with running_tideover(world.setup):
                await until(envoy.ready)
                port = bootstrap["node"]["metadata"]["HTTP_PORT"]
                async with load(port, world.host) as calls:
                    await calls.only_from("paris-1", "paris-2")
                    assert calls.failed() == []


async def not_ready(envoy: Envoy) -> bool:
    return not await envoy.ready()
