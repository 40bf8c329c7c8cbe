"""A delta ADS client made by hand, for clients that behave as no real one would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from envoy.config.core.v3.base_pb2 import Locality, Node
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from google.protobuf.struct_pb2 import Struct
from google.rpc.status_pb2 import Status

PREFIX = "type.googleapis.com/envoy.config."
CDS = PREFIX + "cluster.v3.Cluster"
EDS = PREFIX + "endpoint.v3.ClusterLoadAssignment"
LDS = PREFIX + "listener.v3.Listener"
RDS = PREFIX + "route.v3.RouteConfiguration"
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


def node(identity: str, **metadata: Any) -> Node:
    """A node in paris, namespace bookinfo, unless `metadata` says otherwise."""
    said = Struct()
    said.update({"CLUSTER_ID": "paris", "NAMESPACE": "bookinfo", **metadata})
    place = Locality(region="eu-west", zone="eu-west-a")
    return Node(id=identity, cluster="test", locality=place, metadata=said)


class DeltaClient:
    """One stream; sends what it is told and keeps every response in `received`."""

    def __init__(self, call: Any, identity: Node | None) -> None:
        self._call, self._node = call, identity
        self.received: list[DeltaDiscoveryResponse] = []

    async def send(self, type_url: str, **fields: Any) -> None:
        """A request; the first one carries the node."""
        request = DeltaDiscoveryRequest(type_url=type_url, **fields)
        if self._node is not None:
            request.node.CopyFrom(self._node)
            self._node = None
        await self._call.write(request.SerializeToString())

    async def subscribe(self, type_url: str, names: Iterable[str] = ()) -> None:
        await self.send(type_url, resource_names_subscribe=list(names))

    async def receive(self, timeout_s: float = 10) -> DeltaDiscoveryResponse:
        """The next response; TimeoutError when none comes, EOFError when the stream ended."""
        raw = await asyncio.wait_for(self._call.read(), timeout_s)
        if raw is grpc.aio.EOF:
            raise EOFError(f"{await self._call.code()}: {await self._call.details()}")
        response: DeltaDiscoveryResponse = DeltaDiscoveryResponse.FromString(raw)
        self.received.append(response)
        return response

    async def status(self, timeout_s: float = 10) -> grpc.StatusCode:
        """Wait until the stream has ended; how."""
        code: grpc.StatusCode = await asyncio.wait_for(self._call.code(), timeout_s)
        return code

    async def ack(self, response: DeltaDiscoveryResponse) -> None:
        await self.send(response.type_url, response_nonce=response.nonce)

    async def nack(self, response: DeltaDiscoveryResponse, reason: str) -> None:
        detail = Status(code=3, message=reason)
        await self.send(response.type_url, response_nonce=response.nonce, error_detail=detail)


@asynccontextmanager
async def delta_client(port: int, identity: Node | None = None) -> AsyncIterator[DeltaClient]:
    """A stream for the length of a block."""
    options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        call: Any = channel.stream_stream(METHOD)()
        try:
            yield DeltaClient(call, identity)
        finally:
            call.cancel()
