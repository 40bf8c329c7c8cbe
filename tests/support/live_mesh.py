"""`ratings` in real clusters: API servers, pods' addresses with a backend on each, callers' Envoys.

All of it lives in a network namespace of its own (`support.network`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.apiserver import ApiServer, Workload
from support.apiserver.build import Binaries
from support.backend import HttpBackend, serving
from support.envoy import Envoy, running_envoy
from support.load import Load, load
from support.ports import free_port
from support.tideover import Setup, Tideover
from support.wait import until


@dataclass(frozen=True)
class Place:
    pods: str  # the first three numbers of their addresses
    region: str
    zone: str


PLACES = {
    "paris": Place("10.71.1", "eu-west", "eu-west-a"),
    "dublin": Place("10.71.2", "eu-north", "eu-north-a"),
    "virginia": Place("10.71.3", "us-east", "us-east-a"),
}


@contextmanager
def live_servers(
    folder: Path, built: Binaries, names: Iterable[str] = PLACES
) -> Iterator[dict[str, ApiServer]]:
    """API servers with our CRDs, started together."""
    servers = {name: ApiServer(folder / name, name, built) for name in names}
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda one: one.start().admin.apply_crds(), servers.values()))
        yield servers
    finally:
        with ThreadPoolExecutor() as pool:
            list(pool.map(ApiServer.stop, servers.values()))


@dataclass
class LiveMesh:
    """The service `NAMESPACE/ratings` with two pods in each cluster: `paris-1`, `paris-2`, `dublin-1`, ..."""

    folder: Path
    servers: Mapping[str, ApiServer]
    namespace: str
    urls: Mapping[str, str] = field(
        default_factory=dict
    )  # where Tideover is told to find a server, if elsewhere
    settings: Mapping[str, Any] = field(default_factory=dict)
    target: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.backends: dict[str, HttpBackend] = {}
        self.workloads: dict[str, Workload] = {}
        for cluster, server in self.servers.items():
            place = PLACES[cluster]
            pods = {f"{cluster}-{n}": f"{place.pods}.{n}" for n in (1, 2)}
            for name, address in pods.items():
                self.backends[name] = HttpBackend(name, self.target, address)
            server.admin.namespace(self.namespace)
            self.workloads[cluster] = Workload(
                server.admin,
                self.namespace,
                pods=pods,
                node=f"{cluster}-node",
                region=place.region,
                zone=place.zone,
                target=self.target,
            ).create()
        rows = {
            name: {"manifests": None, "kubeconfig": {"path": str(self.kubeconfig(name))}}
            for name in self.servers
        }
        self.setup = Setup(self.folder, clusters=rows, settings=self.settings)

    @property
    def wire_name(self) -> str:
        return f"{self.namespace}/ratings:9080"

    @property
    def host(self) -> str:
        return f"ratings.{self.namespace}:9080"

    def kubeconfig(self, cluster: str, **of: str) -> Path:
        """Written anew, for the administrator unless told."""
        path = self.folder / f"{cluster}.kubeconfig"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.servers[cluster].kubeconfig(path, **{"server": self.urls.get(cluster, ""), **of})
        return path

    def hostports(self, *clusters: str) -> set[str]:
        return {
            f"{address}:{self.target}"
            for cluster in clusters or self.servers
            for address in self.workloads[cluster].pods.values()
        }

    def ready(self, cluster: str, yes: bool) -> None:
        """What the kubelets say of all of a cluster's pods."""
        for name in self.workloads[cluster].pods:
            self.workloads[cluster].ready(name, yes)

    @asynccontextmanager
    async def caller(self, tideover: Tideover, cluster: str = "paris") -> AsyncIterator[tuple[Envoy, int]]:
        """The Envoy of a caller in a cluster, and its port for calls; it has all endpoints."""
        place = PLACES[cluster]
        locality = f"{place.region}/{place.zone}"
        bootstrap = await tideover.bootstrap(
            "--cluster", cluster, "--namespace", self.namespace, "--locality", locality
        )
        async with running_envoy(bootstrap, self.folder, name=f"envoy-{cluster}") as envoy:

            async def whole() -> bool:
                return (await envoy.health(self.wire_name)).keys() == self.hostports()

            await until(whole, 30, lambda: f"all endpoints; {tideover.log()[-3000:]}")
            yield envoy, int(bootstrap["node"]["metadata"]["HTTP_PORT"])

    @asynccontextmanager
    async def called(self, tideover: Tideover, cluster: str = "paris") -> AsyncIterator[tuple[Envoy, Load]]:
        """A caller that calls all the time. At the end no call has failed, and Envoy refused nothing."""
        async with self.caller(tideover, cluster) as (envoy, port), load(port, self.host) as calls:
            await calls.only_from(*self.workloads[cluster].pods)
            yield envoy, calls
            await calls.more()
            assert calls.failed() == []
            assert await envoy.rejected() == {}


@asynccontextmanager
async def live_mesh(
    folder: Path, servers: Mapping[str, ApiServer], namespace: str, **of: Any
) -> AsyncIterator[LiveMesh]:
    """The world with its backends serving, for the length of a block; Tideover is not started."""
    mesh = LiveMesh(folder, servers, namespace, **of)
    try:
        async with serving(*mesh.backends.values()):
            yield mesh
    finally:
        for server in servers.values():
            for kind in ("Service", "Pod"):
                server.admin.delete_all(kind, namespace)
