"""Folders of Kubernetes manifests, replaced atomically, as `kubectl get -o json` would fill them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Object = dict[str, Any]


def service(
    name: str,
    namespace: str = "bookinfo",
    *,
    ports: Iterable[Mapping[str, Any]] = ({"port": 9080},),
    **spec: Any,
) -> Object:
    """A Service; a port without a name is called `http` (`{"port": 5432, "name": "tcp"}` for others)."""
    rows = [{"name": "http", "protocol": "TCP", **port} for port in ports]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"selector": {"app": name}, "ports": rows, **spec},
    }


@dataclass(frozen=True, slots=True)
class Place:
    """One endpoint of a slice."""

    address: str
    zone: str = ""
    ready: bool | None = True
    serving: bool | None = None
    terminating: bool | None = None
    node: str = ""
    pod: str = ""


def endpoint_slice(
    service_name: str,
    places: Iterable[Place],
    namespace: str = "bookinfo",
    *,
    port: int = 9080,
    port_name: str = "http",
    suffix: str = "abcde",
) -> Object:
    """One slice with one port; `suffix` tells several of one service apart (one per port on loopback)."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service_name}-{suffix}",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service_name},
        },
        "addressType": "IPv4",
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
        "endpoints": [_endpoint(place, namespace) for place in places],
    }


def _endpoint(place: Place, namespace: str) -> Object:
    conditions = {"ready": place.ready, "serving": place.serving, "terminating": place.terminating}
    raw: Object = {
        "addresses": [place.address],
        "conditions": {k: v for k, v in conditions.items() if v is not None},
    }
    if place.zone:
        raw["zone"] = place.zone
    if place.node:
        raw["nodeName"] = place.node
    if place.pod:
        raw["targetRef"] = {"kind": "Pod", "name": place.pod, "namespace": namespace}
    return raw


def node(name: str, region: str, zone: str, **labels: str) -> Object:
    topology = {"topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {**topology, **labels}}}


def pod(
    name: str,
    namespace: str = "bookinfo",
    *,
    node_name: str = "",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Object:
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels or {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, "annotations": dict(annotations or {})},
        "spec": {"nodeName": node_name} if node_name else {},
    }


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


class ClusterFolder:
    """A cluster's folder; every change is one atomic rename."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, *objects: Object) -> Path:
        """Put `name`.json (a List) in place, whole."""
        return self.write_text(
            f"{name}.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )

    def write_text(self, file_name: str, text: str) -> Path:
        """The same with any text: YAML, or something broken."""
        temporary, path = self.path / f".{file_name}.new", self.path / file_name
        temporary.write_text(text)
        os.replace(temporary, path)
        return path

    def remove(self, name: str) -> None:
        (self.path / f"{name}.json").unlink()
