"""A small world to break: `ratings` (and its like) in paris and dublin, real backends behind it.

Backends listen on 127.0.1.N (paris) and 127.0.2.N (dublin), all on one port, so that endpoints look as
in a cluster: one slice, many addresses.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.backend import GrpcBackend, HttpBackend, TcpBackend, serving
from support.manifests import ClusterFolder, Place, endpoint_slice, service
from support.ports import free_port
from support.tideover import Setup

NETWORKS = {"paris": "127.0.1", "dublin": "127.0.2", "lyon": "127.0.3"}
ZONES = {"paris": "eu-west-a", "dublin": "eu-north-a", "lyon": "eu-west-b"}
KINDS = {"http": HttpBackend, "grpc": GrpcBackend, "tcp": TcpBackend}

Backend = HttpBackend | GrpcBackend | TcpBackend


@dataclass
class Mesh:
    """One service in two clusters. Its backends are called `paris-1`, `paris-2`, `dublin-1`, ..."""

    setup: Setup
    counts: Mapping[str, int] = field(default_factory=lambda: {"paris": 2, "dublin": 2})
    name: str = "ratings"
    namespace: str = "bookinfo"
    port: int = 9080  # of the service; the backends' is free
    protocol: str = "http"
    target_port: int = 0
    backends: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.target_port = self.target_port or free_port()
        self.folders = {name: ClusterFolder(self.setup.cluster_path(name)) for name in self.counts}
        for cluster, count in self.counts.items():
            for index in range(1, count + 1):
                name = f"{cluster}-{index}"
                kind = KINDS[self.protocol]
                self.backends[name] = kind(name, self.target_port, self.address(name))
            self.write(cluster)

    @property
    def wire_name(self) -> str:
        return f"{self.namespace}/{self.name}:{self.port}"

    @property
    def host(self) -> str:
        """What a caller asks for."""
        return f"{self.name}.{self.namespace}:{self.port}"

    def address(self, backend: str) -> str:
        cluster, _, index = backend.rpartition("-")
        return f"{NETWORKS[cluster]}.{index}"

    def hostport(self, backend: str) -> str:
        return f"{self.address(backend)}:{self.target_port}"

    def names(self, cluster: str) -> list[str]:
        return [name for name in self.backends if name.startswith(cluster)]

    def write(self, cluster: str, *, unready: Iterable[str] = (), absent: Iterable[str] = ()) -> None:
        """Put the service of one cluster on disk, as one atomic change."""
        places = [
            Place(self.address(name), zone=ZONES[cluster], ready=name not in set(unready))
            for name in self.names(cluster)
            if name not in set(absent)
        ]
        ports = [{"port": self.port, "name": self.protocol, "targetPort": self.target_port}]
        self.folders[cluster].write(
            self.name,
            service(self.name, self.namespace, ports=ports),
            endpoint_slice(self.name, places, self.namespace, port=self.target_port, port_name=self.protocol),
        )

    def unready(self, cluster: str) -> None:
        """All of a cluster's endpoints turn unready at once."""
        self.write(cluster, unready=self.names(cluster))


@asynccontextmanager
async def mesh(folder: Path, *, settings: Mapping[str, Any] | None = None, **of: Any) -> AsyncIterator[Mesh]:
    """The world on disk with its backends serving, for the length of a block; Tideover is not started."""
    one = Mesh(Setup(folder, settings=settings or {}), **of)
    async with serving(*one.backends.values()):
        yield one
