"""The command line: `tideover`. Slow imports happen inside the commands that need them."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command that the arguments name; the exit code (see `failure.py`)."""
    from .program import run

    return run(sys.argv[1:])
