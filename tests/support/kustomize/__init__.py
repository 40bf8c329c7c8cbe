"""The real kustomize: built once from the Go module proxy (15 s); the binary is cached under a file lock."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
PACKAGE = "sigs.k8s.io/kustomize/kustomize/v5"


class CannotBuildError(Exception):
    """Kustomize cannot be had here, and why."""


def render(folder: Path) -> list[dict[str, Any]]:
    """The objects that `kubectl apply -k folder` would apply, in that order."""
    done = subprocess.run([kustomize(), "build", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@cache
def kustomize() -> Path:
    """The binary. CannotBuildError says why there is none."""
    key = hashlib.sha256((HERE / "go/go.sum").read_bytes() + (HERE / "go/go.mod").read_bytes()).hexdigest()[
        :16
    ]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tideover"
    binary = base / f"kustomize-{key}" / "kustomize"
    if binary.exists():
        return binary
    base.mkdir(parents=True, exist_ok=True)
    with (base / "kustomize.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            _build(binary)
    return binary


def _build(binary: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise CannotBuildError("no Go toolchain")
    print("tests: building kustomize, once (about 15 s)", file=sys.stderr, flush=True)
    binary.parent.mkdir(exist_ok=True)
    unfinished = binary.with_suffix(".new")
    command = [go, "build", "-trimpath", "-ldflags", "-s -w", "-o", str(unfinished), PACKAGE]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
    done = subprocess.run(
        command, cwd=HERE / "go", env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CannotBuildError(done.stderr.strip()[-500:])
    unfinished.rename(binary)
