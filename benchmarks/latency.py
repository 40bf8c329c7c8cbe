"""From a change on disk to a real Envoy's `/clusters`: the whole way that a failover takes."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from .program import free_ports, get, running_envoy, running_tideover
from .world import NAMESPACE, PORT, ManifestFolder, configuration

SERVICE = f"{NAMESPACE}/svc-0:{PORT}"
FIRST = "10.0.0.1"


def measure(rounds: int) -> dict[str, Any]:
    """Milliseconds from the rename on disk until Envoy's admin shows the endpoint's new health."""
    with tempfile.TemporaryDirectory(prefix="tideover-bench-") as name:
        folder = Path(name)
        paris = ManifestFolder(folder / "clusters/paris", 10, 20, "eu-west-a")
        xds, admin, http = free_ports(3)
        config = configuration(folder, ["paris"], {"xds": xds, "admin": admin, "http": http})
        with (
            running_tideover(config, http),
            running_envoy(folder, xds, "paris", "eu-west-a") as envoy_admin,
        ):
            _wait_for(envoy_admin, healthy=True)
            times = [_one(paris, envoy_admin, healthy=i % 2 == 1) for i in range(rounds)]
    return {
        "rounds": rounds,
        "medianMs": round(median(times), 1),
        "minMs": round(min(times), 1),
        "maxMs": round(max(times), 1),
    }


def _one(paris: ManifestFolder, admin: int, *, healthy: bool) -> float:
    time.sleep(0.1)  # idle, then changed
    began = time.monotonic()
    paris.write("svc-0", not_ready=-1 if healthy else 0)
    _wait_for(admin, healthy=healthy)
    return 1000 * (time.monotonic() - began)


def _wait_for(admin: int, *, healthy: bool) -> None:
    end = time.monotonic() + 30
    while _health(admin) != ("HEALTHY" if healthy else "UNHEALTHY"):
        if time.monotonic() > end:
            raise RuntimeError(f"Envoy never showed {FIRST} of {SERVICE} as {'' if healthy else 'un'}healthy")


def _health(admin: int) -> str:
    clusters = json.loads(get(f"http://127.0.0.1:{admin}/clusters?format=json") or b"{}")
    for cluster in clusters.get("cluster_statuses", []):
        if cluster["name"] == SERVICE:
            for host in cluster.get("host_statuses", []):
                if host["address"]["socket_address"]["address"] == FIRST:
                    return str(host["health_status"].get("eds_health_status", ""))
    return ""
