"""A sidecar in paris that calls `ratings` there and in dublin, and what its calls and statistics say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.backend import Backend
from support.load import Call, call
from support.ports import free_ports
from support.xds_serving import Sidecar, serving_xds, sidecar
from support.xds_worlds import RATINGS, cluster, endpoint, service, world
from tideover_core.model import Endpoint, Protocol
from tideover_core.policy import FailoverPolicy, Outlier, Settings
from tideover_core.world import Mesh

HOST = "ratings:9080"
STATS = RATINGS.replace(":", "_")
NO_EJECTION = Outlier(consecutive_gateway_errors=None, consecutive_local_origin_errors=None)


def hosts(backends: Sequence[Backend], place: str = "paris", *, ready: bool = True) -> list[Endpoint]:
    return [endpoint(one.host, one.port, place, ready=ready) for one in backends]


def dead(count: int, place: str = "paris", *, ready: bool = True) -> list[Endpoint]:
    """Endpoints where nobody listens."""
    return [endpoint("127.0.0.1", port, place, ready=ready) for port in free_ports(count)]


@asynccontextmanager
async def calling(
    folder: Path,
    paris: list[Endpoint],
    dublin: Sequence[Endpoint] = (),
    *,
    protocol: Protocol = Protocol.HTTP,
    settings: Settings | None = None,
) -> AsyncIterator[Sidecar]:
    """A sidecar in paris that calls `ratings` there and in dublin."""
    ports = {9080: protocol}
    policies = (FailoverPolicy("bookinfo", "p", (), settings),) if settings is not None else ()
    now = world(
        cluster("paris", service("ratings", paris, ports=ports)),
        cluster("dublin", service("ratings", dublin, ports=ports)),
        mesh=Mesh(failover_policies=policies),
    )
    async with serving_xds(now) as xds, sidecar(xds.port, folder, tcp=(RATINGS,)) as caller:
        yield caller
        assert xds.heard.nacks() == []


async def calls(caller: Sidecar, count: int, method: str = "GET", **of: Any) -> list[Call]:
    return [await call(caller.http, HOST, method=method, **of) for _ in range(count)]


def statuses(made: list[Call]) -> set[int]:
    return {one.status for one in made}


async def stat(caller: Sidecar, name: str) -> int:
    """A statistic of the cluster of `ratings`."""
    return sum((await caller.envoy.stats(f"^cluster.{STATS}.{name}$")).values())


def proxyless_bootstrap(port: int) -> dict[str, Any]:
    """Of a gRPC client without a proxy in paris."""
    return {
        "xds_servers": [
            {
                "server_uri": f"127.0.0.1:{port}",
                "channel_creds": [{"type": "insecure"}],
                "server_features": ["xds_v3"],
            }
        ],
        "node": {
            "id": "grpc-1",
            "locality": {"region": "eu-west", "zone": "eu-west-a"},
            "metadata": {"CLUSTER_ID": "paris", "NAMESPACE": "bookinfo"},
        },
    }
