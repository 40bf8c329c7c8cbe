"""Traffic follows readiness, on real Envoys under load, and no caller notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.envoy import running_envoy
from support.load import call, load
from support.mesh import Mesh, mesh
from support.tideover import Tideover, running_tideover
from support.wait import until

pytestmark = pytest.mark.envoy
PARIS = ["--cluster", "paris", "--namespace", "bookinfo", "--locality", "eu-west/eu-west-a"]


def port_of(bootstrap: dict[str, object]) -> int:
    node = bootstrap["node"]
    assert isinstance(node, dict)
    return int(node["metadata"]["HTTP_PORT"])


@pytest.mark.parametrize("variant", ["delta", "sotw"])
async def test_unready_endpoints_move_traffic_and_back_with_no_failed_call(
    tmp_path: Path, variant: str
) -> None:
    async with mesh(tmp_path) as world, running_tideover(world.setup) as tideover:
        bootstrap = await tideover.bootstrap(*PARIS, *(["--sotw"] if variant == "sotw" else []))
        async with running_envoy(bootstrap, tmp_path) as envoy, load(port_of(bootstrap), world.host) as calls:
            await calls.only_from("paris-1", "paris-2")
            world.write("paris", unready=["paris-1"])  # 1 of 2: below 71 %, so some calls leave
            await until(lambda: set(calls.served(len(calls.calls) - 60)) > {"dublin-1"}, what="spill")
            world.unready("paris")
            await calls.only_from("dublin-1", "dublin-2")
            world.write("paris")
            await calls.only_from("paris-1", "paris-2")
            assert calls.failed() == []
            assert await envoy.rejected() == {}


async def test_one_unready_of_many_is_avoided_and_nothing_leaves_the_zone(tmp_path: Path) -> None:
    many = mesh(tmp_path, counts={"paris": 5, "dublin": 1})
    async with many as world, running_tideover(world.setup) as tideover:
        bootstrap = await tideover.bootstrap(*PARIS)
        async with running_envoy(bootstrap, tmp_path), load(port_of(bootstrap), world.host) as calls:
            await calls.more()
            world.write("paris", unready=["paris-3"])
            await calls.only_from("paris-1", "paris-2", "paris-4", "paris-5")
            assert not any(name.startswith("dublin") for name in calls.served())
            assert calls.failed() == []


async def test_a_service_that_is_ready_nowhere_still_has_its_full_list(tmp_path: Path) -> None:
    async with mesh(tmp_path) as world, running_tideover(world.setup) as tideover:
        bootstrap = await tideover.bootstrap(*PARIS)
        async with running_envoy(bootstrap, tmp_path) as envoy, load(port_of(bootstrap), world.host) as calls:
            await calls.more()
            world.unready("paris")
            world.unready("dublin")

            async def nowhere() -> bool:
                return set((await envoy.health(world.wire_name)).values()) == {"UNHEALTHY"}

            await until(nowhere)
            assert len(await envoy.health(world.wire_name)) == 4
            await calls.more()
            assert calls.failed() == []  # the processes do answer, whatever was said of them


async def test_killed_without_notice_is_ejected_and_retried(tmp_path: Path) -> None:
    async with mesh(tmp_path) as world, running_tideover(world.setup) as tideover:
        bootstrap = await tideover.bootstrap(*PARIS)
        async with running_envoy(bootstrap, tmp_path), load(port_of(bootstrap), world.host) as calls:
            await calls.only_from("paris-1", "paris-2")
            for name in world.names("paris"):
                await world.backends[name].stop()
            await calls.only_from("dublin-1", "dublin-2")
            assert calls.failed() == []


async def test_a_service_appears_and_disappears_while_serving(tmp_path: Path) -> None:
    async with mesh(tmp_path) as world, running_tideover(world.setup) as tideover:
        bootstrap = await tideover.bootstrap(*PARIS)
        port = port_of(bootstrap)
        async with running_envoy(bootstrap, tmp_path) as envoy:
            new = Mesh(world.setup, name="details", target_port=world.target_port)
            await until(lambda: answers(port, new.host, 200))
            for folder in new.folders.values():
                folder.remove("details")
            await until(lambda: answers(port, new.host, 404))
            assert new.wire_name not in await envoy.clusters()
            assert world.wire_name in await envoy.clusters()
            assert await envoy.rejected() == {}


async def test_a_service_whose_complete_list_says_zero_is_sent_empty(tmp_path: Path) -> None:
    async with mesh(tmp_path) as world, running_tideover(world.setup) as tideover:
        bootstrap = await tideover.bootstrap(*PARIS)
        async with running_envoy(bootstrap, tmp_path) as envoy:
            await until(lambda: answers(port_of(bootstrap), world.host, 200))
            await restart_without_endpoints(world, tideover)
            async with running_tideover(world.setup):
                await until(lambda: answers(port_of(bootstrap), world.host, 503))
                assert (await envoy.clusters())[world.wire_name] == []


async def restart_without_endpoints(world: Mesh, tideover: Tideover) -> None:
    """Gone while nobody watched, so nothing counts as vanished."""
    await tideover.terminate()
    for cluster in world.folders:
        world.write(cluster, absent=world.names(cluster))


async def answers(port: int, host: str, status: int) -> bool:
    return (await call(port, host)).status == status
