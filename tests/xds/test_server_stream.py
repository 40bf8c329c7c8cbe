"""One stream without a socket."""

from __future__ import annotations

import asyncio
from typing import cast

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest

from support.delta import EDS, node
from support.wait import until
from support.xds_serving import Heard
from support.xds_worlds import RATINGS, two_clusters
from tideover_wire.node import Client
from tideover_wire.stream import Stream, Variant
from tideover_xds.cache import Cache
from tideover_xds.server_options import ServerOptions
from tideover_xds.server_stream import Context, ServedStream, Surroundings


class Deaf:
    """The context of a client that sends all it can and reads nothing."""

    def __init__(self, requests: list[bytes]) -> None:
        self.requests = requests

    def peer(self) -> str:
        return "test"

    async def send_initial_metadata(self, _metadata: object) -> None:
        pass

    async def read(self) -> bytes:
        if not self.requests:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        return self.requests.pop()

    async def write(self, _response: bytes) -> None:
        await asyncio.Event().wait()


async def as_it_says(_context: object, client: Client) -> Client:
    return client


async def test_what_a_client_asks_for_without_reading_is_not_piled_up() -> None:
    cache, heard = Cache(two_clusters()), Heard()
    first = DeltaDiscoveryRequest(node=node("deaf"), type_url=EDS, resource_names_subscribe=[RATINGS])
    again = DeltaDiscoveryRequest(type_url=EDS, resource_names_subscribe=["x/y:1"])
    deaf = Deaf([again.SerializeToString()] * 1000 + [first.SerializeToString()])
    around = Surroundings(cache, heard, ServerOptions(), as_it_says)
    served = ServedStream(1, cast(Context, deaf), Stream(Variant.DELTA, None, "test"), around)
    serving = asyncio.create_task(served.serve())
    try:
        await until(lambda: len(heard.events) == 1001)
        assert len(served._unbuilt) < 100
    finally:
        served.end("the test is over")
        await serving
