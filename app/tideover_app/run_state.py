"""Writing what is known to the state folder: on change, each file at most once a second, off the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

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
        self._rests: dict[str, float] = {}  # cluster -> not again before (monotonic time)
        self._wake = asyncio.Event()
        self._failures: dict[str, str] = {}  # cluster -> why it could not be written
        self._said: str | None = None  # None: perhaps what was said when the folder was opened

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
            now_s = time.monotonic()
            await self.write(
                [facts for facts in self._unwritten() if self._rests.get(facts.cluster, 0.0) <= now_s]
            )
            if left := self._unwritten():
                self._wake.set()
                soonest_s = min(self._rests.get(facts.cluster, 0.0) for facts in left)
                await asyncio.sleep(max(0.0, soonest_s - time.monotonic()))

    async def write(self, changed: Sequence[ClusterFacts] | None = None) -> None:
        """Write these now, or all that is not yet written. What cannot be written is a problem."""
        for facts in self._unwritten() if changed is None else changed:
            past = tuple(kept(self._history, facts.cluster))
            try:
                await asyncio.to_thread(self._folder.save, Saved(facts, time.time(), past))
            except OSError as error:
                self._gauges.state_failures += 1
                self._rests[facts.cluster] = time.monotonic() + AGAIN_AFTER_S
                self._failures[facts.cluster] = f"{error.strerror}: {error.filename or self._folder.folder}"
                continue
            self._rests[facts.cluster] = time.monotonic() + AT_MOST_EVERY_S
            self._written[facts.cluster] = facts
            self._failures.pop(facts.cluster, None)
            self._gauges.state_saved_at_s = time.time()
        self._say(next((why for name, why in self._failures.items() if name in self._wanted), ""))

    def _unwritten(self) -> list[ClusterFacts]:
        return [facts for name, facts in self._wanted.items() if self._written.get(name) is not facts]

    def _say(self, failed: str) -> None:
        if failed == self._said:
            return
        self._said = failed
        where = str(self._folder.folder)
        self._noted(
            [Problem("State folder", f"cannot be written: {failed}", NOT_SAVED, where)] if failed else []
        )
