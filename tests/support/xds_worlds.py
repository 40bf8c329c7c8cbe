"""Worlds for tests of what is served, built in memory: services of paris and dublin, and their clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tideover_core.model import (
    ClusterFacts,
    Endpoint,
    Locality,
    Protocol,
    ServiceFacts,
    ServiceKey,
    ServicePort,
    Vantage,
)
from tideover_core.world import Mesh, World, merge
from tideover_wire.node import Client
from tideover_wire.resource import Resource, View

PLACES = {
    "paris": Locality("eu-west", "eu-west-a"),
    "dublin": Locality("eu-north", "eu-north-a"),
    "virginia": Locality("us-east", "us-east-a"),
}
RATINGS = "bookinfo/ratings:9080"


def endpoint(address: str, port: int = 9080, cluster: str = "paris", **fields: Any) -> Endpoint:
    """A ready endpoint at its cluster's place, unless `fields` say otherwise."""
    locality = fields.pop("locality", PLACES[cluster])
    return Endpoint(address, port, cluster, fields.pop("network", "default"), locality, **fields)


def service(
    name: str = "ratings",
    endpoints: Mapping[int, Sequence[Endpoint]] | Sequence[Endpoint] = (),
    *,
    namespace: str = "bookinfo",
    ports: Mapping[int, Protocol] | None = None,
    **fields: Any,
) -> ServiceFacts:
    """A service; without `ports` it has HTTP on 9080, whose endpoints may be given as a plain sequence."""
    declared = ports or {9080: Protocol.HTTP}
    by_port = endpoints if isinstance(endpoints, Mapping) else {next(iter(declared)): endpoints}
    return ServiceFacts(
        ServiceKey(namespace, name),
        tuple(ServicePort(number, protocol.value, protocol) for number, protocol in declared.items()),
        {number: tuple(by_port.get(number, ())) for number in declared},
        **fields,
    )


def cluster(name: str = "paris", *services: ServiceFacts, **fields: Any) -> ClusterFacts:
    """What one cluster says."""
    return ClusterFacts(
        name,
        fields.pop("network", "default"),
        fields.pop("locality", PLACES[name]),
        {one.key: one for one in services},
        **fields,
    )


def world(*clusters: ClusterFacts, previous: World | None = None, **fields: Any) -> World:
    """The merge of these clusters."""
    return merge(clusters, fields.pop("mesh", Mesh()), None, previous, **fields)


def two_clusters(paris: Iterable[str] = ("10.0.0.1",), dublin: Iterable[str] = ("10.1.0.1",)) -> World:
    """`ratings` in paris and dublin, at these addresses."""
    return world(
        cluster("paris", service("ratings", [endpoint(one) for one in paris])),
        cluster("dublin", service("ratings", [endpoint(one, cluster="dublin") for one in dublin])),
    )


def changed(before: World, name: str, facts: ServiceFacts) -> World:
    """The next world, in which one cluster says this of a service."""
    clusters = dict(before.clusters)
    old = clusters[name]
    clusters[name] = replace(old, services={**old.services, facts.key: facts}, generation=old.generation + 1)
    return world(*clusters.values(), previous=before, complete=before.complete)


def client(
    *,
    cluster: str = "paris",
    namespace: str = "bookinfo",
    labels: Mapping[str, str] | None = None,
    **fields: Any,
) -> Client:
    """A sidecar in that cluster and namespace."""
    locality = fields.pop("locality", PLACES.get(cluster, Locality()))
    vantage = Vantage(
        locality, cluster, fields.pop("network", "default"), namespace, fields.pop("node", ""), labels or {}
    )
    return Client(fields.pop("id", "sidecar-1"), vantage, **fields)


def got(view: View, url: str, name: str) -> Resource:
    """A resource that there is."""
    resource = view.get(url, name)
    assert resource is not None, name
    return resource
