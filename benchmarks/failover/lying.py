"""A reporter with a certificate that says what is not so: a raw client of the load reporting service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from envoy.config.core.v3.base_pb2 import Locality, Node
from envoy.config.endpoint.v3.load_report_pb2 import ClusterStats, UpstreamLocalityStats
from envoy.service.load_stats.v3 import lrs_pb2
from google.protobuf.duration_pb2 import Duration

from .world import NAMESPACE, PORT, World

METHOD = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats"


@asynccontextmanager
async def lying(world: World) -> AsyncIterator[None]:
    """Says once a second, for the length of a block, that 5,000 calls to paris failed."""
    assert world.tideover is not None
    assert world.mtls is not None
    channel = world.mtls.channel(world.tideover.setup.xds_port, world.mtls.pair("liar"))
    async with channel:
        call = channel.stream_stream(METHOD)()

        async def say() -> None:
            while True:
                await call.write(_lie())
                await asyncio.sleep(1)

        saying = asyncio.create_task(say())
        try:
            yield
        finally:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)
            call.cancel()


def _lie() -> bytes:
    caller = Locality(region="eu-west", zone="eu-west-a")
    node = Node(id="liar", locality=caller)
    node.metadata.update({"CLUSTER_ID": "paris", "NAMESPACE": NAMESPACE})
    paris = Locality(region="eu-west", zone="eu-west-b")
    row = UpstreamLocalityStats(locality=paris, total_error_requests=5000, total_issued_requests=5000)
    stats = ClusterStats(
        cluster_name=f"{NAMESPACE}/ratings:{PORT}",
        upstream_locality_stats=[row],
        load_report_interval=Duration(seconds=1),
    )
    return bytes(lrs_pb2.LoadStatsRequest(node=node, cluster_stats=[stats]).SerializeToString())
