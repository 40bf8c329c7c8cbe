"""Many clients that send megabytes at once neither stop the loop nor keep others from being heard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from support.wait import until
from tideover_health.turns_server import LARGE_BYTES, MOST_LARGE_WAITING, Shares, Turns

LARGE = LARGE_BYTES + 1


def work() -> None:
    ends_s = time.monotonic() + 0.005
    while time.monotonic() < ends_s:
        pass


@contextmanager
def reading(turns: Turns, count: int, told: list[int]) -> Iterator[list[asyncio.Task[None]]]:
    """So many clients with one large message each; `told` gets how many turns the loop had by then."""

    async def read() -> None:
        async with turns.turn(LARGE):
            work()
            told.append(loops)

    async def count_loops() -> None:
        nonlocal loops
        while True:
            loops += 1
            await asyncio.sleep(0)

    loops = 0
    counting = asyncio.create_task(count_loops())
    tasks = [asyncio.create_task(read()) for _ in range(count)]
    try:
        yield tasks
    finally:
        counting.cancel()
        for task in tasks:
            task.cancel()


async def test_the_loop_goes_on_between_large_messages() -> None:
    told: list[int] = []
    with reading(Turns(Shares(large=0.25)), 10, told) as tasks:
        await asyncio.gather(*tasks)
    assert len(set(told)) == len(told)


async def test_usual_messages_do_not_wait_behind_large_ones() -> None:
    told: list[int] = []
    turns = Turns(Shares(large=0.01))
    with reading(turns, 10, told):
        await until(lambda: told)
        async with turns.turn(1000):
            assert len(told) < 10


async def test_usual_messages_in_numbers_leave_the_loop_its_part_too() -> None:
    turns, done = Turns(Shares(usual=0.25)), 0

    async def read() -> None:
        nonlocal done
        async with turns.turn(1000):
            work()
            done += 1

    tasks = [asyncio.create_task(read()) for _ in range(40)]
    await asyncio.sleep(0)
    assert 0 < done < 35  # 25 ms of work at once, more on a busy machine
    await asyncio.gather(*tasks)


async def test_no_more_than_some_large_messages_are_kept_waiting() -> None:
    turns, told = Turns(Shares(large=0.01)), list[int]()
    with reading(turns, MOST_LARGE_WAITING + 2, told):
        await until(lambda: told)
        assert turns.full(LARGE)
        assert not turns.full(1000)
