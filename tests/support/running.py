"""A running `tideover run` with two clusters on disk, and questions to it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc

from support.delta import CDS, delta_client, node
from support.manifests import ClusterFolder, Place, endpoint_slice, service
from support.tideover import Answer, Setup, Tideover, command
from support.wait import until
from tideover_proto.admin.v1 import admin_pb2 as pb
from tideover_proto.admin.v1 import admin_pb2_grpc

RATINGS = "bookinfo/ratings:9080"
NUMBERS = {"paris": 1, "dublin": 2, "oslo": 3}


def put(setup: Setup, cluster: str, ready: int = 3, names: Iterable[str] = ("ratings",)) -> None:
    """Services of a cluster on disk, each with three endpoints, of which so many are ready."""
    folder = ClusterFolder(setup.cluster_path(cluster))
    address = f"10.{NUMBERS[cluster]}.0"
    places = [Place(f"{address}.{i}", zone=f"{cluster}-a", ready=i < ready) for i in range(3)]
    for name in names:
        folder.write(name, service(name), endpoint_slice(name, places))


def two_clusters(folder: Path) -> Setup:
    """Two clusters with one service."""
    made = Setup(folder)
    put(made, "paris")
    put(made, "dublin")
    return made


async def run(setup: Setup) -> Answer:
    """`tideover run` that is expected to end by itself."""
    return await command("run", "-c", str(setup.config))


async def ask(tideover: Tideover, call: str, request: Any) -> Any:
    """One question to the admin API."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{tideover.setup.admin_port}") as channel:
        return await getattr(admin_pb2_grpc.AdminStub(channel), call)(request, timeout=10)


async def status(tideover: Tideover) -> Any:
    return await ask(tideover, "GetStatus", pb.GetStatusRequest())


async def addresses(tideover: Tideover) -> list[str]:
    """Of all endpoints of ratings that the replica knows."""
    answer = await ask(tideover, "ListEndpoints", pb.ListEndpointsRequest(service="bookinfo/ratings"))
    return sorted(endpoint.address for endpoint in answer.endpoints)


def of(cluster: str) -> list[str]:
    return [f"10.{NUMBERS[cluster]}.0.{i}" for i in range(3)]


async def happened(tideover: Tideover, *words: str) -> None:
    """Wait until one line of the log has all of these words."""

    def seen() -> bool:
        lines = [json.loads(line) for line in tideover.log().splitlines() if line.startswith("{")]
        told = [f"{line['event']} {line.get('object')}: {line.get('message')}" for line in lines]
        return any(all(word in line for word in words) for line in told)

    await until(seen, what=lambda: f"{words} in\n{tideover.log()}")


async def versions(setup: Setup, identity: str = "a") -> dict[str, str]:
    """What a client that starts now is sent as clusters, by name."""
    async with delta_client(setup.xds_port, node(identity)) as client:
        await client.subscribe(CDS)
        return {resource.name: resource.version for resource in (await client.receive()).resources}
