"""Writing what is known: on change, at most once in a while, and what cannot be written is said."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.tideover import Setup
from support.wait import holds, until
from tideover_app import run_state
from tideover_app.metrics import Gauges
from tideover_app.run_state import StateKeeper
from tideover_app.snapshot import StateFolder
from tideover_app.snapshot_format import Saved
from tideover_core.model import ClusterFacts, Locality, Problem
from tideover_core.presence import History


class Scripted(StateFolder):
    """A folder that notes what is saved and when; saves of clusters in `broken` fail."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.saved: list[tuple[float, str, int]] = []
        self.broken: set[str] = set()

    def save(self, saved: Saved) -> None:
        if saved.facts.cluster in self.broken:
            raise OSError(28, "No space left on device", "here")
        super().save(saved)
        self.saved.append((time.monotonic(), saved.facts.cluster, saved.facts.generation))

    def generations(self, cluster: str) -> list[int]:
        return [generation for _, name, generation in self.saved if name == cluster]


class Kept:
    """A keeper at work."""

    def __init__(self, folder: Path) -> None:
        self.folder = Scripted(folder)
        self.problems: list[Problem] = []
        self.keeper = StateKeeper(self.folder, {}, Gauges(), self._noted)

    def _noted(self, problems: list[Problem]) -> None:
        self.problems = problems

    def keep(self, **generations: int) -> None:
        facts = {n: ClusterFacts(n, "default", Locality(), generation=g) for n, g in generations.items()}
        self.keeper.keep(facts, History())


@pytest.fixture
async def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kept]:
    monkeypatch.setattr(run_state, "AT_MOST_EVERY_S", 0.4)
    monkeypatch.setattr(run_state, "AGAIN_AFTER_S", 0.2)
    kept = Kept(tmp_path)
    async with at_work(kept):
        yield kept


@asynccontextmanager
async def at_work(kept: Kept) -> AsyncIterator[None]:
    task = asyncio.ensure_future(kept.keeper.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_first_change_is_written_at_once_and_those_that_follow_join(kept: Kept) -> None:
    for generation in range(1, 20):
        kept.keep(paris=generation)
        await asyncio.sleep(0)
        if generation == 5:
            await until(lambda: kept.folder.saved)
    await until(lambda: kept.folder.generations("paris")[-1] == 19)
    assert len(kept.folder.saved) == 2
    first_s, second_s = (at_s for at_s, _, _ in kept.folder.saved)
    assert second_s - first_s >= 0.4


async def test_facts_that_stay_the_same_are_not_written_again(kept: Kept) -> None:
    facts = {"paris": ClusterFacts("paris", "default", Locality())}
    kept.keeper.keep(facts, History())
    await until(lambda: kept.folder.saved)
    kept.keeper.keep(facts, History())
    await holds(lambda: len(kept.folder.saved) == 1, 0.6)


async def test_one_that_cannot_be_written_is_a_problem_until_it_is_whoever_else_can(kept: Kept) -> None:
    kept.folder.broken = {"paris"}
    kept.keep(paris=1, dublin=1)
    await until(lambda: kept.problems)
    assert "No space left on device" in kept.problems[0].message
    kept.keep(paris=1, dublin=2)
    await until(lambda: 2 in kept.folder.generations("dublin"))
    assert kept.problems
    kept.folder.broken = set()
    await until(lambda: not kept.problems)
    assert kept.folder.generations("paris") == [1]


async def test_the_last_write_waits_for_one_that_nobody_awaits_any_more(tmp_path: Path) -> None:
    at_disk, go = threading.Event(), threading.Event()

    class Slow(StateFolder):
        def _save(self, name: str, raw: bytes) -> None:
            at_disk.set()
            go.wait(10)
            super()._save(name, raw)

    folder, saved = Slow(tmp_path), Saved(ClusterFacts("paris", "default", Locality()), 0.0)
    first = asyncio.ensure_future(asyncio.to_thread(folder.save, saved))
    await asyncio.to_thread(at_disk.wait, 10)
    at_disk.clear()
    last = asyncio.ensure_future(asyncio.to_thread(folder.save, saved))
    await holds(lambda: not at_disk.is_set(), 0.2)
    go.set()
    await asyncio.gather(first, last)


HANGING = """
import sys, threading
from tideover_app import run, run_life, snapshot
snapshot.StateFolder._save = lambda self, name, raw: threading.Event().wait()
run_life.SAVE_LAST_S = 0.2
sys.exit(run.run(sys.argv[1]))
"""


async def test_a_disk_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HANGING, str(setup.config), stdout=out, stderr=out
        )
    try:
        await until(lambda: "Listening" in log.read_text(), 20, log.read_text)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 15) == 0
        assert "StateNotSaved" in log.read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
