"""Servers of health on a free port, and Envoys that talk to them without xDS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from support.envoy import xds_cluster
from tideover_health.signals import Voter
from tideover_wire.node import Client


async def proven(_context: object, client: Client) -> Voter:
    """Everyone has proved to be who they say."""
    where = client.vantage
    return Voter(f"spiffe://{client.id}", where.cluster, where.locality, where.node)


@asynccontextmanager
async def serving(
    handlers: Iterable[grpc.GenericRpcHandler],
    port: int = 0,
    credentials: grpc.ServerCredentials | None = None,
) -> AsyncIterator[int]:
    """A grpc server with these services; its port."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(tuple(handlers))
    where = f"127.0.0.1:{port}"
    found = server.add_secure_port(where, credentials) if credentials else server.add_insecure_port(where)
    await server.start()
    try:
        yield found
    finally:
        await server.stop(0.5)


def bare_bootstrap(port: int, node: str, zone: str = "eu-west-a", **more: Any) -> dict[str, Any]:
    """An Envoy that knows the server of `port` as the cluster `xds`, and is LIVE at once."""
    return {
        "node": {
            "id": node,
            "cluster": "test",
            "locality": {"region": "eu-west", "zone": zone},
            "metadata": {"CLUSTER_ID": "paris", "NAMESPACE": "bookinfo", "NODE_NAME": f"node-{node}"},
        },
        "static_resources": {"clusters": [xds_cluster(port)]},
        **more,
    }
