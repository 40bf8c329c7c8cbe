"""What judging costs: 1,000 services in 3 clusters, 500 reporters of 10 services, a report every second."""

from __future__ import annotations

import time
from typing import Any

from tideover_core.model import (
    ClusterFacts,
    Endpoint,
    Locality,
    Protocol,
    ServiceFacts,
    ServiceKey,
    ServicePort,
)
from tideover_core.world import World, merge
from tideover_health.judge import Judge
from tideover_health.signals import Report, Row, Voter

SERVICES, ENDPOINTS, REPORTERS, OF_EACH = 1000, 20, 500, 10
PLACES = tuple(Locality(region, f"{region}-a") for region in ("eu-west", "eu-north", "us-east"))
LOOK_EVERY_S = 0.02


def fleet() -> World:
    port = ServicePort(8080, "http", Protocol.HTTP)
    clusters = []
    for index, place in enumerate(PLACES):
        services = {}
        for number in range(SERVICES):
            key = ServiceKey("bench", f"s{number}")
            ends = tuple(
                Endpoint(address(index, number, i), 8080, f"c{index}", "default", place)
                for i in range(ENDPOINTS)
            )
            services[key] = ServiceFacts(key, (port,), {8080: ends})
        clusters.append(ClusterFacts(f"c{index}", "default", place, services))
    return merge(clusters)


def address(cluster: int, service: int, number: int) -> str:
    flat = service * ENDPOINTS + number
    return f"10.{cluster}.{flat >> 8 & 255}.{flat & 255}"


def reports(failed: int, by_endpoint: int = 0) -> list[Report]:
    """One of each reporter: 20 calls to each place, so many of them failed."""
    found = []
    for voter in range(REPORTERS):
        rows: list[Row] = []
        for k in range(OF_EACH):
            service = (voter * OF_EACH + k) % SERVICES
            name = f"bench/s{service}:8080"
            for index, place in enumerate(PLACES):
                rows.append(Row(name, place, 20 - failed, failed))
                if voter < by_endpoint:
                    ends = [(address(index, service, i), 8080) for i in range(ENDPOINTS)]
                    rows += [Row(name, place, 1, 0, 0, end) for end in ends]
        place = PLACES[voter % len(PLACES)]
        found.append(Report(Voter(f"spiffe://{voter}", locality=place, node=f"n{voter}"), 1.0, tuple(rows)))
    return found


def percent_of_a_core(world: World, sent: list[Report], seconds: int = 10) -> float:
    """Processor time for a second of reports, spread over it, judged as they come."""
    judge = Judge()
    judge.judge(world, 0.0)
    looked_s = 0.0
    began = time.process_time()
    for second in range(seconds):
        for number, report in enumerate(sent):
            now_s = 100.0 + second + number / len(sent)
            judge.take(report, now_s)
            due_s = judge.next_s()
            if due_s is not None and due_s <= now_s and now_s >= looked_s + LOOK_EVERY_S:
                looked_s = now_s
                judge.judge(world, now_s)
    return round(100 * (time.process_time() - began) / seconds, 1)


def measure() -> dict[str, Any]:
    """Percent of one core, for 15,000 rows a second."""
    world = fleet()
    return {
        "rowsPerSecond": REPORTERS * OF_EACH * len(PLACES),
        "allWellPercent": percent_of_a_core(world, reports(0)),
        "fiftyByEndpointPercent": percent_of_a_core(world, reports(0, 50)),
        "noiseOf5PercentEverywherePercent": percent_of_a_core(world, reports(1)),
        "errorsOf50PercentEverywherePercent": percent_of_a_core(world, reports(10)),
    }
