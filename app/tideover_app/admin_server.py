"""The admin API over gRPC, with reflection and the standard health service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NoReturn, ParamSpec, TypeVar

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tideover_proto.admin.v1 import admin_pb2 as pb
from tideover_proto.admin.v1 import admin_pb2_grpc

from . import admin_answers as answers
from .admin_orders import DryRuns, OrderCalls, short
from .admin_writing import Gate
from .explain import UnknownError, like
from .replica import Replica

NAME = "tideover.admin.v1.Admin"
P = ParamSpec("P")
T = TypeVar("T")
Context = grpc.aio.ServicerContext[Any, Any]
_OPTIONS = [
    ("grpc.so_reuseport", 0),  # or a second replica would quietly share the port
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ("grpc.http2.max_ping_strikes", 0),
]


class AdminServer:
    """Serves one replica. To be made and used inside the event loop of that replica."""

    def __init__(self, replica: Replica, gate: Gate | None = None) -> None:
        self._sockets: list[str] = []
        self._server = grpc.aio.server(options=_OPTIONS)
        self._health = health.aio.HealthServicer()
        admin_pb2_grpc.add_AdminServicer_to_server(
            _Admin(replica, self._sockets, gate or Gate()), self._server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    def add_port(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listen on `HOST:PORT` or `unix:/path`; the port taken. OSError when that is not possible."""
        try:
            if address.startswith("unix:"):
                self._sockets.append(address)
            if credentials is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise OSError(f"the admin API cannot listen on {address}: is the port in use?") from error

    async def start(self) -> None:
        """Begin to answer."""
        await self._server.start()
        for name in ("", NAME):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace_s: float = 0.5) -> None:
        """Take no more calls; those running may end by themselves for that long."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)


class _Admin(OrderCalls, admin_pb2_grpc.AdminServicer):  # type: ignore[misc]  # generated code is untyped
    """One method per call: look at the replica on its loop, make the answer off it."""

    def __init__(self, replica: Replica, sockets: Sequence[str], gate: Gate) -> None:
        self._replica = replica
        self._gate = gate
        self._dry_runs = DryRuns()
        self._sockets = sockets

    async def AcceptRemovals(  # noqa: N802
        self, request: pb.AcceptRemovalsRequest, context: Context
    ) -> pb.AcceptRemovalsResponse:
        who = await self._author(context)
        clusters = self._replica.sources()
        if request.cluster not in clusters:
            near = like(request.cluster, set(clusters))
            message = f"there is no cluster {request.cluster!r}{near}"
            await _refuse(context, grpc.StatusCode.NOT_FOUND, message)
        held = self._replica.accept_removals(request.cluster, who)
        if held is None:
            message = f"nothing of cluster {request.cluster!r} is held back"
            await _refuse(context, grpc.StatusCode.FAILED_PRECONDITION, message)
        return pb.AcceptRemovalsResponse(accepted=answers.held(held))

    async def _author(self, context: Context) -> str:
        """Who calls; the call ends here for someone who may only read."""
        try:
            return await self._gate.author(context, self._sockets)
        except PermissionError as error:
            await _refuse(context, grpc.StatusCode.PERMISSION_DENIED, error)

    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.Status:  # noqa: N802
        return await _answered(context, answers.status, answers.Seen.of(self._replica), time.time())

    async def ListServices(  # noqa: N802
        self, request: pb.ListServicesRequest, context: Context
    ) -> pb.ServiceList:
        return await _answered(context, answers.services, self._replica.world.value, request)

    async def ListEndpoints(  # noqa: N802
        self, request: pb.ListEndpointsRequest, context: Context
    ) -> pb.EndpointList:
        return await _answered(context, answers.endpoints, self._replica.world.value, request)

    async def ListClients(  # noqa: N802
        self, request: pb.ListClientsRequest, context: Context
    ) -> pb.ClientList:
        return await _answered(context, answers.clients, answers.Seen.of(self._replica))

    async def ShowClient(self, request: pb.ShowClientRequest, context: Context) -> pb.ClientList:  # noqa: N802
        return await _answered(context, answers.client, answers.Seen.of(self._replica), request)

    async def Explain(self, request: pb.ExplainRequest, context: Context) -> pb.Explanation:  # noqa: N802
        seen = answers.Seen.of(self._replica)
        return await _answered(context, answers.explanation, seen, request, time.time())

    async def ListEvents(  # noqa: N802
        self, request: pb.ListEventsRequest, context: Context
    ) -> AsyncIterator[pb.Event]:
        await context.send_initial_metadata(())  # a follower of a quiet system knows that it is heard
        happenings = self._replica.happenings
        version, events, last = happenings.version, happenings.value, request.after
        while True:
            for happening in events:
                if happening.number > last:
                    last = happening.number
                    yield answers.event(happening)
            if not request.follow:
                return
            version, events = await happenings.after(version)


async def _answered(context: Context, make: Callable[P, T], *seen: P.args, **none: P.kwargs) -> T:
    try:
        # a large world takes a while to describe; pushes must not wait for it
        return await asyncio.to_thread(make, *seen, **none)
    except UnknownError as error:
        await _refuse(context, grpc.StatusCode.NOT_FOUND, error)
    except ValueError as error:
        await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, error)


async def _refuse(context: Context, code: grpc.StatusCode, why: object) -> NoReturn:
    await context.abort(code, short(why))
    raise AssertionError("abort raises")
