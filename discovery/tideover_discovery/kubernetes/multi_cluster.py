"""The objects of Multi-Cluster Services as a member cluster has them, cut down to what is compared."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from tideover_core.model import ServiceKey

from .objects import Refusal, Shape
from .resources import Resource

GROUP = "multicluster.x-k8s.io"
VERSIONS = ("v1beta1", "v1alpha1")
MANAGED_BY = "app.kubernetes.io/managed-by"
US = "tideover"


class FoundMeta(Shape, frozen=True):
    """Who an object is, and which version of it this is."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class FoundCluster(Shape, frozen=True):
    """One of ServiceImport.status.clusters."""

    cluster: str = ""


class FoundCondition(Shape, frozen=True):
    """One of ServiceExport.status.conditions."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None
    observed_generation: int | None = None


class FoundStatus(Shape, frozen=True):
    """The status of a ServiceImport or a ServiceExport."""

    clusters: list[FoundCluster] | None = None
    conditions: list[FoundCondition] | None = None


class Found(Shape, frozen=True):
    """A ServiceImport or ServiceExport."""

    metadata: FoundMeta
    spec: dict[str, Any] | None = None
    status: FoundStatus | None = None

    @property
    def ours(self) -> bool:
        """Whether Tideover made it, and may change and delete it."""
        return (self.metadata.labels or {}).get(MANAGED_BY) == US

    @property
    def clusters(self) -> frozenset[str]:
        """The exporting clusters that a ServiceImport names."""
        said = self.status.clusters if self.status is not None else None
        return frozenset(one.cluster for one in said or ())

    @property
    def conditions(self) -> dict[str, FoundCondition]:
        """Conditions by type."""
        said = self.status.conditions if self.status is not None else None
        return {one.type: one for one in said or ()}


_FOUND = msgspec.json.Decoder(Found)


def read(raw: Raw | bytes) -> Found:
    """An object of the group. Refusal when it is none: then it is left alone."""
    try:
        return _FOUND.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refusal(str(error)) from None


IMPORTS = Resource("ServiceImport", GROUP, VERSIONS, "serviceimports", read, required=False)
EXPORTS = Resource("ServiceExport", GROUP, VERSIONS, "serviceexports", read, required=False)
NAMESPACES = Resource("Namespace", "", ("v1",), "namespaces", read, metadata_only=True)


def path_of(resource: Resource[Found], key: ServiceKey, version: str, name: str = "") -> str:
    """Where the objects of a namespace are, or the one of this name."""
    path = f"/apis/{GROUP}/{version}/namespaces/{key.namespace}/{resource.plural}"
    return f"{path}/{name}" if name else path
