"""The real kustomize: built once from the Go module proxy (15 s); the binary is cached under a file lock."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from support.apiserver.build import CACHE, required
from support.apiserver.toolchain import Impossible, find_go

SOURCE = Path(__file__).with_name("go")
PACKAGE = "sigs.k8s.io/kustomize/kustomize/v5"


def render(folder: Path) -> list[dict[str, Any]]:
    """The objects that `kubectl apply -k folder` would apply. Skips where kustomize cannot be built."""
    try:
        program = kustomize()
    except Impossible as reason:
        if required():
            raise
        pytest.skip(f"no kustomize: {reason}")
    done = subprocess.run([program, "build", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@cache
def kustomize() -> Path:
    """The binary. `Impossible` says why there is none."""
    modules = b"".join((SOURCE / name).read_bytes() for name in ("go.mod", "go.sum"))
    binary = CACHE / f"kustomize-{hashlib.sha256(modules).hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "kustomize.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            _build(binary)
    return binary


def _build(binary: Path) -> None:
    def say(text: str) -> None:
        print(f"tideover tests: {text}", file=sys.stderr, flush=True)

    say("builds kustomize, once: about 15 seconds")
    with TemporaryDirectory(prefix="kustomize-", dir=CACHE) as work:
        go = find_go(Path(work), say)
        made = Path(work) / "kustomize"
        command = [go.path, "build", "-trimpath", "-ldflags", "-s -w", "-o", made, PACKAGE]
        done = subprocess.run(
            command, cwd=SOURCE, env=go.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Impossible(f"`go build` failed: {done.stderr.strip()[-500:]}")
        made.rename(binary)
