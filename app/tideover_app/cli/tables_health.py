"""What `status` shows of health: how well services are seen, and what is judged of them."""

from __future__ import annotations

from datetime import datetime

from rich.console import RenderableType
from rich.text import Text

from .output import Document
from .tables_rows import rows

_STATES = {"suspect": "yellow", "down": "red", "holding": "red", "ramping": "yellow"}
MOST_LINES = 40  # JSON has them all


def health(answer: Document, *, fold: bool = False) -> list[RenderableType]:
    """Below what fails over: alarms, verdicts, and how they come about."""
    about: Document = answer.get("health") or {}
    parts: list[RenderableType] = [
        Text(f"ALARM  {one['service']}:{one['port']}  {one['message']}", style="bold red")
        for one in about.get("alarms", [])
    ]
    judged = answer.get("verdicts", [])
    if judged:
        parts.append(Text("\njudged", style="yellow"))
        parts.append(
            rows(
                ("SERVICE", "STATE", "GIVEN", "WHAT AND WHY"),
                (
                    [
                        f"{one['service']}:{one['port']}",
                        Text(one["state"], style=_STATES.get(one["state"], "")),
                        f"{one['percent']:g} %",
                        one["text"],
                    ]
                    for one in judged[:MOST_LINES]
                ),
                fold=fold,
            )
        )
        if len(judged) > MOST_LINES:
            parts.append(Text(f"and {len(judged) - MOST_LINES} more; -o json lists them", style="dim"))
    parts.append(Text(_seen(about), style="dim"))
    return parts


def _seen(about: Document) -> str:
    """How well services are seen, in one line."""
    if not about.get("enabled"):
        return "health is not judged (health.enabled: false)"
    proven, unproven = about["provenReporters"], about["unprovenReporters"]
    checks = about["checksPerSecond"]
    made = f"; {checks:g} checks a second" if checks else ""
    if not proven and not unproven:
        return f"nobody reports calls{made}"
    shared = f" and {unproven} unproven, which share one vote" if unproven else ""
    return (
        f"{proven} proven reporters{shared}, every {about['reportIntervalSeconds']:g} s: "
        f"what they see is judged within {about['detectionSeconds']:.2g} s{made}"
    )


def reported(client: Document, now_s: float) -> str:
    """When a client last told of its calls."""
    at = client.get("lastReport")
    if at is None:
        return "-"
    return f"{max(0.0, now_s - datetime.fromisoformat(at).timestamp()):.0f} s ago"
