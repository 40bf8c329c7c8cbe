"""`tideover demo`: real processes on loopback, faults one after another, and what callers saw.

A folder of its own beside the program, which it only ever starts as a user would: nothing here
reaches into the control plane. `run.run_demo(DemoOptions(...))` is the way in.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What a user may choose.

    `fast`: shorter calm between the faults, for CI. `keep`: leave everything running at the end
    until Ctrl-C. `folder`: the reports go there, everything else into its `demo-run/`.
    """

    fast: bool = False
    keep: bool = False
    folder: Path = Path()
