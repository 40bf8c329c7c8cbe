"""The image: its own build steps, and the program in it as user 65532 on a read-only file system.

No container runtime and no base image are to be had here: `support/containers.py` says what stands for them.
"""

from __future__ import annotations

import base64
import re
import signal
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from support.apiserver.build import Binaries
from support.containers import Image, build, cannot
from support.deploy import SYSTEM, audited, not_allowed
from support.kustomize import render
from support.ports import free_ports
from support.wait import until_sync

ROOT = Path(__file__).parents[2]
CONTAINERFILE = ROOT / "deploy/Containerfile"
needs_root = pytest.mark.skipif(bool(cannot()), reason=f"no mount namespaces here: {cannot()}")


def locked(name: str) -> dict[str, str]:
    """Each requirement of a lock with its hashes."""
    text = (ROOT / name).read_text()
    return {
        m[1]: " ".join(re.findall(r"sha256:\w+", m[2]))
        for m in re.finditer(r"^([\w.\-]+==\S+)(.*?)(?=^\S|\Z)", text, re.M | re.S)
    }


@pytest.mark.parametrize("name", ["deploy/run.lock", "deploy/build.lock"])
def test_the_image_has_the_versions_that_the_tests_ran_with(name: str) -> None:
    """`make lock` writes all three."""
    here, tested = locked(name), locked("requirements.lock")
    assert here
    assert {k: v for k, v in here.items() if tested.get(k) != v} == {}


def test_the_base_has_no_registry_and_can_be_pinned() -> None:
    text = CONTAINERFILE.read_text()
    assert re.findall(r"^ARG BASE=([\w.:-]+)$", text, re.M) == ["python:3.11-slim"]
    assert {line.split()[1] for line in text.splitlines() if line.startswith("FROM")} == {"${BASE}"}


def test_the_context_holds_what_is_copied() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for line in CONTAINERFILE.read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert any(Path(source).match(pattern) for pattern in allowed), source


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build(CONTAINERFILE, ROOT, tmp_path_factory.mktemp("image"))


@pytest.fixture
def mounts(tmp_path: Path) -> dict[str, Path]:
    """ConfigMap and Secret as the kubelet mounts them: the files are links through one that it swaps."""
    made = yaml.safe_load(
        subprocess.run([ROOT / "deploy/tls-secret"], check=True, capture_output=True).stdout
    )
    tls = {name: base64.b64decode(value) for name, value in made["data"].items()}
    return {
        "/etc/tideover/tls": volume(tmp_path / "tls", tls),
        "/etc/tideover/config": volume(tmp_path / "config", {}),
    }


def volume(folder: Path, files: dict[str, bytes]) -> Path:
    (folder / "..1").mkdir(parents=True)
    (folder / "..data").symlink_to("..1")
    fill(folder, files)
    return folder


def fill(folder: Path, files: dict[str, bytes]) -> None:
    """Another version: a folder beside the old one, and the link swapped."""
    number = len(list(folder.glob("..[0-9]*"))) + 1
    new = folder / f"..{number}"
    new.mkdir()
    for name, content in files.items():
        (new / name).write_bytes(content)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..new").symlink_to(new.name)
    (folder / "..new").rename(folder / "..data")


@dataclass(frozen=True)
class Ports:
    xds: int
    admin: int
    http: int


@pytest.fixture
def ports() -> Ports:
    return Ports(*free_ports(3))


def configured(overlay: str, ports: Ports) -> str:
    """The overlay's own configuration, on ports that are free here."""
    text = (ROOT / "deploy" / overlay / "tideover.yaml").read_text()
    assert text.count("0.0.0.0:18000") == text.count('http: "0.0.0.0:18002"') == 1
    text = text.replace("0.0.0.0:18000", f"0.0.0.0:{ports.xds}")
    more = f'http: "0.0.0.0:{ports.http}", admin: "127.0.0.1:{ports.admin}"'
    return text.replace('http: "0.0.0.0:18002"', more)


