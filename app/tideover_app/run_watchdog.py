"""A thread that ends the process when its event loop hangs.

A hung loop is invisible from outside: gRPC's core goes on answering keepalive pings, so Envoys would
stay with a replica that never speaks again (facts/control-plane-connections.md). A dead one they leave.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable

HANG_LIMIT_S = 10.0
CHECK_EVERY_S = 0.5
BEAT_EVERY_S = 0.25
HUNG_EXIT_CODE = 70  # EX_SOFTWARE


class Watchdog:
    """`beat` runs in the loop; `start` begins watching. The limit counts time that this thread saw pass.

    A machine or process that was suspended (SIGSTOP, a laptop's lid) stops this thread too, so each of
    its naps counts for at most twice its length, and such a pause is no hang.
    """

    def __init__(
        self,
        limit_s: float = HANG_LIMIT_S,
        *,
        check_every_s: float = CHECK_EVERY_S,
        end: Callable[[float], None] | None = None,
    ) -> None:
        self.lag_s = 0.0  # how late the loop's last beat was
        self._limit_s = limit_s
        self._check_every_s = check_every_s
        self._end = end or end_process
        self._beats = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    async def beat(self) -> None:
        """Show that the loop lives, until cancelled; also measures its lag."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(BEAT_EVERY_S)
            self.lag_s = max(0.0, time.monotonic() - before - BEAT_EVERY_S)
            self._beats += 1

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End watching; waits for the thread."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        self.watch(time.monotonic, self._stopped.wait)

    def watch(self, clock: Callable[[], float], nap: Callable[[float], bool]) -> None:
        """Look again after each `nap`, until one returns True or the loop has been silent for too long."""
        silent_s, seen = 0.0, self._beats
        while True:
            before = clock()
            if nap(self._check_every_s):
                return
            napped_s = min(clock() - before, 2 * self._check_every_s)
            if self._beats != seen:
                silent_s, seen = 0.0, self._beats
                continue
            silent_s += napped_s
            if silent_s >= self._limit_s:
                self._end(silent_s)
                return


def end_process(silent_s: float) -> None:
    """Write where every thread stands, and leave at once: nothing that needs the loop can still run."""
    # not through logging: a thread that hangs may hold its lock
    line = f"tideover: the event loop has not answered for {silent_s:.1f} s; ending so that clients move on\n"
    os.write(sys.stderr.fileno(), line.encode())
    faulthandler.dump_traceback(all_threads=True)
    os._exit(HUNG_EXIT_CODE)
