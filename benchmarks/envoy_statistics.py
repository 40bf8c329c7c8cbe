"""What Envoys' statistics (the metrics service) cost this process: Envoys of 10 services in three zones, each
sending every second. Judging is not in it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import psutil

from tideover_health.metrics_server import MetricsServer
from tideover_health.signals import Voter
from tideover_health.streams_server import Context
from tideover_wire.node import Client

from .machine import ForeignLoad

FLEETS = (100, 300, 1000)
WARM_S, MEASURED_S = 4.0, 10.0


def measure() -> list[dict[str, Any]]:
    return [asyncio.run(_one(envoys)) for envoys in FLEETS]


async def _one(envoys: int) -> dict[str, Any]:
    told: list[object] = []
    service = MetricsServer(told.append, _by_name)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(service.handlers())
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    command = [sys.executable, "-m", "benchmarks.statistics_client", f"127.0.0.1:{port}", str(envoys)]
    pipe = subprocess.PIPE
    client = subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=Path(__file__).parents[1])
    try:
        assert client.stdout is not None
        said = json.loads(await asyncio.to_thread(client.stdout.readline))
        while service.status.streams < envoys:
            await asyncio.sleep(0.1)
        await asyncio.sleep(WARM_S)
        foreign = ForeignLoad([psutil.Process(), psutil.Process(client.pid)])
        before, cpu_s, began_s = service.status, time.process_time(), time.monotonic()
        await asyncio.sleep(MEASURED_S)
        after, cpu_s = service.status, time.process_time() - cpu_s
        lasted_s = time.monotonic() - began_s
        return {
            "envoys": envoys,
            "bytes_per_message": said["bytes"],
            "read_per_second": round((after.read - before.read) / lasted_s),
            "dropped_per_second": round((after.dropped - before.dropped) / lasted_s),
            "cpu_percent_of_a_core": round(100 * cpu_s / lasted_s, 1),
            "foreign_cpu_percent": round(foreign.percent(), 1),
        }
    finally:
        await asyncio.to_thread(client.communicate, b"\n")
        service.end()
        await server.stop(1)


async def _by_name(_context: Context, client: Client) -> Voter:
    return Voter(client.id)
