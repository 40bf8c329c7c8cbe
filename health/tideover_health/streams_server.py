"""What the streams of load reports, health discovery and metrics have in common: how many there may be, the
first message that says who it is, whether its word still counts, and an end with OK.

A stream of an old connection must be over before grpc cuts it off, for which Envoy would eject this replica.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import grpc

from tideover_wire.node import Client

from .signals import Voter
from .turns_server import Shares, Turns

Context = grpc.aio.ServicerContext[bytes, bytes]
Who = Callable[[Context, Client], Awaitable[Voter]]
Hello = Callable[[bytes], Client | None]  # ValueError: it cannot be read


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Durations in seconds. Streams end with OK at 80 to 100 % of `age_s`; 0: never.

    `again_s`: how often it is looked at who sends, at the next message.
    """

    most: int = 10_000
    first_message_within_s: float = 30.0
    age_s: float = 600.0
    again_s: float = 30.0


LIMITS, SHARES = StreamLimits(), Shares()


class Sender:
    """Whose word a stream's is. Certificates and tokens end, clusters and trust are taken away, and API
    servers that did not answer do so again, while a stream lasts."""

    def __init__(self, voter: Voter, ask: Callable[[], Awaitable[Voter]], again_s: float) -> None:
        self.voter = voter
        self._ask, self._again_s = ask, again_s
        self._due_s = self._next_s(time.monotonic())

    async def counts(self) -> bool:
        """Whether its word counts, at each message. No: what proved it is gone, and the stream is to end with
        OK. The client comes back with what it has now, or shares the vote of those without proof."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            return True
        self._due_s = self._next_s(now_s)
        before, self.voter = self.voter, await self._ask()
        return self.voter.proven or not before.proven

    def _next_s(self, now_s: float) -> float:
        return now_s + self._again_s * random.uniform(0.8, 1)


class OpenStreams:
    """The open streams of one service. Each is served in grpc's own task, and reads in its `turns`."""

    def __init__(self, limits: StreamLimits, shares: Shares = SHARES) -> None:
        self.turns = Turns(shares)
        self._limits = limits
        self._tasks: dict[int, asyncio.Task[object]] = {}
        self._ending: set[int] = set()
        self._stopping = False
        self._last = 0

    def __len__(self) -> int:
        return len(self._tasks)

    def end(self, number: int) -> None:
        """End one with OK, as soon as the loop turns."""
        if number in self._tasks and number not in self._ending:
            self._ending.add(number)
            self._tasks[number].cancel()

    def stop(self) -> None:
        """End all with OK, and take no more."""
        self._stopping = True
        for number in list(self._tasks):
            self.end(number)

    async def serve(self, context: Context, body: Callable[[int], Awaitable[None]]) -> None:
        """Serve a stream to its end: `body` gets its number, which is never used twice. A ValueError of it
        refuses the stream."""
        if self._stopping:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the server stops")
        if len(self._tasks) >= self._limits.most:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many clients have such a stream")
        task = asyncio.current_task()
        assert task is not None
        self._last += 1
        number = self._last
        self._tasks[number] = task
        age_s = self._limits.age_s * random.uniform(0.8, 1)
        old = asyncio.get_running_loop().call_later(age_s, self.end, number) if age_s else None
        try:
            # before anything is written: two at once would cost the first message
            await context.send_initial_metadata(())
            await body(number)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except asyncio.CancelledError:
            if number not in self._ending:
                raise
        finally:
            if old is not None:
                old.cancel()
            del self._tasks[number]
            self._ending.discard(number)

    async def sender(self, context: Context, client: Client, who: Who) -> Sender:
        """Who sends on this stream."""
        return Sender(await who(context, client), partial(who, context, client), self._limits.again_s)

    async def first(self, context: Context, hello: Hello) -> tuple[Client, bytes]:
        """Who sends, and the first message, which says so. ValueError: it does not, or none comes."""
        try:
            async with asyncio.timeout(self._limits.first_message_within_s):
                raw = await context.read()
        except TimeoutError:
            raise ValueError("no message came") from None
        if not isinstance(raw, bytes) or self.turns.full(len(raw)):
            raise ValueError("no message that could be read came")
        async with self.turns.turn(len(raw)):
            client = hello(raw)
        if client is None:
            raise ValueError("the first message says nothing of who sends it")
        return client, raw
