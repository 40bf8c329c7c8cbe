"""Kubernetes Events about the Services of one cluster, written there by whoever holds its Lease."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from tideover_core.failover_news import (
    Known,
    Loss,
    Losses,
    News,
    Topic,
    heard,
    losses,
    next_s,
    together,
)
from tideover_core.overview import PlaceHealth
from tideover_discovery.kubernetes.client import Api, ApiError
from tideover_discovery.kubernetes.client.lease import Lease
from tideover_discovery.kubernetes.decoding import UNREADABLE
from tideover_discovery.kubernetes.service_events import ServiceEvent, counted, made, service_path

MOST_WAITING = 500  # pieces of news; the oldest go
# Another replica that holds the Lease has told what is older; if it died, its Lease runs out within this
TOLD_BY_OTHERS_S = 20.0
EVERY_S = 0.1  # between two Events: a region that fails is many services
TRY_AGAIN_S = 5.0
MOST_COUNTED = 2000  # Events whose count is remembered


_REASONS = {  # when it begins and ends
    Topic.FAILOVER: ("FailingOver", "FailedBack"),
    Topic.SICK: ("Frozen", "NoLongerFrozen"),
    Topic.SHORT: ("CapacityShort", "CapacityEnough"),
}


@dataclass(slots=True)
class Count:
    """Of Events, since the start."""

    written: int = 0
    dropped: int = 0
    failed: int = 0


class ServiceEvents:
    """News of one cluster's services on its way to its API server. Nothing else ever waits for it.

    `noted` is told why none can be written, "" when they can, or when another replica writes.
    """

    def __init__(
        self, instance: str, count: Count, noted: Callable[[str], None] = lambda trouble: None
    ) -> None:
        self._instance = instance
        self._count = count
        self._noted = noted
        self._known: Known = {}
        self._waiting: deque[News] = deque()
        self._series: OrderedDict[str, int] = OrderedDict()  # Event -> how often it was told
        self._moved = asyncio.Event()
        self._places: tuple[PlaceHealth, ...] = ()
        self._judged: Losses = {}

    def places(self, now: Iterable[PlaceHealth]) -> None:
        """The places of the cluster that fail over now."""
        self._places = tuple(now)
        self._look()
        self._moved.set()

    def judged(self, now: Losses) -> None:
        """What else is judged of services of the cluster now."""
        self._judged = now
        self._look()
        self._moved.set()

    async def run(self, api: Api, lease: Lease) -> None:
        """Write what is told while the Lease is held, until cancelled."""
        while True:
            self._look()
            self._forget(lease)
            pause_s = None
            if self._waiting and lease.valid:
                pause_s = await self._tell_one(api)
            if pause_s is None:
                await self._wait()
            else:
                await asyncio.sleep(pause_s)

    async def _wait(self) -> None:
        """Until there is news, or some may be due, or the Lease may be ours."""
        due_s = next_s(self._known)
        wait_s = 1.0 if self._waiting else 60.0
        if due_s is not None:
            wait_s = min(wait_s, max(0.01, due_s - time.monotonic()))
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._moved.wait()
        self._moved.clear()

    def _look(self) -> None:
        """What is news now goes to the queue."""
        found = together([*losses(self._places).items(), *self._judged.items()])
        self._known, news = heard(self._known, found, time.monotonic(), time.time())
        for one in news:
            self._waiting.append(one)
            if len(self._waiting) > MOST_WAITING:
                self._waiting.popleft()
                self._count.dropped += 1

    def _forget(self, lease: Lease) -> None:
        """What another replica has told."""
        if not lease.held.value:
            self._noted("")
        if lease.held.value or not lease.other:
            return
        before_s = time.time() - TOLD_BY_OTHERS_S
        while self._waiting and self._waiting[0].at_s < before_s:
            self._waiting.popleft()

    async def _tell_one(self, api: Api) -> float:
        """Write the oldest news; how long to wait then."""
        event = _event(self._waiting[0])
        try:
            await self._write(api, event)
        except ApiError as error:
            if error.status in (0, 401, 403, 429) or error.status >= 500:
                self._count.failed += 1
                self._noted(error.reason if error.status == 403 else "")
                return max(TRY_AGAIN_S, error.retry_after_s or 0.0)
            self._count.dropped += 1  # the namespace is gone, say
        else:
            self._count.written += 1
            self._noted("")
        if self._waiting:
            self._waiting.popleft()
        return EVERY_S

    async def _write(self, api: Api, event: ServiceEvent) -> None:
        key = f"{event.service.namespace}/{event.name}"
        count = self._series.pop(key, 0) + 1
        if count == 1:
            write = made(event, self._instance, await _uid(api, event))
            try:
                await api.send(write.method, write.path, write.body)
            except ApiError as error:
                if error.status != 409:
                    raise
                count = 2  # another replica made it
        if count > 1:
            again = counted(event, count)
            await api.send(again.method, again.path, again.body, content_type=again.content_type)
        self._series[key] = count
        if len(self._series) > MOST_COUNTED:
            self._series.popitem(last=False)


def _event(news: News) -> ServiceEvent:
    failing = news.loss is not Loss.NONE
    begins, ends = _REASONS[news.topic]
    return ServiceEvent(news.service, begins if failing else ends, news.text, news.at_s, failing)


async def _uid(api: Api, event: ServiceEvent) -> str:
    """The Service's uid, by which `kubectl describe` finds its Events; "" when it is gone."""
    try:
        found = msgspec.json.decode(await api.get(service_path(event.service)))
    except ApiError as error:
        if error.status in (403, 404):
            return ""
        raise
    except UNREADABLE:
        return ""
    about = found.get("metadata") if isinstance(found, dict) else None
    uid = about.get("uid") if isinstance(about, dict) else None
    return uid if isinstance(uid, str) else ""
