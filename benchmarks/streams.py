"""One endpoint changes on disk under N delta ADS streams: when do the ACKs come, and at what cost?"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from .machine import ForeignLoad, cpu_seconds
from .program import free_ports, running_tideover
from .world import ManifestFolder, configuration

SERVICES = 10
ENDPOINTS = 20


@dataclass(frozen=True)
class StreamResult:
    """Times in milliseconds from the change on disk; medians over the rounds, and the worst last ACK."""

    streams: int
    streams_per_connection: int
    rounds: int
    first_ack_ms: float
    median_ack_ms: float
    p99_ack_ms: float
    last_ack_ms: float
    worst_last_ack_ms: float
    server_cpu_us_per_message: float
    rss_kb_per_stream: float
    rss_mb: float
    bytes_per_change: int
    foreign_cpu_percent: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def measure(streams: int, rounds: int, streams_per_connection: int) -> StreamResult:
    with tempfile.TemporaryDirectory(prefix="tideover-bench-") as name:
        folder = Path(name)
        paris = ManifestFolder(folder / "clusters/paris", SERVICES, ENDPOINTS, "eu-west-a")
        xds, admin, http = free_ports(3)
        config = configuration(folder, ["paris"], {"xds": xds, "admin": admin, "http": http})
        with running_tideover(config, http) as server:
            return _rounds(server, paris, xds, (streams, rounds, streams_per_connection))


def _rounds(
    server: psutil.Process, paris: ManifestFolder, xds: int, size: tuple[int, int, int]
) -> StreamResult:
    streams, rounds, per_connection = size
    rss_before = server.memory_info().rss
    command = [
        sys.executable,
        "-m",
        "benchmarks.load_client",
        f"127.0.0.1:{xds}",
        str(streams),
        str(SERVICES),
    ]
    command += ["--streams-per-connection", str(per_connection)]
    pipe = subprocess.PIPE
    client = subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=Path(__file__).parents[1])
    try:
        _line(client)
        foreign = ForeignLoad([server, psutil.Process(client.pid)])
        results: list[list[float]] = []
        cpu_s: list[float] = []
        received = 0
        for index in range(rounds + 1):
            time.sleep(0.3)  # idle, then changed
            cpu_before, began = cpu_seconds(server), time.monotonic()
            paris.write("svc-0", not_ready=0 if index % 2 == 0 else -1)
            line = _line(client)
            if index == 0:
                continue  # the first change warms caches; it is no different in kind, only rarer
            time.sleep(0.1)  # let the server read the last ACKs, so that they are counted
            cpu_s.append(cpu_seconds(server) - cpu_before)
            results.append(sorted(1000 * (at - began) for at in line["acks"]))
            received = line["bytes"]
        rss = server.memory_info().rss
        return StreamResult(
            streams=streams,
            streams_per_connection=per_connection,
            rounds=rounds,
            first_ack_ms=round(median(r[0] for r in results), 1),
            median_ack_ms=round(median(median(r) for r in results), 1),
            p99_ack_ms=round(median(r[int(0.99 * (len(r) - 1))] for r in results), 1),
            last_ack_ms=round(median(r[-1] for r in results), 1),
            worst_last_ack_ms=round(max(r[-1] for r in results), 1),
            server_cpu_us_per_message=round(1e6 * sum(cpu_s) / len(cpu_s) / streams, 1),
            rss_kb_per_stream=round((rss - rss_before) / 1024 / streams, 1),
            rss_mb=round(rss / 2**20, 1),
            bytes_per_change=received,
            foreign_cpu_percent=round(foreign.percent(), 1),
        )
    finally:
        client.communicate(b"\n", timeout=20)


def _line(client: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert client.stdout is not None
    text = client.stdout.readline()
    if not text:
        raise RuntimeError(f"the load client ended with code {client.wait()}")
    return dict(json.loads(text))
