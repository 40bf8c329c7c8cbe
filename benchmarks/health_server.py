"""Load reports and judging, wired as in `tideover run`, over a world in memory.

Prints one JSON line when it listens, and one for each line on stdin: `doubt N` asks callers of the first N
groups of services for endpoints, whatever the judge doubts; anything else only tells the counts. Every node
is its own voter.
"""

from __future__ import annotations

import asyncio
import json
import sys
from types import SimpleNamespace
from typing import Any, cast

from tideover_app.run_health import HealthKeeper
from tideover_core.model import (
    ClusterFacts,
    Endpoint,
    Locality,
    Protocol,
    ServiceFacts,
    ServiceKey,
    ServicePort,
)
from tideover_core.names import wire_name
from tideover_core.world import World, merge
from tideover_health.judge import Judge
from tideover_health.load_reports_server import Context, LoadReportOptions, LoadReportsServer
from tideover_health.signals import Report, Voter
from tideover_health.streams_server import StreamLimits
from tideover_wire.node import Client
from tideover_xds.cache import Cache
from tideover_xds.server import XdsServer

from .report_client import ENDPOINTS, GROUP, PLACES, PORT, SERVICES, address


def world() -> World:
    """1,000 services in three clusters, 20 endpoints in each."""
    clusters = []
    for number, (region, zone) in enumerate(PLACES):
        place = Locality(region, zone)
        services = {}
        for index in range(SERVICES):
            key = ServiceKey("bench", f"svc-{index}")
            ends = tuple(
                Endpoint(address(number, index, i), PORT, region, "default", place, pod=f"{index}-{i}")
                for i in range(ENDPOINTS)
            )
            services[key] = ServiceFacts(key, (ServicePort(PORT, "http", Protocol.HTTP),), {PORT: ends})
        clusters.append(ClusterFacts(region, "default", place, services))
    return merge(clusters)


class Nobody:
    """Nothing is watched here but reports."""

    def opened(self, *_: object) -> None: ...
    def event(self, *_: object) -> None: ...
    def closed(self, *_: object) -> None: ...


async def own_voter(_context: Context, client: Client) -> Voter:
    place = client.vantage.locality
    return Voter(client.id, client.vantage.cluster, place, f"node-{client.id}")


async def main() -> None:
    facts = world()
    replica = SimpleNamespace(
        world=SimpleNamespace(value=facts),
        note=lambda *_: False,
        journal=SimpleNamespace(health=lambda _lines: None),
    )
    judge = Judge()
    keeper = HealthKeeper(judge, cast(Any, replica), lambda: None)
    forced: frozenset[str] = frozenset()
    counts = {"reports": 0, "rows": 0}

    def take(report: Report) -> None:
        counts["reports"] += 1
        counts["rows"] += len(report.rows)
        keeper.take(report)

    def doubted() -> frozenset[str]:
        return judge.doubted() | forced

    server = LoadReportsServer(
        take, own_voter, doubted, LoadReportOptions(limits=StreamLimits(most=20_000, age_s=0))
    )
    keeper.judged = server.touch
    xds = XdsServer(Cache(facts), Nobody(), identifier="bench", more=server.handlers())
    port = xds.add_port("127.0.0.1:0", None)
    await xds.start()
    judging = asyncio.create_task(keeper.run())
    print(json.dumps({"port": port}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        if line.startswith("doubt"):
            many = int(line.split()[1]) * GROUP
            forced = frozenset(wire_name(ServiceKey("bench", f"svc-{i}"), PORT) for i in range(many))
            server.touch()
        pace = server.pace
        said = {"interval": pace.interval_s, "detection": pace.detection_s, "reporters": pace.reporters}
        verdicts = len(judge.verdicts(0.0))
        said |= counts | {"byEndpoint": pace.by_endpoint, "verdicts": verdicts}
        print(json.dumps(said), flush=True)
    judging.cancel()
    await server.stop()
    await xds.stop(1)


if __name__ == "__main__":
    asyncio.run(main())
