"""How long a user waits: `--help`, the start of `run`, and `simulate` on a big dump."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from .program import TIDEOVER, free_ports, running_tideover
from .world import ManifestFolder, configuration


def measure(rounds: int = 3) -> dict[str, Any]:
    """Seconds each command takes; medians, except where it can happen once only."""
    with tempfile.TemporaryDirectory(prefix="tideover-bench-") as name:
        folder = Path(name)
        cache = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
        return {
            "helpS": median(_seconds([TIDEOVER, "--help"], cache) for _ in range(rounds)),
            "runUntilReadyS": median(_start(folder / f"start-{i}") for i in range(rounds)),
            "simulateJsonS": median(_simulate(folder, "json", cache) for _ in range(rounds)),
            "simulateYamlFirstS": _simulate(folder, "yaml", cache),
            "simulateYamlAgainS": median(_simulate(folder, "yaml", cache) for _ in range(rounds)),
        }


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    began = time.monotonic()
    subprocess.run(command, check=True, env=environment, capture_output=True)
    return round(time.monotonic() - began, 3)


def _start(folder: Path) -> float:
    ManifestFolder(folder / "clusters/paris", 10, 20, "eu-west-a")
    xds, admin, http = free_ports(3)
    config = configuration(folder, ["paris"], {"xds": xds, "admin": admin, "http": http})
    began = time.monotonic()
    with running_tideover(config, http):
        return round(time.monotonic() - began, 3)


def _simulate(folder: Path, form: str, environment: dict[str, str]) -> float:
    """`tideover simulate` on 2,000 services and 20,000 endpoints, made once per form."""
    world = folder / form
    dump = world / "clusters/paris" / f"dump.{form}"
    if not dump.exists():
        dump.parent.mkdir(parents=True)
        script = Path(__file__).with_name("make_cluster.py")
        sizes = ["--services", "2000", "--endpoints", "20000", "--format", form]
        subprocess.run([sys.executable, str(script), *sizes, str(dump)], check=True, capture_output=True)
        configuration(world, ["paris"], {"xds": 18000, "admin": 18001, "http": 18002})
    service = _any_service(folder / "json/clusters/paris/dump.json")
    command = [TIDEOVER, "simulate", "-c", str(world / "tideover.yaml"), "--service", service]
    return _seconds([*command, "--from", "eu-west/eu-west-a", "-o", "json"], environment)


def _any_service(dump: Path) -> str:
    import msgspec

    for item in msgspec.json.decode(dump.read_bytes())["items"]:
        if item["kind"] == "Service" and item["spec"].get("selector"):
            return f"{item['metadata']['namespace']}/{item['metadata']['name']}"
    raise RuntimeError(f"{dump} holds no service")
