"""Many clients of one server, some to a connection, until a line comes on standard input."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence

import grpc

OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 64 << 20))


async def run(
    address: str, count: int, per_connection: int, client: Callable[[grpc.aio.Channel, int], Awaitable[None]]
) -> None:
    """Run clients numbered from 0. One that fails ends all with its error."""
    channels: Sequence[grpc.aio.Channel] = [
        grpc.aio.insecure_channel(address, options=OPTIONS) for _ in range(-(-count // per_connection))
    ]
    tasks = [asyncio.ensure_future(client(channels[i // per_connection], i)) for i in range(count)]
    end = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    done, _ = await asyncio.wait([end, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in done - {end}:
        task.result()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(*(channel.close() for channel in channels))
