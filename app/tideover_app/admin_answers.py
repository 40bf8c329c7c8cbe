"""What the admin API answers: messages made from what a replica shows. Nothing here waits or changes."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from google.protobuf.json_format import ParseDict

from tideover_core import __version__
from tideover_core.guard import Held
from tideover_core.model import ClusterFacts, Endpoint, Locality, Problem, ServiceKey, SourceStatus, Vantage
from tideover_core.overview import PlaceHealth, failing_over
from tideover_core.world import Service, World, located
from tideover_proto.admin.v1 import admin_pb2 as pb
from tideover_wire.stream import Sent

from . import admin_health
from .admin_health import time_of
from .explain import Asked, UnknownError, answer, found, like
from .health_view import HealthView
from .order_words import concerning, told
from .ordering import Shown
from .replica import Connected, Happening, Origin, Readiness, Replica
from .simulate import odd_place


@dataclass(frozen=True, slots=True)
class Seen:
    """A replica with its clients at one instant, so that an answer may be made in another thread."""

    name: str
    region: str
    started_at_s: float
    world: World
    sources: Mapping[str, SourceStatus]
    origins: Mapping[str, Origin]
    problems: tuple[Problem, ...]
    clients: tuple[Connected, ...]
    readiness: Readiness
    health: HealthView
    orders: tuple[Shown, ...]

    @classmethod
    def of(cls, replica: Replica) -> Seen:
        """What the replica shows now."""
        return cls(
            replica.name,
            replica.region,
            replica.started_at_s,
            replica.world.value,
            dict(replica.sources()),
            dict(replica.origins()),
            tuple(replica.problems()),
            tuple(replica.clients()),
            replica.readiness(),
            replica.health(),
            tuple(replica.orders.known()) if replica.orders is not None else (),
        )


def status(seen: Seen, now_s: float) -> pb.Status:
    """Replicas, clusters, counts, problems, and what is failing over."""
    replica = pb.Replica(
        name=seen.name,
        region=seen.region,
        version=__version__,
        started_at=time_of(seen.started_at_s),
        ready=seen.readiness.ready,
        reasons=seen.readiness.reasons,
    )
    services = [_service(service) for service in seen.world.services.values()]
    refusing = sum(any(sent.nack for sent in client.sent) for client in seen.clients)
    return pb.Status(
        replicas=[replica],
        clusters=[
            _cluster(source, seen.origins.get(name, Origin()), seen.world)
            for name, source in seen.sources.items()
        ],
        failing_over=[_failing(place) for place in failing_over(seen.world)],
        problems=[
            pb.Problem(object=p.object, message=p.message, consequence=p.consequence, where=p.where)
            for p in seen.problems
        ],
        services=pb.ServiceCounts(
            services=len(services),
            endpoints=sum(service.endpoints for service in services),
            ready_endpoints=sum(service.ready_endpoints for service in services),
        ),
        clients=pb.ClientCounts(
            connected=len(seen.clients),
            refusing=refusing,
            unknown_vantage=sum(_unplaced(client, seen.world) for client in seen.clients),
        ),
        verdicts=admin_health.verdicts(seen.health),
        health=admin_health.health(seen.health),
        orders=[told(one, now_s) for one in seen.orders],
    )


def services(world: World, request: pb.ListServicesRequest) -> pb.ServiceList:
    """Every service, or those of one namespace; UnknownError when that has none."""
    chosen = [
        service
        for key, service in sorted(world.services.items())
        if not request.namespace or key.namespace == request.namespace
    ]
    if request.namespace and not chosen:
        near = like(request.namespace, {key.namespace for key in world.services})
        raise UnknownError(f"namespace {request.namespace!r} has no service{near}")
    failing = {place.service for place in failing_over(world)}
    return pb.ServiceList(services=[_service(service, failing) for service in chosen])


def endpoints(world: World, request: pb.ListEndpointsRequest) -> pb.EndpointList:
    """The endpoints of one service, by port, cluster and locality. UnknownError, or ValueError."""
    asked = Asked.parse(request.service)
    if asked.subset:
        raise ValueError(f"{request.service!r} names a subset; `explain` shows its endpoints")
    service = found(world, asked.service)
    if asked.port and service.port(asked.port) is None:
        ports = ", ".join(str(port.number) for port in service.ports)
        raise UnknownError(f"service {service.key} has no port {asked.port}; it has {ports or 'none'}")
    listed = [
        _endpoint(number, endpoint)
        for part in service.parts
        for number, ends in part.facts.endpoints.items()
        if not asked.port or number == asked.port
        for endpoint in ends
    ]
    listed.sort(key=lambda e: (e.service_port, e.cluster, e.locality, e.address, e.port))
    return pb.EndpointList(service=str(service.key), endpoints=listed)


def clients(seen: Seen) -> pb.ClientList:
    """All open streams, without names and versions."""
    return pb.ClientList(clients=[_client(client, seen, whole=False) for client in seen.clients])


def client(seen: Seen, request: pb.ShowClientRequest) -> pb.ClientList:
    """One client's open streams with all that each was sent. UnknownError when it has none."""
    chosen = [one for one in seen.clients if one.client.id == request.id]
    if not chosen:
        near = like(request.id, {one.client.id for one in seen.clients})
        raise UnknownError(f"no client {request.id!r} is connected{near}")
    return pb.ClientList(clients=[_client(one, seen, whole=True) for one in chosen])


