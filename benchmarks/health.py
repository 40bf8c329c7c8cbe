"""What load reports cost, judging included: CPU of one core, for fleets of 500 and 5,000 reporters."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from .machine import ForeignLoad, cpu_seconds

WARM_S, MEASURED_S = 6.0, 20.0
_PIPE = subprocess.PIPE
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Fleet:
    """`doubted`: groups of services (of 100) in doubt, whose callers report by endpoint."""

    name: str
    reporters: int
    doubted: int = 0
    per_connection: int = 1


FLEETS = (
    Fleet("500, all is well", 500),
    Fleet("500, 50 by endpoint", 500, doubted=10),
    Fleet("5000, all is well", 5000, per_connection=10),
)


def measure() -> list[dict[str, Any]]:
    return [_one(fleet) for fleet in FLEETS]


def _one(fleet: Fleet) -> dict[str, Any]:
    server = _started("benchmarks.health_server")
    try:
        port = _line(server)["port"]
        arguments = [f"127.0.0.1:{port}", str(fleet.reporters), "--per-connection", str(fleet.per_connection)]
        client = _started("benchmarks.report_client", *arguments, "--failing-groups", str(fleet.doubted))
        try:
            return _measured(fleet, server, client)
        finally:
            client.communicate(b"\n", timeout=30)
    finally:
        server.communicate(timeout=30)


def _measured(
    fleet: Fleet, server: subprocess.Popen[bytes], client: subprocess.Popen[bytes]
) -> dict[str, Any]:
    _line(client)
    _said(server, f"doubt {fleet.doubted}")
    before = _said(server, "")
    time.sleep(WARM_S + 2 * before["interval"])
    process = psutil.Process(server.pid)
    foreign = ForeignLoad([process, psutil.Process(client.pid)])
    before, cpu_s, began_s = _said(server, ""), cpu_seconds(process), time.monotonic()
    time.sleep(MEASURED_S)
    after, cpu_s = _said(server, ""), cpu_seconds(process) - cpu_s
    lasted_s = time.monotonic() - began_s
    reports = after["reports"] - before["reports"]
    return {
        "fleet": fleet.name,
        "cpu_percent_of_a_core": round(100 * cpu_s / lasted_s, 1),
        "cpu_us_per_report": round(1e6 * cpu_s / max(1, reports)),
        "reports_per_second": round(reports / lasted_s),
        "rows_per_second": round((after["rows"] - before["rows"]) / lasted_s),
        "interval_s": after["interval"],
        "detection_s": after["detection"],
        "by_endpoint": after["byEndpoint"],
        "verdicts": after["verdicts"],
        "rss_mb": round(process.memory_info().rss / 2**20),
        "foreign_cpu_percent": round(foreign.percent(), 1),
    }


def _started(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", module, *arguments], stdin=_PIPE, stdout=_PIPE, cwd=_ROOT)


def _said(process: subprocess.Popen[bytes], line: str) -> dict[str, Any]:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n".encode())
    process.stdin.flush()
    return _line(process)


def _line(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    text = process.stdout.readline()
    if not text:
        raise RuntimeError(f"{process.args} ended with code {process.wait()}")
    return dict(json.loads(text))
