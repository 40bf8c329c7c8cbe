"""What is served: named, versioned bytes; and the view of them that one group of clients has."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Protocol

_PREFIX = "type.googleapis.com/envoy.config."


class TypeUrl(StrEnum):
    """The resource types that are served."""

    CLUSTER = _PREFIX + "cluster.v3.Cluster"
    ENDPOINT = _PREFIX + "endpoint.v3.ClusterLoadAssignment"
    LISTENER = _PREFIX + "listener.v3.Listener"
    ROUTE = _PREFIX + "route.v3.RouteConfiguration"


# make before break (rule O1): additions are sent in this order, removals after them in reverse
SEND_ORDER = (TypeUrl.CLUSTER, TypeUrl.ENDPOINT, TypeUrl.LISTENER, TypeUrl.ROUTE)


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One xDS resource as bytes, shared by every stream that is sent it.

    `any_bytes` is a serialised google.protobuf.Any (SotW), `wrapped` a serialised
    envoy.service.discovery.v3.Resource (delta). Equal versions mean equal meaning.
    """

    name: str
    version: str
    body: bytes
    any_bytes: bytes
    wrapped: bytes


def version_of(body: bytes, *depends_on: str) -> str:
    """The version of a resource: a hash of its bytes and of the versions it depends on."""
    digest = sha256(body)
    for version in depends_on:
        digest.update(b"\0" + version.encode())
    return digest.hexdigest()[:16]


class View(Protocol):
    """The resources of one group of clients, at this moment.

    `complete`: every source is completely known; while False nothing may be removed or shrunk
    (design law 1): reconnecting streams get silence, new ones get what is known.
    """

    @property
    def complete(self) -> bool:
        """Whether every source is completely known."""
        ...

    def get(self, type_url: str, name: str) -> Resource | None:
        """The resource, built on first use; None when there is none of that name.

        None for a name that `names` covers: it exists and cannot be told now (a mistake of ours
        in building it). Nobody who has it is told to remove it.
        """
        ...

    def names(self, type_url: str) -> Collection[str]:
        """What a wildcard subscription of this type covers; sorted, empty for types without one."""
        ...
