"""Durations as Kubernetes and Go write them: `1h2m3.5s`, `500ms`."""

from __future__ import annotations

import re

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})(ns|us|µs|ms|h|m|s)", re.ASCII)
MAX_S = 10 * 365 * 24 * 3600.0


def seconds(text: object) -> float:
    """The duration in seconds. ValueError on anything but a positive sum of numbers with units, or "0"."""
    if text == "0":
        return 0.0
    if not isinstance(text, str) or not text:
        raise ValueError(f"{text!r} is no duration; write 500ms, 1.5s or 1h2m")
    position, total = 0, 0.0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            raise ValueError(f"{text!r} is no duration; write 500ms, 1.5s or 1h2m")
        total += float(match.group(1)) * _UNITS[match.group(2)]
        position = match.end()
    if total > MAX_S:
        raise ValueError(f"{text!r} is longer than ten years")
    return round(total, 9)
