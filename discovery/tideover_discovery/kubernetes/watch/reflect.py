"""One resource of one API server, listed, then watched, for ever."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from tideover_discovery.kubernetes.backoff import Backoff
from tideover_discovery.kubernetes.client import Api, ApiError
from tideover_discovery.kubernetes.client.errors import Silent, TooLong
from tideover_discovery.kubernetes.following import Broken, Changed, Following, Interrupted, Offers, Want
from tideover_discovery.kubernetes.objects import Key
from tideover_discovery.kubernetes.resources import Resource

T = TypeVar("T")
# Bookmarks come about once a minute: a watch that says less is dead
SILENT_AFTER_S = 75.0
# Initial events come at once; a server that does not know how to stream lists says none
INITIAL_SILENT_AFTER_S = 15.0
# A streamed list that goes on for longer is asked for in pages
INITIAL_WITHIN_S = 120.0
# The server ends watches after a while, spread so that not all come back at once
WATCH_FOR_S = (300, 600)
LIST_TIMEOUT_S = 60.0
# A resource that does not exist, or may not be read, is asked for again
ASK_AGAIN_S = 10.0
# A server that ends so many watches at once, one after the other, tells nothing in time
OFTEN_SHORT = 5
# Events from the past: have a list to compare, at most this often
COMPARE_EVERY_S = 30.0
# How long decoding may keep the event loop from others
TURN_S = 0.01


@dataclass(frozen=True, slots=True)
class Standing:
    """How well a resource is known. `listed`: completely, in this life; `in_step`: and what changes is told
    since. `trouble`: why not, since `since_s` on the monotonic clock. `missing`: the server has no such
    resource; `forbidden`: and we may not read it."""

    listed: bool = False
    in_step: bool = False
    trouble: str = ""
    since_s: float = 0.0
    missing: bool = False
    forbidden: bool = False


class Reflector(Generic[T]):
    """Tells what changes in a resource, for ever.

    `told` gets each change as it comes, and a complete list with all objects. `moved` is called when
    `standing` or `broken` may have changed. Neither may raise.
    """

    def __init__(
        self,
        api: Api,
        resource: Resource[T],
        told: Callable[[Changed[T]], None],
        *,
        moved: Callable[[], None] = lambda: None,
        offers: Offers | None = None,
    ) -> None:
        self.resource = resource
        self.standing = Standing(since_s=time.monotonic(), trouble="not listed yet")
        self.lists = 0  # complete lists so far
        self.watches = 0  # begun so far, also those that list first
        self.events = 0  # of watches, that told something new
        self.errors: Counter[str] = Counter()  # by cause: unreachable, silent, unreadable, http_410
        self._api = api
        self._told = told
        self._moved = moved
        self._following = Following(resource.kind, resource.read, offers)
        self._version = 0  # which of the resource's versions the server is asked for
        self._backoff = Backoff()
        self._expired_at = -1  # `lists`, when the server had forgotten a version last
        self._began_s = 0.0
        self._want = Want.LIST
        self._round: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._compared_s = 0.0
        self._yielded_s = 0.0

    @property
    def broken(self) -> Mapping[Key, Broken]:
        """Objects that cannot be read now."""
        return self._following.broken

    @property
    def version(self) -> str:
        """The resource's version that the server is asked for; one that it has, once it is listed."""
        return self.resource.versions[self._version]

    def look_again(self) -> None:
        """Have a complete list now; what is known stays until it is there."""
        self._following.reconcile()
        if self._round is not None:
            self._round.cancel()
        self._hurry.set()

    def forget(self) -> None:
        """The server is another one than it was: have a complete list before anything else."""
        self._following.forget()
        self.look_again()

    def hurry(self) -> None:
        """The server answers again: try now, unless it asked for time."""
        self._hurry.set()

    async def run(self) -> None:
        """List, then watch, until cancelled. Trouble is a standing, never an exception."""
        while True:
            self._round = asyncio.create_task(self._once(), name=f"{self._api.name} {self.resource.kind}")
            try:
                await asyncio.wait({self._round})
            finally:
                self._round.cancel()
                await asyncio.wait({self._round})
            if self._round.cancelled():
                continue
            wait_s, hurry = self._ended(self._round.exception())
            self._hurry.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await (self._hurry.wait() if hurry else asyncio.Event().wait())
            except TimeoutError:
                pass

    async def _once(self) -> None:
        """Lists, or one watch."""
        ask = self._following.next()
        self._want = ask.want
        path = self.resource.path(self.resource.versions[self._version])
        only = {"labelSelector": self.resource.selector} if self.resource.selector else {}
        if ask.want is Want.LIST:
            self._began_s = time.monotonic()
            body = await self._api.get(
                path, {**ask.query, **only}, accept=self.resource.accept_list, timeout_s=LIST_TIMEOUT_S
            )
            await self._take(self._following.page(body))
            return
        query = {**ask.query, **only, "timeoutSeconds": str(random.randint(*WATCH_FOR_S))}
        said = self._api.batches(
            path, query, accept=self.resource.accept_watch, silent_after_s=self._silent_after_s
        )
        self._began_s = time.monotonic()
        bound_s = INITIAL_WITHIN_S if ask.want is Want.INITIAL else None
        async with bounded(bound_s, path) as bound, aclosing(said) as batches:
            async for lines in batches:
                if not lines:
                    self.watches += 1
                    if ask.want is Want.WATCH:
                        self._stand(in_step=True)
                await self._take(self._following.lines(lines))
                if not self._following.listing:
                    bound.reschedule(None)
                self._compare_when_odd()
        if self._following.listing:
            self._following.failed()
            raise Interrupted(f"{self.resource.kind}: the server ended a list before its end")

    async def _take(self, steps: Iterator[Changed[T]]) -> None:
        before = self._following.broken
        for changed in steps:
            if changed.listed:
                self.lists += 1
                self._stand(in_step=True, listed=True)
            else:
                self.events += len(changed.changes)
            if changed:
                self._told(changed)
            if time.monotonic() - self._yielded_s > TURN_S:
                await asyncio.sleep(0)
                self._yielded_s = time.monotonic()
        if self._following.broken or before:
            self._moved()

    def _silent_after_s(self) -> float:
        return INITIAL_SILENT_AFTER_S if self._following.listing else SILENT_AFTER_S

    def _compare_when_odd(self) -> None:
        """Events from the past mean that someone repeats them, or that the server forgot: compare soon."""
        now = time.monotonic()
        if self._following.past and now - self._compared_s > COMPARE_EVERY_S:
            self._following.past, self._compared_s = 0, now
            asyncio.get_running_loop().call_soon(self.look_again)

    def _ended(self, error: BaseException | None) -> tuple[float, bool]:
        """What the end of a round means: for how long to wait, and whether to hurry when told."""
        now = time.monotonic()
        lasted_s = now - self._began_s
        if error is None:
            if self._want is Want.LIST:
                return 0.0, False
            if lasted_s < 1.0:
                if self._backoff.failures >= OFTEN_SHORT:  # what changes is seen between two waits
                    self._stand(in_step=False, trouble=f"{self.resource.kind}: each watch is ended at once")
                return self._short(lasted_s)
            self._backoff = Backoff()
            return 0.0, False
        self.errors[_cause(error)] += 1
        if isinstance(error, Interrupted):
            return self._troubled(error.reason, lasted_s, error.retry_after_s)
        if not isinstance(error, ApiError):
            raise error
        if isinstance(error, Silent):
            self._following.silent()
        elif isinstance(error, TooLong):
            self._following.too_long()
        elif error.status >= 300:
            self._following.refused(error.status, error.body)
        else:
            self._following.failed()
        if error.status == 404:
            return self._absent(error)
        if error.status == 403:
            reason = f"{self.resource.kind}: may not be read: {error.reason}"
            self._stand(in_step=False, trouble=reason, forbidden=True)
            return ASK_AGAIN_S * random.uniform(0.8, 1.2), False
        if error.status == 410:
            self._stand(in_step=False, trouble=f"{self.resource.kind}: {error.reason}")
            if self._expired_at != self.lists:  # it answers: how long it was away says nothing any more
                self._expired_at, self._backoff = self.lists, Backoff()
            return self._short(0.0)
        return self._troubled(error.reason, lasted_s, error.retry_after_s)

    def _short(self, lasted_s: float) -> tuple[float, bool]:
        self._backoff = self._backoff.failed(lasted_s)
        return self._backoff.wait_s(random.random()), True

    def _troubled(self, reason: str, lasted_s: float, retry_after_s: float | None) -> tuple[float, bool]:
        self._stand(in_step=False, trouble=reason)
        self._backoff = self._backoff.failed(lasted_s)
        return self._backoff.wait_s(random.random(), retry_after_s), retry_after_s is None

    def _absent(self, error: ApiError) -> tuple[float, bool]:
        """404: another version of the resource, or none of them."""
        self._version = (self._version + 1) % len(self.resource.versions)
        if self._version:
            return 0.0, False
        if self.resource.required:
            return self._troubled(f"{error.reason}; is it a Kubernetes API server?", 0.0, None)
        if self.standing.missing or not self.standing.listed:
            self._told(self._following.missing())
            self._stand(in_step=True, listed=True, missing=True)
        else:  # it was there: believed when it is said again
            self._stand(in_step=False, trouble=error.reason, missing=True)
        return ASK_AGAIN_S * random.uniform(0.8, 1.2), False

    def _stand(
        self,
        *,
        in_step: bool,
        listed: bool = False,
        trouble: str = "",
        missing: bool = False,
        forbidden: bool = False,
    ) -> None:
        before = self.standing
        since_s = time.monotonic() if before.in_step or in_step else before.since_s
        self.standing = Standing(before.listed or listed, in_step, trouble, since_s, missing, forbidden)
        if self.standing != replace(before, since_s=since_s):
            self._moved()


@asynccontextmanager
async def bounded(within_s: float | None, path: str) -> AsyncIterator[asyncio.Timeout]:
    """A stream that is not at its end by then is silent."""
    try:
        async with asyncio.timeout(within_s) as bound:
            yield bound
    except TimeoutError:
        raise Silent(0, f"GET {path} (watch): its list has no end within {within_s:g} s") from None


def _cause(error: BaseException) -> str:
    """What kind of error, in few kinds."""
    if isinstance(error, Silent):
        return "silent"
    if isinstance(error, ApiError | Interrupted) and error.status >= 300:
        return f"http_{error.status}"
    return "unreachable" if isinstance(error, ApiError) and not error.status else "unreadable"
