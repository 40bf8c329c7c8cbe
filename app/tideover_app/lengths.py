"""How long, in words."""

from __future__ import annotations


def length(seconds: float) -> str:
    """Whole seconds; from two minutes on minutes, and so on: `90 s`, `3 min`, `2 h`, `2 d`."""
    whole = max(0, round(seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"
