"""One kind of object, listed and watched at a server that is played here."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import msgspec
import pytest

from support.wait import until
from tideover_discovery.kubernetes.client import Api, ApiError
from tideover_discovery.kubernetes.following import Offers
from tideover_discovery.kubernetes.resources import followed
from tideover_discovery.kubernetes.watch.reflect import Reflector

REFUSED, EXPIRED = ApiError(0, "refused"), ApiError(410, "Expired")


class Server:
    """Lists nothing, and has watches without events, until it is told what is wrong with it."""

    name = "paris"

    def __init__(self) -> None:
        self.lists_fail: ApiError | None = None
        self.watches_fail: ApiError | None = None
        self.cut = asyncio.Event()

    async def get(self, path: str, query: Mapping[str, str], **_: Any) -> bytes:
        if self.lists_fail:
            raise self.lists_fail
        return msgspec.json.encode({"kind": "ServiceList", "metadata": {"resourceVersion": "7"}, "items": []})

    async def batches(self, path: str, query: Mapping[str, str], **_: Any) -> AsyncIterator[list[bytes]]:
        if self.watches_fail:
            raise self.watches_fail
        yield []
        await self.cut.wait()
        raise REFUSED


async def test_after_an_outage_a_forgotten_version_is_listed_anew_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(random, "random", lambda: 1.0)  # each wait as long as it can be
    server = Server()
    resource = next(one for one in followed() if one.kind == "Service")
    services = Reflector(
        cast(Api, server), resource, lambda changed: None, offers=Offers(streamed_lists=False)
    )
    running = asyncio.create_task(services.run())
    try:
        await until(lambda: services.watches == 1)
        server.watches_fail = server.lists_fail = REFUSED
        server.cut.set()

        def out_for_long() -> bool:
            services.hurry()
            return services.errors.total() > 20

        await until(out_for_long)
        server.watches_fail, server.lists_fail = EXPIRED, None
        services.hurry()
        await until(lambda: services.lists == 2, 5)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
