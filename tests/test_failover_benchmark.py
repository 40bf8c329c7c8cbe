"""The failover benchmark runs and says what it should: two of its rows, short. No number is a promise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.envoy
NUMBERS = {
    "calls", "failed", "detectS", "movedS", "needlessPercent", "oscillations", "backS", "survivorPeak",
    "overCapacityPercent", "attemptsAtSick",
}  # fmt: skip


def test_two_rows_side_by_side_with_plain_envoy(tmp_path: Path) -> None:
    faults = ["--faults", "503", "gray", "--retries", "retries", "--runs", "1", "--short"]
    command = [sys.executable, "-m", "benchmarks", "failover", *faults, "--output", str(tmp_path / "r.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((tmp_path / "r.json").read_text())["failover"]
    assert [row["fault"] for row in rows] == ["503", "gray"]
    for row in rows:
        for system in ("plain Envoy", "Tideover"):
            assert row[system].keys() >= NUMBERS
            assert row[system]["calls"] > 50
            assert row[system]["survivorPeak"] > 0, "it was moved"
    assert rows[0]["plain Envoy"]["failed"] == rows[0]["Tideover"]["failed"] == 0  # all are tried elsewhere
    assert "plain Envoy" in (tmp_path / "failover.svg").read_text()
