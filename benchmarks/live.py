"""Live clusters on real API servers: from a write there to an xDS client's ACK; start, memory and CPU."""

from __future__ import annotations

import asyncio
import json
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from .api_cluster import ApiCluster, api_clusters
from .machine import ForeignLoad, cpu_seconds
from .program import free_ports, get, running_tideover

SERVICES, ENDPOINTS = 2000, 20_000
SETTLE_S = 5.0
CLUSTER_COUNTS = (1, 3, 10)


def measure(rounds: int = 200) -> dict[str, Any]:
    """One cluster: empty, then with 2,000 services and 20,000 endpoints."""
    with (
        tempfile.TemporaryDirectory(prefix="tideover-bench-") as name,
        api_clusters(Path(name), 1) as clusters,
    ):
        (cluster,) = clusters
        empty = _start(Path(name) / "empty", clusters)
        filled_s = cluster.fill(SERVICES, ENDPOINTS)
        starts = [_start(Path(name) / f"full-{i}", clusters) for i in range(3)]
        full = min(starts, key=lambda start: start["readyS"])
        result = {
            "services": SERVICES,
            "endpoints": ENDPOINTS,
            "fillS": round(filled_s, 1),
            "readyS": median(start["readyS"] for start in starts),
            "readyWorstS": max(start["readyS"] for start in starts),
            "startCpuS": full["cpuS"],
            "emptyReadyS": empty["readyS"],
            "emptyMb": empty["rssMb"],
            "fullMb": median(start["rssMb"] for start in starts),
            "foreignAtStartPercent": max(start["foreignPercent"] for start in starts),
        }
        result["aboveEmptyMb"] = round(result["fullMb"] - result["emptyMb"], 1)
        result["mbPer10kEndpoints"] = round(result["aboveEmptyMb"] / (ENDPOINTS / 10_000), 1)
        with _running(Path(name) / "changes", clusters) as (server, xds):
            result |= _changes(server, xds, cluster, rounds)
    return result


