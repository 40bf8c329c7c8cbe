"""A gRPC client without a proxy, `xds:///ratings.bookinfo:9080`, against `tideover run`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.mesh import mesh
from support.tideover import running_tideover
from support.wait import until

# the bootstrap is read from the environment when grpc first needs it, so the client is its own process
CLIENT = """
import sys, time, grpc
channel = grpc.insecure_channel(sys.argv[1])
say = channel.unary_unary("/test.Echo/Say")
while True:
    try:
        print(say(b"", timeout=5, wait_for_ready=False).decode(), flush=True)
    except grpc.RpcError as error:
        print(f"FAILED {error.code()} {error.details()}", flush=True)
    time.sleep(0.01)
"""


class Said:
    """The lines of the client: who served each call."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def only_from(self, *names: str, count: int = 20) -> None:
        await until(
            lambda: len(self.lines) >= count and set(self.lines[-count:]) == set(names),
            what=lambda: f"only {names}; last: {self.lines[-5:]}",
        )


@asynccontextmanager
async def calling(target: str, bootstrap: dict[str, Any]) -> AsyncIterator[Said]:
    """A client that keeps calling `target`, for the length of a block."""
    environment = {**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CLIENT, target, stdout=asyncio.subprocess.PIPE, env=environment
    )
    said = Said()

    async def read() -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            said.lines.append(line.decode().strip())

    reading = asyncio.create_task(read())
    try:
        yield said
    finally:
        process.kill()
        await process.wait()
        await reading


async def test_a_proxyless_client_is_served_and_fails_over_and_back(tmp_path: Path) -> None:
    async with mesh(tmp_path, protocol="grpc") as world, running_tideover(world.setup) as tideover:
        place = ["--cluster", "paris", "--namespace", "bookinfo", "--locality", "eu-west/eu-west-a"]
        bootstrap = await tideover.bootstrap(*place, kind="grpc")
        async with calling(f"xds:///{world.host}", bootstrap) as said:
            await said.only_from("paris-1", "paris-2")
            world.unready("paris")
            await said.only_from("dublin-1", "dublin-2")
            world.write("paris")
            await said.only_from("paris-1", "paris-2")
            assert [line for line in said.lines if line.startswith("FAILED")] == []


async def test_calls_go_on_while_the_control_plane_is_dead(tmp_path: Path) -> None:
    async with mesh(tmp_path, protocol="grpc") as world, running_tideover(world.setup) as tideover:
        place = ["--cluster", "paris", "--namespace", "bookinfo", "--locality", "eu-west/eu-west-a"]
        bootstrap = await tideover.bootstrap(*place, kind="grpc")
        async with calling(f"xds:///{world.host}", bootstrap) as said:
            await said.only_from("paris-1", "paris-2")
            await tideover.kill()
            world.unready("paris")
            seen = len(said.lines)
            await until(lambda: len(said.lines) > seen + 50)
            async with running_tideover(world.setup):
                await said.only_from("dublin-1", "dublin-2")
            assert [line for line in said.lines if line.startswith("FAILED")] == []
