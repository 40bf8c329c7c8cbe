"""The report of a run: one HTML page that needs nothing else, and the same numbers as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from .disk import replace
from .measure import Call
from .page import page
from .promises import Result, Take


def write(
    folder: Path, takes: Sequence[Take], results: Sequence[Result], calls: Sequence[Call], facts: str
) -> None:
    """Write `demo-report.json` and `demo-report.html`. `facts` is a line about the machine and versions."""
    replace(folder / "demo-report.json", json.dumps(as_json(results), indent=2) + "\n")
    replace(folder / "demo-report.html", page(takes, results, calls, facts, passed=passed(results)))


def passed(results: Sequence[Result]) -> bool:
    """Whether every scene kept its promise."""
    return all(result.kept for result in results)


def as_json(results: Sequence[Result]) -> dict[str, object]:
    """The shape that interfaces promise: `passed` and `scenes`, with some keys more."""
    return {
        "passed": passed(results),
        "scenes": [
            {
                "name": result.scene.name,
                "calls": result.count.calls,
                "failed": result.count.failed,
                "retried": result.retried,
                "secondsUntilMoved": None if result.moved_s is None else round(result.moved_s, 3),
                "scene": result.scene.letter,
                "cutInFlight": result.count.cut,
                "slowestSeconds": None if result.slowest_s is None else round(result.slowest_s, 3),
                "promise": str(result.scene.promise),
                "broken": list(result.broken),
            }
            for result in results
        ],
    }
