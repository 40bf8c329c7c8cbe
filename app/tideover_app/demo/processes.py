"""Processes that the demo starts, harms and ends: none of them outlives it, not even a `kill -9` of it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Sequence
from pathlib import Path

GRACE_S = 3.0  # between SIGTERM and SIGKILL
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class NotStartedError(Exception):
    """A process could not be started, ended before it was ready, or was never ready."""


class Process:
    """One program under a name, with a log; started, stopped, continued, killed and started again."""

    def __init__(self, name: str, command: Sequence[str], log: Path, cwd: Path) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.cwd = cwd
        self.expected = False  # whether it should be running now
        self._process: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        """Whether it lives (a stopped process lives)."""
        return self._process is not None and self._process.returncode is None

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it lives or when it never started."""
        return self._process.returncode if self._process is not None else None

    @property
    def broken(self) -> bool:
        """Whether it ended though nobody here ended it."""
        return self.expected and not self.running

    async def start(self) -> None:
        """Start it, with its output appended to the log. NotStartedError when that is not possible."""
        try:
            with self.log.open("ab") as out:
                self._process = await asyncio.create_subprocess_exec(
                    *self.command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    cwd=self.cwd,
                    start_new_session=True,  # Ctrl-C is for the demo, which then ends them in order
                    preexec_fn=_die_with(os.getpid()),
                )
        except OSError as error:  # a program for another CPU, say
            raise NotStartedError(f"{self.name} cannot be started: {error}") from error
        self.expected = True

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its whole group; nothing happens when it is gone."""
        if self._process is not None and self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """SIGKILL, as a fault: not yet reaped when this returns."""
        self.expected = False
        self.signal(signal.SIGKILL)

    async def ended(self) -> None:
        """Wait until it is gone."""
        if self._process is not None:
            await self._process.wait()

    async def end(self) -> None:
        """Ask it to stop; SIGKILL when it does not within the grace."""
        self.expected = False
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.ended(), GRACE_S)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.ended()

    def last_lines(self, count: int = 5) -> str:
        """The end of its log, for a message about its death."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(f"    {line}" for line in text.splitlines()[-count:])

    def death(self) -> str:
        """What to tell about a process that is gone."""
        end = f"ended with code {self.returncode}"
        return f"{self.name} {end}; its log is {self.log}:\n{self.last_lines()}"


def _die_with(parent: int):  # type: ignore[no-untyped-def]
    """What a child does before it becomes the program: ask the kernel to kill it when we are gone."""

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # it died meanwhile

    return prepare
