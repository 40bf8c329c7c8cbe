"""What holds for every test: nothing is left running."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest


@pytest.fixture(autouse=True, scope="module")
def nothing_left_running() -> Iterator[None]:
    """Processes that a test file started and did not stop fail its last test."""
    before = set(psutil.Process().children(recursive=True))
    yield
    left = [p for p in psutil.Process().children(recursive=True) if p not in before and alive(p)]
    names = [f"{p.pid} {p.name()}" for p in left if p.is_running()]
    for process in left:
        process.kill()
    assert names == [], "left running"


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
