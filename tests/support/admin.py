"""A replica made of values, and the admin server of it on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import grpc

from tideover_app.admin_desk import OrderDesk
from tideover_app.admin_server import AdminServer
from tideover_app.admin_writing import Gate
from tideover_app.health_view import HealthView
from tideover_app.replica import Connected, Happening, Kind, Origin, Readiness, Watching
from tideover_core.guard import Held
from tideover_core.latest import Latest
from tideover_core.model import (
    ClusterFacts,
    Endpoint,
    Locality,
    Problem,
    Protocol,
    ServiceFacts,
    ServiceKey,
    ServicePort,
    SourceStatus,
    Vantage,
)
from tideover_core.steering import Site
from tideover_core.world import World, merge
from tideover_health.verdict import Kind as Judged
from tideover_health.verdict import State, Subject, Verdict
from tideover_wire.node import Client
from tideover_wire.resource import TypeUrl
from tideover_wire.stream import Sent

RATINGS = ServiceKey("bookinfo", "ratings")
HTTP = ServicePort(9080, "http", Protocol.HTTP)
SNAPSHOT_AT_S = 1_764_000_000.0


def endpoints(cluster: str, zone: str, ready: Sequence[bool], first: str) -> tuple[Endpoint, ...]:
    region = "eu-west" if cluster == "paris" else "eu-north"
    return tuple(
        Endpoint(f"{first}.{n}", 9080, cluster, "default", Locality(region, zone), ready=ok, pod=f"pod-{n}")
        for n, ok in enumerate(ready, 1)
    )  # fmt: skip


def facts(cluster: str, region: str, ends: tuple[Endpoint, ...], *more: ServiceFacts) -> ClusterFacts:
    ratings = ServiceFacts(RATINGS, (HTTP,), {9080: ends})
    services = {service.key: service for service in (ratings, *more)}
    return ClusterFacts(cluster, "default", Locality(region), services)


def two_clusters(paris_ready: Sequence[bool] = (True, True, False)) -> World:
    """Ratings in paris (not all ready) and dublin; a service of two ports; one with none."""
    pg = ServiceFacts(
        ServiceKey("db", "pg"),
        (ServicePort(5432, "tcp", Protocol.TCP), ServicePort(80, "http", Protocol.HTTP)),
        {5432: (), 80: ()},
    )
    return merge(
        [
            facts("paris", "eu-west", endpoints("paris", "eu-west-a", paris_ready, "10.0.0"), pg),
            facts("dublin", "eu-north", endpoints("dublin", "eu-north-a", (True, True), "10.1.0")),
        ]
    )


def connected(stream: int, client_id: str, cluster: str, nack: str = "") -> Connected:
    vantage = Vantage(Locality("eu-west", "eu-west-a"), cluster, namespace="bookinfo")
    clusters = Sent(
        TypeUrl.CLUSTER, True, ("*",), {"bookinfo/ratings:9080": "v1"}, "2", "1" if nack else "2", nack
    )
    ends = Sent(
        TypeUrl.ENDPOINT,
        False,
        ("bookinfo/ratings:9080", "bookinfo/gone:1"),
        {"bookinfo/ratings:9080": "v2"},
        "3",
        "3",
        "",
    )
    client = Client(client_id, vantage, user_agent="envoy 1.40.0", problems=("port 99999 of x ignored",))
    return Connected(
        stream, f"127.0.0.1:{stream}", client, SNAPSHOT_AT_S, (clusters, ends), nacks=int(bool(nack))
    )


def verdict(state: State = State.DOWN, percent: float = 0.0, **said: Any) -> Verdict:
    """What ratings in paris is judged to be."""
    site = Site("paris", Locality("eu-west", "eu-west-a"))
    causes = ("90 % of calls fail, 4 of 4 voters",)
    known = {"subject": Subject(Judged.SITE, site), "since_s": SNAPSHOT_AT_S, "causes": causes, **said}
    return Verdict(RATINGS, 9080, state=state, percent=percent, **known)


@dataclass
class FakeReplica:
    """What `Replica` shows, as plain values."""

    name: str = "replica-0"
    region: str = "eu-west"
    started_at_s: float = SNAPSHOT_AT_S
    world: Latest[World] = field(default_factory=lambda: Latest(two_clusters()))
    happenings: Latest[tuple[Happening, ...]] = field(default_factory=lambda: Latest(()))
    connected: tuple[Connected, ...] = ()
    refused: tuple[Problem, ...] = ()
    freshness: Mapping[str, SourceStatus] = field(
        default_factory=lambda: {name: SourceStatus(name, known=True) for name in ("paris", "dublin")}
    )
    origin: Mapping[str, Origin] = field(default_factory=dict)
    accepted: list[tuple[str, str]] = field(default_factory=list)
    judged: HealthView = field(default_factory=HealthView)
    orders: OrderDesk | None = None
    is_ready: Readiness = field(default_factory=lambda: Readiness(True))

    def sources(self) -> Mapping[str, SourceStatus]:
        return self.freshness

    def origins(self) -> Mapping[str, Origin]:
        return self.origin

    def watching(self) -> Sequence[Watching]:
        return ()

    def accept_removals(self, cluster: str, author: str) -> Held | None:
        before = self.origin.get(cluster, Origin())
        self.accepted.append((cluster, author))
        self.origin = {**self.origin, cluster: replace(before, held=None)}
        return before.held

    def problems(self) -> Sequence[Problem]:
        return self.refused

    def clients(self) -> Sequence[Connected]:
        return self.connected

    def health(self) -> HealthView:
        return self.judged

    def readiness(self) -> Readiness:
        return self.is_ready

    def happen(self, text: str) -> None:
        number = len(self.happenings.value) + 1
        happening = Happening(
            number, SNAPSHOT_AT_S + number, Kind.SERVICE_FAILING_OVER, f"Service {text}", text
        )
        self.happenings.set((*self.happenings.value, happening))


@asynccontextmanager
async def serving(
    replica: FakeReplica,
    address: str = "127.0.0.1:0",
    credentials: grpc.ServerCredentials | None = None,
    gate: Gate | None = None,
) -> AsyncIterator[str]:
    """The admin server of that replica; its address."""
    server = AdminServer(replica, gate)
    port = server.add_port(address, credentials)
    await server.start()
    try:
        yield address if address.startswith("unix:") else f"127.0.0.1:{port}"
    finally:
        await asyncio.wait_for(server.stop(0), 5)
