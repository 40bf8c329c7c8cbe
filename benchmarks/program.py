"""The program as a user starts it, in a temporary folder on free ports, and Envoys beside it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

TIDEOVER = str(Path(sys.executable).with_name("tideover"))
ENVOY = str(Path(sys.executable).with_name("envoy"))


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def get(url: str) -> bytes | None:
    """The body, or None when nothing answers there with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bytes(answer.read())
    except (urllib.error.URLError, OSError):
        return None


def wait_until(what: str, url: str, process: subprocess.Popen[bytes], limit_s: float = 30) -> None:
    """Wait until `url` answers 200; RuntimeError when the process ends or the time is over."""
    end = time.monotonic() + limit_s
    while get(url) is None:
        if process.poll() is not None:
            raise RuntimeError(f"{what} ended with code {process.returncode}; see its log")
        if time.monotonic() > end:
            raise RuntimeError(f"{what} was not ready after {limit_s:.0f} s")
        time.sleep(0.01)


@contextmanager
def started(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours for the length of a block; its output goes to `log`."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=log.parent, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def running_tideover(config: Path, http_port: int) -> Iterator[psutil.Process]:
    """`tideover run`, ready."""
    with started([TIDEOVER, "run", "-c", str(config)], config.parent / "tideover.log") as process:
        wait_until("tideover run", f"http://127.0.0.1:{http_port}/readyz", process)
        yield psutil.Process(process.pid)


@contextmanager
def running_envoy(folder: Path, xds_port: int, cluster: str, zone: str) -> Iterator[int]:
    """A real Envoy with the bootstrap that `tideover bootstrap envoy` prints; its admin port."""
    http_port, admin_port = free_ports(2)
    command = [
        TIDEOVER, "bootstrap", "envoy", "--cluster", cluster, "--namespace", "bench",
        "--locality", f"eu-west/{zone}", "--server", f"127.0.0.1:{xds_port}",
        "--http-port", str(http_port), "--admin-port", str(admin_port),
    ]  # fmt: skip
    bootstrap = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    path = folder / "envoy.json"
    path.write_text(json.dumps(bootstrap))
    arguments = ["--concurrency", "1", "--use-dynamic-base-id", "--disable-hot-restart", "-l", "warning"]
    with started([ENVOY, "-c", str(path), *arguments], folder / "envoy.log") as process:
        wait_until("envoy", f"http://127.0.0.1:{admin_port}/ready", process)
        yield admin_port
