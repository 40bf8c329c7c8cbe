"""Every kind of traffic through a real Envoy, named as the interfaces say: HTTP, WebSocket, gRPC, TCP."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest

from support.backend import GRPC_METHOD
from support.envoy import running_envoy
from support.load import call
from support.mesh import Mesh, mesh
from support.ports import free_port
from support.tideover import running_tideover
from support.wait import until

pytestmark = pytest.mark.envoy
PLACE = ["--cluster", "paris", "--locality", "eu-west/eu-west-a"]
PARIS = [*PLACE, "--namespace", "bookinfo"]


def port_of(bootstrap: dict[str, Any]) -> int:
    return int(bootstrap["node"]["metadata"]["HTTP_PORT"])


async def test_hosts_in_all_their_forms_and_an_unknown_one(tmp_path: Path) -> None:
    async with mesh(tmp_path) as world, running_tideover(world.setup) as tideover:
        bootstrap = await tideover.bootstrap(*PARIS)
        async with running_envoy(bootstrap, tmp_path):
            port = port_of(bootstrap)
            name, full = world.name, f"{world.name}.{world.namespace}"
            forms = [name, full, f"{full}.svc", f"{full}.svc.cluster.local", f"{full}.svc.clusterset.local"]
            for host in [*forms, *(f"{form}:{world.port}" for form in forms)]:
                assert (await call(port, host)).status == 200, host
            nobody = await call(port, "nobody.nowhere")
            assert nobody.status == 404
            assert "nobody.nowhere" in nobody.body or "unknown" in nobody.body.lower()


async def test_two_envoys_in_two_namespaces_mean_their_own_by_the_short_name(tmp_path: Path) -> None:
    async with mesh(tmp_path, counts={"paris": 1, "dublin": 1}) as world:
        shop = Mesh(world.setup, {"paris": 1}, namespace="shop")
        for backend in shop.backends.values():
            backend.name = "shop-1"
            await backend.start()
        # one folder holds both namespaces, a file each
        world.folders["paris"].path.joinpath("ratings.json").rename(
            world.folders["paris"].path / "ratings-shop.json"
        )
        world.write("paris")
        try:
            async with running_tideover(world.setup) as tideover:
                one = await tideover.bootstrap(*PARIS)
                two = await tideover.bootstrap(*PLACE, "--namespace", "shop")
                async with (
                    running_envoy(one, tmp_path, name="bookinfo"),
                    running_envoy(two, tmp_path, name="shop"),
                ):
                    assert (await call(port_of(one), "ratings")).served_by == "paris-1"
                    assert (await call(port_of(two), "ratings")).served_by == "shop-1"
                    assert (await call(port_of(two), "ratings.bookinfo")).served_by == "paris-1"
                    assert (await call(port_of(one), "ratings.shop")).served_by == "shop-1"
        finally:
            for backend in shop.backends.values():
                await backend.stop()


async def test_websocket_upgrades_pass(tmp_path: Path) -> None:
    async with mesh(tmp_path) as world, running_tideover(world.setup) as tideover:
        bootstrap = await tideover.bootstrap(*PARIS)
        url = f"http://127.0.0.1:{port_of(bootstrap)}/ws"
        async with (
            running_envoy(bootstrap, tmp_path),
            aiohttp.ClientSession() as session,
            session.ws_connect(url, headers={"host": world.host}) as socket,
        ):
            await socket.send_str("hello")
            assert (await socket.receive_str()) in {"paris-1: hello", "paris-2: hello"}


async def test_grpc_calls_pass_and_move(tmp_path: Path) -> None:
    async with mesh(tmp_path, protocol="grpc") as world, running_tideover(world.setup) as tideover:
        bootstrap = await tideover.bootstrap(*PARIS)
        options = [("grpc.default_authority", world.host)]
        async with (
            running_envoy(bootstrap, tmp_path),
            grpc.aio.insecure_channel(f"127.0.0.1:{port_of(bootstrap)}", options=options) as channel,
        ):
            say: Any = channel.unary_unary(GRPC_METHOD)
            assert {await say(b"") for _ in range(20)} == {b"paris-1", b"paris-2"}
            for name in world.names("paris"):  # UNAVAILABLE is retried elsewhere
                world.backends[name].code = grpc.StatusCode.UNAVAILABLE
            assert {await say(b"") for _ in range(20)} == {b"dublin-1", b"dublin-2"}


async def test_a_tcp_port_has_its_local_listener_and_fails_over(tmp_path: Path) -> None:
    database = mesh(tmp_path, protocol="tcp", name="pg", port=5432)
    async with database as world, running_tideover(world.setup) as tideover:
        local = free_port()
        bootstrap = await tideover.bootstrap(*PARIS, "--tcp-port", f"{world.wire_name}={local}")
        async with running_envoy(bootstrap, tmp_path) as envoy:
            assert await greeting(local) in {"paris-1", "paris-2"}
            world.unready("paris")

            async def moved() -> bool:
                return (await greeting(local)) in {"dublin-1", "dublin-2"}

            await until(moved)
            assert await envoy.rejected() == {}


async def greeting(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return (await asyncio.wait_for(reader.readline(), 5)).decode().strip()
    finally:
        writer.close()


async def test_the_method_and_the_path_arrive_as_sent(tmp_path: Path) -> None:
    async with mesh(tmp_path) as world, running_tideover(world.setup) as tideover:
        bootstrap = await tideover.bootstrap(*PARIS)
        async with running_envoy(bootstrap, tmp_path):
            answer = await call(port_of(bootstrap), world.host, "/reviews/1?x=%20y", "POST")
            assert json.loads(answer.body)["method"] == "POST"
            assert json.loads(answer.body)["path"].startswith("/reviews/1")
