"""Writing what is known to the state folder: on change, at most once a second, never in the loop's way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from tideover_core.model import ClusterFacts, Problem
from tideover_core.presence import History

from .metrics import Gauges
from .snapshot import NOT_SAVED, StateFolder
from .snapshot_format import Saved
from .snapshot_past import kept

AT_MOST_EVERY_S = 1.0
AGAIN_AFTER_S = 5.0  # when it could not be written


class StateKeeper:
    """Keeps a state folder up to date. `noted` is called with the problems of writing, when they change."""

    def __init__(
        self,
        folder: StateFolder,
        known: Mapping[str, Saved],
        gauges: Gauges,
        noted: Callable[[list[Problem]], None],
    ) -> None:
        self._folder = folder
        self._gauges = gauges
        self._noted = noted
        self._history = History()
        self._wanted: dict[str, ClusterFacts] = {}
        self._written: dict[str, ClusterFacts] = {name: saved.facts for name, saved in known.items()}
        self._wake = asyncio.Event()
        self._failed: str | None = None

    def keep(self, facts: Mapping[str, ClusterFacts], history: History) -> None:
        """This is what is known now. A cluster that is not in it stays on disk, and is not read again."""
        self._wanted, self._history = dict(facts), history
        if self._unwritten():
            self._wake.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            good = await self.write()
            if not good:
                self._wake.set()
            await asyncio.sleep(AT_MOST_EVERY_S if good else AGAIN_AFTER_S)

    async def write(self) -> bool:
        """Write what is not yet written; False when that failed."""
        for facts in self._unwritten():
            try:
                past = tuple(kept(self._history, facts.cluster))
                await asyncio.to_thread(self._folder.save, Saved(facts, time.time(), past))
            except OSError as error:
                self._gauges.state_failures += 1
                self._say(f"{error.strerror}: {error.filename or self._folder.folder}")
                return False
            self._written[facts.cluster] = facts
            self._gauges.state_saved_at_s = time.time()
        self._say("")
        return True

    def _unwritten(self) -> list[ClusterFacts]:
        return [facts for name, facts in self._wanted.items() if self._written.get(name) is not facts]

    def _say(self, failed: str) -> None:
        if failed == self._failed:
            return
        self._failed = failed
        where = str(self._folder.folder)
        self._noted(
            [Problem("State folder", f"cannot be written: {failed}", NOT_SAVED, where)] if failed else []
        )
