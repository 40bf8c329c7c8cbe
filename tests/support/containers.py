"""A Containerfile carried out without a container runtime: its steps in mount namespaces, on this system.

This machine's `/usr` and Python stand for the base image. What that leaves untried: the base image itself,
layers, and a runtime's own isolation. Needs root, for `mount` and `chroot`.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/dev", "/proc", "/etc/ssl")
NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/pip.conf", "/etc/ld.so.cache")
PYTHON = Path(sys.base_prefix)
NAMES = "/base"  # where the base image's `python` is found
CACHE = "/root/.cache/pip"
CHROOT = shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin") or "chroot"


@cache
def cannot() -> str:
    """Why it cannot be done here; "" when it can."""
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        return "no unshare or setpriv"
    done = subprocess.run(_in_namespace([], ["true"]), capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


@dataclass
class Image:
    """What a stage comes to: its files above the base's, and how it is started."""

    root: Path
    environment: dict[str, str] = field(
        default_factory=lambda: {"PATH": f"{NAMES}:/usr/local/bin:/usr/bin:/bin"}
    )
    user: str = ""
    folder: str = "/"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for path in (*SYSTEM, str(PYTHON), NAMES, "/tmp", CACHE):
            (self.root / path[1:]).mkdir(parents=True, exist_ok=True)
        for path in NETWORK:
            if Path(path).exists():
                shutil.copy(path, self.root / path[1:])
        if not (self.root / NAMES[1:] / "python").is_symlink():
            (self.root / NAMES[1:] / "python").symlink_to(Path(sys.executable).resolve())

    def do(self, script: str) -> None:
        """A RUN line; as root, with pip's settings and cache of this machine."""
        kept = {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_", "http", "HTTP"))}
        enter = self._enter({**kept, **self.environment, "HOME": "/root"})
        mounts = self._mounts({CACHE: Path.home() / ".cache/pip"})
        command = _in_namespace(mounts, [*enter, "/bin/sh", "-c", f"cd {self.folder} && {script}"])
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"RUN {script}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"

    def start_command(
        self, binds: Mapping[str, Path], arguments: list[str] | None = None, writable: tuple[str, ...] = ()
    ) -> list[str]:
        """The command that starts it as Kubernetes would: read-only, without capabilities, as its user.

        `binds`: folders of this machine to be seen inside; `writable`: paths that are empty volumes.
        """
        uid, gid = self.user.split(":")
        for path in (*binds, *writable):
            (self.root / path[1:]).mkdir(parents=True, exist_ok=True)
        volumes = [f"mount -t tmpfs -o uid={uid},gid={gid},mode=700 tmpfs {self.root}{p}" for p in writable]
        last = f"mount -o remount,bind,ro {self.root}"
        drop = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", "--no-new-privs"]
        program = [*self.entrypoint, *(arguments or self.command)]
        inside = [*self._enter(self.environment), *drop, "--bounding-set=-all", *program]
        return _in_namespace([*self._mounts(binds), *volumes, last], inside)

    def _enter(self, environment: Mapping[str, str]) -> list[str]:
        return [CHROOT, str(self.root), "env", "-i", *(f"{k}={v}" for k, v in environment.items())]

    def _mounts(self, binds: Mapping[str, Path]) -> list[str]:
        root = shlex.quote(str(self.root))
        lines = [f"mount --bind {root} {root}"]
        python = () if PYTHON.is_relative_to("/usr") else (str(PYTHON),)
        for inside, outside in {**{p: Path(p) for p in (*SYSTEM, *python)}, **binds}.items():
            if outside.exists():
                how = "--rbind" if inside in ("/dev", "/proc") else "--bind"
                lines.append(f"mount {how} {shlex.quote(str(outside))} {root}{inside}")
        return lines


def build(containerfile: Path, context: Path, folder: Path) -> Image:
    """Carry out a Containerfile; the last stage. Only the instructions that ours has."""
    stages: dict[str, Image] = {}
    image = None
    for instruction, rest in _instructions(containerfile):
        if instruction == "FROM":
            name = rest.partition(" AS ")[2] or "last"
            image = stages[name] = Image(folder / name)
            continue
        if instruction == "ARG" and image is None:
            continue  # the name of the base
        assert image is not None
        match instruction:
            case "WORKDIR":
                image.folder = rest
                (image.root / rest[1:]).mkdir(parents=True, exist_ok=True)
            case "COPY":
                _copy(rest.split(), context, image, stages)
            case "RUN":
                image.do(rest)
            case "ENV":
                image.environment.update(pair.split("=", 1) for pair in rest.split())
            case "USER":
                image.user = rest
            case "ENTRYPOINT":
                image.entrypoint = json.loads(rest)
            case "CMD":
                image.command = json.loads(rest)
            case _:
                raise AssertionError(f"{instruction}: not known here")
    assert image is not None
    return image


def _copy(words: list[str], context: Path, image: Image, stages: Mapping[str, Image]) -> None:
    origin = context
    if words[0].startswith("--from="):
        origin = stages[words.pop(0).removeprefix("--from=")].root
    *sources, target = words
    into = image.root / (Path(image.folder) / target).as_posix().lstrip("/")
    for source in sources:
        path = origin / source.lstrip("/")
        if path.is_dir():
            shutil.copytree(
                path,
                into,
                symlinks=True,
                ignore=shutil.ignore_patterns("__pycache__") if origin == context else None,
            )
        else:
            shutil.copy(path, into / path.name if target.endswith("/") else into)


def _instructions(containerfile: Path) -> Iterator[tuple[str, str]]:
    for line in containerfile.read_text().replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            instruction, _, rest = line.partition(" ")
            yield instruction, rest.strip()


def _in_namespace(mounts: list[str], command: list[str]) -> list[str]:
    # where `/` is no mount, as in a chroot, it cannot be made private; it need not where nothing is shared
    private = "mount --make-rprivate / 2>/dev/null || ! grep ' shared:' /proc/self/mountinfo >&2"
    script = "\n".join(["set -e", private, *mounts, f"exec {shlex.join(command)}"])
    return ["unshare", "-m", "--propagation", "unchanged", "/bin/sh", "-c", script]
