"""Calls of reporters that share one name: each report says only what one of them called. Pure."""

from __future__ import annotations

_PERIODS = 3  # over so many intervals of theirs they are counted


class Many:
    """What they call per second, and what of it fails."""

    __slots__ = ("calls", "failed", "failed_rate", "rate", "since_s", "span_s", "spans")

    def __init__(self) -> None:
        self.calls = self.failed = self.spans = 0
        self.rate = self.failed_rate = self.span_s = 0.0
        self.since_s = float("-inf")

    def add(self, calls: int, failed: int, interval_s: float, now_s: float) -> None:
        """One report more."""
        self.look(now_s)
        if not self.span_s:
            self.since_s, self.span_s = now_s, _PERIODS * interval_s
        self.calls += calls
        self.failed += failed

    def look(self, now_s: float) -> None:
        """What is said now: of the last span that is over."""
        if not self.span_s or now_s < self.since_s + self.span_s:
            return
        silent = now_s >= self.since_s + 2 * self.span_s  # nobody looked or spoke meanwhile
        self.rate = 0.0 if silent else self.calls / self.span_s
        self.failed_rate = 0.0 if silent else self.failed / self.span_s
        self.calls = self.failed = 0
        self.spans += 1
        self.since_s = now_s if silent else self.since_s + self.span_s
