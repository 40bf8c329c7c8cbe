"""Streams of statistics and health discovery end with OK once what proved their sender is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import grpc
import pytest
from envoy.config.core.v3.base_pb2 import Node
from envoy.service.health.v3.hds_pb2 import HealthCheckRequestOrEndpointHealthResponse

from support.health_serving import serving
from support.wait import until
from tideover_core.latest import Latest
from tideover_core.world import World
from tideover_health.codecs import hds, metrics
from tideover_health.hds_server import HdsOptions, HdsServer
from tideover_health.metrics_server import MetricsOptions, MetricsServer
from tideover_health.signals import Voter
from tideover_health.streams_server import StreamLimits
from tideover_proto.metrics.v1 import metrics_pb2

LIMITS = StreamLimits(again_s=0.05)
NODE = Node(id="e1", cluster="test")


class Proof:
    """What a sender has proved, for as long as that counts."""

    def __init__(self) -> None:
        self.counts, self.asked = True, 0

    async def who(self, _context: object, _client: object) -> Voter:
        self.asked += 1
        return Voter("spiffe://e1" if self.counts else "")


def _statistics(proof: Proof) -> tuple[Any, str, bytes, Callable[[], int]]:
    server = MetricsServer(lambda _: None, proof.who, MetricsOptions(shortest_gap_s=0, limits=LIMITS))
    identifier = metrics_pb2.Identifier(node=NODE.SerializeToString())
    first = metrics_pb2.StreamMetrics(identifier=identifier).SerializeToString()
    return server, f"/{metrics.SERVICE}/{metrics.METHOD}", first, lambda: server.status.streams


def _discovery(proof: Proof) -> tuple[Any, str, bytes, Callable[[], int]]:
    options = HdsOptions(shortest_gap_s=0, limits=LIMITS)
    server = HdsServer(lambda _: None, proof.who, Latest(()), World, options)
    hello = HealthCheckRequestOrEndpointHealthResponse()
    hello.health_check_request.node.CopyFrom(NODE)
    return server, f"/{hds.SERVICE}/{hds.METHOD}", hello.SerializeToString(), lambda: server.status.checkers


@pytest.mark.parametrize(("kind", "shape"), [(_statistics, "stream_unary"), (_discovery, "stream_stream")])
async def test_a_stream_goes_on_while_its_proof_counts_and_no_longer(kind: Any, shape: str) -> None:
    proof = Proof()
    server, method, first, streams = kind(proof)
    async with (
        serving(server.handlers()) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        call: Any = getattr(channel, shape)(method)()
        await call.write(first)

        async def keep_sending() -> None:
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                while True:
                    await call.write(b"")
                    await asyncio.sleep(0.01)

        sending = asyncio.create_task(keep_sending())
        try:
            await until(lambda: proof.asked > 3)
            assert streams() == 1
            proof.counts = False
            assert await asyncio.wait_for(call.code(), 10) is grpc.StatusCode.OK
            await until(lambda: streams() == 0)
        finally:
            sending.cancel()
            await asyncio.wait({sending})
            call.cancel()