class Probed:
    """The program in its image, asked as the kubelet asks."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, http: int, ca: Path) -> None:
        self.process, self._log, self._http = process, log, http
        self._context = ssl.create_default_context(cafile=str(ca))
        self._context.check_hostname = False  # the certificate is for the Service's name

    def log(self) -> str:
        return self._log.read_text()

    def get(self, path: str) -> tuple[int, str]:
        url = f"https://127.0.0.1:{self._http}{path}"
        try:
            with urllib.request.urlopen(url, context=self._context, timeout=5) as said:
                return said.status, said.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def wait_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.log()
            return self.get("/readyz")[0] == 200

        until_sync(ready, 40, lambda: f"{self.get('/readyz')} {self.log()[-2000:]}")


@contextmanager
def running(image: Image, mounts: dict[str, Path], log: Path, http: int) -> Iterator[Probed]:
    command = image.start_command(mounts, writable=("/tmp", "/var/lib/tideover"))
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        yield Probed(process, log, http, mounts["/etc/tideover/tls"] / "ca.crt")
    finally:
        process.kill()
        process.wait()


def exec_in(program: Probed, image: Image, *command: str) -> subprocess.CompletedProcess[str]:
    """As `kubectl exec` does: the pod's files and its variables."""
    (pod,) = [one for one in render(ROOT / "deploy/hub") if one["kind"] == "StatefulSet"]
    said = pod["spec"]["template"]["spec"]["containers"][0]["env"]
    variables = {**image.environment, **{one["name"]: one["value"] for one in said}}
    line = ["chroot", f"/proc/{program.process.pid}/root", "env", "-i"]
    line += [*(f"{name}={value}" for name, value in variables.items()), "tideover", *command]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@needs_root
def test_it_serves_from_a_read_only_file_system_without_root(
    image: Image, mounts: dict[str, Path], ports: Ports, tmp_path: Path
) -> None:
    text = configured("member", ports).replace("inCluster: true", "manifests: /etc/tideover/paris")
    fill(mounts["/etc/tideover/config"], {"tideover.yaml": text.encode()})
    (tmp_path / "paris").mkdir()
    (tmp_path / "paris/all.yaml").write_text("{apiVersion: v1, kind: List, items: []}")
    mounts["/etc/tideover/paris"] = tmp_path / "paris"
    with running(image, mounts, tmp_path / "log", ports.http) as program:
        program.wait_ready()
        status = Path(f"/proc/{program.process.pid}/status").read_text()
        assert re.search(r"^Uid:\t65532\t65532\t65532\t65532$", status, re.M)
        assert len(re.findall(r"^Cap(?:Eff|Prm|Bnd):\t0+$", status, re.M)) == 3
        inside = Path(f"/proc/{program.process.pid}/root")
        until_sync((inside / "var/lib/tideover/member.facts").exists, 15, "the state is saved")
        # a ConfigMap changes: applied live
        renamed = text.replace("name: member", "name: paris")
        fill(mounts["/etc/tideover/config"], {"tideover.yaml": renamed.encode()})
        until_sync(lambda: 'cluster="paris"' in program.get("/metrics")[1], 30, program.log)
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(20) == 0
        assert not re.search(r"Traceback|Read-only file system|Permission denied", program.log())


@needs_root
def test_in_the_hub_it_watches_the_cluster_that_it_runs_in(
    image: Image, mounts: dict[str, Path], ports: Ports, built_servers: Binaries, tmp_path: Path
) -> None:
    """The hub's objects on a real API server; the image with the token and the variables of a pod there."""
    fill(mounts["/etc/tideover/config"], {"tideover.yaml": configured("hub", ports).encode()})
    with audited(tmp_path / "server", built_servers) as hub:
        hub.apply(render(ROOT / "deploy/hub"))
        account = {"token": hub.token(), "ca.crt": hub.server.ca_pem, "namespace": SYSTEM}
        files = {name: text.encode() for name, text in account.items()}
        mounts["/var/run/secrets/kubernetes.io/serviceaccount"] = volume(tmp_path / "account", files)
        here = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(hub.server.port)}
        pod = replace(image, environment={**image.environment, **here})
        with running(pod, mounts, tmp_path / "log", ports.http) as program:
            program.wait_ready()
            leases = lambda: [r for r in hub.requests() if r.resource == "leases" and r.code == 201]  # noqa: E731
            until_sync(leases, 30, program.log)
            complete = re.compile(r"^tideover_world_complete 1", re.M)
            until_sync(lambda: complete.search(program.get("/metrics")[1]), 30, program.log)
            asked = exec_in(program, image, "status")
            assert (asked.returncode, "hub" in asked.stdout) == (0, True), asked.stderr
            asked = exec_in(program, image, "cluster", "accept", "hub")
            assert "nothing of cluster 'hub' is held back" in asked.stderr  # it was let in to write
            program.process.send_signal(signal.SIGTERM)
            assert program.process.wait(20) == 0
        assert not_allowed(hub) == []


@needs_root
def test_the_command_line_is_in_it(image: Image) -> None:
    command = image.start_command({}, ["--version"], writable=("/tmp",))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@needs_root
def test_nothing_can_be_written_elsewhere(image: Image) -> None:
    image_shell = Image.start_command
    entrypoint, image.entrypoint = image.entrypoint, ["/bin/sh"]
    try:
        for path, works in (("/tmp", True), ("/", False), ("/opt/tideover", False), ("/etc", False)):
            command = image_shell(image, {}, ["-c", f"touch {path}/x"], writable=("/tmp",))
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert (done.returncode == 0) is works, f"{path}: {done.stderr}"
    finally:
        image.entrypoint = entrypoint
