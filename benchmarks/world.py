"""Folders of manifests for the stream and latency benchmarks, and the one change that they time."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

NAMESPACE = "bench"
PORT = 8080


def service(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"ports": [{"name": "http", "port": PORT, "protocol": "TCP"}]},
    }


def endpoint_slice(name: str, count: int, zone: str, not_ready: int = -1) -> dict[str, Any]:
    """One slice of `count` endpoints; `not_ready` is the index of the one that is not."""
    offset = int(name.rsplit("-", 1)[1])
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-abcde",
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [f"10.{offset}.{i // 250}.{i % 250 + 1}"],
                "conditions": {"ready": i != not_ready},
                "zone": zone,
                "targetRef": {"kind": "Pod", "name": f"{name}-{i}", "namespace": NAMESPACE},
            }
            for i in range(count)
        ],
    }


class ManifestFolder:
    """A cluster's folder with one file per service, changed by atomic replacement."""

    def __init__(self, folder: Path, services: int, endpoints: int, zone: str) -> None:
        self.folder, self.endpoints, self.zone = folder, endpoints, zone
        folder.mkdir(parents=True)
        for index in range(services):
            self.write(f"svc-{index}")

    def write(self, name: str, not_ready: int = -1) -> None:
        """Write a service with its slice; the rename is the moment of the change."""
        items = [service(name), endpoint_slice(name, self.endpoints, self.zone, not_ready)]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        temporary = self.folder / f".{name}.json.new"
        temporary.write_text(text)
        os.replace(temporary, self.folder / f"{name}.json")


def configuration(folder: Path, clusters: list[str], ports: dict[str, int]) -> Path:
    """Write a tideover.yaml for `clusters`, each with its folder beside it."""
    lines = [
        "name: bench",
        "region: eu-west",
        f'listen: {{xds: "127.0.0.1:{ports["xds"]}", admin: "127.0.0.1:{ports["admin"]}", '
        f'http: "127.0.0.1:{ports["http"]}"}}',
        "clusters:",
        *(f"  - {{name: {c}, locality: {{region: eu-west}}, manifests: ./clusters/{c}}}" for c in clusters),
        "state: ./state",
    ]
    path = folder / "tideover.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path
