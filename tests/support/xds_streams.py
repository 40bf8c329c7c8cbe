"""Raw gRPC streams of an xDS client, for what a well-behaved client does not do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from envoy.service.discovery.v3.discovery_pb2 import (
    DiscoveryRequest,
    DiscoveryResponse,
)

from support.delta import CDS, EDS, LDS, RDS, node
from support.xds_worlds import RATINGS
from tideover_xds.resources.services import SERVICES

HTTP = "outbound/http"
NAMES = {CDS: RATINGS, EDS: RATINGS, LDS: HTTP, RDS: HTTP}
SERVICE_OF = {str(url): name for name, (url, _) in SERVICES.items() if url}
ADS = "envoy.service.discovery.v3.AggregatedDiscoveryService"


@asynccontextmanager
async def calling(port: int, method: str) -> AsyncIterator[Any]:
    """A stream of raw bytes to any method."""
    async with grpc.aio.insecure_channel(
        f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]
    ) as channel:
        call: Any = channel.stream_stream(method)()
        try:
            yield call
        finally:
            call.cancel()


def method(service: str, variant: str) -> str:
    return f"/{service}/" + next(name for name, kind in SERVICES[service][1].items() if kind == variant)


async def sotw(call: Any, **fields: Any) -> DiscoveryResponse:
    await call.write(DiscoveryRequest(node=node("sotw"), **fields).SerializeToString())
    return await next_sotw(call)


async def next_sotw(call: Any) -> DiscoveryResponse:
    raw = await asyncio.wait_for(call.read(), 10)
    assert raw is not grpc.aio.EOF, await call.details()
    return DiscoveryResponse.FromString(raw)


async def status(call: Any) -> tuple[grpc.StatusCode, str]:
    return await asyncio.wait_for(call.code(), 10), await call.details()
