"""What is played, in this order: what harms the world in each scene, and what heals it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping

from . import promises
from .layout import HOME, NAMESPACE, SERVICES
from .measure import ended_between
from .promises import Scene, Take
from .scenes import POLL_S, Act, Show, hold_once_moved, note, play, until_home

RETURN_LIMIT_S = 20.0
JUDGED_LIMIT_S = 20.0


async def _nothing(show: Show, take: Take) -> None:
    """For a scene whose healing is the next scene."""


async def _ratings_unready(show: Show, take: Take) -> None:
    take.changed_s = show.stage.mark(HOME, "ratings", ready=False)
    note(show, take, "not ready on disk", take.changed_s)
    await hold_once_moved(show, take)


async def _ratings_ready(show: Show, take: Take) -> None:
    take.changed_s = show.stage.mark(HOME, "ratings", ready=True)
    note(show, take, "ready on disk", take.changed_s)
    await hold_once_moved(show, take)


async def _kill_ratings(show: Show, take: Take) -> None:
    take.changed_s = await show.stage.kill(HOME, "ratings")
    note(show, take, "killed", take.changed_s)
    await hold_once_moved(show, take)


async def _run_ratings(show: Show, take: Take) -> None:
    await show.stage.restart(HOME, "ratings")
    note(show, take, "run again")
    await until_home(show, take)


async def _lose_paris(show: Show, take: Take) -> None:
    take.changed_s = show.stage.mark(HOME, *SERVICES, ready=False)
    note(show, take, "not ready on disk", take.changed_s)
    await asyncio.sleep(take.changed_s + 1.0 - time.monotonic())
    note(show, take, "killed", await show.stage.kill(HOME))
    await hold_once_moved(show, take)


async def _rebuild_paris(show: Show, take: Take) -> None:
    await show.stage.restart(HOME)
    note(show, take, "run again, and ready on disk", show.stage.mark(HOME, *SERVICES, ready=True))
    await until_home(show, take)


async def _freeze_paris(show: Show, take: Take) -> None:
    take.changed_s = show.stage.freeze(HOME)
    note(show, take, "stopped", take.changed_s)
    await hold_once_moved(show, take)


async def _thaw_paris(show: Show, take: Take) -> None:
    show.stage.thaw(HOME)
    note(show, take, "continued")
    await until_home(show, take)


async def _kill_control_plane(show: Show, take: Take) -> None:
    take.changed_s = show.stage.mark(HOME, "ratings", ready=False)
    note(show, take, "not ready on disk", take.changed_s)
    await _first_call(show, take, take.scene.goes_to)
    await show.stage.kill_control_plane()
    note(show, take, "control plane killed")
    await hold_once_moved(show, take)
    note(show, take, "pods killed", await show.stage.kill(HOME, "ratings"))
    await asyncio.sleep(show.pace.hold_s)
    await show.stage.control_plane.start()
    await show.stage.control_plane_ready()
    note(show, take, "control plane runs again")
    await asyncio.sleep(show.pace.hold_s)


async def _first_call(show: Show, take: Take, where: str) -> None:
    """Wait until, since the last change, one of the calls in question was served there."""
    assert take.changed_s is not None
    scene, end_s = take.scene, time.monotonic() + RETURN_LIMIT_S
    while (now_s := time.monotonic()) < end_s:
        fresh = ended_between(show.load.calls, take.changed_s, now_s)
        if any(scene.scope.holds(call) and call.served_by == where for call in fresh):
            return
        await asyncio.sleep(0.005)


async def _heal_ratings(show: Show, take: Take) -> None:
    await show.stage.restart(HOME, "ratings")
    note(show, take, "run again, and ready on disk", show.stage.mark(HOME, "ratings", ready=True))
    await until_home(show, take)


async def _sicken(show: Show, take: Take) -> None:
    services = take.scene.scope.services
    take.changed_s = show.stage.sicken(HOME, *services)
    note(show, take, "answers 503", take.changed_s)
    await hold_once_moved(show, take)
    await _until_judged_down(show, take)


async def _cure(show: Show, take: Take) -> None:
    show.stage.cure(HOME, *take.scene.scope.services)
    note(show, take, "well again")
    await until_home(show, take)


async def _relapse(show: Show, take: Take) -> None:
    services = take.scene.scope.services
    await _sicken(show, take)
    show.stage.cure(HOME, *services)
    take.changed_s = time.monotonic()
    note(show, take, "well again", take.changed_s)
    await _first_call(show, take, HOME)
    take.changed_s = show.stage.sicken(HOME, *services)
    note(show, take, "answers 503 again", take.changed_s)
    await hold_once_moved(show, take)


async def _until_judged_down(show: Show, take: Take) -> None:
    """Wait until the control plane says so of the place."""
    (service,), end_s = take.scene.scope.services, time.monotonic() + JUDGED_LIMIT_S
    while time.monotonic() < end_s:
        verdicts = json.loads(await show.stage.command("status", "-o", "json")).get("verdicts", ())
        if any(one["service"] == f"{NAMESPACE}/{service}" and one["state"] == "down" for one in verdicts):
            note(show, take, "judged down for all callers")
            return
        await asyncio.sleep(POLL_S)
    take.trouble = f"the control plane did not judge it down within {JUDGED_LIMIT_S:.0f} s"


DRAIN = ("drain", f"cluster/{HOME}", "--for", "10m", "--reason", "the demo's evacuation")


async def _evacuate(show: Show, take: Take) -> None:
    for line in (await show.stage.command(*DRAIN, "--dry-run")).splitlines():
        if line.strip():
            show.tell(f"({take.scene.letter}) {line.rstrip()}")
    take.changed_s = time.monotonic()
    note(show, take, "drained", take.changed_s)
    await show.stage.command(*DRAIN)
    await hold_once_moved(show, take)


async def _undo(show: Show, take: Take) -> None:
    orders = json.loads(await show.stage.command("orders", "-o", "json"))["orders"]
    for order in orders:
        await show.stage.command("undo", order["name"])
    note(show, take, "undone")
    await until_home(show, take)


ACTS: Mapping[Scene, tuple[Act, Act]] = {
    promises.NOT_READY: (_ratings_unready, _nothing),
    promises.BACK: (_ratings_ready, until_home),
    promises.KILLED: (_kill_ratings, _run_ratings),
    promises.LOST: (_lose_paris, _rebuild_paris),
    promises.FROZEN: (_freeze_paris, _thaw_paris),
    promises.SICK: (_sicken, _cure),
    promises.RELAPSED: (_relapse, _cure),
    promises.EVACUATED: (_evacuate, _undo),
    promises.BEHEADED: (_kill_control_plane, _heal_ratings),
}


async def play_all(show: Show) -> None:
    """Every scene, in order."""
    for scene, (fault, heal) in ACTS.items():
        await play(show, scene, fault, heal)
