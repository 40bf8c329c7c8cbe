"""Cluster facts from manifests written in the test, without files."""

from __future__ import annotations

import json
from typing import Any

from tideover_core.model import ClusterFacts, Endpoint, Locality, ServiceKey
from tideover_discovery.kubernetes.cluster import Assembled, assemble
from tideover_discovery.kubernetes.endpoints import Ground
from tideover_discovery.kubernetes.listing import combine
from tideover_discovery.kubernetes.manifest import Manifest, read_manifest

HOME = Locality("eu-west", "eu-west-a")
RATINGS = ServiceKey("bookinfo", "ratings")


def ground(*, allow_loopback: bool = False) -> Ground:
    return Ground("paris", "default", HOME, allow_loopback)


def dump(*objects: Any) -> bytes:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}).encode()


def manifest(*objects: Any, file: str = "paris.json") -> Manifest:
    return read_manifest(dump(*objects), file)


def nothing() -> Assembled:
    return Assembled(ClusterFacts("paris", "default", HOME))


def assembled(*objects: Any, previous: Assembled | None = None, allow_loopback: bool = False) -> Assembled:
    before = previous or nothing()
    listing = combine({"paris.json": manifest(*objects)}, before.listing)
    return assemble(ground(allow_loopback=allow_loopback), listing, before)


def facts(*objects: Any, allow_loopback: bool = False) -> ClusterFacts:
    return assembled(*objects, allow_loopback=allow_loopback).facts


def endpoints(found: ClusterFacts, port: int = 9080) -> tuple[Endpoint, ...]:
    return found.services[RATINGS].endpoints[port]


def said(found: ClusterFacts) -> list[str]:
    """Problems as one would read them."""
    return [f"{p.object}: {p.message}; {p.consequence}" for p in found.problems]
