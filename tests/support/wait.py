"""Wait on conditions, never on fixed sleeps."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
INTERVAL_S = 0.01


async def until(condition: Callable[[], Any], timeout_s: float = 15, what: object = "the condition") -> Any:
    """Ask (and await) until the answer is true, and return it; after `timeout_s` an AssertionError.

    `what` is only for the message; a callable is asked when it fails (`what=lambda: envoy.log()`).
    """
    end = time.monotonic() + timeout_s
    while True:
        answer = condition()
        value = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(_failure(what, timeout_s, value))
        await asyncio.sleep(INTERVAL_S)


def until_sync(condition: Callable[[], T], timeout_s: float = 15, what: object = "the condition") -> T:
    """`until` for tests without an event loop."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(_failure(what, timeout_s, value))
        time.sleep(INTERVAL_S)
    return value


async def holds(condition: Callable[[], Any], for_s: float, what: object = "") -> None:
    """Assert that the answer stays true for `for_s`: so that nothing happens. `what` is shown if not."""
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        answer = condition()
        value = await answer if inspect.isawaitable(answer) else answer
        assert value, f"it stopped being true {what() if callable(what) else what}"
        await asyncio.sleep(INTERVAL_S)


def _failure(what: object, timeout_s: float, value: object) -> str:
    text = what() if callable(what) else what
    return f"after {timeout_s} s still not true: {text} (last answer: {value!r})"
