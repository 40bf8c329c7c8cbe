"""Cluster facts from manifests written in the test, without files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tideover_core.model import ClusterFacts, Endpoint, Locality, ServiceKey
from tideover_discovery.kubernetes.assembler import Assembler
from tideover_discovery.kubernetes.endpoints import Ground
from tideover_discovery.kubernetes.listing import Listing, combine
from tideover_discovery.kubernetes.manifest import Manifest, read_manifest

HOME = Locality("eu-west", "eu-west-a")
RATINGS = ServiceKey("bookinfo", "ratings")


def ground(cluster: str = "paris", *, allow_loopback: bool = False) -> Ground:
    return Ground(cluster, "default", HOME, allow_loopback)


def dump(*objects: Any) -> bytes:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}).encode()


class Files:
    """Files that change, and the facts after each change."""

    def __init__(
        self, initial: ClusterFacts | None = None, *, cluster: str = "paris", allow_loopback: bool = False
    ) -> None:
        self.manifests: dict[str, Manifest] = {}
        self.listing = Listing()
        self.assembler = Assembler(ground(cluster, allow_loopback=allow_loopback), initial)

    def read(self, **texts: bytes | None) -> ClusterFacts:
        return self.read_named(texts)

    def read_named(self, texts: Mapping[str, bytes | None]) -> ClusterFacts:
        for name, text in texts.items():
            if text is None:
                del self.manifests[name]
            else:
                self.manifests[name] = read_manifest(text, name, self.manifests.get(name))
        self.listing = combine(self.manifests, self.listing)
        return self.assembler.listed(self.listing)

    def say(self, *objects: Any) -> ClusterFacts:
        """These are all objects now."""
        return self.read_named({"paris.json": dump(*objects)})


def facts(*objects: Any, allow_loopback: bool = False) -> ClusterFacts:
    return Files(allow_loopback=allow_loopback).say(*objects)


def endpoints(found: ClusterFacts, port: int = 9080) -> tuple[Endpoint, ...]:
    return found.services[RATINGS].endpoints[port]


def said(found: ClusterFacts) -> list[str]:
    """Problems as one would read them."""
    return [f"{p.object}: {p.message}; {p.consequence}" for p in found.problems]
