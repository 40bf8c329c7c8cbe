"""How connections of real Envoys are kept and given up (facts/control-plane-connections.md)."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from support.envoy import ads_bootstrap, running_envoy, xds_cluster
from support.ports import free_port
from support.wait import holds, until
from support.xds_serving import Heard, serving_xds
from support.xds_worlds import RATINGS, changed, cluster, endpoint, service, two_clusters, world
from tideover_core.policy import FailoverPolicy, Outlier, Settings
from tideover_core.world import Mesh, World
from tideover_xds.server import XdsServer
from tideover_xds.server_options import ServerOptions

pytestmark = pytest.mark.envoy


def bootstrap(port: int, *, delta: bool = True, ping_every: str = "") -> dict[str, Any]:
    metadata = {"CLUSTER_ID": "paris", "NAMESPACE": "bookinfo", "HTTP_PORT": free_port()}
    described = ads_bootstrap(port, metadata=metadata, delta=delta)
    # as `tideover bootstrap envoy` says it
    described["static_resources"]["clusters"][0]["outlier_detection"] = {
        "consecutive_5xx": 1,
        "max_ejection_percent": 100,
    }
    if ping_every:
        (options,) = described["static_resources"]["clusters"][0]["typed_extension_protocol_options"].values()
        http2 = options["explicit_http_config"]["http2_protocol_options"]
        http2["connection_keepalive"] = {"interval": ping_every, "timeout": "3s"}
    return described


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])
async def test_a_stream_that_is_old_ends_with_ok_and_nothing_is_sent_again(
    tmp_path: Path, delta: bool
) -> None:
    options = ServerOptions(connection_age_s=1, look_every_s=0.05)
    async with (
        serving_xds(two_clusters(), options) as xds,
        running_envoy(bootstrap(xds.port, delta=delta), tmp_path) as envoy,
    ):
        before = await envoy.updates()
        await until(
            lambda: len(xds.heard.clients) >= 5 and xds.server.streams == 1, what="it came back four times"
        )
        # what grpc cuts off itself is UNAVAILABLE: the nearest replica would be the ejected one
        assert (await envoy.stats("cluster.xds.outlier_detection.ejections_total")).popitem()[1] == 0
        assert all(reason.startswith("it is old") for reason in xds.heard.ended.values())
        assert (await envoy.stats("cluster.xds.upstream_cx_total")).popitem()[1] > 1
        updates = {name: n for name, n in (await envoy.updates()).items() if n != before.get(name)}
        if delta:
            assert updates == {}
        # what state of the world asks for by name is sent again; nothing is changed by it
        modified = await envoy.stats(
            r"cluster_manager.cluster_(modified|removed)|listener_manager.listener_modified"
        )
        assert {name: n for name, n in modified.items() if n} == {}
        xds.replace(changed(xds.world, "paris", service("ratings", [endpoint("10.0.0.9")])))
        await until(lambda: has(envoy, "10.0.0.9:9080"))
        assert xds.heard.nacks() == []


async def test_an_envoy_returns_to_its_nearest_replica_and_stays_with_it(tmp_path: Path) -> None:
    options = ServerOptions(connection_age_s=1, look_every_s=0.05)
    async with serving_xds(two_clusters(), options) as far:
        near, heard = XdsServer(far.cache, Heard(), identifier="near", options=options), far.heard
        near_port = free_port()
        described = bootstrap(near_port)
        (replicas,) = described["static_resources"]["clusters"]
        replicas["outlier_detection"] |= {"interval": "1s", "base_ejection_time": "1s"}
        replicas["load_assignment"]["endpoints"] += [
            one | {"priority": 1} for one in xds_cluster(far.port)["load_assignment"]["endpoints"]
        ]
        async with running_envoy(described, tmp_path):
            assert far.server.streams == 1
            near.add_port(f"127.0.0.1:{near_port}", None)
            await near.start()
            try:
                await until(lambda: (near.streams, far.server.streams) == (1, 0))
                came = len(heard.clients)
                await holds(lambda: len(heard.clients) == came, 4)  # four ages of its streams
                await until(lambda: near.streams == 1)
            finally:
                await near.stop(1)


async def has(envoy: Any, hostport: str) -> bool:
    return hostport in await envoy.health(RATINGS)


async def test_pings_of_envoy_are_no_reason_to_go_away(tmp_path: Path) -> None:
    async with (
        serving_xds(two_clusters()) as xds,
        running_envoy(bootstrap(xds.port, ping_every="0.2s"), tmp_path),
    ):
        await holds(lambda: (len(xds.heard.clients), xds.server.streams) == (1, 1), 3)


async def test_an_envoy_that_is_stopped_is_noticed_and_welcome_again(tmp_path: Path) -> None:
    options = ServerOptions(keepalive_s=0.5, keepalive_timeout_s=0.5)
    async with (
        serving_xds(two_clusters(), options) as xds,
        running_envoy(bootstrap(xds.port), tmp_path) as envoy,
    ):
        os.kill(envoy.process.pid, signal.SIGSTOP)
        try:
            await until(lambda: xds.server.streams == 0, what="the stream of a stopped Envoy is closed")
        finally:
            os.kill(envoy.process.pid, signal.SIGCONT)
        await until(lambda: xds.server.streams == 1)


async def test_when_the_server_stops_envoy_keeps_what_it_has(tmp_path: Path) -> None:
    async with serving_xds(two_clusters()) as xds, running_envoy(bootstrap(xds.port), tmp_path) as envoy:
        before = await envoy.health(RATINGS)
        await xds.server.stop(1)
        assert set(xds.heard.ended.values()) == {"the server stops"}
        await holds(lambda: same(envoy, before), 0.5)


async def same(envoy: Any, before: dict[str, str]) -> bool:
    return bool(before) and await envoy.health(RATINGS) == before


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])
async def test_while_a_source_is_unknown_no_cluster_waits_for_its_endpoints(
    tmp_path: Path, delta: bool
) -> None:
    """What is new or changed then is said whole: Envoy would wait 15 s for endpoints that are held back."""

    def known(*names: str, ejected_s: float = 30) -> World:
        settings = Settings(outlier=Outlier(base_ejection_s=ejected_s))
        return world(
            cluster("paris", *(service(name, [endpoint("10.0.0.1")]) for name in names)),
            mesh=Mesh(failover_policies=(FailoverPolicy("bookinfo", "p", (), settings),)),
            complete=False,
        )

    async with (
        serving_xds(known("ratings")) as xds,
        running_envoy(bootstrap(xds.port, delta=delta), tmp_path) as envoy,
    ):

        async def served(name: str, ejected_s: int) -> bool:
            active = [one["cluster"] for one in (await envoy.config_dump())["clusters"]]
            times = [one["outlier_detection"]["base_ejection_time"] for one in active if one["name"] == name]
            return times == [f"{ejected_s}s"] and bool(await envoy.health(name))

        xds.replace(known("ratings", "reviews"))
        await until(lambda: served("bookinfo/reviews:9080", 30), 5)
        xds.replace(known("ratings", "reviews", ejected_s=31))
        for name in (RATINGS, "bookinfo/reviews:9080"):
            await until(lambda name=name: served(name, 31), 5)
        assert xds.heard.nacks() == []
