"""Looks at a folder whenever something in it moves, in a thread, and hands on what it finds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from watchfiles import awatch

T = TypeVar("T")

# Changes are heard within STEP_MS; those that follow each other closely join, for DEBOUNCE_MS at most
STEP_MS, DEBOUNCE_MS = 10, 50
# How soon a folder that was exchanged, or appears, is noticed
PRESENCE_S = 0.25
# A look without being told: some file systems tell nothing
RESCAN_S = 2.0


async def follow(path: Path, look: Callable[[], T], found: Callable[[T], float | None]) -> None:
    """List, then watch, until cancelled. `look` runs in a thread; `found` in the event loop, after each
    look, and says in how many seconds to look again at the latest.
    """
    moved = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_listen(path, moved), name=f"listen {path}")
        while True:
            moved.clear()
            again_in_s = found(await asyncio.to_thread(look))
            wait = RESCAN_S if again_in_s is None else min(RESCAN_S, again_in_s)
            try:
                async with asyncio.timeout(wait):
                    await moved.wait()
            except TimeoutError:
                pass


async def _listen(path: Path, moved: asyncio.Event) -> None:
    """Set `moved` at every change, and whenever the path is another folder than before."""
    while True:
        identity = _identity(path)
        watched, below = _watched(path)
        settled = False
        try:
            async for changes in awatch(
                watched,
                watch_filter=None,
                debounce=DEBOUNCE_MS,
                step=STEP_MS,
                rust_timeout=int(PRESENCE_S * 1000),
                yield_on_timeout=True,
                recursive=below,
                ignore_permission_denied=True,
            ):
                if changes or not settled:  # what moved before the watch began to hear
                    moved.set()
                    settled = True
                if _identity(path) != identity:
                    break
        except (OSError, RuntimeError):  # its own errors are RuntimeErrors
            await asyncio.sleep(PRESENCE_S)  # not there, or not to be watched: the regular look goes on
        moved.set()


def _watched(path: Path) -> tuple[Path, bool]:
    """What to watch, and whether also below it: a file by its folder, as a replaced file is another one."""
    return (path, True) if path.is_dir() else (path.parent, False)


def _identity(path: Path) -> tuple[int, int] | None:
    """Which folder it is, and None for a file: that one is watched by its parent, whichever it is."""
    try:
        status = os.stat(path if path.is_dir() else path.parent)
    except OSError:
        return None
    return status.st_dev, status.st_ino
