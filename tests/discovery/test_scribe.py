"""The scribe: churn is no flood of writes, a refused writer holds up no other, only the holder writes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from support.wait import holds, until
from tideover_core.latest import Latest
from tideover_core.world import World
from tideover_discovery.kubernetes.client import Api, ApiError
from tideover_discovery.kubernetes.client.lease import Lease
from tideover_discovery.kubernetes.resources import Resource
from tideover_discovery.kubernetes.watch import scribe as module
from tideover_discovery.kubernetes.watch.scribe import LEISURELY, Scribe, Tally
from tideover_discovery.kubernetes.writes import Write
from tideover_discovery.kubernetes.writing import Object, Scene


class Server:
    """Takes writes; `refuses` are paths that get an error with this status."""

    name = "paris"

    def __init__(self) -> None:
        self.writes: Counter[str] = Counter()
        self.refuses: dict[str, int] = {}

    async def send(self, method: str, path: str, body: Any, **_: Any) -> dict[str, Any]:
        self.writes[path] += 1
        if status := self.refuses.get(path):
            raise ApiError(status, f"{method} {path}: {status}")
        return {}


class Always:
    """A writer that is never content."""

    resources: tuple[Resource[Object], ...] = ()

    def __init__(self, name: str, *writes: Write) -> None:
        self.name, self._writes = name, writes

    def writes(self, scene: Scene) -> Iterable[Write | None]:
        yield None
        yield from self._writes


class Held:
    valid = True


def write(path: str, *, leisurely: bool = False) -> Write:
    return Write(path, "test", "PATCH", path, leisurely=leisurely)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GAP_S", "SOON_S", "LOOK_S", "BETWEEN_WRITES_S"):
        monkeypatch.setattr(module, name, 0.001)


@asynccontextmanager
async def writing(
    server: Server, *writers: Always, lease: Held | None = None, world: World | None = None
) -> AsyncIterator[dict[str, str]]:
    """A scribe for the length of a block; what it notes."""
    noted: dict[str, str] = {}
    scribe = Scribe(cast(Api, server), cast(Lease, lease or Held()), writers, Tally(), noted.__setitem__)
    task = asyncio.create_task(scribe.run(Latest(world or World())))
    try:
        yield noted
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()


async def test_numbers_are_brought_up_to_date_at_leisure_and_all_else_at_once() -> None:
    server = Server()
    async with writing(server, Always("w", write("/number", leisurely=True), write("/verdict"))):
        await until(lambda: server.writes["/verdict"] > 20)
    assert server.writes["/number"] == LEISURELY


async def test_a_writer_that_may_not_write_is_noted_and_waits_while_others_write() -> None:
    server = Server()
    server.refuses["/a"] = 403
    async with writing(server, Always("first", write("/a")), Always("second", write("/b"))) as noted:
        await until(lambda: server.writes["/b"] > 20)
        assert server.writes["/a"] == 1
        assert noted == {"first": "PATCH /a: 403", "second": ""}
    assert noted == {"first": "", "second": ""}, "another replica's from here on"


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_an_object_that_is_refused_holds_up_no_other(status: int) -> None:
    server = Server()
    server.refuses["/a"] = status
    async with writing(server, Always("w", write("/a"), write("/b"))) as noted:
        await until(lambda: server.writes["/b"] > 20)
        assert server.writes["/a"] == 1
        assert noted == {"w": f"PATCH /a: {status}"}


@pytest.mark.parametrize("status", [404, 409])
async def test_an_outdated_write_is_decided_anew(status: int) -> None:
    server = Server()
    server.refuses["/a"] = status
    async with writing(server, Always("w", write("/a"), write("/b"))) as noted:
        await until(lambda: server.writes["/b"] > 2)
        assert server.writes["/a"] > 2
        assert noted == {"w": ""}


async def test_a_server_in_trouble_is_waited_for() -> None:
    server = Server()
    server.refuses["/a"] = 503
    async with writing(server, Always("w", write("/a"))) as noted:
        await until(lambda: server.writes["/a"] > 1)
        server.refuses.clear()
        await until(lambda: server.writes["/a"] > 20)
        assert noted == {"w": ""}


async def test_nothing_is_written_without_the_lease_or_of_a_world_that_is_not_complete() -> None:
    class Lost(Held):
        valid = False

    server = Server()
    async with writing(server, Always("w", write("/a")), lease=Lost()):
        await holds(lambda: not server.writes, 0.1)
    async with writing(server, Always("w", write("/a")), world=World(complete=False)):
        await holds(lambda: not server.writes, 0.1)
