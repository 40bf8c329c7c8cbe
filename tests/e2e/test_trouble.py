"""What is broken is named, and the rest goes on: broken files, lost folders, clients that misbehave."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from support.delta import CDS, EDS, DeltaClient, delta_client, node
from support.envoy import running_envoy
from support.load import load
from support.mesh import Mesh, mesh
from support.tideover import Setup, Tideover, command, running_tideover
from support.wait import until

pytestmark = pytest.mark.envoy
PARIS = ["--cluster", "paris", "--namespace", "bookinfo", "--locality", "eu-west/eu-west-a"]


async def shown(tideover: Tideover, text: str, *arguments: str) -> bool:
    return text in (await tideover.cli(*(arguments or ("status", "-o", "json")))).out


async def test_broken_yaml_while_serving_keeps_the_last_good_and_is_named(tmp_path: Path) -> None:
    async with mesh(tmp_path) as world, running_tideover(world.setup) as tideover:
        bootstrap = await tideover.bootstrap(*PARIS)
        port = bootstrap["node"]["metadata"]["HTTP_PORT"]
        async with running_envoy(bootstrap, tmp_path) as envoy, load(port, world.host) as calls:
            await calls.more()
            before = await envoy.health(world.wire_name)
            world.folders["paris"].write_text("ratings.json", '{"kind": "List", "items": [{"kind": ')
            await until(lambda: shown(tideover, "ratings.json"), what=tideover.log)
            assert await envoy.health(world.wire_name) == before
            world.unready("dublin")  # the rest goes on
            hosts = {world.hostport(n) for n in world.names("dublin")}
            await until(lambda: are(world, envoy, hosts, "UNHEALTHY"))
            world.write("paris")  # mended
            await until(lambda: not_shown(tideover, "ratings.json"))
            await calls.only_from("paris-1", "paris-2")
            assert calls.failed() == []


async def are(world: Mesh, envoy: object, hosts: set[str], status: str) -> bool:
    health = await envoy.health(world.wire_name)  # type: ignore[attr-defined]
    return {health.get(host) for host in hosts} == {status}


async def not_shown(tideover: Tideover, text: str) -> bool:
    return not await shown(tideover, text)


@pytest.mark.parametrize("loss", ["vanishes", "turns empty", "becomes unreadable"])
async def test_a_lost_folder_is_stale_and_keeps_serving(tmp_path: Path, loss: str) -> None:
    if loss == "becomes unreadable" and os.geteuid() == 0:
        pytest.skip("root may read everything")
    async with mesh(tmp_path) as world, running_tideover(world.setup) as tideover:
        bootstrap = await tideover.bootstrap(*PARIS)
        port = bootstrap["node"]["metadata"]["HTTP_PORT"]
        async with running_envoy(bootstrap, tmp_path) as envoy, load(port, world.host) as calls:
            await calls.more()
            before, updates = await envoy.clusters(), await envoy.updates()
            path = world.setup.cluster_path("paris")
            aside = path.with_name(".aside")
            lose(path, aside, loss)
            await until(lambda: shown(tideover, "stale"), what=tideover.log)
            assert await envoy.clusters() == before
            assert await envoy.updates() == updates
            find(path, aside, loss)
            world.unready("paris")  # it is watched again
            await calls.only_from("dublin-1", "dublin-2")
            assert calls.failed() == []


def lose(path: Path, aside: Path, loss: str) -> None:
    if loss == "vanishes":
        path.rename(aside)
    elif loss == "turns empty":
        (path / "ratings.json").unlink()
    else:
        path.chmod(0)


def find(path: Path, aside: Path, loss: str) -> None:
    if loss == "vanishes":
        aside.rename(path)
    elif loss == "becomes unreadable":
        path.chmod(0o755)


async def nack_everything(client: DeltaClient) -> None:
    """Subscribe to all clusters and the endpoints of one, and refuse whatever comes, for ever."""
    await client.subscribe(CDS)
    await client.subscribe(EDS, ["bookinfo/ratings:9080"])
    while True:
        await client.nack(await client.receive(60), "I like nothing")


async def test_a_client_that_refuses_everything_is_not_sent_the_same_again_and_harms_nobody(
    tmp_path: Path,
) -> None:
    async with mesh(tmp_path) as world, running_tideover(world.setup) as tideover:
        bootstrap = await tideover.bootstrap(*PARIS)
        port = bootstrap["node"]["metadata"]["HTTP_PORT"]
        async with (
            delta_client(world.setup.xds_port, node("grumpy")) as client,
            running_envoy(bootstrap, tmp_path),
            load(port, world.host) as calls,
        ):
            grumpy = asyncio.create_task(nack_everything(client))
            try:
                await until(lambda: len(client.received) >= 2)
                await calls.more(200)  # a second in which a loop would show
                assert len(client.received) <= 3, "C5: never sent again because of a NACK"
                await until(lambda: shown(tideover, "grumpy", "clients", "-o", "json"))
                await until(lambda: shown(tideover, "I like nothing", "events", "-o", "json"))
                world.unready("paris")  # a change is still sent to both
                await calls.only_from("dublin-1", "dublin-2")
                await until(lambda: len(client.received) >= 3)
                assert calls.failed() == []
            finally:
                grumpy.cancel()
                await asyncio.gather(grumpy, return_exceptions=True)


async def test_a_client_that_stops_reading_holds_up_nobody(tmp_path: Path) -> None:
    async with mesh(tmp_path) as world, running_tideover(world.setup) as tideover:
        bootstrap = await tideover.bootstrap(*PARIS)
        port = bootstrap["node"]["metadata"]["HTTP_PORT"]
        async with (
            delta_client(world.setup.xds_port, node("sleepy")) as client,
            running_envoy(bootstrap, tmp_path),
            load(port, world.host) as calls,
        ):
            await client.subscribe(CDS)
            await client.subscribe(EDS, [world.wire_name])
            for _ in range(10):
                world.unready("paris")
                await calls.only_from("dublin-1", "dublin-2", count=10)
                world.write("paris")
                await calls.only_from("paris-1", "paris-2", count=10)
            assert calls.failed() == []


async def test_a_port_in_use_is_said_and_ends_the_program(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    for name in setup.clusters:
        setup.cluster_path(name).mkdir(parents=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", setup.xds_port))
        taken.listen()
        answer = await command("run", "-c", str(setup.config))
    assert answer.code not in {0, -9}
    assert str(setup.xds_port) in answer.out + answer.err
    assert "Traceback" not in answer.out + answer.err


async def test_a_listener_outside_loopback_without_tls_is_refused(tmp_path: Path) -> None:
    listen = {"xds": "0.0.0.0:0", "admin": "127.0.0.1:0", "http": "127.0.0.1:0"}
    setup = Setup(tmp_path, settings={"listen": listen})
    answer = await command("run", "-c", str(setup.config))
    assert answer.code != 0
    assert "dangerouslyAllowPlaintext" in answer.out + answer.err
