"""A cluster is drained and comes back, on a real Envoy under load: nobody notices, and never in one go."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from app.test_orders_cli import WHY, orders, say
from support.envoy import running_envoy
from support.load import call, load
from support.mesh import Mesh, mesh
from support.tideover import command, running_tideover
from support.wait import until

pytestmark = pytest.mark.envoy
PARIS = ["--cluster", "paris", "--namespace", "bookinfo", "--locality", "eu-west/eu-west-a"]
POLICY = {
    "apiVersion": "tideover.dev/v1alpha1",
    "kind": "FailoverPolicy",
    "metadata": {"name": "fast", "namespace": "tideover-system"},
    "spec": {"failback": {"holdDown": "1s", "steps": [20, 50, 100], "stepEvery": "2s"}},
}


async def test_drain_over_time_and_undo_in_steps_without_a_failed_call(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "fast.json").write_text(json.dumps(POLICY))
    settings = {"drainTime": "3s", "policies": "./policies"}
    async with mesh(tmp_path, settings=settings) as world, running_tideover(world.setup) as tideover:
        bootstrap = await tideover.bootstrap(*PARIS)
        port = int(bootstrap["node"]["metadata"]["HTTP_PORT"])
        async with (
            running_envoy(bootstrap, tmp_path) as envoy,
            load(port, world.host) as calls,
            aiohttp.ClientSession() as session,
        ):
            await calls.only_from("paris-1", "paris-2")
            slow = asyncio.create_task(call(port, world.host, "/?slow_s=5", timeout_s=20))
            async with session.ws_connect(
                f"http://127.0.0.1:{port}/ws", headers={"host": world.host}
            ) as socket:
                await socket.send_str("before")
                assert (await socket.receive_str()).startswith("paris")
                drain = asyncio.create_task(
                    command("drain", "cluster/paris", *WHY, "--over", "4s", "--wait", server=socket_of(world))
                )
                await until(lambda: any(n.startswith("dublin") for n in calls.served(len(calls.calls) - 40)))
                assert any(
                    n.startswith("paris") for n in calls.served(len(calls.calls) - 40)
                )  # a step, not all
                await calls.only_from("dublin-1", "dublin-2")
                await socket.send_str("still")
                assert (await socket.receive_str()).startswith("paris")

                async def told() -> list[dict[str, object]]:
                    return [one for order in await orders(world.setup) for one in order["streams"]]

                (stream,) = await until(told)
                assert (stream["service"], stream["locality"]) == ("bookinfo/ratings", "eu-west/eu-west-a/")
                assert stream["open"] >= 1
                answer = await slow
                assert (answer.status, answer.served_by[:5]) == (200, "paris")
            done = await drain
            assert done.code == 0, done.err
            await until(lambda: _hosts(envoy, world.wire_name, 2))  # drained: not sent any more

            (order,) = await orders(world.setup)
            assert (await say(world.setup, "undo", str(order["name"]))).code == 0
            await until(lambda: any(n.startswith("paris") for n in calls.served(len(calls.calls) - 50)))
            since = len(calls.calls)
            await calls.more(150)
            share = sum(n for name, n in calls.served(since).items() if name.startswith("paris")) / 150
            assert 0.05 < share < 0.45  # the first step gives 20 %
            await calls.only_from("paris-1", "paris-2", timeout_s=30)
            await until(lambda: _none(world.setup))
            assert calls.failed() == []
            assert await envoy.rejected() == {}


def socket_of(world: Mesh) -> str:
    return f"unix:{world.setup.folder}/state/admin.sock"


async def _hosts(envoy: object, name: str, count: int) -> bool:
    return len(await envoy.health(name)) == count  # type: ignore[attr-defined]


async def _none(setup: object) -> bool:
    return await orders(setup) == []  # type: ignore[arg-type]
