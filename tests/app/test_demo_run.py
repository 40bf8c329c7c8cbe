"""The whole demo, short, with real Envoys: what it promises, and that it leaves nothing behind.

Times are not asserted: a busy machine may be late, it may not lose calls.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from support.wait import until_sync
from tideover_app.demo.layout import layout

PROGRAM = """
import sys
from pathlib import Path
from rich.console import Console
from tideover_app.demo import DemoOptions, run
from tideover_app.demo.layout import layout
folder, shift, keep = Path(sys.argv[1]), int(sys.argv[2]), "keep" in sys.argv
options = DemoOptions(fast=True, keep=keep, folder=folder)
sys.exit(run.play_on(layout(folder, shift), options, Console(soft_wrap=True)))
"""
pytestmark = pytest.mark.envoy


def demo(folder: Path, shift: int, *more: str) -> subprocess.Popen[str]:
    """The demo on ports of its own, in a process of its own."""
    command = [sys.executable, "-c", PROGRAM, str(folder), str(shift), *more]
    with (folder / "out").open("w") as out:
        return subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, text=True)


def said(folder: Path) -> str:
    return (folder / "out").read_text()


def nothing_listens(folder: Path, shift: int) -> bool:
    ports = {(address, port) for _, address, port in layout(folder, shift).listening()}
    busy = psutil.net_connections("tcp")
    return not any(c.status == psutil.CONN_LISTEN and (c.laddr.ip, c.laddr.port) in ports for c in busy)


def test_no_caller_notices(tmp_path: Path) -> None:
    code = demo(tmp_path, 21).wait(240)
    report = json.loads((tmp_path / "demo-report.json").read_text())
    scenes = {scene["scene"]: scene for scene in report["scenes"]}
    assert list(scenes) == ["a", "b", "c", "d", "f", "g", "h", "i", "e"], said(tmp_path)
    assert {letter: scenes[letter]["failed"] for letter in "abcdeghi"} == dict.fromkeys("abcdeghi", 0), said(
        tmp_path
    )
    assert {letter: scenes[letter]["cutInFlight"] for letter in "abdi"} == dict.fromkeys("abdi", 0)
    assert scenes["c"]["retried"] > 0
    assert scenes["f"]["retried"] > 0
    assert all(scene["secondsUntilMoved"] is not None for scene in report["scenes"])
    assert code == (0 if report["passed"] else 1)
    assert (tmp_path / "demo-report.html").read_text().count("<svg") == 9
    assert nothing_listens(tmp_path, 21)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda n: n.name)
def test_however_it_ends_nothing_stays_behind(tmp_path: Path, number: signal.Signals) -> None:
    process = demo(tmp_path, 22)
    until_sync(lambda: "all calls are served at home" in said(tmp_path), 60, lambda: said(tmp_path))
    process.send_signal(number)
    code = process.wait(20)
    assert code == (-number if number is signal.SIGKILL else 128 + number), said(tmp_path)
    until_sync(lambda: nothing_listens(tmp_path, 22), what="all ports are free again")
    assert "Traceback" not in said(tmp_path)
