"""A cluster is drained and comes back, on a real Envoy under load: nobody notices, and never in one go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest

from app.test_orders_cli import WHY, orders, say
from support.backend import GRPC_STREAM, serving
from support.envoy import Envoy, running_envoy
from support.load import Load, call, load
from support.mesh import Mesh, mesh
from support.ports import free_port
from support.tideover import Setup, command, running_tideover
from support.wait import until

pytestmark = pytest.mark.envoy
PARIS = ["--cluster", "paris", "--namespace", "bookinfo", "--locality", "eu-west/eu-west-a"]
POLICY = {
    "apiVersion": "tideover.dev/v1alpha1",
    "kind": "FailoverPolicy",
    "metadata": {"name": "fast", "namespace": "tideover-system"},
    "spec": {"failback": {"holdDown": "1s", "steps": [20, 50, 100], "stepEvery": "2s"}},
}
Talk = Callable[[], Awaitable[str]]  # says something and returns who answers


async def test_drain_over_time_and_undo_in_steps_without_a_failed_call(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "fast.json").write_text(json.dumps(POLICY))
    settings = {"drainTime": "3s", "policies": "./policies"}
    async with mesh(tmp_path, settings=settings) as world, running_tideover(world.setup) as tideover:
        chat = Mesh(world.setup, name="chat", protocol="grpc", port=9090)
        database = Mesh(world.setup, name="pg", protocol="tcp", port=5432)
        local = free_port()
        async with serving(*chat.backends.values(), *database.backends.values()):
            bootstrap = await tideover.bootstrap(*PARIS, "--tcp-port", f"{database.wire_name}={local}")
            port = int(bootstrap["node"]["metadata"]["HTTP_PORT"])
            async with (
                running_envoy(bootstrap, tmp_path) as envoy,
                load(port, world.host) as calls,
                talking(port, local, world.host, chat.host) as talks,
            ):
                await calls.only_from("paris-1", "paris-2")
                slow = asyncio.create_task(call(port, world.host, "/?slow_s=5", timeout_s=20))
                assert {(await talk())[:5] for talk in talks} == {"paris"}
                drain = asyncio.create_task(
                    command("drain", "cluster/paris", *WHY, "--over", "4s", "--wait", server=socket_of(world))
                )
                await until(lambda: any(n.startswith("dublin") for n in calls.served(len(calls.calls) - 40)))
                assert any(
                    n.startswith("paris") for n in calls.served(len(calls.calls) - 40)
                )  # a step, not all
                await calls.only_from("dublin-1", "dublin-2")

                async def told() -> bool:
                    return await streams(world.setup) >= {
                        ("bookinfo/ratings", "http"),
                        ("bookinfo/chat", "grpc"),
                        ("bookinfo/pg", "tcp"),
                    }

                await until(told)
                answer = await slow
                assert (answer.status, answer.served_by[:5]) == (200, "paris")
                done = await drain
                assert done.code == 0, done.err
                await until(lambda: _hosts(envoy, world.wire_name, 2))  # drained: not sent any more
                assert {(await talk())[:5] for talk in talks} == {"paris"}  # and what runs is not cut
                assert len(await streams(world.setup)) == 3  # and told of, though no Envoy can any more

                (order,) = await orders(world.setup)
                moves: list[tuple[float, int]] = []
                async with watching(envoy, world, moves, calls):
                    assert (await say(world.setup, "undo", str(order["name"]))).code == 0
                    await calls.only_from("paris-1", "paris-2", timeout_s=30)
                    await until(lambda: _none(world.setup))
                assert [share for share, _ in moves] == [
                    0,
                    0.2,
                    0.5,
                    1,
                ]  # what it was sent, and nothing between
                for (share, since), (_, until_) in pairwise(moves):
                    served = [one.served_by for one in calls.calls[since + 20 : until_]]
                    here = sum(name.startswith("paris") for name in served)
                    assert here <= share * len(served) + 4 * len(served) ** 0.5, (share, here, len(served))
                assert {(await talk())[:5] for talk in talks} == {"paris"}
                assert calls.failed() == []
                assert await envoy.rejected() == {}


@asynccontextmanager
async def talking(port: int, tcp_port: int, host: str, grpc_host: str) -> AsyncIterator[list[Talk]]:
    """A WebSocket, a gRPC stream and a TCP connection through the Envoy, for the length of a block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", tcp_port)
    greeting = (await asyncio.wait_for(reader.readline(), 5)).decode().strip()
    target, options = f"127.0.0.1:{port}", [("grpc.default_authority", grpc_host)]
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://{target}/ws", headers={"host": host}) as socket,
        grpc.aio.insecure_channel(target, options=options) as channel,
    ):
        stream: Any = channel.stream_stream(GRPC_STREAM)()

        async def by_websocket() -> str:
            await socket.send_str("still")
            return await socket.receive_str(timeout=5)

        async def by_grpc() -> str:
            await stream.write(b"still")
            return (await asyncio.wait_for(stream.read(), 5)).decode()

        async def by_tcp() -> str:
            writer.write(b"still\n")
            await asyncio.wait_for(reader.readline(), 5)
            return greeting

        try:
            yield [by_websocket, by_grpc, by_tcp]
        finally:
            stream.cancel()
            writer.close()


async def streams(setup: Setup) -> set[tuple[str, str]]:
    """What is listed as still open to what is drained."""
    listed = [one for order in await orders(setup) for one in order["streams"]]
    assert {one["locality"] for one in listed} <= {"eu-west/eu-west-a/"}
    return {(one["service"], one["protocol"]) for one in listed if one["open"] >= 1}


@asynccontextmanager
async def watching(
    envoy: Envoy, world: Mesh, moves: list[tuple[float, int]], calls: Load
) -> AsyncIterator[None]:
    """What part the Envoy is told to send to paris, and how many calls there were before, for each change."""

    looks = 0

    async def watch() -> None:
        nonlocal looks
        while True:
            share = await _share(envoy, world.wire_name)
            if not moves or moves[-1][0] != share:
                moves.append((share, len(calls.calls)))
            looks += 1
            await asyncio.sleep(0.1)  # between two looks

    task = asyncio.create_task(watch())
    try:
        yield
        last = looks + 2
        await until(lambda: looks >= last)  # one that began after the end
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _share(envoy: Envoy, name: str) -> float:
    for one in (await envoy.config_dump())["endpoints"]:
        found = one["endpoint_config"]
        if found["cluster_name"] == name:
            first = [place for place in found["endpoints"] if not place.get("priority")]
            weights = {
                place["locality"]["region"]: place.get("load_balancing_weight", 1)
                for place in first
                if any(end.get("health_status") == "HEALTHY" for end in place["lb_endpoints"])
            }
            return round(weights.get("eu-west", 0) / sum(weights.values()), 2)
    raise AssertionError(f"{name} is not there")


def socket_of(world: Mesh) -> str:
    return f"unix:{world.setup.folder}/state/admin.sock"


async def _hosts(envoy: Envoy, name: str, count: int) -> bool:
    return len(await envoy.health(name)) == count


async def _none(setup: Setup) -> bool:
    return await orders(setup) == []
