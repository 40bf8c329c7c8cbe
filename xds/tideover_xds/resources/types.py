"""The types that are served: for each, by what a resource is shared, how it is built, what stales it.

Adding one is a file beside this and a row in TYPES.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from tideover_core.model import ServiceKey, Vantage
from tideover_core.names import POD, Target, parse_wire_name, wire_name
from tideover_core.plan import plan
from tideover_core.policy import Retry
from tideover_core.resolve import known, projection, resolve
from tideover_core.world import World
from tideover_wire.node import Client
from tideover_wire.resource import Resource, TypeUrl

from .cluster import cluster
from .endpoint import EncodedAssignment, assume_ready, endpoints
from .hosts import answered, port_of, written
from .listener import HTTP_LISTENER, api_listener, http_listener, tcp_listener
from .proxyless import by_weight
from .route import HTTP_ROUTES

Key = tuple[Hashable, ...]


class Stales(Enum):
    """What makes a resource of a type out of date."""

    FACTS = "facts"  # anything about its service
    SETTINGS = "settings"  # its service's ports, policies or annotations
    ROUTES = "routes"  # any service's ports or retries


class Reader(Protocol):
    """What a build may read: one client's sight of the world, as it is now."""

    @property
    def world(self) -> World:
        """All of it."""
        ...

    @property
    def client(self) -> Client:
        """Who asks, with ports that can be listened on; its vantage as claimed."""
        ...

    @property
    def vantage(self) -> Vantage:
        """Where it stands."""
        ...

    @property
    def namespaces(self) -> Collection[str]:
        """Namespaces with services."""
        ...

    def get(self, type_url: str, name: str) -> Resource | None:
        """Another resource that it is sent."""
        ...

    def routes(self) -> Resource:
        """Its route table."""
        ...


@dataclass(frozen=True, slots=True)
class Built:
    """A resource, and what the next build of it may reuse."""

    resource: Resource
    parts: EncodedAssignment | None = None


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One served type.

    `subject` is the service that a name is about, None when it is about none or about all.
    `shared_by`: clients with equal keys share the bytes; None: there is no such resource.
    `build` returns None when there turns out to be none; `before` is the last build of the same key.
    """

    url: TypeUrl
    stales: Stales
    subject: Callable[[Reader, str], ServiceKey | None]
    shared_by: Callable[[Reader, str], Key | None]
    build: Callable[[Reader, str, Built | None], Built | None]


def settings_key(vantage: Vantage) -> Key:
    """The part of a projection that settings depend on."""
    return (vantage.namespace, tuple(sorted(vantage.labels.items())))


def vantage_key(vantage: Vantage) -> Key:
    """A vantage as a dictionary key."""
    return (vantage.locality, vantage.cluster, vantage.network, vantage.node, *settings_key(vantage))


def known_target(reader: Reader, name: str) -> Target | None:
    """The service port and subset or pod that a CDS or EDS name means, when this client is to know of it."""
    target = parse_wire_name(name)
    if target is None:
        return None
    return target if known(reader.world, target, reader.vantage) else None


def _target_subject(reader: Reader, name: str) -> ServiceKey | None:
    target = parse_wire_name(name)
    return target.service if target is not None else None


def _cluster_key(reader: Reader, name: str) -> Key | None:
    target = known_target(reader, name)
    if target is None:
        return None
    cut = projection(reader.world, target, reader.vantage)
    return (reader.client.proxyless, *settings_key(cut))


def _build_cluster(reader: Reader, name: str, before: Built | None) -> Built | None:
    target = known_target(reader, name)
    if target is None:
        return None
    port = reader.world.services[target.service].port(target.port)
    if port is None:
        return None
    settings = resolve(reader.world, target, reader.vantage).settings
    return Built(cluster(name, port.protocol, settings, proxyless=reader.client.proxyless))


def _endpoints_key(reader: Reader, name: str) -> Key | None:
    target = known_target(reader, name)
    if target is None:
        return None
    return (reader.client.proxyless, *vantage_key(projection(reader.world, target, reader.vantage)))


def _build_endpoints(reader: Reader, name: str, before: Built | None) -> Built | None:
    target = known_target(reader, name)
    parent = reader.get(TypeUrl.CLUSTER, name)
    if target is None or parent is None:
        return None
    answer = plan(reader.world, target, projection(reader.world, target, reader.vantage))
    if answer is None:
        return None
    if reader.client.proxyless:
        answer = by_weight(assume_ready(answer))
    encoded = endpoints(name, answer, parent.version, before.parts if before is not None else None)
    return Built(encoded.resource, encoded)


def _listener_subject(reader: Reader, name: str) -> ServiceKey | None:
    if not reader.client.proxyless:
        return _target_subject(reader, name)
    host = written(name, reader.vantage.namespace)
    return host.service if host is not None else None


def _listener_key(reader: Reader, name: str) -> Key | None:
    if reader.client.proxyless:
        return (True, reader.vantage.namespace) if _grpc_target(reader, name) is not None else None
    if name == HTTP_LISTENER:
        return (False, reader.client.http_port)
    if name in reader.client.tcp_ports and known_target(reader, name) is not None:
        return (False, reader.client.tcp_ports[name])
    return None


def _build_listener(reader: Reader, name: str, before: Built | None) -> Built | None:
    if reader.client.proxyless:
        target = _grpc_target(reader, name)
        if target is None:
            return None
        return Built(api_listener(name, wire_name(*target), _retry(reader, target)))
    if name == HTTP_LISTENER:
        return Built(http_listener(reader.client.http_port))
    target = known_target(reader, name)
    if target is None or name not in reader.client.tcp_ports:
        return None
    return Built(tcp_listener(name, reader.client.tcp_ports[name], _retry(reader, target)))


def _grpc_target(reader: Reader, name: str) -> Target | None:
    """The service port that a proxyless client means by `xds:///name`."""
    host = written(name, reader.vantage.namespace)
    service = reader.world.services.get(host.service) if host is not None else None
    if host is None or service is None or not answered(service, name):
        return None
    port = port_of(service, host.port)
    if port is None or (host.hostname and host.hostname not in service.hostnames):
        return None
    return Target(host.service, port.number, POD + host.hostname if host.hostname else "")


def _retry(reader: Reader, target: Target) -> Retry:
    return resolve(reader.world, target, reader.vantage).settings.retry or Retry()


def _no_subject(reader: Reader, name: str) -> ServiceKey | None:
    return None


def _routes_key(reader: Reader, name: str) -> Key | None:
    if name != HTTP_ROUTES or reader.client.proxyless:
        return None
    # short names are all that differs, and a namespace without services has none
    namespace = reader.vantage.namespace
    return (namespace if namespace in reader.namespaces else "",)


def _build_routes(reader: Reader, name: str, before: Built | None) -> Built | None:
    return Built(reader.routes())


TYPES = {
    row.url: row
    for row in (
        ResourceType(TypeUrl.CLUSTER, Stales.SETTINGS, _target_subject, _cluster_key, _build_cluster),
        ResourceType(TypeUrl.ENDPOINT, Stales.FACTS, _target_subject, _endpoints_key, _build_endpoints),
        ResourceType(TypeUrl.LISTENER, Stales.SETTINGS, _listener_subject, _listener_key, _build_listener),
        ResourceType(TypeUrl.ROUTE, Stales.ROUTES, _no_subject, _routes_key, _build_routes),
    )
}
