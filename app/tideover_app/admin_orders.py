"""The calls of the admin API about orders: what was typed is read, asked of the desk, and shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from tideover_core.dry_run import Outlook
from tideover_proto.admin.v1 import admin_pb2 as pb

from .admin_desk import OrderDesk
from .explain import UnknownError
from .ordering import OpenCalls, Placed, RefusedError, Shown, Wanted, wanted
from .replica import Replica

Context = grpc.aio.ServicerContext[Any, Any]
UNKNOWN = -1.0  # of a number that is not known
LONGEST_ERROR = 2000  # characters
MOST_DRY_RUNS = 10  # at a time, those that wait with them


class DryRuns:
    """One at a time, as whoever may read may ask, and each takes the planner a while."""

    def __init__(self) -> None:
        self._lock, self._asked = asyncio.Lock(), 0

    async def run(self, desk: OrderDesk, asked: Wanted) -> Placed:
        """In its turn. RefusedError: too many wait already."""
        if self._asked >= MOST_DRY_RUNS:
            raise RefusedError("too many dry runs are asked for at once; try again")
        self._asked += 1
        try:
            async with self._lock:
                return await desk.try_out(asked)
        finally:
            self._asked -= 1


class OrderCalls:
    """The part of the servicer that is about orders."""

    _replica: Replica
    _dry_runs: DryRuns

    _author: Callable[[Context], Awaitable[str]]

    async def ListOrders(self, request: pb.ListOrdersRequest, context: Context) -> pb.OrderList:  # noqa: N802 (gRPC names it)
        """Those in force, those that return, and objects that are refused."""
        desk = await self._desk(context)
        return pb.OrderList(orders=[shown(one) for one in desk.listed()])

    async def PlaceOrder(  # noqa: N802 (gRPC names it)
        self, request: pb.PlaceOrderRequest, context: Context
    ) -> pb.PlaceOrderResponse:
        """Take an order, or with `dry_run` tell what it would do."""
        author = "" if request.dry_run else await self._author(context)
        desk = await self._desk(context)
        try:
            asked = _asked(request)
            placed = await (self._dry_runs.run(desk, asked) if request.dry_run else desk.place(asked, author))
        except UnknownError as error:
            await _end(context, grpc.StatusCode.NOT_FOUND, error)
        except ValueError as error:
            await _end(context, grpc.StatusCode.INVALID_ARGUMENT, error)
        except RefusedError as error:
            await _end(context, grpc.StatusCode.FAILED_PRECONDITION, error)
        return _response(placed)

    async def UndoOrder(self, request: pb.UndoOrderRequest, context: Context) -> pb.Order:  # noqa: N802 (gRPC names it)
        """End an order."""
        author = await self._author(context)
        desk = await self._desk(context)
        try:
            return shown(await desk.undo(request.order, author))
        except UnknownError as error:
            await _end(context, grpc.StatusCode.NOT_FOUND, error)
        except RefusedError as error:
            await _end(context, grpc.StatusCode.FAILED_PRECONDITION, error)

    async def _desk(self, context: Context) -> OrderDesk:
        desk = self._replica.orders
        if desk is None:
            await _end(context, grpc.StatusCode.UNIMPLEMENTED, "this control plane keeps no orders")
        return desk


def short(why: object) -> str:
    """The text of an error, which travels as metadata: 16 kB of that are too much for most clients."""
    text = str(why)
    return text if len(text) <= LONGEST_ERROR else f"{text[:LONGEST_ERROR]}…"


def shown(one: Shown) -> pb.Order:
    """An order as it is now."""
    order = one.order
    message = pb.Order(
        name=order.name,
        namespace=order.namespace,
        action=order.action,
        target=str(order.target),
        to="" if order.to is None else str(order.to),
        percent=order.percent,
        percent_now=round(one.percent, 3),
        state=one.state,
        reason=order.reason,
        author=order.author,
        placed_at=_time(one.placed_at_s),
        next_in_seconds=UNKNOWN if one.next_s is None else round(one.next_s, 3),
        why=one.why,
        overlaps=one.overlaps,
        kept=one.kept,
        force_empty=order.force_empty,
        over_seconds=order.over_s,
        streams=[_streams(streams) for streams in one.streams],
    )
    if order.expires_at_s is not None:
        message.expires_at.CopyFrom(_time(order.expires_at_s))
    return message


def _asked(request: pb.PlaceOrderRequest) -> Wanted:
    asked = wanted(
        request.action,
        request.target,
        request.percent,
        request.to,
        request.over_seconds,
        request.for_seconds,
        request.reason,
    )
    return asked.forced() if request.force_empty else asked


def _response(placed: Placed) -> pb.PlaceOrderResponse:
    return pb.PlaceOrderResponse(
        order=shown(placed.shown),
        outlook=_outlook(placed.outlook),
        refusal=placed.refusal,
        remarks=placed.remarks,
    )


def _outlook(seen: Outlook) -> pb.Outlook:
    return pb.Outlook(
        endpoints=seen.endpoints,
        loads_known=seen.loads_known,
        moves=[
            pb.Move(
                service=str(one.service),
                port=one.port,
                from_cluster=one.origin.cluster,
                from_locality=str(one.origin.locality),
                to_cluster=one.to.cluster,
                to_locality=str(one.to.locality),
                percent=round(one.percent, 3),
                requests_per_second=_known(one.per_s),
            )
            for one in seen.moves
        ],
        filled=[
            pb.Filled(
                service=str(one.service),
                port=one.port,
                cluster=one.site.cluster,
                locality=str(one.site.locality),
                before_percent=round(one.before_percent, 3),
                after_percent=round(one.after_percent, 3),
                endpoints=one.endpoints,
                requests_per_second=_known(one.per_s),
                capacity=_known(one.capacity_per_s),
                too_much=one.too_much,
            )
            for one in seen.filled
        ],
        bereft=[
            pb.Bereft(
                service=str(one.service), port=one.port, locality=str(one.locality), cluster=one.cluster
            )
            for one in seen.bereft
        ],
    )


def _streams(one: OpenCalls) -> pb.OpenStreams:
    return pb.OpenStreams(
        service=str(one.service),
        port=one.port,
        protocol=one.protocol,
        locality=str(one.locality),
        open=one.open,
        reporters=one.reporters,
    )


def _known(value: float | None) -> float:
    return UNKNOWN if value is None else round(value, 3)


def _time(unix_s: float) -> Timestamp:
    seconds, milliseconds = divmod(round(unix_s * 1000), 1000)
    return Timestamp(seconds=seconds, nanos=milliseconds * 1_000_000)


async def _end(context: Context, code: grpc.StatusCode, why: object) -> NoReturn:
    await context.abort(code, short(why))
    raise AssertionError("abort raises")
