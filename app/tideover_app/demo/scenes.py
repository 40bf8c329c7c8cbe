"""How a scene is played: it harms the world, waits until the calls have moved, and heals it again.

Nothing waits for a fixed time except to let the viewer see: every step goes on when its condition is
true, and a limit turns "never" into a broken promise instead of a demo that hangs.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from . import promises
from .layout import SERVICES
from .load import Load
from .measure import ended_between
from .processes import NotStartedError
from .promises import Mark, Scene, Take
from .stage import Stage

MOVE_LIMIT_S = 10.0
HEALTHY_LIMIT_S = 45.0
HEALTHY_WINDOW_S = 0.5
POLL_S = 0.05
RETRIES_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the viewer sees the calm before a fault, and how long it lasts once the calls moved."""

    calm_s: float
    hold_s: float


NORMAL, FAST = Pace(2.0, 5.0), Pace(0.6, 1.2)


@dataclass(slots=True)
class Show:
    """All that scenes act on and viewers look at."""

    stage: Stage
    load: Load
    pace: Pace
    takes: list[Take]
    tell: Callable[[str], None]
    finished: Callable[[Take], None]


Act = Callable[[Show, Take], Awaitable[None]]


async def play(show: Show, scene: Scene, fault: Act, heal: Act) -> Take:
    """One scene, from calm to healthy again. NotStartedError when a process died that nobody harmed."""
    take = Take(scene, time.monotonic())
    show.takes.append(take)
    take.retries_before = await show.stage.retries()
    await asyncio.sleep(show.pace.calm_s)
    await fault(show, take)
    take.until_s = time.monotonic()
    moved_s = promises.moved_s(take, show.load.calls, take.until_s)
    if take.changed_s is not None and moved_s is not None:
        take.marks.append(Mark(take.changed_s + moved_s, "moved"))
    await heal(show, take)
    take.retried = await show.stage.retries() - take.retries_before
    take.ended_s = time.monotonic()
    show.finished(take)
    if (victim := show.stage.broken()) is not None:
        raise NotStartedError(victim.death())
    return take


def note(show: Show, take: Take, text: str, at_s: float | None = None) -> None:
    """A moment for the chart, and for the viewer."""
    take.marks.append(Mark(at_s if at_s is not None else time.monotonic(), text))
    show.tell(f"({take.scene.letter}) {text}")


async def hold_once_moved(show: Show, take: Take) -> None:
    """Wait until the calls have moved, then let it be seen for a while."""
    end_s = time.monotonic() + MOVE_LIMIT_S
    while promises.moved_s(take, show.load.calls, time.monotonic()) is None:
        if time.monotonic() > end_s:
            show.tell(f"({take.scene.letter}) the calls did not move within {MOVE_LIMIT_S:.0f} s")
            return
        await asyncio.sleep(POLL_S)
    await asyncio.sleep(show.pace.hold_s)


async def until_home(show: Show, take: Take) -> None:
    """Wait until every service of every caller is served at home again and nothing fails."""
    end_s = time.monotonic() + HEALTHY_LIMIT_S
    while not at_home(show.load, time.monotonic()):
        if time.monotonic() > end_s:
            take.trouble = f"the calls were not all served at home again within {HEALTHY_LIMIT_S:.0f} s"
            return
        await asyncio.sleep(POLL_S)
    note(show, take, "all calls are served at home")


def at_home(load: Load, now_s: float) -> bool:
    """Whether, just now, each caller got good answers from its own cluster for every service."""
    recent = ended_between(load.calls, now_s - HEALTHY_WINDOW_S, now_s)
    served = {(call.caller, call.service) for call in recent}
    return len(served) == len(load.clusters) * len(SERVICES) and all(
        call.served_by == call.caller for call in recent
    )


async def calm(show: Show) -> None:
    """Wait until all calls are served at home for the first time; NotStartedError when they never are."""
    end_s = time.monotonic() + HEALTHY_LIMIT_S
    while not at_home(show.load, time.monotonic()):
        if time.monotonic() > end_s:
            errors = Counter(call.error.strip() for call in show.load.calls[-200:] if call.failed)
            seen = (
                ", ".join(f"{n} x {error!r}" for error, n in errors.most_common(3))
                or "calls served elsewhere"
            )
            raise NotStartedError(f"the calls never worked before any fault; of the last 200: {seen}")
        await asyncio.sleep(POLL_S)
    show.tell("all calls are served at home")


async def follow_retries(show: Show) -> None:
    """Keep the running take's number of retries fresh, until cancelled."""
    while True:
        await asyncio.sleep(RETRIES_EVERY_S)
        if show.takes and (take := show.takes[-1]).ended_s is None:
            retried = await show.stage.retries() - take.retries_before
            take.retried = max(take.retried, retried)
