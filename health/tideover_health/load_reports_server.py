"""Load reports of Envoys and gRPC clients (LRS): asked for at a pace that the fleet's size allows.

Tasks: per stream grpc's own, which reads, and one that asks; one looks after all streams.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import grpc
import structlog

from tideover_wire.node import Client

from . import pace
from .codecs import load_report
from .pace import Allowance, Asked, Clock, Lately, Pace, Slots
from .signals import Report, Voter
from .streams_server import Context, OpenStreams, Sender, StreamLimits, Who
from .turns_server import Turns

MANY = StreamLimits(most=20_000)


@dataclass(frozen=True, slots=True)
class LoadReportOptions:
    """Durations in seconds. `reports_per_second` is the budget of this replica."""

    interval_s: float = 1.0
    reports_per_second: int = 500
    look_every_s: float = 0.5
    # a client that is ended stays away for 5 s, so not more often than it takes
    limits: StreamLimits = MANY


@dataclass(frozen=True, slots=True)
class Reporting:
    """One reporter, for `status` and metrics."""

    client: Client
    voter: Voter
    interval_s: float
    by_endpoint: bool
    reported_s_ago: float  # inf: not yet
    refused: int  # rows and clusters that were not counted
    problem: str = ""  # the last reason


class LoadReportsServer:
    """Serves load reports beside xDS (`handlers`); to be made inside the event loop.

    `told` gets every report. `doubted` says which wire names are to be reported by endpoint; call `touch`
    after it changed. `clusters_taken` after a client's ACK of its clusters. `stop` before the server stops.
    """

    def __init__(
        self,
        told: Callable[[Report], None],
        who: Who,
        doubted: Callable[[], frozenset[str]],
        options: LoadReportOptions | None = None,
    ) -> None:
        self._told, self._who, self._doubted = told, who, doubted
        self._options = options or LoadReportOptions()
        self._streams: dict[int, _Reporter] = {}
        self._by_node: dict[str, set[int]] = {}
        self._slots = Slots()
        self._interval_s = self._options.interval_s
        self._closely: frozenset[int] = frozenset()
        self._looking: asyncio.Task[None] | None = None
        self._open = OpenStreams(self._options.limits)

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """What a grpc server is to serve."""
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(self._serve)
        methods = {load_report.METHOD: handler}
        return (grpc.method_handlers_generic_handler(load_report.SERVICE, methods),)

    @property
    def pace(self) -> Pace:
        """How the fleet reports now."""
        known = self._streams.values()
        per_second = sum(1 / self.wanted(one.number).interval_s for one in known)
        return Pace(self._interval_s, len(known), per_second, len(self._closely))

    @property
    def turns(self) -> Turns:
        """Who reads next."""
        return self._open.turns

    def reporters(self) -> Sequence[Reporting]:
        """All of them, oldest first."""
        now_s = time.monotonic()
        return [one.shown(now_s) for one in self._streams.values()]

    def touch(self) -> None:
        """Look at once whether somebody is to be asked for something else."""
        known = list(self._streams.values())
        rate, before = self._options.reports_per_second, (self._interval_s, self._closely)
        self._interval_s = pace.interval_s(len(known), self._interval_s, self._options.interval_s, rate)
        doubted = self._doubted()
        if doubted or self._closely:
            most = pace.most_by_endpoint(self._interval_s, rate)
            self._closely = pace.by_endpoint(known, doubted, self._closely, most)
        if (self._interval_s, self._closely) != before:  # who may not be asked now is when it next reports
            now_s = time.monotonic()
            for one in known:
                one.ask_if_due(now_s)

    def configure(self, interval_s: float, reports_per_second: int) -> None:
        """Ask for this from now on; each client is told right after its next report."""
        self._options = replace(self._options, interval_s=interval_s, reports_per_second=reports_per_second)
        self.touch()

    def clusters_taken(self, node_id: str) -> None:
        """This client now has its clusters: what it was asked for before it had them is asked again, once.

        Envoy counts only for clusters that it had when it was asked or last reported.
        """
        for number in self._by_node.get(node_id, ()):
            self._streams[number].ask_again()

    def wanted(self, number: int) -> Asked:
        """What a reporter should be asked for."""
        closely = number in self._closely
        # few of them: they need not wait for a large fleet's interval
        quick = closely and len(self._closely) <= pace.ENDPOINT_SHARE * self._options.reports_per_second
        return Asked(self._options.interval_s if quick else self._interval_s, closely)

    async def stop(self) -> None:
        """End every stream with OK and take no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        self._open.stop()

    async def _serve(self, _requests: object, context: Context) -> None:
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_after())
        await self._open.serve(context, partial(self._serve_one, context))

    async def _serve_one(self, context: Context, number: int) -> None:
        client, first = await self._open.first(context, load_report.hello)
        sender = await self._open.sender(context, client, self._who)
        one = self._streams[number] = _Reporter(number, (client, sender), context, self)
        same_node = self._by_node.setdefault(client.id, set())
        same_node.add(number)
        in_s = self._slots.take(time.monotonic(), self._options.reports_per_second, self._interval_s)
        try:
            await one.serve(first, in_s, self._told)
        finally:
            del self._streams[number]
            self._closely -= {number}
            same_node.discard(number)
            if not same_node:
                self._by_node.pop(client.id, None)

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(self._options.look_every_s)
            self.touch()


