"""Envoy's metrics service: what load reports cannot say, total ejection and slow answers.

Envoys choose themselves how often they send, and nobody can tell them otherwise: with many of them only
as many messages are read closely as the rate allows, each Envoy's in turn; the others are dropped unread.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import grpc

from tideover_core.model import Locality
from tideover_wire.node import Client

from .codecs import metrics
from .signals import Members, Voter

Context = grpc.aio.ServicerContext[bytes, bytes]
Who = Callable[[Context, Client], Awaitable[Voter]]


@dataclass(frozen=True, slots=True)
class MetricsOptions:
    """Durations in seconds."""

    most_read_per_second: int = 300
    most_streams: int = 10_000
    first_message_within_s: float = 30.0
    shortest_gap_s: float = 0.1  # between two messages that are taken from one stream
    # over before grpc cuts off what an old connection has: Envoy would eject this replica. 0: never
    age_s: float = 600.0


@dataclass(frozen=True, slots=True)
class MetricsStatus:
    """`read_every_s`: how often each Envoy's word is read at most."""

    streams: int = 0
    read_every_s: float = 0.0
    read: int = 0
    dropped: int = 0


class MetricsServer:
    """Serves the metrics service beside xDS (`handlers`); `end` before the server stops."""

    def __init__(
        self,
        told: Callable[[Members], None],
        who: Who,
        options: MetricsOptions | None = None,
    ) -> None:
        self._told, self._who = told, who
        self._options = options or MetricsOptions()
        self._streams: dict[int, asyncio.Task[object]] = {}
        self._ending: set[int] = set()
        self._stopping = False
        self._read = self._dropped = self._numbers = 0

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """What a grpc server is to serve."""
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_unary_rpc_method_handler(self._serve)
        return (grpc.method_handlers_generic_handler(metrics.SERVICE, {metrics.METHOD: handler}),)

    @property
    def status(self) -> MetricsStatus:
        """How it does now."""
        return MetricsStatus(len(self._streams), self._read_every_s, self._read, self._dropped)

    @property
    def _read_every_s(self) -> float:
        return len(self._streams) / self._options.most_read_per_second

    def end(self) -> None:
        """End every stream with OK, and take no more."""
        self._stopping = True
        for number in list(self._streams):
            self._end(number)

    def _end(self, number: int) -> None:
        if number not in self._ending:
            self._ending.add(number)
            self._streams[number].cancel()

    async def _serve(self, _requests: object, context: Context) -> bytes:
        if self._stopping:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the server stops")
        if len(self._streams) >= self._options.most_streams:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many Envoys send metrics")
        task = asyncio.current_task()
        assert task is not None
        self._numbers += 1
        number = self._numbers
        self._streams[number] = task
        age_s = self._options.age_s * random.uniform(0.8, 1)
        old = asyncio.get_running_loop().call_later(age_s, self._end, number) if age_s else None
        try:
            await self._read_stream(context)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except asyncio.CancelledError:
            if number not in self._ending:
                raise
        finally:
            if old is not None:
                old.cancel()
            del self._streams[number]
            self._ending.discard(number)
        return b""

    async def _read_stream(self, context: Context) -> None:
        try:
            async with asyncio.timeout(self._options.first_message_within_s):
                raw = await context.read()
        except TimeoutError:
            raise ValueError("no message came") from None
        client = metrics.hello(raw) if isinstance(raw, bytes) else None
        if client is None:
            raise ValueError("the first message says nothing of who sends it")
        voter = await self._who(context, client)
        zone = client.vantage.locality.zone  # as its statistics name it, whatever else is known
        read_at_s = 0.0
        while isinstance(raw, bytes):
            now_s = time.monotonic()
            if now_s >= read_at_s:
                # a little early: who sends as often as is read must not miss every other turn by chance
                read_at_s = now_s + 0.9 * self._read_every_s
                self._take(raw, voter, zone)
            else:
                self._dropped += 1
            await asyncio.sleep(self._options.shortest_gap_s)
            raw = await context.read()

    def _take(self, raw: bytes, voter: Voter, zone: str) -> None:
        self._read += 1
        found = metrics.clusters(raw, zone)
        for name, cluster in found.items():
            # Envoy knows zones only
            latency = tuple((Locality(zone=to), ms) for to, ms in sorted(cluster.latency_ms.items()))
            self._told(Members(voter, name, cluster.total, cluster.healthy, cluster.ejected, latency))
