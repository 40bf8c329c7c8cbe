"""The watchdog: ends a process whose loop hangs, and no other."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time

from support.wait import until
from tideover_app.run_watchdog import BEAT_EVERY_S, HUNG_EXIT_CODE, Watchdog

HANG = """
import asyncio, time
from tideover_app.run_watchdog import Watchdog

async def main():
    watchdog = Watchdog(1.0, check_every_s=0.05)
    beating = asyncio.create_task(watchdog.beat())
    watchdog.start()
    await asyncio.sleep(2)  # long enough to be ended, were the beat not seen
    print("alive", flush=True)
    hang_here()

def hang_here():
    while True:
        time.sleep(60)

asyncio.run(main())
"""


def test_a_hung_loop_ends_the_process_and_says_where_it_stood() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HANG], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.stdout == "alive\n"
    assert ended.returncode == HUNG_EXIT_CODE
    assert "the event loop has not answered for" in ended.stderr
    assert "hang_here" in ended.stderr


async def test_a_loop_that_lives_is_left_alone() -> None:
    ended = threading.Event()
    watchdog = Watchdog(4 * BEAT_EVERY_S, check_every_s=0.02, end=lambda _: ended.set())
    async with asyncio.TaskGroup() as tasks:
        beating = tasks.create_task(watchdog.beat())
        watchdog.start()
        await asyncio.sleep(6 * BEAT_EVERY_S)
        beating.cancel()
    watchdog.stop()
    assert not ended.is_set()


async def test_a_loop_that_beats_no_more_is_ended_once() -> None:
    ended: list[float] = []
    watchdog = Watchdog(0.2, check_every_s=0.02, end=ended.append)
    watchdog.start()
    await until(lambda: ended)
    watchdog.stop()
    assert len(ended) == 1
    assert ended[0] >= 0.2


async def test_the_lag_of_the_loop_is_measured() -> None:
    watchdog = Watchdog(end=lambda _: None)
    async with asyncio.TaskGroup() as tasks:
        beating = tasks.create_task(watchdog.beat())
        await asyncio.sleep(0)
        time.sleep(BEAT_EVERY_S + 0.1)
        await until(lambda: watchdog.lag_s >= 0.1)
        beating.cancel()


def test_time_that_the_watchdog_itself_was_stopped_for_is_no_hang() -> None:
    """Its own nap lasted an hour: it and the loop were suspended together."""
    ended: list[float] = []
    watchdog = Watchdog(10, check_every_s=0.5, end=ended.append)
    naps = iter([3600.0, 3600.0])
    clock = [0.0]

    def nap(_: float) -> bool:
        clock[0] += next(naps, 0.0)
        return clock[0] >= 7200

    watchdog.watch(lambda: clock[0], nap)
    assert ended == []


def test_it_counts_only_naps_without_a_beat() -> None:
    ended: list[float] = []
    watchdog = Watchdog(2, check_every_s=0.5, end=ended.append)
    clock = [0.0]

    def nap(length_s: float) -> bool:
        clock[0] += length_s
        return False

    watchdog.watch(lambda: clock[0], nap)
    assert ended == [2.0]
