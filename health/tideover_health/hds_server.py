"""Health Discovery Service: Envoys check endpoints for us, so that each is seen from several places.

One task shares out the work, a little after who is there or what is wanted changed; each stream has a reader
(grpc's own task) and a writer. A stream that came again is told what to check again.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import grpc

from tideover_core.latest import Latest
from tideover_core.world import World, located
from tideover_wire.node import Client

from .active.checkers import Checker, assign
from .active.checks import Target, signals
from .codecs import hds
from .signals import Checked
from .streams_server import LIMITS, Context, OpenStreams, Sender, StreamLimits, Who
from .turns_server import Shares

SHARES = Shares(usual=0.1, large=0.05)


@dataclass(frozen=True, slots=True)
class HdsOptions:
    """Durations in seconds."""

    report_every_s: float = 1.0
    most_reports_per_second: int = 200  # more Envoys than this report less often
    # each change restarts an Envoy's wait for its next report
    share_out_every_s: float = 2.0
    shortest_gap_s: float = 0.1  # between two reports that are read from one stream
    limits: StreamLimits = LIMITS


@dataclass(frozen=True, slots=True)
class HdsStatus:
    """`checkers` offer to check; `checked` endpoints are shared out among `working` of them."""

    checkers: int = 0
    working: int = 0
    checked: int = 0
    report_every_s: float = 0.0
    results: int = 0


@dataclass(slots=True)
class _Asked:
    """One endpoint that an Envoy was asked to check, since when, and what it said."""

    target: Target
    since_s: float
    heard: bool = False
    left: int = 0  # successes that are signals still, after a failure


class _Stream:
    """One Envoy. `orders` is what it is to check, serialised: only the newest is sent."""

    def __init__(self, number: int, context: Context, sender: Sender, checker: Checker) -> None:
        self.number, self.sender, self.checker = number, sender, checker
        self.asked: dict[tuple[str, tuple[str, int]], _Asked] = {}
        self.targets: tuple[Target, ...] = ()
        self.every_s = 0.0
        self._context = context
        self._orders: Latest[bytes] = Latest(b"")

    def ask(self, targets: tuple[Target, ...], every_s: float, now_s: float) -> None:
        """Check these from now on, unless it does already. Nothing is sent to who never had anything."""
        if (targets, every_s) == (self.targets, self.every_s) or not (targets or self.targets):
            return
        before = self.asked
        self.asked = {}
        for target in targets:
            key = (target.name, (target.address, target.port))
            known = before.get(key)
            same = known is not None and known.target.check == target.check
            self.asked[key] = known if known and same else _Asked(target, now_s)
            self.asked[key].target = target
        self.targets, self.every_s = targets, every_s
        self._orders.set(hds.specifier(targets, every_s))

    async def write(self) -> None:
        """Send what it is to check, whenever that is new, until the connection is gone."""
        version = 0
        try:
            while True:
                version, orders = await self._orders.after(version)
                await self._context.write(orders)
        except grpc.aio.BaseError:
            return


class HdsServer:
    """Serves HDS beside xDS (`handlers`), while `run` runs. `wanted` is what `Targets.of` makes."""

    def __init__(
        self,
        told: Callable[[Checked], None],
        who: Who,
        wanted: Latest[tuple[Target, ...]],
        world: Callable[[], World],
        options: HdsOptions | None = None,
    ) -> None:
        self._told, self._who, self._wanted, self._world = told, who, wanted, world
        self._options = options or HdsOptions()
        self._streams: dict[int, _Stream] = {}
        self._open = OpenStreams(self._options.limits, SHARES)
        self._changed = asyncio.Event()
        self._results = 0
        self._every_s = self._options.report_every_s

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """What a grpc server is to serve."""
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(self._serve)
        return (grpc.method_handlers_generic_handler(hds.SERVICE, {hds.METHOD: handler}),)

    @property
    def status(self) -> HdsStatus:
        """How it does now."""
        working = [stream for stream in self._streams.values() if stream.targets]
        checked = {target.key for stream in working for target in stream.targets}
        return HdsStatus(len(self._streams), len(working), len(checked), self._every_s, self._results)

    async def run(self) -> None:
        """Share out the work until cancelled; then every stream ends with OK."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(), name="what Envoys are to check")
                while True:
                    await self._changed.wait()
                    self._changed.clear()
                    self._share_out()
                    await asyncio.sleep(self._options.share_out_every_s)
        finally:
            self._open.stop()

    async def _follow(self) -> None:
        version = self._wanted.version
        self._changed.set()
        while True:
            version, _ = await self._wanted.after(version)
            self._changed.set()

    def _share_out(self) -> None:
        checkers = [stream.checker for stream in self._streams.values()]
        work = assign(checkers, self._wanted.value)
        working = sum(1 for targets in work.values() if targets)
        needed_s = working / self._options.most_reports_per_second
        # whole intervals: an Envoy more or less changes nothing for the others
        base_s = self._options.report_every_s
        self._every_s = base_s * max(1, math.ceil(needed_s / base_s))
        now_s = time.monotonic()
        for number, targets in work.items():
            self._streams[number].ask(targets, self._every_s, now_s)

    async def _serve(self, _requests: object, context: Context) -> None:
        await self._open.serve(context, partial(self._serve_one, context))

    async def _serve_one(self, context: Context, number: int) -> None:
        client, _ = await self._open.first(context, hds.hello)
        stream = await self._opened(number, context, client)
        writer = asyncio.create_task(self._write(stream))
        try:
            await self._read(stream, context)
        finally:
            del self._streams[number]
            self._changed.set()
            writer.cancel()
            await asyncio.wait({writer})

    async def _write(self, stream: _Stream) -> None:
        await stream.write()
        # the connection is gone; if it is not, the client comes again and is told again
        self._open.end(stream.number)

    async def _opened(self, number: int, context: Context, client: Client) -> _Stream:
        sender = await self._open.sender(context, client, self._who)
        voter = sender.voter
        vantage = located(self._world(), client.vantage)
        checker = Checker(
            number,
            id=f"{voter.id} {client.id}",
            network=vantage.network,
            locality=voter.locality if voter.proven else vantage.locality,
            node=voter.node if voter.proven else vantage.node,
            proven=voter.proven,
        )
        stream = self._streams[number] = _Stream(number, context, sender, checker)
        self._changed.set()
        return stream

    async def _read(self, stream: _Stream, context: Context) -> None:
        while isinstance(raw := await context.read(), bytes) and await stream.sender.counts():
            if not self._open.turns.full(len(raw)):
                async with self._open.turns.turn(len(raw)):
                    now_s = time.monotonic()
                    for result in hds.results(raw):
                        self._take(stream, result, now_s)
            await asyncio.sleep(self._options.shortest_gap_s)

    def _take(self, stream: _Stream, result: hds.Result, now_s: float) -> None:
        asked = stream.asked.get((result.name, result.address))
        if asked is None:
            return  # it was not asked, or is not any more
        check = asked.target.check
        # until an Envoy has looked it says UNHEALTHY
        if (
            not result.healthy
            and not asked.heard
            and now_s - asked.since_s < check.interval_s + check.timeout_s
        ):
            return
        asked.heard = True
        self._results += 1
        counts, asked.left = signals(asked.target, result.healthy, asked.left)
        if counts:
            detail = "passed" if result.healthy else "timed out" if result.timed_out else "failed"
            self._told(Checked(stream.sender.voter, result.name, result.address, result.healthy, detail))
