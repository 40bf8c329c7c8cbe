"""`python -m benchmarks [PART ...]`: run, print a table, write JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import commands, envoy_statistics, health, judge, latency, live, pure, streams
from .machine import description

PARTS = (
    "pure", "commands", "latency", "streams", "live", "growth", "judge", "health", "statistics", "failover",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which to run; all when none is named")
    parser.add_argument("--streams", type=int, nargs="+", default=[100, 500, 1000])
    parser.add_argument("--streams-per-connection", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=10, help="changes per number of streams")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results.json"))
    parser.add_argument("--faults", nargs="+", default=[], help="failover: only these, by name")
    parser.add_argument(
        "--retries", nargs="+", default=["retries", "no retries"], help="failover: configurations"
    )
    parser.add_argument("--runs", type=int, default=5, help="failover: of each system, alternating")
    parser.add_argument("--short", action="store_true", help="failover: for a test, not for numbers")
    args = parser.parse_args()
    steps: dict[str, Callable[[], Any]] = {
        "pure": pure.measure,
        "judge": judge.measure,
        "commands": commands.measure,
        "latency": lambda: latency.measure(20),
        "streams": lambda: [
            streams.measure(n, args.rounds, args.streams_per_connection).to_json() for n in args.streams
        ],
        "live": lambda: live.measure(200),
        "growth": live.growth,
        "health": health.measure,
        "statistics": envoy_statistics.measure,
        "failover": lambda: _failover(args),
    }
    results: dict[str, Any] = {"machine": description()}
    for part in args.parts or PARTS:
        print(f"running {part} ...", flush=True)
        results[part] = steps[part]()
        if part != "failover":
            show(part, results[part])
    _write(args.output, results)
    print(f"written: {args.output}")


def _failover(args: argparse.Namespace) -> list[dict[str, Any]]:
    from .failover.faults import Times
    from .failover.run import measure, report

    times = Times(1.0, 3.0, 0.5, 10.0) if args.short else Times()
    earlier = json.loads(args.output.read_text()).get("failover", []) if args.output.exists() else []
    rows = {(row["fault"], row["configuration"]): row for row in earlier}
    for row in measure(args.faults, args.retries, args.runs, times):
        rows[row["fault"], row["configuration"]] = row
        # it takes hours: a part of it may be measured alone, and what is measured is kept
        _write(args.output, {"machine": description(), "failover": list(rows.values())})
    report(list(rows.values()), args.output.parent)
    return list(rows.values())


def _write(output: Path, results: dict[str, Any]) -> None:
    output.write_text(json.dumps(results, indent=2) + "\n")


def show(title: str, result: Any) -> None:
    """Print one result as a table: a column per run, a row per number."""
    from rich.console import Console
    from rich.table import Table

    columns = result if isinstance(result, list) else [result]
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for _ in columns:
        table.add_column(justify="right")
    for key in columns[0]:
        table.add_row(key, *(f"{column[key]}" for column in columns))
    Console().print(table)


if __name__ == "__main__":
    main()
