"""N reporters in a process of their own: `python -m benchmarks.report_client ADDRESS REPORTERS ...`.

Each is what an Envoy would be: the node of 61 kB in every report, 10 services with calls to three places
each, as often and as closely as asked. Prints one JSON line when all were asked; a line on stdin ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from functools import cache
from typing import Any

import grpc
from envoy.config.core.v3.base_pb2 import Locality, Node
from envoy.config.endpoint.v3.load_report_pb2 import ClusterStats, UpstreamLocalityStats
from envoy.service.load_stats.v3.lrs_pb2 import LoadStatsRequest, LoadStatsResponse
from google.protobuf.struct_pb2 import Struct

from tideover_wire.codec import varint

from .many_client import run

SERVICES, GROUP, ENDPOINTS, PORT = 1000, 10, 20, 8080
PLACES = (("eu-west", "eu-west-a"), ("eu-north", "eu-north-a"), ("us-east", "us-east-a"))
NODE_BYTES = 61_000
ARRIVING_PER_S = 250
METHOD = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats"


def address(cluster: int, service: int, index: int) -> str:
    return f"10.{cluster}.{service // 10}.{service % 10 * ENDPOINTS + index + 1}"


def node(index: int) -> bytes:
    """As large as Envoy's, which lists all its extensions."""
    metadata = Struct()
    metadata.update({"CLUSTER_ID": PLACES[index % 3][0], "NAMESPACE": "bench"})
    made = Node(id=f"bench-{index}", user_agent_name="envoy", metadata=metadata)
    made.locality.region, made.locality.zone = PLACES[index % 3]
    own, rest = made.SerializeToString(), extensions()
    return b"\x0a" + varint(len(own) + len(rest)) + own + rest  # LoadStatsRequest.node


@cache
def extensions() -> bytes:
    """The bulk of every node; the parts of a message may simply stand one after another."""
    made = Node()
    number = 0
    while made.ByteSize() < NODE_BYTES:
        made.extensions.add(
            name=f"envoy.filters.number_{number}.of_many", category="envoy.filters.http",
            type_urls=[f"type.googleapis.com/envoy.extensions.filters.http.number_{number}.v3.OfMany"],
        )  # fmt: skip
        number += 1
    return made.SerializeToString()


def stats(group: int, *, failing: bool, by_endpoint: bool) -> list[ClusterStats]:
    """One report's worth: 100 calls a second to each service, most to the first place."""
    found = []
    for service in range(group * GROUP, (group + 1) * GROUP):
        one = ClusterStats(cluster_name=f"bench/svc-{service}:{PORT}")
        for number, (region, zone) in enumerate(PLACES):
            calls = 60 if number == 0 else 20
            failed = calls * 3 // 10 if failing and number == 0 else 0
            place = one.upstream_locality_stats.add(
                locality=Locality(region=region, zone=zone), total_successful_requests=calls - failed,
                total_error_requests=failed, total_issued_requests=calls, total_requests_in_progress=2,
            )  # fmt: skip
            if by_endpoint:
                _endpoints(place, number, service, calls - failed)
        found.append(one)
    return found


def _endpoints(place: UpstreamLocalityStats, cluster: int, service: int, calls: int) -> None:
    for index in range(ENDPOINTS):
        end = place.upstream_endpoint_stats.add(total_successful_requests=calls // ENDPOINTS + 1)
        end.address.socket_address.address = address(cluster, service, index)
        end.address.socket_address.port_value = PORT


class Fleet:
    """All reporters; those of one group send the same rows."""

    def __init__(self, reporters: int, failing_groups: int) -> None:
        self.asked = 0
        self.reporters, self.failing_groups = reporters, failing_groups
        self._rows: dict[tuple[int, bool], bytes] = {}

    def rows(self, group: int, by_endpoint: bool, interval_s: float) -> bytes:
        key = (group, by_endpoint)
        if key not in self._rows:
            said = stats(group, failing=group < self.failing_groups, by_endpoint=by_endpoint)
            for one in said:
                one.load_report_interval.FromNanoseconds(round(interval_s * 1e9))
            self._rows[key] = LoadStatsRequest(cluster_stats=said).SerializeToString()
        return self._rows[key]

    async def report(self, channel: grpc.aio.Channel, index: int) -> None:
        """One reporter: its timer starts anew with every answer, as Envoy's does."""
        # all at once, grpc would refuse those beyond its 1,000 pending calls; they would come again
        await asyncio.sleep(index / ARRIVING_PER_S)
        call: Any = channel.stream_stream(METHOD)()
        await call.write(node(index))
        reading = asyncio.ensure_future(call.read())
        answer = LoadStatsResponse.FromString(await reading)
        self.asked += 1
        if self.asked == self.reporters:
            print(json.dumps({"asked": self.asked}), flush=True)
        reading = asyncio.ensure_future(call.read())
        # not in step: a fleet's timers are not, either
        wait_s = random.uniform(0, answer.load_reporting_interval.ToTimedelta().total_seconds())
        while True:
            done, _ = await asyncio.wait({reading}, timeout=wait_s)
            wait_s = answer.load_reporting_interval.ToTimedelta().total_seconds()
            if done:
                answer = LoadStatsResponse.FromString(reading.result())
                wait_s = answer.load_reporting_interval.ToTimedelta().total_seconds()
                reading = asyncio.ensure_future(call.read())
                continue
            rows = self.rows(index % (SERVICES // GROUP), answer.report_endpoint_granularity, wait_s)
            await call.write(node(index) + rows)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("reporters", type=int)
    parser.add_argument("--per-connection", type=int, default=1)
    parser.add_argument("--failing-groups", type=int, default=0)
    args = parser.parse_args()
    fleet = Fleet(args.reporters, args.failing_groups)
    await run(args.address, args.reporters, args.per_connection, fleet.report)


if __name__ == "__main__":
    asyncio.run(main())
