"""N delta ADS streams in a process of their own: `python -m benchmarks.load_client ADDRESS STREAMS ...`.

Prints one JSON line when every stream has its first endpoints ("ready"), and then one per change:
the CLOCK_MONOTONIC time in seconds at which each stream had handed its ACK of the new endpoints to
gRPC, in order of arrival, and the bytes received. A line on stdin ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import Any

import grpc
from envoy.config.core.v3.base_pb2 import Locality, Node
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from google.protobuf.struct_pb2 import Struct

from .many_client import run

CDS = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
EDS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


def node(index: int) -> Node:
    metadata = Struct()
    metadata.update({"CLUSTER_ID": "paris", "NAMESPACE": "bench"})
    return Node(
        id=f"bench-{index}",
        cluster="bench",
        user_agent_name="envoy",
        locality=Locality(region="eu-west", zone="eu-west-a"),
        metadata=metadata,
    )


class Load:
    """All streams, and what arrived since the last change."""

    def __init__(self, streams: int, services: int) -> None:
        self.streams, self.services = streams, services
        self.ready = 0
        self.acks: list[float] = []
        self.bytes = 0

    async def stream(self, channel: grpc.aio.Channel, index: int) -> None:
        """One client: clusters by wildcard, then the endpoints of each, every response acknowledged."""
        call: Any = channel.stream_stream(METHOD)()
        first = DeltaDiscoveryRequest(node=node(index), type_url=CDS)
        await call.write(first.SerializeToString())
        assignments = 0
        asked = 0
        while (raw := await call.read()) is not grpc.aio.EOF:
            response = DeltaDiscoveryResponse.FromString(raw)
            ack = DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)
            if response.type_url == CDS and asked < self.services:  # a large answer comes in parts
                names = [r.name for r in response.resources]
                asked += len(names)
                await call.write(ack.SerializeToString())
                ack = DeltaDiscoveryRequest(type_url=EDS, resource_names_subscribe=names)
            await call.write(ack.SerializeToString())
            if response.type_url != EDS:
                continue
            before, assignments = assignments, assignments + len(response.resources)
            if assignments > self.services:
                self.acks.append(time.monotonic())
                self.bytes += len(raw)
                if len(self.acks) == self.streams:
                    say({"acks": self.acks, "bytes": self.bytes})
                    self.acks, self.bytes = [], 0
            elif assignments == self.services and before < self.services:
                self.ready += 1
                if self.ready == self.streams:
                    say({"ready": self.ready})


def say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("streams", type=int)
    parser.add_argument("services", type=int)
    parser.add_argument("--streams-per-connection", type=int, default=100)
    args = parser.parse_args()
    load = Load(args.streams, args.services)
    await run(args.address, args.streams, args.streams_per_connection, load.stream)


if __name__ == "__main__":
    asyncio.run(main())
