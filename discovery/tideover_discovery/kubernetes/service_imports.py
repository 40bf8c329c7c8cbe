"""The ServiceImports that a member cluster should have, and what must be written for it.

Only objects with our label `app.kubernetes.io/managed-by` are changed or deleted, and none of them is ever
read for what is exported, so nothing goes round in circles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import msgspec

from tideover_core.exports import Export, ExportedPort, Merged, Offered, merged
from tideover_core.model import Labels, ServiceKey
from tideover_core.world import World

from .multi_cluster import GROUP, IMPORTS, MANAGED_BY, US, VERSIONS, Found, path_of
from .writes import FIELD_MANAGER, Write, applied, removed

# Which content was applied: servers with an older CRD drop fields that it does not know
APPLIED = "tideover.dev/applied"
_OURS = "tideover.dev/"
_PART = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"(?:[a-z0-9](?:[-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_PART}\Z")
_VALUE = re.compile(rf"(?:{_PART})?\Z")
_MOST_ANNOTATIONS = 128 << 10  # bytes; the API server takes twice as many of all together


@dataclass(frozen=True, slots=True)
class Shared:
    """What all clusters export, by service, and what it comes to; None: nothing that can be exported.

    `by_cluster`: the exports of each cluster that is known. `complete`: they are all there are.
    """

    exports: Mapping[ServiceKey, Mapping[str, Export]] = field(default_factory=dict)
    merged: Mapping[ServiceKey, Merged | None] = field(default_factory=dict)
    by_cluster: Mapping[str, Mapping[ServiceKey, Export]] = field(default_factory=dict)
    complete: bool = False


def shared(world: World, before: Shared | None = None) -> Shared:
    """What the clusters of a world share; what equals its part of `before` is that part."""
    by_cluster = {name: facts.exports for name, facts in sorted(world.clusters.items())}
    known = before or Shared()
    was, now = list(known.by_cluster.items()), list(by_cluster.items())
    # endpoints change all the time, exports hardly ever
    if len(was) == len(now) and all(a == b and x is y for (a, x), (b, y) in zip(was, now, strict=True)):
        return known if known.complete == world.complete else replace(known, complete=world.complete)
    exports: dict[ServiceKey, dict[str, Export]] = {}
    for name, said in by_cluster.items():
        for key, export in said.items():
            exports.setdefault(key, {})[name] = export
    come_to = {
        key: known.merged[key] if known.exports.get(key) == alike else merged(alike)
        for key, alike in exports.items()
    }
    return Shared(exports, come_to, by_cluster, world.complete)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one member cluster has, and which version is spoken."""

    namespaces: frozenset[str]
    imports: Mapping[ServiceKey, Found]
    exports: Mapping[ServiceKey, Found] = field(default_factory=dict)
    version: str = VERSIONS[0]


def import_writes(key: ServiceKey, wanted: Shared, seen: Seen) -> Iterator[Write]:
    """What brings a member's ServiceImport of this name to what it should be."""
    found = seen.imports.get(key)
    if key.namespace not in seen.namespaces or (found is not None and not found.ours):
        return
    if not in_doubt(wanted, found):
        yield from _one(key, wanted.merged.get(key), found, seen.version)


def in_doubt(wanted: Shared, found: Found | None) -> bool:
    """Whether a ServiceImport names a cluster of which nothing is known yet: then it stays as it is."""
    return not wanted.complete and found is not None and not found.clusters <= wanted.by_cluster.keys()


