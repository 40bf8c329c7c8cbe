"""The table as a picture: for each row the failed calls and the attempts at what is sick, both systems."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

COLOURS = ("#9aa5b1", "#1b6ca8")
ROW, LEFT, WIDTH, TOP = 34, 230, 300, 60
PANELS = (("failed", "failed calls (median)"), ("attemptsAtSick", "attempts at sick instances (median)"))


def svg(rows: Sequence[dict[str, Any]], systems: Sequence[str]) -> str:
    """Two panels of bars, each with its own scale."""
    height, width = TOP + ROW * len(rows) + 20, LEFT + len(PANELS) * (WIDTH + 70)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
    ]
    for index, system in enumerate(systems):
        x = LEFT + index * 120
        parts.append(f'<rect x="{x}" y="8" width="12" height="12" fill="{COLOURS[index]}"/>')
        parts.append(f'<text x="{x + 17}" y="18">{escape(system)}</text>')
    for number, row in enumerate(rows):
        y = TOP + ROW * number
        parts.append(
            f'<text x="8" y="{y + 18}">{escape(row["fault"])}, {escape(row["configuration"])}</text>'
        )
    for panel, (key, title) in enumerate(PANELS):
        parts += _panel(rows, systems, key, (LEFT + panel * (WIDTH + 70), title))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(
    rows: Sequence[dict[str, Any]], systems: Sequence[str], key: str, place: tuple[int, str]
) -> list[str]:
    x, title = place
    most = max([1.0, *(row[system][key] or 0 for row in rows for system in systems)])
    parts = [f'<text x="{x}" y="{TOP - 12}" font-weight="bold">{escape(title)}</text>']
    for number, row in enumerate(rows):
        for index, system in enumerate(systems):
            value = row[system][key] or 0
            y, length = TOP + ROW * number + 4 + 12 * index, WIDTH * value / most
            parts.append(
                f'<rect x="{x}" y="{y}" width="{length:.1f}" height="10" fill="{COLOURS[index]}"/>'
                f'<text x="{x + length + 4:.1f}" y="{y + 9}" font-size="10">{value:g}</text>'
            )
    return parts
