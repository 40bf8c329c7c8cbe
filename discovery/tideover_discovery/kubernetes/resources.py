"""Which resources of an API server are followed, where they are, and how their objects are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from msgspec import Raw

from .decoding import Unread, decode, head_of
from .manifest import Item, item_of
from .objects import Refusal

T = TypeVar("T")
JSON = "application/json"
_METADATA = "application/json;as={};g=meta.k8s.io;v=v1,application/json"
METADATA_LIST = _METADATA.format("PartialObjectMetadataList")


@dataclass(frozen=True, slots=True)
class Resource(Generic[T]):
    """One kind of objects at an API server.

    `read` makes of one object, as JSON, what is told; it raises Refusal for one that is broken, Unread for
    one of no concern. `versions` are tried in their order. `selector` is a label selector.
    """

    kind: str
    group: str
    versions: tuple[str, ...]
    plural: str
    read: Callable[[Raw], T]
    required: bool = True
    metadata_only: bool = False
    namespace: str = ""
    selector: str = ""

    def path(self, version: str) -> str:
        """Where its collection is."""
        root = f"/apis/{self.group}/{version}" if self.group else f"/api/{version}"
        return (
            f"{root}/namespaces/{self.namespace}/{self.plural}" if self.namespace else f"{root}/{self.plural}"
        )

    @property
    def accept_list(self) -> str:
        """The Accept header for lists."""
        return METADATA_LIST if self.metadata_only else JSON

    @property
    def accept_watch(self) -> str:
        """The Accept header for watches."""
        return _METADATA.format("PartialObjectMetadata") if self.metadata_only else JSON


def as_dict(raw: Raw) -> dict[str, Any]:
    """A whole object, for those who read it themselves."""
    from msgspec.json import decode as plain  # noqa: PLC0415

    return plain(raw, type=dict[str, Any])


def _of(kind: str, origin: str) -> Callable[[Raw], Item]:
    def read(raw: Raw) -> Item:
        try:
            found = decode(raw, kind)
        except Unread:
            head = head_of(raw)
            if head is None or head.kind in ("", kind):
                raise
            raise Refusal(f"answered a {head.kind[:80]!a} as a {kind}") from None
        if type(found).__name__ != kind:
            raise Refusal(f"answered a {type(found).__name__} as a {kind}")
        return item_of(found, origin)

    return read


def followed(origin: str = "") -> tuple[Resource[Item], ...]:
    """What a cluster's facts are made of; `origin` names the cluster in messages."""

    def row(kind: str, group: str, versions: str, plural: str) -> Resource[Item]:
        return Resource(kind, group, tuple(versions.split()), plural, _of(kind, origin))

    return (
        row("Service", "", "v1", "services"),
        row("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices"),
        replace(row("Pod", "", "v1", "pods"), metadata_only=True),
        replace(row("Node", "", "v1", "nodes"), metadata_only=True),
        replace(row("Namespace", "", "v1", "namespaces"), metadata_only=True),
        replace(
            row("DestinationRule", "networking.istio.io", "v1 v1beta1 v1alpha3", "destinationrules"),
            required=False,
        ),
        replace(row("FailoverPolicy", "tideover.dev", "v1alpha1", "failoverpolicies"), required=False),
        replace(row("TrafficOrder", "tideover.dev", "v1alpha1", "trafficorders"), required=False),
        replace(
            row("ServiceExport", "multicluster.x-k8s.io", "v1 v1beta1 v1alpha1", "serviceexports"),
            required=False,
        ),
    )