def _one(key: ServiceKey, wanted: Merged | None, found: Found | None, version: str) -> Iterator[Write]:
    about, path = f"ServiceImport {key}", path_of(IMPORTS, key, version, key.name)
    if wanted is None:
        if found is not None and found.metadata.deletion_timestamp is None:
            seen = found.metadata
            yield removed((about, "nobody exports it any more"), path, seen.uid, seen.resource_version)
        return
    body = service_import(key, wanted, version)
    if found is None:
        yield _made(about, path_of(IMPORTS, key, version), body)
        return
    uid = found.metadata.uid
    if not _has(found, body):
        yield applied((about, "changed"), path, {**body, "metadata": {**body["metadata"], "uid": uid}})
    if found.clusters != frozenset(wanted.clusters):
        clusters = [{"cluster": name} for name in sorted(wanted.clusters)]
        status = {
            "apiVersion": body["apiVersion"],
            "kind": "ServiceImport",
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid},
            "status": {"clusters": clusters, "endpointSliceObjects": "Absent"},
        }
        yield applied((about, "other clusters export it"), f"{path}/status", status)


def _made(about: str, path: str, body: Mapping[str, Any]) -> Write:
    """Made by POST, which fails where someone else was quicker; the rest is applied when it is seen."""
    metadata = {name: body["metadata"][name] for name in ("name", "namespace")}
    required = {name: body["spec"][name] for name in ("type", "ports")}
    made = {**body, "metadata": {**metadata, "labels": {MANAGED_BY: US}}, "spec": required}
    query = {"fieldManager": f"{FIELD_MANAGER}-create"}
    return Write(about, "exported", "POST", path, made, query=query)


def service_import(key: ServiceKey, wanted: Merged, version: str) -> dict[str, Any]:
    """The ServiceImport of a merged service, without status."""
    labels, annotations, _ = handed_on(wanted.labels, wanted.annotations)
    spec = _spec(wanted.offered)
    digest = sha256(msgspec.json.encode([spec, labels, annotations], order="sorted")).hexdigest()[:16]
    return {
        "apiVersion": f"{GROUP}/{version}",
        "kind": "ServiceImport",
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {**labels, MANAGED_BY: US},
            "annotations": {**annotations, APPLIED: digest},
        },
        "spec": spec,
    }


def handed_on(labels: Labels, annotations: Labels) -> tuple[dict[str, str], dict[str, str], tuple[str, ...]]:
    """The labels and annotations that Kubernetes takes and that are not ours, and the names of the others."""
    good = {name: value for name, value in labels.items() if _allowed(name) and _VALUE.match(value)}
    notes: dict[str, str] = {}
    size = 0
    for name, value in sorted(annotations.items()):
        more = len(name.encode()) + len(value.encode())
        if _allowed(name) and size + more <= _MOST_ANNOTATIONS:
            notes[name] = value
            size += more
    refused = {*(labels.keys() - good.keys()), *(annotations.keys() - notes.keys())}
    return good, notes, tuple(sorted(refused))


def _allowed(name: str) -> bool:
    return _NAME.match(name) is not None and name != MANAGED_BY and not name.startswith(_OURS)


def _spec(offered: Offered) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "type": "Headless" if offered.headless else "ClusterSetIP",
        "ports": [_port(port) for port in offered.ports],
    }
    if not offered.headless:
        spec["sessionAffinity"] = offered.session_affinity
        if offered.affinity_timeout_s is not None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": offered.affinity_timeout_s}}
    if offered.families:
        spec["ipFamilies"] = list(offered.families)
    if offered.internal_traffic_policy:
        spec["internalTrafficPolicy"] = offered.internal_traffic_policy
    if offered.traffic_distribution:
        spec["trafficDistribution"] = offered.traffic_distribution
    return spec


def _port(port: ExportedPort) -> dict[str, Any]:
    said: dict[str, Any] = {"port": port.number, "protocol": port.transport}
    if port.name:
        said["name"] = port.name
    if port.app_protocol:
        said["appProtocol"] = port.app_protocol
    return said


def _has(found: Found, wanted: Mapping[str, Any]) -> bool:
    """Whether an object says all that is wanted, as far as its server knows the fields."""
    there = ((found.metadata.labels, "labels"), (found.metadata.annotations, "annotations"))
    if any(not wanted["metadata"][name].items() <= (said or {}).items() for said, name in there):
        return False
    spec = found.spec or {}
    return all(spec[name] == value for name, value in wanted["spec"].items() if name in spec)
