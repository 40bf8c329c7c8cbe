"""N Envoys that send statistics once a second: `python -m benchmarks.statistics_client ADDRESS ENVOYS`.

Each sends what `tideover bootstrap envoy --metrics-every 1s` makes of 10 services in three zones, all called.
A line on stdin ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from typing import Any

import grpc
from envoy.config.core.v3.base_pb2 import Node

from tideover_proto.metrics.v1 import metrics_pb2

from .many_client import run
from .report_client import PLACES

METHOD = "/envoy.service.metrics.v3.MetricsService/StreamMetrics"
SERVICES = 10
QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 1.0)  # that Envoy sends


def message() -> bytes:
    """One flush."""
    made = metrics_pb2.StreamMetrics()
    for number in range(SERVICES):
        cluster = f"cluster.bench/svc-{number}_8080"
        for name, value in (("membership_total", 60), ("membership_healthy", 60), ("ejections_active", 0)):
            statistic = f"outlier_detection.{name}" if name == "ejections_active" else name
            made.envoy_metrics.add(name=f"{cluster}.{statistic}").metric.add().gauge.value = value
        for _, zone in PLACES:
            family = made.envoy_metrics.add(name=f"{cluster}.zone.eu-west-a.{zone}.upstream_rq_time")
            summary = family.metric.add().summary
            summary.sample_count = 100
            for quantile in QUANTILES:
                summary.quantile.add(quantile=quantile, value=3.05)
    return made.SerializeToString()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("envoys", type=int)
    args = parser.parse_args()
    raw = message()

    async def send(channel: grpc.aio.Channel, index: int) -> None:
        node = Node(id=f"envoy-{index}")
        node.locality.region, node.locality.zone = PLACES[0]
        hello = metrics_pb2.StreamMetrics()
        hello.identifier.node = node.SerializeToString()
        call: Any = channel.stream_unary(METHOD)()
        await call.write(hello.SerializeToString() + raw)
        await asyncio.sleep(random.random())  # not in step
        while True:
            await call.write(raw)
            await asyncio.sleep(1)

    print(json.dumps({"bytes": len(raw)}), flush=True)
    await run(args.address, args.envoys, 1, send)


if __name__ == "__main__":
    asyncio.run(main())
