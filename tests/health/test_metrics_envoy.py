"""A real Envoy's metrics service: members, total ejection and slow answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.backend import HttpBackend
from support.backend import serving as backends
from support.envoy import running_envoy, xds_cluster
from support.health_serving import bare_bootstrap, proven, serving
from support.ports import free_port
from support.wait import until
from tideover_app.bootstrap_checks import metrics
from tideover_health.metrics_server import MetricsServer
from tideover_health.signals import Members

pytestmark = pytest.mark.envoy
NAME = "bookinfo/ratings:9080"


def _bootstrap(port: int, http_port: int, backend: HttpBackend) -> dict[str, Any]:
    """An Envoy with the cluster NAME in another zone, and a listener for it; no panic, one error ejects."""
    host = {
        "endpoint": {"address": {"socket_address": {"address": backend.host, "port_value": backend.port}}}
    }
    where = {"region": "eu-north", "zone": "eu-north-a"}
    cluster = {
        "name": NAME,
        "type": "STATIC",
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "outlier_detection": {"consecutive_5xx": 1, "interval": "0.2s", "max_ejection_percent": 100},
        "load_assignment": {
            "cluster_name": NAME,
            "endpoints": [{"locality": where, "lb_endpoints": [host]}],
        },
    }
    router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": "out",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": NAME}}],
                }
            ]
        },
        "http_filters": [{"name": "router", "typed_config": {"@type": router}}],
    }
    listener = {
        "name": "out",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": http_port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    resources = {"clusters": [xds_cluster(port), cluster], "listeners": [listener]}
    return bare_bootstrap(port, "e1", **metrics("xds", "0.3s")) | {"static_resources": resources}


async def test_members_slow_answers_and_total_ejection(tmp_path: Path) -> None:
    backend, http_port, told = HttpBackend("one"), free_port(), list[Members]()
    server = MetricsServer(told.append, proven)
    async with (
        backends(backend),
        serving(server.handlers()) as port,
        running_envoy(_bootstrap(port, http_port, backend), tmp_path) as envoy,
        aiohttp.ClientSession() as session,
    ):

        async def call() -> None:
            async with session.get(f"http://127.0.0.1:{http_port}/") as answer:
                await answer.read()

        await until(lambda: told)
        assert (told[-1].name, told[-1].total, told[-1].healthy, told[-1].ejected) == (NAME, 1, 1, 0)
        assert told[-1].voter.id == "spiffe://e1"
        assert {one.name for one in told} == {NAME}, "our own cluster is none of theirs"
        backend.delay_s = 0.4

        async def slow() -> bool:
            await call()
            return any(
                place.zone == "eu-north-a" and 300 < ms < 3000 for one in told for place, ms in one.latency_ms
            )

        await until(slow, what=lambda: told[-3:])
        backend.delay_s = 0
        # nobody calls any more: that is no latency of before
        seen = len(told)
        await until(lambda: len(told) > seen + 3)
        assert told[-1].latency_ms == ()
        backend.status = 503
        await call()
        await until(lambda: (told[-1].total, told[-1].healthy, told[-1].ejected) == (1, 0, 1))
        await until(lambda: server.status.ejections == {"consecutive_5xx": 1})
        # all that Envoy still counts is what was asked for
        assert not await envoy.stats("upstream_rq_total")
        assert server.status.streams == 1
        server.end()
        await until(lambda: server.status.streams == 0)
        await asyncio.sleep(0)
