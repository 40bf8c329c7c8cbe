"""What else ran meanwhile: a measurement on shared cores is worth as much as its neighbours were quiet."""

from __future__ import annotations

import os
import platform
import time

import psutil


class ForeignLoad:
    """Share of all cores that processes other than the given ones used, between `start` and `percent`."""

    def __init__(self, own: list[psutil.Process]) -> None:
        self.own = own
        self.began_s = time.monotonic()
        self.busy_s, self.own_s = _busy(), self._own()

    def _own(self) -> float:
        return sum(cpu_seconds(p) for p in self.own)

    def percent(self) -> float:
        seconds = (time.monotonic() - self.began_s) * (os.cpu_count() or 1)
        foreign = (_busy() - self.busy_s) - (self._own() - self.own_s)
        return max(0.0, 100 * foreign / seconds) if seconds > 0 else 0.0


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time of a process, in seconds."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def description() -> dict[str, object]:
    """The machine, for the record."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "memoryGb": round(psutil.virtual_memory().total / 2**30, 1),
    }
