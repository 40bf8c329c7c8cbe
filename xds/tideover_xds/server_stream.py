"""One open stream: its reader runs in grpc's own task, its writer in one beside it.

The reader feeds requests to the protocol (`wire`), the writer pulls responses from it, one write at
a time. Nothing is queued: a client that reads slowly costs one pending write.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

import grpc
import structlog

from tideover_wire.events import Event, Opened, Refused, Wants
from tideover_wire.node import Client
from tideover_wire.resource import View
from tideover_wire.stream import Stream
from tideover_wire.subscription import WILDCARD

from .border import Observer, Views
from .resources.listener import with_usable_ports
from .server_options import ServerOptions

_TURN_S = 0.01  # how long one stream may keep the event loop to itself
_MOST_UNBUILT = 64  # subscriptions noted to be built in turns; who asks more often and does not read waits

Context = grpc.aio.ServicerContext[bytes, bytes]
# what a client has proved by its connection and its call, instead of what its node claims
Known = Callable[[Context, Client], Awaitable[Client]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all streams of a server share."""

    views: Views
    observer: Observer
    options: ServerOptions
    known: Known


class ServedStream:
    """A stream of either variant, from its opening to its end."""

    def __init__(self, number: int, context: Context, stream: Stream, around: Surroundings) -> None:
        self._number, self._context, self._stream, self._around = number, context, stream, around
        self._view: View | None = None
        self._idle: asyncio.Future[None] | None = None  # the writer waits here
        self._unbuilt: list[Wants] = []  # new subscriptions; the first of its kind costs the most
        self._task: asyncio.Task[object] | None = None
        self._ending = ""  # why we end it, with OK
        self._failure: Refused | None = None  # a mistake of ours that ends it
        self._owed_since_s: float | None = None  # since when the client owes us a word
        age_s = around.options.connection_age_s
        # not all at once, when a restart brought all at once
        self._old_at_s = time.monotonic() + age_s * random.uniform(0.8, 1) if age_s else math.inf

    async def serve(self) -> None:
        """Read and write until one side ends. Raises what grpc is to report; returning means OK."""
        self._task = asyncio.current_task()
        writer = asyncio.create_task(self._write_to_the_end())
        reason = "the client cancelled it or its connection broke"
        try:
            # before the first response: grpc would send them once more when that is cut short by the end
            await self._context.send_initial_metadata(())
            refused = await self._read()
            reason = f"{refused.code}: {refused.message}" if refused else "the client closed it"
        except asyncio.CancelledError:
            if self._failure is None and not self._ending:
                raise
            refused = self._failure
            reason = f"{refused.code}: {refused.message}" if refused else self._ending
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise
        finally:
            # before any await: grpc cancels this task more than once when a client breaks off
            writer.cancel()
            if self._view is not None:
                self._around.observer.closed(self._number, reason)
            await asyncio.wait({writer})
        if refused is not None:
            await self._context.abort(grpc.StatusCode[refused.code], refused.message)

    def touch(self, changes: Mapping[str, Collection[str]] | None) -> None:
        """Something may have changed: `Stream.touch`, and let the writer look."""
        self._stream.touch(changes)
        self._wake()

    def end(self, reason: str) -> None:
        """End it with OK, as soon as the loop turns."""
        if not self._ending and self._task is not None:
            self._ending = reason
            self._task.cancel()

    def overdue(self, now_s: float) -> str:
        """Why it is to end: it is old, or waited too long for something the client owes. Else empty."""
        if now_s >= self._old_at_s:
            return "it is old; the client may come back to a nearer replica"
        if self._view is None:
            waits_for, within_s = "request", self._around.options.first_request_within_s
        elif self._stream.lacks_clusters:
            # refused its clusters and reconnected, Envoy may never ask for them on this stream (E3)
            waits_for, within_s = "subscription to clusters", self._around.options.clusters_within_s
        else:
            self._owed_since_s = None
            return ""
        if self._owed_since_s is None:
            self._owed_since_s = now_s
        return f"no {waits_for} within {within_s:g} s" if now_s - self._owed_since_s >= within_s else ""

    async def _read(self) -> Refused | None:
        while True:
            raw = await self._context.read()
            if not isinstance(raw, bytes):  # grpc.aio.EOF
                return None
            for event in self._stream.on_request(raw):
                if isinstance(event, Wants) and len(self._unbuilt) < _MOST_UNBUILT:
                    self._unbuilt.append(event)
                if isinstance(event, Refused):
                    if self._view is not None:
                        self._around.observer.event(self._number, event)
                    return event
                if isinstance(event, Opened):
                    event = Opened(await self._around.known(self._context, event.client))  # noqa: PLW2901
                self._take(event)
            self._wake()

    def _take(self, event: Event) -> None:
        if isinstance(event, Opened):
            client = with_usable_ports(event.client)
            self._view = self._around.views.view(client)
            self._owed_since_s = None
            self._around.observer.opened(self._number, self._context.peer(), client, self._stream)
        else:
            self._around.observer.event(self._number, event)

    def _wake(self) -> None:
        idle = self._idle
        if idle is not None and not idle.done() and self._stream.pending:
            idle.set_result(None)

    async def _write_to_the_end(self) -> None:
        try:
            await self._write()
        except grpc.aio.BaseError:
            return  # the connection is gone, which grpc tells the reader
        except Exception as error:  # noqa: BLE001 - a mistake of ours: the client keeps all, and comes again
            structlog.get_logger().exception("StreamFailed", stream=self._number)
            self._failure = Refused("INTERNAL", f"{type(error).__name__}: {error}")
            if self._task is not None:
                self._task.cancel()

    async def _write(self) -> None:
        loop, stream, write = asyncio.get_running_loop(), self._stream, self._context.write
        while True:
            while self._view is not None and stream.pending:
                if self._unbuilt:
                    await self._build(self._view)
                response = stream.next_response(self._view)
                if response is None:
                    break
                await write(response)
            self._idle = loop.create_future()
            await self._idle

    async def _build(self, view: View) -> None:
        """Have built what was newly asked for, a little at a time.

        Thousands of assignments take a second to build for the first client of a place. Other streams
        get their turn in between; the response then finds everything made.
        """
        until_s = time.monotonic() + _TURN_S
        while self._unbuilt:
            wants = self._unbuilt.pop()
            everything = view.names(wants.type_url) if WILDCARD in wants.subscribed else ()
            for name in (*wants.subscribed, *everything):
                view.get(wants.type_url, name)
                if time.monotonic() > until_s:
                    await asyncio.sleep(0)
                    until_s = time.monotonic() + _TURN_S
