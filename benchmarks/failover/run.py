"""The whole table: each fault, for both systems in turn, several times; a table, a chart and JSON."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import ForeignLoad

from . import chart
from .faults import TABLE, Fault, Times
from .measure import Moments, Numbers, numbers, summary
from .world import BASELINE, TIDEOVER, World, world

SYSTEMS = (BASELINE, TIDEOVER)
RETRIES = {
    "retries": {"attempts": 2, "perTryTimeout": "500ms"},
    "no retries": {"attempts": 0, "perTryTimeout": "500ms"},
}
# in a hurry, so that the way back is seen too; both systems have the retries and the outlier detection
POLICY: dict[str, Any] = {
    "outlier": {"baseEjection": "5s"},
    "fleetHealth": {"window": "2s", "minRequests": 5, "minReporters": 2},
    "failback": {"holdDown": "4s", "steps": [10, 50, 100], "stepEvery": "2s"},
}


def measure(
    names: Sequence[str] = (),
    retries: Sequence[str] = tuple(RETRIES),
    rounds: int = 5,
    times: Times | None = None,
) -> Iterator[dict[str, Any]]:
    """One row for each fault and configuration, with both systems side by side; alternating runs."""
    for how in retries:
        for fault in TABLE:
            if names and fault.name not in names:
                continue
            runs: dict[str, list[Numbers]] = {system: [] for system in SYSTEMS}
            foreign = ForeignLoad([])
            for _ in range(rounds):
                for system in SYSTEMS:
                    runs[system].append(asyncio.run(once(fault, system, how, times or Times())))
            row: dict[str, Any] = {"fault": fault.name, "configuration": how, "story": fault.story}
            row["allCpuPercent"] = round(foreign.percent(), 1)
            row |= {system: summary(found) for system, found in runs.items()}
            print("  " + line(row), flush=True)
            yield row


async def once(fault: Fault, system: str, how: str, times: Times) -> Numbers:
    """One run of one system."""
    policy: dict[str, Any] = {**POLICY, "retry": RETRIES[how]}
    policy["fleetHealth"] = {**POLICY["fleetHealth"], "unhealthyAboveErrorPercent": fault.unhealthy_above}
    if fault.capacity is not None:
        policy["capacity"] = {"requestsPerSecondPerEndpoint": fault.capacity, "mode": "WaterfallByZone"}
    with tempfile.TemporaryDirectory(prefix="tideover-failover-") as name:
        running = world(Path(name) / "run", system, policy, fault.sites, fault.callers)
        async with running as one, fault.beside(one):
            one.silent |= fault.silent
            await asyncio.sleep(times.calm_s)
            at = await _act(one, fault, times)
            await asyncio.sleep(0.7)  # what is on its way ends, and is written
            return numbers(one, fault, at)


async def _act(one: World, fault: Fault, times: Times) -> Moments:
    began_s = await fault.begin(one)
    if fault.whole_fault is not None:
        await fault.whole_fault(one, times)
    else:
        await asyncio.sleep(times.fault_s)
    healed_s = await fault.end(one)
    end_s = time.monotonic() + times.back_s
    while fault.comes_back and time.monotonic() < end_s:
        await asyncio.sleep(0.2)
        newest = [call for call in one.calls[-300:] if call.ended_s > time.monotonic() - 2]
        home = sum(call.served_by.startswith("paris/") for call in newest)
        if newest and home >= 0.995 * len(newest):
            break
    return Moments(began_s, healed_s, time.monotonic())


def line(row: dict[str, Any]) -> str:
    """One row for people, while it goes on."""
    said = [f"{row['fault']}, {row['configuration']}:"]
    for system in SYSTEMS:
        one = row[system]
        said.append(f"{system}: {one['failed']:g} of {one['calls']:g} failed, moved {one['movedS']} s;")
    return " ".join(said)


def report(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """The table on the screen, and the chart beside the JSON."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="failover: medians, plain Envoy / Tideover", title_justify="left")
    shown = ("failed", "detectS", "movedS", "needlessPercent", "oscillations", "backS", "survivorPeak",
             "overCapacityPercent", "attemptsAtSick")  # fmt: skip
    for head in ("fault", "configuration", "calls", *shown):
        table.add_column(head)
    for row in rows:
        one, other = (row[system] for system in SYSTEMS)
        pairs = [f"{_said(one[key])} / {_said(other[key])}" for key in shown]
        table.add_row(row["fault"], row["configuration"], f"{one['calls']:g}", *pairs)
    Console(width=200).print(table)
    path = folder / "failover.svg"
    path.write_text(chart.svg(rows, SYSTEMS))
    print(f"written: {path}")


def _said(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
