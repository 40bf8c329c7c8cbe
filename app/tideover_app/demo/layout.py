"""The demo's two clusters: what runs where, on which address, and how much is asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NAMESPACE = "bookinfo"
SERVICE_PORT = 9080
SERVICES = {"productpage": 2, "reviews": 2, "ratings": 3}  # instances of each, per cluster
HOME, AWAY = "paris", "dublin"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Kubernetes cluster, as far as the demo plays one. Its pods live at 127.`net`.x.y."""

    name: str
    region: str
    zone: str
    net: int
    sidecar_port: int
    sidecar_admin_port: int


@dataclass(frozen=True, slots=True)
class Instance:
    """One pod: one process, one address. Every pod listens on the same port, as in a real cluster."""

    cluster: str
    service: str
    number: int
    address: str
    port: int

    @property
    def name(self) -> str:
        """Like `ratings-2`."""
        return f"{self.service}-{self.number}"


@dataclass(frozen=True, slots=True)
class Layout:
    """All addresses and files of one run. Another `shift` and other nets let two runs live side by side."""

    folder: Path
    clusters: tuple[Cluster, ...]
    xds_port: int
    admin_port: int
    http_port: int

    @property
    def run_folder(self) -> Path:
        """Where everything of a run goes, except the two reports."""
        return self.folder / "demo-run"

    @property
    def config(self) -> Path:
        """The control plane's configuration."""
        return self.run_folder / "tideover.yaml"

    def manifests(self, cluster: str) -> Path:
        """The folder that the control plane watches for one cluster."""
        return self.run_folder / "clusters" / cluster

    def cluster(self, name: str) -> Cluster:
        """The cluster of that name."""
        return next(c for c in self.clusters if c.name == name)

    def instances(self, cluster: str, *services: str) -> Iterator[Instance]:
        """The pods of a cluster, of those services (none named: all)."""
        net = self.cluster(cluster).net
        for position, (service, count) in enumerate(SERVICES.items(), start=1):
            if not services or service in services:
                for number in range(1, count + 1):
                    yield Instance(cluster, service, number, f"127.{net}.{position}.{number}", SERVICE_PORT)

    def listening(self) -> Iterator[tuple[str, str, int]]:
        """(what, address, port) of everything that will listen: to see first whether it is free."""
        yield ("the control plane (xDS)", "127.0.0.1", self.xds_port)
        yield ("the control plane (admin)", "127.0.0.1", self.admin_port)
        yield ("the control plane (HTTP)", "127.0.0.1", self.http_port)
        for cluster in self.clusters:
            yield (f"the sidecar in {cluster.name}", "127.0.0.1", cluster.sidecar_port)
            yield (f"the admin of the sidecar in {cluster.name}", "127.0.0.1", cluster.sidecar_admin_port)
            for instance in self.instances(cluster.name):
                yield (f"{instance.name} in {cluster.name}", instance.address, instance.port)


def layout(folder: Path, shift: int = 0) -> Layout:
    """The demo's layout. `shift` moves every port and net, for a second run on the same machine."""
    return Layout(
        folder,
        (
            Cluster(HOME, "eu-west", "eu-west-a", 10 + shift, 15001 + 10 * shift, 15000 + 10 * shift),
            Cluster(AWAY, "eu-north", "eu-north-a", 110 + shift, 15101 + 10 * shift, 15100 + 10 * shift),
        ),
        xds_port=18000 + 10 * shift,
        admin_port=18001 + 10 * shift,
        http_port=18002 + 10 * shift,
    )
