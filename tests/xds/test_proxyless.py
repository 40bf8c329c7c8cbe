"""gRPC clients without a proxy: a real grpcio client calls `xds:///ratings.bookinfo:9080`.

The client is a process of its own: gRPC reads its bootstrap from the environment, once.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from support.backend import GRPC_METHOD, GrpcBackend, serving
from support.wait import until
from support.xds_calling import proxyless_bootstrap
from support.xds_serving import Serving, serving_xds
from support.xds_worlds import changed, cluster, endpoint, service, world
from tideover_core.model import Protocol
from tideover_core.world import World

GRPC = {9080: Protocol.GRPC}
CALLER = """
import sys, grpc
with grpc.insecure_channel(sys.argv[1]) as channel:
    call = channel.unary_unary(sys.argv[2])
    for line in sys.stdin:
        try:
            print(call(b"", timeout=10, wait_for_ready=line.strip() == "wait").decode(), flush=True)
        except grpc.RpcError as error:
            print(error.code().name, (error.details() or "").replace(chr(10), " "), flush=True)
"""


@dataclass
class Caller:
    """A gRPC client that calls when told to."""

    process: asyncio.subprocess.Process

    async def call(self, how: str = "") -> str:
        """The name of who answered, or the code and message of the failure."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{how}\n".encode())
        return (await asyncio.wait_for(self.process.stdout.readline(), 20)).decode().strip()

    async def only(self, name: str) -> None:
        """Wait until ten calls in a row are answered by this one."""

        async def ten() -> bool:
            return [await self.call() for _ in range(10)] == [name] * 10

        await until(ten, what=f"{name} answers")


@asynccontextmanager
async def caller(port: int, target: str) -> AsyncIterator[Caller]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CALLER, target, GRPC_METHOD,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(proxyless_bootstrap(port))},
    )  # fmt: skip
    try:
        yield Caller(process)
    finally:
        process.kill()
        await process.wait()


def ratings(near: GrpcBackend, *, ready: bool = True, place: str = "paris") -> Any:
    return service("ratings", [endpoint(near.host, near.port, place, ready=ready)], ports=GRPC)


def two(near: GrpcBackend, far: GrpcBackend, **fields: Any) -> World:
    return world(cluster("paris", ratings(near)), cluster("dublin", ratings(far, place="dublin")), **fields)


def proxyless(serving_now: Serving) -> bool:
    return all(client.proxyless for client in serving_now.heard.clients.values())


@pytest.mark.parametrize(
    "target",
    ["ratings.bookinfo:9080", "ratings.bookinfo", "ratings", "ratings.bookinfo.svc.cluster.local:9080"],
)
async def test_a_grpc_client_resolves_every_way_to_write_a_service(target: str) -> None:
    near, far = GrpcBackend("near"), GrpcBackend("far")
    async with (
        serving(near, far),
        serving_xds(two(near, far)) as xds,
        caller(xds.port, f"xds:///{target}") as client,
    ):
        assert await client.call("wait") == "near"
        assert xds.heard.nacks() == []
        assert proxyless(xds)


async def test_it_fails_over_and_comes_back_as_endpoints_turn_unready_and_ready() -> None:
    near, far = GrpcBackend("near"), GrpcBackend("far")
    async with (
        serving(near, far),
        serving_xds(two(near, far)) as xds,
        caller(xds.port, "xds:///ratings.bookinfo:9080") as client,
    ):
        await client.only("near")
        xds.replace(changed(xds.world, "paris", ratings(near, ready=False)))
        await client.only("far")
        xds.replace(changed(xds.world, "paris", ratings(near)))
        await client.only("near")
        assert xds.heard.nacks() == []


async def test_it_fails_over_by_itself_when_the_near_ones_die() -> None:
    near, far = GrpcBackend("near"), GrpcBackend("far")
    async with (
        serving(near, far),
        serving_xds(two(near, far)) as xds,
        caller(xds.port, "xds:///ratings.bookinfo:9080") as client,
    ):
        await client.only("near")
        await near.stop()
        await client.only("far")


async def test_with_nothing_ready_anywhere_it_still_calls_the_whole_list() -> None:
    near = GrpcBackend("near")
    now = world(cluster("paris", ratings(near, ready=False)))
    async with (
        serving(near),
        serving_xds(now) as xds,
        caller(xds.port, "xds:///ratings.bookinfo:9080") as client,
    ):
        await client.only("near")


async def test_a_service_that_does_not_exist_is_unavailable_until_it_does() -> None:
    near = GrpcBackend("near")
    async with (
        serving(near),
        serving_xds(world(cluster("paris", service("other")))) as xds,
        caller(xds.port, "xds:///ratings.bookinfo:9080") as client,
    ):
        calling = asyncio.create_task(client.call("wait"))
        await until(lambda: xds.heard.clients)
        xds.replace(changed(xds.world, "paris", ratings(near)))
        assert await calling == "near"


async def test_retries_unavailable_as_the_policy_of_routes_says() -> None:
    import grpc

    near, far = GrpcBackend("near"), GrpcBackend("far")
    now = world(
        cluster(
            "paris",
            service("ratings", [endpoint(one.host, one.port) for one in (near, far)], ports=GRPC),
        )
    )
    near.code = grpc.StatusCode.UNAVAILABLE
    async with (
        serving(near, far),
        serving_xds(now) as xds,
        caller(xds.port, "xds:///ratings.bookinfo:9080") as client,
    ):
        assert {await client.call("wait") for _ in range(10)} == {"far"}
        assert near.calls > 0
