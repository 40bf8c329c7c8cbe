"""Events on their way to an API server that is away, slow or does not want them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from support.wait import holds, until
from tideover_core.latest import Latest
from tideover_core.model import Locality, ServiceKey
from tideover_core.overview import PlaceHealth
from tideover_discovery.kubernetes.client import Api, ApiError
from tideover_discovery.kubernetes.client.lease import Lease
from tideover_discovery.kubernetes.watch import service_news
from tideover_discovery.kubernetes.watch.service_news import MOST_WAITING, Count, ServiceEvents


class Server:
    """Takes Events; `trouble` is the status that it answers instead."""

    def __init__(self) -> None:
        self.trouble = 0
        self.noted: list[str] = []
        self.taken: list[tuple[str, str, Any]] = []

    async def get(self, path: str) -> bytes:
        if self.trouble:
            raise ApiError(self.trouble, "trouble")
        return json.dumps({"metadata": {"uid": "u-1"}}).encode()

    async def send(self, method: str, path: str, body: Any, **_: Any) -> dict[str, Any]:
        if self.trouble:
            raise ApiError(self.trouble, "trouble")
        if method == "POST" and any(
            body["metadata"]["name"] == b["metadata"]["name"] for *_, b in self.posted()
        ):
            raise ApiError(409, "AlreadyExists")
        self.taken.append((method, path, body))
        return {}

    def posted(self) -> list[tuple[str, str, Any]]:
        return [one for one in self.taken if one[0] == "POST"]


class Held:
    """A Lease: held, somebody else's, or nobody's as far as is known."""

    def __init__(self, held: bool = True, other: str = "") -> None:
        self.held, self.other = Latest(held), other

    @property
    def valid(self) -> bool:
        return self.held.value


@asynccontextmanager
async def telling(server: Server, lease: Held) -> AsyncIterator[tuple[ServiceEvents, Count]]:
    count = Count()
    events = ServiceEvents("replica-0", count, server.noted.append)
    task = asyncio.create_task(events.run(cast(Api, server), cast(Lease, lease)))
    try:
        yield events, count
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()


def failing(*names: str) -> list[PlaceHealth]:
    return [
        PlaceHealth(ServiceKey("bookinfo", name), 9080, "paris", Locality("eu-west"), 0, 2, 0)
        for name in names
    ]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_news, "EVERY_S", 0.0)
    monkeypatch.setattr(service_news, "TRY_AGAIN_S", 0.02)


async def test_an_event_says_what_and_of_which_service() -> None:
    server = Server()
    async with telling(server, Held()) as (events, count):
        events.places(failing("ratings"))
        await until(lambda: count.written == 1)
    ((_, path, body),) = server.taken
    assert path == "/apis/events.k8s.io/v1/namespaces/bookinfo/events"
    assert (body["type"], body["reason"], body["regarding"]["uid"]) == ("Warning", "FailingOver", "u-1")
    assert body["reportingInstance"] == "replica-0"


@pytest.mark.parametrize("trouble", [500, 403, 429])
async def test_what_a_server_in_trouble_does_not_take_is_told_when_it_does(trouble: int) -> None:
    server = Server()
    server.trouble = trouble
    async with telling(server, Held()) as (events, count):
        events.places(failing("ratings"))
        await until(lambda: count.failed > 1)
        server.trouble = 0
        await until(lambda: count.written == 1)


async def test_without_the_right_to_write_events_it_is_said_until_there_is_or_another_writes() -> None:
    server, lease = Server(), Held()
    async with telling(server, lease) as (events, _):
        server.trouble = 403
        events.places(failing("ratings"))
        await until(lambda: server.noted[-1:] == ["trouble"])
        server.trouble = 0
        await until(lambda: server.noted[-1] == "")
        server.trouble = 403
        events.places(failing("ratings", "reviews"))
        await until(lambda: server.noted[-1] == "trouble")
        lease.held.set(False)
        await until(lambda: server.noted[-1] == "")


async def test_what_it_will_never_take_is_dropped_and_the_next_is_told() -> None:
    server = Server()
    server.trouble = 404  # its namespace is gone
    async with telling(server, Held()) as (events, count):
        events.places(failing("ratings"))
        await until(lambda: count.dropped == 1)
        server.trouble = 0
        events.places(failing("ratings", "reviews"))
        await until(lambda: count.written == 1)


async def test_a_server_that_is_away_for_long_costs_the_oldest_news() -> None:
    server = Server()
    server.trouble = 500
    async with telling(server, Held()) as (events, count):
        events.places(failing(*(f"s{number}" for number in range(MOST_WAITING + 20))))
        assert count.dropped == 20


async def test_only_the_holder_tells_and_what_another_has_told_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, lease = Server(), Held(held=False, other="replica-1")
    monkeypatch.setattr(service_news, "TOLD_BY_OTHERS_S", -1.0)
    async with telling(server, lease) as (events, count):
        events.places(failing("ratings"))
        await holds(lambda: server.taken == [], 0.1)
        lease.held.set(True)
        events.places(failing("ratings", "reviews"))
        await until(lambda: count.written == 1)
        assert server.taken[0][2]["regarding"]["name"] == "reviews"


async def test_while_nobody_is_known_to_hold_the_lease_news_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_news, "TOLD_BY_OTHERS_S", -1.0)
    server, lease = Server(), Held(held=False)
    async with telling(server, lease) as (events, count):
        events.places(failing("ratings"))
        await holds(lambda: server.taken == [], 0.1)
        lease.held.set(True)
        await until(lambda: count.written == 1)


async def test_the_same_again_is_counted_whoever_made_it() -> None:
    server = Server()
    for _ in range(2):  # the second replica does not know of the first
        async with telling(server, Held()) as (events, count):
            events.places(failing("ratings"))
            await until(lambda count=count: count.written == 1)  # type: ignore[misc]
    assert [method for method, *_ in server.taken] == ["POST", "PATCH"]
    assert server.taken[1][2]["series"]["count"] == 2
