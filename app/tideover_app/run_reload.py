"""Noticing that `tideover.yaml` should be read again: SIGHUP, or a change of the file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

LOOK_EVERY_MS = 50


class ConfigWatch:
    """Calls `again` with the reason, in the loop. The folder is watched, so replacing the file is seen."""

    def __init__(self, path: Path, again: Callable[[str], None]) -> None:
        self._path = path
        self._again = again
        self._seen = _digest(path)

    def hangup(self) -> None:
        """SIGHUP: read it again, whatever it says."""
        self._seen = _digest(self._path)
        self._again("SIGHUP")

    async def run(self) -> None:
        """Watch until cancelled."""
        from watchfiles import awatch

        folder = self._path.parent
        while True:
            try:
                async for _ in awatch(
                    folder, watch_filter=None, debounce=LOOK_EVERY_MS, step=LOOK_EVERY_MS, recursive=False,
                    ignore_permission_denied=True,
                ):  # fmt: skip
                    self._look()
            except (OSError, RuntimeError):
                # the folder vanished, or the system has no watches left: look now and then instead
                await asyncio.sleep(1)
                self._look()

    def _look(self) -> None:
        digest = _digest(self._path)
        if digest != self._seen:
            self._seen = digest
            self._again("the file changed")


def _digest(path: Path) -> bytes:
    """Of the content; of nothing when it cannot be read."""
    try:
        return sha256(path.read_bytes()).digest()
    except OSError:
        return b""
