"""The xDS server in this process, over a world that a test replaces; and Envoys that it configures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from support.envoy import Envoy, ads_bootstrap, running_envoy
from support.ports import free_ports
from support.wait import until
from support.xds_worlds import RATINGS
from tideover_core.world import World
from tideover_wire.events import Event, Nacked
from tideover_wire.node import Client
from tideover_wire.resource import TypeUrl
from tideover_wire.stream import Stream
from tideover_xds.cache import Cache
from tideover_xds.server import XdsServer
from tideover_xds.server_options import ServerOptions


@dataclass
class Heard:
    """What the server said of its streams, in order."""

    clients: dict[int, Client] = field(default_factory=dict)
    streams: dict[int, Stream] = field(default_factory=dict)
    events: list[tuple[int, Event]] = field(default_factory=list)
    ended: dict[int, str] = field(default_factory=dict)

    def opened(self, stream_id: int, peer: str, client: Client, stream: Stream) -> None:
        assert peer
        self.clients[stream_id], self.streams[stream_id] = client, stream

    def event(self, stream_id: int, event: Event) -> None:
        self.events.append((stream_id, event))

    def closed(self, stream_id: int, reason: str) -> None:
        assert stream_id not in self.ended, "closed twice"
        self.ended[stream_id] = reason

    def nacks(self) -> list[str]:
        """Messages of refusals; `[]` is what every test wants."""
        return [event.message for _, event in self.events if isinstance(event, Nacked)]


@dataclass
class Serving:
    """A running server; `replace` gives it the next world."""

    cache: Cache
    server: XdsServer
    heard: Heard
    port: int

    @property
    def world(self) -> World:
        return self.cache.world

    def replace(self, world: World) -> None:
        """What `run` does at every change."""
        self.server.touch(self.cache.update(world))


@asynccontextmanager
async def serving_xds(
    world: World,
    options: ServerOptions | None = None,
    *,
    more: Iterable[grpc.GenericRpcHandler] = (),
    port: int = 0,
) -> AsyncIterator[Serving]:
    """A server on a free port, for the length of a block; `more` services beside it."""
    cache, heard = Cache(world), Heard()
    server = XdsServer(cache, heard, identifier="test-replica", options=options, more=more)
    port = server.add_port(f"127.0.0.1:{port}", None)
    await server.start()
    try:
        yield Serving(cache, server, heard, port)
    finally:
        await server.stop(1)


@dataclass(frozen=True, slots=True)
class Sidecar:
    """An Envoy and the local ports that its application uses."""

    envoy: Envoy
    http: int
    tcp: Mapping[str, int]


@asynccontextmanager
async def sidecar(
    port: int, folder: Path, *, tcp: tuple[str, ...] = (), delta: bool = True, **metadata: Any
) -> AsyncIterator[Sidecar]:
    """A real Envoy in paris, namespace bookinfo, configured by the server on `port`."""
    http_port, *tcp_ports = free_ports(1 + len(tcp))
    wishes = dict(zip(tcp, tcp_ports, strict=True))
    said = {"CLUSTER_ID": "paris", "NAMESPACE": "bookinfo", "HTTP_PORT": http_port, "TCP_PORTS": wishes}
    bootstrap = ads_bootstrap(port, metadata=said | metadata, delta=delta)
    async with running_envoy(bootstrap, folder) as envoy:
        yield Sidecar(envoy, http_port, wishes)


async def applied(xds: Serving, world: World) -> None:
    """The world is the newest, and the only client has acknowledged what follows of `ratings`."""
    wanted = Cache(world).view(next(iter(xds.heard.clients.values()))).get(TypeUrl.ENDPOINT, RATINGS)
    xds.replace(world)
    assert wanted is not None

    def acknowledged() -> bool:
        (stream,) = xds.heard.streams.values()
        (sent,) = [one for one in stream.sent() if one.type_url == TypeUrl.ENDPOINT]
        return sent.versions.get(RATINGS) == wanted.version and sent.acked_nonce == sent.last_nonce

    await until(acknowledged, what="the new endpoints are acknowledged")