class _Reporter:
    """One stream, from its opening to its end."""

    def __init__(
        self, number: int, who: tuple[Client, Sender], context: Context, server: LoadReportsServer
    ) -> None:
        self.number = number
        self._client, self._sender = who
        self._context, self._server = context, server
        self._clock, self._allowance, self._lately = Clock(), Allowance(), Lately()
        self._ask = asyncio.Event()
        self._repeated = False
        self._refused, self._problem = 0, ""

    @property
    def names(self) -> frozenset[str]:
        """Wire names that it lately called."""
        return self._lately.names

    async def serve(self, first: bytes, first_in_s: float, told: Callable[[Report], None]) -> None:
        """Read to the end, from the first message on; ask from `first_in_s` on."""
        asking = asyncio.create_task(self._ask_to_the_end(first_in_s))
        raw: object = first
        try:
            while isinstance(raw, bytes) and await self._sender.counts():
                await self._take_in_turn(raw, told)
                raw, now_s = b"", time.monotonic()  # not kept while it waits
                # whoever sends without a pause is read at the pace that it was asked for
                if wait_s := self._allowance.wait_s(now_s, self._interval_s):
                    await asyncio.sleep(wait_s)
                raw = await self._context.read()
        finally:
            asking.cancel()
            await asyncio.wait({asking})

    def ask_if_due(self, now_s: float) -> None:
        """Ask for what is wanted now, if this is the moment."""
        wanted = self._server.wanted(self.number)
        # who was not asked yet waits for its turn
        if self._clock.asked is not None and self._clock.may_ask(wanted, now_s):
            self._ask.set()

    def ask_again(self) -> None:
        """Ask for the same once more, if it was asked before; only once."""
        if self._clock.asked is not None and not self._repeated:
            self._repeated = True
            self._ask.set()

    def shown(self, now_s: float) -> Reporting:
        """It as a value."""
        asked = self._clock.asked or Asked(0.0)
        ago_s = now_s - self._clock.reported_at_s
        return Reporting(self._client, self._sender.voter, *asked, ago_s, self._refused, self._problem)

    @property
    def _interval_s(self) -> float:
        return (self._clock.asked or self._server.wanted(self.number)).interval_s

    async def _take_in_turn(self, raw: bytes, told: Callable[[Report], None]) -> None:
        turns, size = self._server.turns, load_report.size(raw)
        if turns.full(size):
            self._refused, self._problem = self._refused + 1, "too many large reports come at once"
            return
        async with turns.turn(size):
            self._take(raw, told, time.monotonic())

    def _take(self, raw: bytes, told: Callable[[Report], None], now_s: float) -> None:
        counted = load_report.counted(raw)
        if counted.refused:
            self._refused += counted.refused
            if counted.reasons and counted.reasons[0] != self._problem:
                self._problem = counted.reasons[0]
                log, name = structlog.get_logger(), self._client.id
                log.warning("BadLoadReport", client=name, refused=counted.refused, message=self._problem)
        self._lately.add(counted.names, now_s)
        self._clock = self._clock.heard(now_s)
        for interval_s, rows in counted.periods.items():
            told(Report(self._sender.voter, interval_s, tuple(rows)))
        self.ask_if_due(now_s)

    async def _ask_to_the_end(self, first_in_s: float) -> None:
        await asyncio.sleep(first_in_s)
        try:
            while True:
                self._ask.clear()
                wanted = self._server.wanted(self.number)
                await self._context.write(
                    load_report.question(wanted.interval_s, by_endpoint=wanted.by_endpoint)
                )
                self._clock = self._clock.told(wanted, time.monotonic())
                await self._ask.wait()
        except grpc.aio.BaseError:
            return  # the connection is gone, which grpc tells the reader