def growth() -> list[dict[str, Any]]:
    """1, 3 and 10 API servers with 200 services and 2,000 endpoints each, all in one network."""
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="tideover-bench-") as name,
        api_clusters(Path(name), max(CLUSTER_COUNTS)) as clusters,
    ):
        for index, cluster in enumerate(clusters):
            cluster.fill(SERVICES // 10, ENDPOINTS // 10, seed=index + 1)
        for count in CLUSTER_COUNTS:
            start = _start(Path(name) / f"clusters-{count}", clusters[:count])
            with _running(Path(name) / f"changes-{count}", clusters[:count]) as (server, xds):
                changes = _changes(server, xds, clusters[0], 50)
            rows.append({"clusters": count, **start, **changes})
    return rows


def _start(folder: Path, clusters: list[ApiCluster]) -> dict[str, Any]:
    """A cold start until `/readyz` says yes and the world is complete; memory when it has settled."""
    foreign = ForeignLoad([p for c in clusters for p in c.processes()])
    began = time.monotonic()
    with _running(folder, clusters) as (server, _):
        ready_s, cpu_s = time.monotonic() - began, cpu_seconds(server)
        own_s = cpu_s / (ready_s * (psutil.cpu_count() or 1))
        percent = max(0.0, foreign.percent() - 100 * own_s)
        time.sleep(SETTLE_S)
        return {
            "readyS": round(ready_s, 2),
            "cpuS": round(cpu_s, 2),
            "rssMb": round(server.memory_info().rss / 2**20, 1),
            "foreignPercent": round(percent, 1),
        }


@contextmanager
def _running(folder: Path, clusters: list[ApiCluster]) -> Iterator[tuple[psutil.Process, int]]:
    """`tideover run` on these clusters with an empty state, ready and complete; and its port for xDS."""
    folder.mkdir()
    xds, admin, http = free_ports(3)
    rows = []
    for index, cluster in enumerate(clusters):
        path = folder / f"cluster-{index}.kubeconfig"
        path.write_text(cluster.server.kubeconfig())
        name = "paris" if index == 0 else f"cluster-{index}"
        rows.append({"name": name, "locality": {"region": "eu-west"}, "kubeconfig": {"path": str(path)}})
    config = {
        "name": "bench",
        "region": "eu-west",
        "listen": {"xds": f"127.0.0.1:{xds}", "admin": f"127.0.0.1:{admin}", "http": f"127.0.0.1:{http}"},
        "clusters": rows,
        "state": "./state",
        "startGrace": "60s",  # so that ready means that all was listed
    }
    (folder / "tideover.yaml").write_text(json.dumps(config))
    with running_tideover(folder / "tideover.yaml", http) as server:
        end = time.monotonic() + 60
        while b"tideover_world_complete 1" not in (get(f"http://127.0.0.1:{http}/metrics") or b""):
            if time.monotonic() > end:
                raise RuntimeError("ready, but not complete")
            time.sleep(0.01)
        yield server, xds


def _changes(server: psutil.Process, xds: int, cluster: ApiCluster, rounds: int) -> dict[str, Any]:
    """One xDS client that is subscribed to everything: single changes, then 100 a second."""
    with _client(xds, cluster.ports) as client:
        _line(client)
        own = [server, psutil.Process(client.pid), psutil.Process(), *cluster.processes()]
        foreign = ForeignLoad(own)
        times = asyncio.run(_single(cluster, client, rounds))
        idle_before, began = cpu_seconds(server), time.monotonic()
        time.sleep(SETTLE_S)
        idle_s = (cpu_seconds(server) - idle_before) / (time.monotonic() - began)
        threading.Thread(target=client.stdout.read, daemon=True).start()  # type: ignore[union-attr]
        busy = asyncio.run(_hundred_a_second(server, cluster))
        return {
            "changes": len(times),
            "ackMedianMs": round(median(times), 1),
            "ackP99Ms": round(sorted(times)[int(0.99 * (len(times) - 1))], 1),
            "ackMaxMs": round(max(times), 1),
            "idleCorePercent": round(100 * idle_s, 2),
            **busy,
            "withClientMb": round(server.memory_info().rss / 2**20, 1),
            "foreignPercent": round(foreign.percent(), 1),
        }


async def _single(cluster: ApiCluster, client: subprocess.Popen[bytes], rounds: int) -> list[float]:
    """Milliseconds from before the write is sent until the client has handed its ACK to gRPC."""
    times = []
    async with cluster.session() as session:
        for index in range(rounds + 5):
            await asyncio.sleep(0.05)  # idle, then changed
            began = time.monotonic()
            await cluster.turn(session, index % len(cluster.slices))
            line = await asyncio.to_thread(_line, client)
            times.append(1000 * (line["acks"][0] - began))
    return times[5:]  # the first ones open connections


async def _hundred_a_second(server: psutil.Process, cluster: ApiCluster, seconds: int = 15) -> dict[str, Any]:
    """CPU of the server while the readiness of an endpoint changes every 10 ms."""
    async with cluster.session() as session, asyncio.TaskGroup() as tasks:
        before, began = cpu_seconds(server), time.monotonic()
        for index in range(100 * seconds):
            await asyncio.sleep(max(0.0, began + index / 100 - time.monotonic()))
            tasks.create_task(cluster.turn(session, index % len(cluster.slices)))
        took_s = time.monotonic() - began
        used_s = cpu_seconds(server) - before
    rate = 100 * seconds / took_s
    return {"changesPerSecond": round(rate, 1), "busyCorePercent": round(100 * used_s / took_s, 1)}


@contextmanager
def _client(xds: int, names: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "benchmarks.load_client", f"127.0.0.1:{xds}", "1", str(names)]
    pipe = subprocess.PIPE
    client = subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=Path(__file__).parents[1])
    try:
        yield client
    finally:
        client.kill()
        client.communicate()


def _line(client: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert client.stdout is not None
    if not select.select([client.stdout], [], [], 60)[0]:
        raise RuntimeError("the load client has said nothing for a minute")
    text = client.stdout.readline()
    if not text:
        raise RuntimeError(f"the load client ended with code {client.wait()}")
    return dict(json.loads(text))
