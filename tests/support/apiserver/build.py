"""The servers that the tests run: kube-apiserver, etcd and a few controllers, built once and kept.

No package registry ships them; they build from their Go modules (`go/`). `python -m support.apiserver`,
as `make test` calls it, shows how far it is. Only the binaries stay, in `~/.cache/tideover/apiserver-KEY`:
KEY changes with the modules' versions.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.apiserver.toolchain import Go, Impossible, find_go

SOURCE = Path(__file__).with_name("go")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tideover"
PACKAGES = ["k8s.io/kubernetes/cmd/kube-apiserver", "go.etcd.io/etcd/server/v3", "./controllers"]
BUILT = {"kube-apiserver": "kube-apiserver", "server": "etcd", "controllers": "controllers"}
NEEDED_BYTES = 5_000_000_000  # while it builds: modules, compiled packages, binaries
FAILURE_COUNTS_S = 3600  # so long a failed build is not tried again by every test

Say = Callable[[str], None]


@dataclass(frozen=True)
class Binaries:
    folder: Path

    @property
    def apiserver(self) -> Path:
        return self.folder / "kube-apiserver"

    @property
    def etcd(self) -> Path:
        return self.folder / "etcd"

    @property
    def controllers(self) -> Path:
        return self.folder / "controllers"

    def complete(self) -> bool:
        return all((self.folder / name).exists() for name in BUILT.values())


def key() -> str:
    """Of what is built: the modules' versions, our own sources, and how."""
    digest = hashlib.sha256(repr((PACKAGES, BUILT, platform.system(), platform.machine())).encode())
    for path in sorted(SOURCE.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(SOURCE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def binaries(say: Say, *, again: bool = False) -> Binaries:
    """The binaries, built first when they are not there yet. `Impossible` says why that cannot be done.

    A failure is remembered for an hour; `again` tries nevertheless.
    """
    folder = CACHE / f"apiserver-{key()}"
    found = Binaries(folder)
    if found.complete():
        return found
    failure = folder.with_suffix(".failed")
    if not again and failure.exists() and time.time() - failure.stat().st_mtime < FAILURE_COUNTS_S:
        raise Impossible(failure.read_text())
    CACHE.mkdir(parents=True, exist_ok=True)
    with _locked(CACHE / "apiserver.lock", say):
        if not found.complete():  # else somebody else built them while we waited
            try:
                _build(folder, say)
            except Impossible as reason:
                failure.write_text(str(reason))
                raise
            failure.unlink(missing_ok=True)
    return found


def _build(folder: Path, say: Say) -> None:
    work = folder.with_suffix(".building")  # kept when interrupted: the next try goes on from there
    work.mkdir(exist_ok=True)
    free = shutil.disk_usage(work).free
    if free < NEEDED_BYTES:
        raise Impossible(f"{CACHE} has {free / 1e9:.1f} GB free, the build needs {NEEDED_BYTES / 1e9:.0f} GB")
    say("builds kube-apiserver and etcd for the tests, once: 5 to 10 minutes on two cores, 180 MB stay")
    began = time.monotonic()
    go = find_go(work, say)
    out = work / "bin"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    _compile(go, work, out, say)
    for made, name in BUILT.items():
        (out / made).rename(out / name)
    shutil.rmtree(folder, ignore_errors=True)
    out.rename(folder)
    shutil.rmtree(work, ignore_errors=True)
    say(f"built in {_minutes(time.monotonic() - began)}, kept in {folder}")


def _compile(go: Go, work: Path, out: Path, say: Say) -> None:
    command = [str(go.path), "build", "-v", "-trimpath", "-ldflags", _ldflags(), "-o", f"{out}/", *PACKAGES]
    began = shown = time.monotonic()
    modules = packages = 0
    lines: list[str] = []
    with subprocess.Popen(
        command, cwd=SOURCE, env=go.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        for line in process.stderr:
            if line.startswith("go: downloading"):
                modules += 1
            elif line.strip():
                lines.append(line.rstrip())
                packages += 1
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                part = (
                    f"{packages} of about {TOTAL_PACKAGES} packages"
                    if packages
                    else f"{modules} modules fetched"
                )
                say(f"  {part}, {_minutes(shown - began)}")
    if process.returncode:
        raise Impossible(f"`go build` failed: {' / '.join(lines[-4:])}; what is done so far stays in {work}")


TOTAL_PACKAGES = 2160  # only for the progress shown


def _ldflags() -> str:
    """Versions, or the API server would say that it is v0.0.0-master."""
    version = next(
        line.split()[1]
        for line in (SOURCE / "go.mod").read_text().splitlines()
        if "k8s.io/kubernetes v" in line
    )
    major, minor, _ = version.removeprefix("v").split(".")
    values = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "0" * 40,
        "buildDate": "1970-01-01T00:00:00Z",
    }
    places = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(
        ["-s -w", *(f"-X {place}.{name}={value}" for place in places for name, value in values.items())]
    )


@contextmanager
def _locked(path: Path, say: Say) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waits for another process that builds kube-apiserver")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02} min"


def required() -> bool:
    """Whether tests that need these servers may not be skipped."""
    return os.environ.get("CI", "").lower() in ("1", "true")
