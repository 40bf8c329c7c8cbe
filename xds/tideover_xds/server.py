"""The xDS server: every variant of every discovery service on grpc.aio, in raw bytes.

It moves bytes between sockets and `wire` streams and decides nothing. Owned tasks: one that ends
streams that are old or wait too long; per stream grpc's own (the reader) and one writer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from itertools import count

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tideover_wire.node import Client
from tideover_wire.resource import TypeUrl
from tideover_wire.stream import Stream, Variant

from .border import Observer, Views
from .resources.services import SERVICES
from .server_options import ServerOptions
from .server_stream import Context, Known, ServedStream, Surroundings

_Handler = Callable[[object, Context], Awaitable[None]]


class XdsServer:
    """Serves views to clients. `touch` after the views' world changed.

    `known` says what a client has proved, in place of what it claims; without it claims count.
    `more` are services that share the port, such as load reports; whoever made them ends their streams.
    """

    def __init__(
        self,
        views: Views,
        observer: Observer,
        *,
        identifier: str,
        options: ServerOptions | None = None,
        more: Iterable[grpc.GenericRpcHandler] = (),
        known: Known | None = None,
    ) -> None:
        options = options or ServerOptions()
        self._around = Surroundings(views, observer, options, known or _as_it_says)
        self._identifier = identifier
        self._numbers = count(1)
        self._streams: dict[int, ServedStream] = {}
        self._stopping = False
        self._looking: asyncio.Task[None] | None = None
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(options=options.arguments())
        more = tuple(more)
        self._server.add_generic_rpc_handlers((*map(self._handlers, SERVICES), *more))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        named = (one.service_name() for one in more if isinstance(one, grpc.ServiceRpcHandler))
        self._names = (*SERVICES, *map(str, named))
        described = (*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(described, self._server)

    def add_port(self, address: str, credentials: grpc.ServerCredentials | None) -> int:
        """Listen there (None: plaintext); the port, chosen when the address says 0. OSError when taken."""
        try:
            if credentials is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, credentials)
        except RuntimeError as error:  # grpc has no other word for it
            raise OSError(f"cannot listen on {address}: {error}") from error
        if not port:
            raise OSError(f"cannot listen on {address}")
        return int(port)

    async def start(self) -> None:
        """Accept clients."""
        await self._server.start()
        for name in ("", *self._names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        self._looking = asyncio.create_task(self._look_after())

    @property
    def streams(self) -> int:
        """How many are open."""
        return len(self._streams)

    def touch(self, changes: Mapping[str, Collection[str]] | None) -> None:
        """These names may have changed (None: all): each stream looks when its writer is free."""
        if changes is None or changes:
            for stream in self._streams.values():
                stream.touch(changes)

    async def stop(self, grace_s: float) -> None:
        """Take no more streams, end every open one with OK, then close; after `grace_s` without asking."""
        self._stopping = True
        await self._health.enter_graceful_shutdown()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        closing = asyncio.ensure_future(self._server.stop(grace_s))
        for stream in list(self._streams.values()):
            stream.end("the server stops")
        await closing

    def _handlers(self, service: str) -> grpc.GenericRpcHandler:
        type_url, methods = SERVICES[service]
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            method: grpc.stream_stream_rpc_method_handler(self._handler(variant, type_url))
            for method, variant in methods.items()
        }
        return grpc.method_handlers_generic_handler(service, handlers)

    def _handler(self, variant: Variant, type_url: TypeUrl | None) -> _Handler:
        async def handle(_requests: object, context: Context) -> None:
            if self._stopping:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the server stops")
            number = next(self._numbers)
            stream = Stream(variant, type_url, self._identifier)
            served = ServedStream(number, context, stream, self._around)
            self._streams[number] = served
            try:
                await served.serve()
            finally:
                del self._streams[number]

        return handle

    async def _look_after(self) -> None:
        """End streams that are old or owe us something for too long; one task for all of them."""
        while True:
            await asyncio.sleep(self._around.options.look_every_s)
            now_s = time.monotonic()
            for stream in list(self._streams.values()):
                reason = stream.overdue(now_s)
                if reason:
                    stream.end(reason)


async def _as_it_says(_context: object, client: Client) -> Client:
    """Of a server that asks nobody for proof."""
    return client
