"""Looks at a folder whenever something in it moves, in a thread, and hands on what it finds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from watchfiles import Change, awatch

T = TypeVar("T")

# Changes are heard within STEP_MS; those that follow each other closely join, for DEBOUNCE_MS at most
STEP_MS, DEBOUNCE_MS = 10, 50
# How soon a folder that was exchanged, or appears, is noticed
PRESENCE_S = 0.25
# A look without being told: some file systems tell nothing
RESCAN_S = 2.0
# A look that takes longer is said to hang; dumps of hundreds of megabytes take a few seconds
HANGS_AFTER_S = 15.0


class Follower(Protocol[T]):
    """What is done with a folder."""

    def look(self) -> T:
        """Read it; runs in a thread."""
        ...

    def found(self, outcome: T) -> float | None:
        """Take what a look found; in how many seconds to look again at the latest."""
        ...

    def hangs(self, reason: str) -> None:
        """A look takes very long; it goes on, and `found` follows when it ends."""
        ...


async def follow(path: Path, follower: Follower[T]) -> None:
    """List, then watch, until cancelled."""
    moved = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        # not before the first look came back: a file system that hangs may hang a thread, not the loop
        again_in_s = follower.found(await _looked(path, follower))
        tasks.create_task(_listen(path, moved), name=f"listen {path}")
        while True:
            try:
                async with asyncio.timeout(RESCAN_S if again_in_s is None else min(RESCAN_S, again_in_s)):
                    await moved.wait()
            except TimeoutError:
                pass
            moved.clear()
            again_in_s = follower.found(await _looked(path, follower))


async def _looked(path: Path, follower: Follower[T]) -> T:
    looking = asyncio.ensure_future(asyncio.to_thread(follower.look))
    try:
        done, _ = await asyncio.wait({looking}, timeout=HANGS_AFTER_S)
        if not done:
            follower.hangs(f"{path} has not been read for {HANGS_AFTER_S:g} s: its file system hangs")
        return await looking
    finally:
        looking.cancel()


async def _listen(path: Path, moved: asyncio.Event) -> None:
    """Set `moved` at every change, and whenever the path is another folder than before."""
    while True:
        spot = await asyncio.to_thread(_spot, path)
        settled = failed = False
        try:
            async with aclosing(_changes(spot)) as heard:
                async for changes in heard:
                    if changes or not settled:  # what moved before the watch began to hear
                        moved.set()
                        settled = True
                    if await asyncio.to_thread(_spot, path) != spot:
                        break
        except* (OSError, RuntimeError):  # its own errors are RuntimeErrors, mostly in a group
            failed = True
        if failed:
            await asyncio.sleep(PRESENCE_S)  # not there, or not to be watched: the regular look goes on
        moved.set()


@dataclass(frozen=True, slots=True)
class _Spot:
    """What to watch: a folder and all below it, or for a file the folder it is in, as a replaced file is
    another one. `identity` tells folders of one name apart.
    """

    folder: Path
    below: bool
    identity: tuple[int, int] | None


def _spot(path: Path) -> _Spot:
    below = os.path.isdir(path)  # False also where nobody may look; Path.is_dir raises there
    folder = path if below else path.parent
    try:
        status = folder.stat()
    except OSError:
        return _Spot(folder, below, None)
    return _Spot(folder, below, (status.st_dev, status.st_ino))


def _changes(spot: _Spot) -> AsyncGenerator[set[tuple[Change, str]], None]:
    """Changes as they come, and an empty set whenever there were none for a while."""
    return awatch(
        spot.folder,
        watch_filter=None,
        debounce=DEBOUNCE_MS,
        step=STEP_MS,
        rust_timeout=int(PRESENCE_S * 1000),
        yield_on_timeout=True,
        recursive=spot.below,
        ignore_permission_denied=True,
    )
