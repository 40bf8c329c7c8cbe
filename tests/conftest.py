"""What holds for every test: nothing is left running."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

pytest_plugins = ["support.apiserver.fixtures"]


@pytest.fixture(autouse=True, scope="module")
def nothing_left_running() -> Iterator[None]:
    """Processes that a test file left fail its last test; API servers that tests share stay."""
    before = set(psutil.Process().children(recursive=True))
    yield
    from support.apiserver.fixtures import shared_pids  # a plugin: pytest imports it first

    left = [p for p in psutil.Process().children(recursive=True) if p not in before and alive(p)]
    left = [p for p in left if p.pid not in shared_pids()]
    names = [f"{p.pid} {p.name()}" for p in left if p.is_running()]
    for process in left:
        process.kill()
    assert names == [], "left running"


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
