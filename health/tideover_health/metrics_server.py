"""Envoy's metrics service: what load reports cannot say, total ejection and slow answers.

Envoys choose themselves how often they send, and nobody can tell them otherwise: with many of them only
as many messages are read closely as the rate allows, each Envoy's in turn; the others are dropped unread.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import grpc

from tideover_core.model import Locality

from .codecs import metrics
from .signals import Members, Voter
from .streams_server import LIMITS, Context, OpenStreams, StreamLimits, Who
from .turns_server import Shares

SHARES = Shares(usual=0.15, large=0.1)


@dataclass(frozen=True, slots=True)
class MetricsOptions:
    """Durations in seconds."""

    most_read_per_second: int = 300
    shortest_gap_s: float = 0.1  # between two messages that are taken from one stream
    limits: StreamLimits = LIMITS


@dataclass(frozen=True, slots=True)
class MetricsStatus:
    """`read_every_s`: how often each Envoy's word is read at most. `ejections` of endpoints by Envoys, by
    cause, that were seen to happen since the start."""

    streams: int = 0
    read_every_s: float = 0.0
    read: int = 0
    dropped: int = 0
    ejections: Mapping[str, int] = field(default_factory=dict)


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
        self._open = OpenStreams(self._options.limits, SHARES)
        self._read = self._dropped = 0
        self._ejections: Counter[str] = Counter()

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """What a grpc server is to serve."""
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_unary_rpc_method_handler(self._serve)
        return (grpc.method_handlers_generic_handler(metrics.SERVICE, {metrics.METHOD: handler}),)

    @property
    def status(self) -> MetricsStatus:
        """How it does now."""
        return MetricsStatus(
            len(self._open), self._read_every_s, self._read, self._dropped, dict(self._ejections)
        )

    @property
    def _read_every_s(self) -> float:
        return len(self._open) / self._options.most_read_per_second

    def end(self) -> None:
        """End every stream with OK, and take no more."""
        self._open.stop()

    async def _serve(self, _requests: object, context: Context) -> bytes:
        await self._open.serve(context, partial(self._read_stream, context))
        return b""

    async def _read_stream(self, context: Context, _number: int) -> None:
        client, raw = await self._open.first(context, metrics.hello)
        sender = await self._open.sender(context, client, self._who)
        zone = client.vantage.locality.zone  # as its statistics name it, whatever else is known
        read_at_s = 0.0
        counts = metrics.Counts()
        while isinstance(raw, bytes) and await sender.counts():
            now_s = time.monotonic()
            if now_s >= read_at_s and not self._open.turns.full(len(raw)):
                # a little early: who sends as often as is read must not miss every other turn by chance
                read_at_s = now_s + 0.9 * self._read_every_s
                async with self._open.turns.turn(len(raw)):
                    self._take(raw, sender.voter, zone, counts)
            else:
                self._dropped += 1
            raw = b""  # not kept while it waits
            await asyncio.sleep(self._options.shortest_gap_s)
            raw = await context.read()

    def _take(self, raw: bytes, voter: Voter, zone: str, counts: metrics.Counts) -> None:
        self._read += 1
        found = metrics.clusters(raw, zone)
        self._ejections += counts.grown(found)
        for name, cluster in found.items():
            # Envoy knows zones only
            latency = tuple((Locality(zone=to), ms) for to, ms in sorted(cluster.latency_ms.items()))
            self._told(Members(voter, name, cluster.total, cluster.healthy, cluster.ejected, latency))
