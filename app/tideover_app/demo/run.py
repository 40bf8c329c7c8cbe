"""The way in: `run_demo`."""

from __future__ import annotations

from . import DemoOptions


def run_demo(options: DemoOptions) -> int:
    """Run every scene; 0 kept its promises, 1 did not, 2 cannot run here, 3 could not be started."""
    raise NotImplementedError
