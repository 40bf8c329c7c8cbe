"""The clusters to have, one row each, and what their sources offer besides facts."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, cast

from tideover_core.guard import Held
from tideover_core.latest import Latest
from tideover_core.model import Locality
from tideover_discovery.watch import Source

from .config import Cluster
from .replica import Origin, Watching


class Placed(Protocol):
    """A place: what is configured, or a Locality."""

    @property
    def region(self) -> str:
        """Its region."""
        ...

    @property
    def zone(self) -> str:
        """Its zone."""
        ...

    @property
    def subzone(self) -> str:
        """Its subzone."""
        ...


class Row(Protocol):
    """A cluster to have: of the configuration, or registered. A frozen value: rows that are equal are the
    same source."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def network(self) -> str:
        """The network of its pods."""
        ...

    @property
    def locality(self) -> Placed:
        """Where it is, for what does not say it itself."""
        ...


class Guarded(Protocol):
    """A source whose facts are guarded against mass removal (`core/guard.py`)."""

    held: Latest[Held | None]

    def accept_removals(self) -> None:
        """What is held back is really gone."""
        ...


def guarded(source: Source | None) -> Guarded | None:
    """The source, if it is guarded."""
    return cast(Guarded, source) if hasattr(source, "accept_removals") else None


def origin(row: Row, source: Source, began_s: float) -> Origin:
    """Where a cluster's facts come from. `began_s`: Unix time when the steady clock was 0."""
    guard = guarded(source)
    held = guard.held.value if guard is not None else None
    if held is not None:
        held = replace(held, since_s=held.since_s + began_s, next_look_s=held.next_look_s + began_s)
    api = getattr(source, "api", None)
    return Origin(_kind(row), getattr(api, "server", ""), held)


def watching(cluster: str, source: Source) -> list[Watching]:
    """How its watches have gone, one for each kind of objects; none of a source that does not watch."""
    return [
        Watching(cluster, r.resource.kind, r.lists, r.watches, r.events, dict(r.errors))
        for r in getattr(source, "reflectors", ())
    ]


def _kind(row: Row) -> str:
    if not isinstance(row, Cluster):
        return str(getattr(row, "origin", "registered"))
    if row.manifests is not None:
        return "manifests"
    return "inCluster" if row.in_cluster else "kubeconfig"


def locality(cluster: Row) -> Locality:
    """The place of a cluster."""
    return Locality(cluster.locality.region, cluster.locality.zone, cluster.locality.subzone)
