"""Slow imports happen only where they are used: what a command drags in, seen in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = """
import sys
sys.argv[0] = "tideover"
from tideover_app.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("LOADED", *sorted({name.split(".")[0] for name in sys.modules}))
"""
SIMULATE = [
    "simulate", "-c", "tideover.yaml", "--service", "bookinfo/ratings", "--from", "eu-west", "-o", "json",
]  # fmt: skip


def loaded(*arguments: str) -> set[str]:
    """Top-level modules that a command has loaded when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], cwd=ROOT / "examples", capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rsplit("LOADED", 1)[1].split())


@pytest.mark.parametrize(
    ("arguments", "unused"),
    [
        (["--help"], {"rich", "envoy_data_plane", "kubernetes", "grpc", "pydantic", "envoy", "yaml"}),
        (["bootstrap", "envoy"], {"rich", "envoy_data_plane", "kubernetes", "grpc", "envoy"}),
        (SIMULATE, {"envoy_data_plane", "kubernetes", "grpc", "aiohttp", "prometheus_client"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_loads_nothing_heavy_that_it_does_not_use(arguments: list[str], unused: set[str]) -> None:
    assert loaded(*arguments) & unused == set()