def explanation(seen: Seen, request: pb.ExplainRequest, now_s: float) -> pb.Explanation:
    """What that vantage is sent. UnknownError, or ValueError."""
    said, world = request.vantage, seen.world
    source = seen.sources.get(said.cluster)
    if source is not None and said.cluster not in world.clusters:
        reason = f": {source.reason}" if source.reason else ""
        raise UnknownError(f"cluster {said.cluster!r} is not known yet{reason}")
    vantage = Vantage(
        locality=Locality.parse(said.locality),
        cluster=said.cluster,
        network=said.network,
        namespace=said.namespace,
        node=said.node,
        labels=dict(said.labels),
    )
    message: pb.Explanation = ParseDict(
        answer(world, Asked.parse(request.service), vantage), pb.Explanation()
    )
    key = ServiceKey.parse(message.service)
    message.remarks.extend(odd_place(world, vantage.locality))
    message.remarks.extend(admin_health.remarks(seen.health, key, message.port, located(world, vantage)))
    message.remarks.extend(told(one, now_s) for one in concerning(seen.orders, world, key))
    return message


def event(happening: Happening) -> pb.Event:
    """One event."""
    return pb.Event(
        number=happening.number,
        at=time_of(happening.at_s),
        kind=happening.kind,
        object=happening.object,
        message=happening.message,
    )


def _failing(place: PlaceHealth) -> pb.FailingOver:
    return pb.FailingOver(
        service=str(place.service),
        port=place.port,
        cluster=place.cluster,
        locality=str(place.locality),
        healthy=place.healthy,
        counted=place.counted,
        leaving_percent=100 - place.stays_percent,
        cause=place.cause,
        source=str(place.source) if place.source is not None else "",
    )


def _service(service: Service, failing: Container[ServiceKey] = ()) -> pb.Service:
    total, ready = _counts(
        e for part in service.parts for ends in part.facts.endpoints.values() for e in ends
    )
    return pb.Service(
        service=str(service.key),
        ports=[pb.Port(number=p.number, name=p.name, protocol=p.protocol) for p in service.ports],
        clusters=[part.cluster for part in service.parts],
        endpoints=total,
        ready_endpoints=ready,
        failing_over=service.key in failing,
    )


def held(what: Held) -> pb.Held:
    """What is held back of a cluster."""
    return pb.Held(
        addresses=what.addresses,
        of=what.of,
        services=what.services,
        since=time_of(what.since_s),
        next_look=time_of(what.next_look_s),
    )


def _cluster(source: SourceStatus, origin: Origin, world: World) -> pb.Cluster:
    facts = world.clusters.get(source.cluster)
    message = pb.Cluster(
        name=source.cluster,
        known=source.known,
        reason=source.reason,
        source=origin.kind,
        server=origin.server,
        held=held(origin.held) if origin.held is not None else None,
    )
    if source.stale_since_s is not None:
        message.stale_since.CopyFrom(time_of(source.stale_since_s))
    if facts is not None:
        message.network = facts.network
        message.locality = str(facts.locality)
        message.services = len(facts.services)
        message.endpoints, message.ready_endpoints = _counts(_all_endpoints(facts))
    return message


def _all_endpoints(facts: ClusterFacts) -> Iterable[Endpoint]:
    for service in facts.services.values():
        for ends in service.endpoints.values():
            yield from ends


def _counts(listed: Iterable[Endpoint]) -> tuple[int, int]:
    ready_by_key = {endpoint.key: endpoint.ready for endpoint in listed}
    return len(ready_by_key), sum(ready_by_key.values())


def _endpoint(service_port: int, endpoint: Endpoint) -> pb.Endpoint:
    return pb.Endpoint(
        service_port=service_port,
        address=endpoint.address,
        port=endpoint.port,
        cluster=endpoint.cluster,
        network=endpoint.network,
        locality=str(endpoint.locality),
        ready=endpoint.ready,
        serving=endpoint.serving,
        terminating=endpoint.terminating,
        weight=endpoint.weight,
        node=endpoint.node,
        pod=endpoint.pod,
    )


def _client(connected: Connected, seen: Seen, *, whole: bool) -> pb.Client:
    who = connected.client
    place = located(seen.world, who.vantage)
    message = pb.Client(
        id=who.id,
        stream=connected.stream_id,
        peer=connected.peer,
        opened_at=time_of(connected.opened_at_s),
        user_agent=who.user_agent,
        proxyless=who.proxyless,
        vantage=pb.Vantage(
            locality=str(place.locality),
            cluster=place.cluster,
            network=place.network,
            namespace=place.namespace,
            node=place.node,
            labels=place.labels,
        ),
        unknown_vantage=_unplaced(connected, seen.world),
        subscriptions=[_subscription(sent, whole=whole) for sent in connected.sent],
        nacks=connected.nacks,
        problems=who.problems,
        identity=who.identity,
    )
    reported_s = seen.health.pace.last_report_s.get(who.id)
    if reported_s is not None:
        message.last_report.CopyFrom(time_of(reported_s))
    return message


def _unplaced(connected: Connected, world: World) -> bool:
    return connected.client.vantage.cluster not in world.clusters


def _subscription(sent: Sent, *, whole: bool) -> pb.Subscription:
    return pb.Subscription(
        type=sent.type_url.rpartition(".")[2],
        wildcard=sent.wildcard,
        sent=len(sent.versions),
        acknowledged=sent.last_nonce == sent.acked_nonce,
        nack=sent.nack,
        subscribed=sorted(sent.subscribed) if whole else (),
        versions=sent.versions if whole else {},
    )
