"""Breakers, load balancing and outlier detection of interfaces.md, as a real Envoy behaves."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from support.backend import HttpBackend, serving
from support.wait import until
from support.xds_calling import calling, calls, dead, hosts, stat, statuses
from support.xds_serving import Sidecar, serving_xds, sidecar
from support.xds_worlds import RATINGS, cluster, service, world
from tideover_core.model import Protocol
from tideover_core.world import World

pytestmark = pytest.mark.envoy


# --- breakers, load balancing, outlier detection


async def test_breakers_are_off(tmp_path: Path) -> None:
    async with calling(tmp_path, dead(1)) as caller:
        page = await caller.envoy.get("/clusters")
        for limit in ("max_connections", "max_pending_requests", "max_requests"):
            assert f"{RATINGS}::default_priority::{limit}::4294967295" in page


@pytest.mark.parametrize(
    ("protocol", "policy"),
    [(Protocol.HTTP, "LEAST_REQUEST"), (Protocol.GRPC, None), (Protocol.TCP, "LEAST_REQUEST")],
)
async def test_load_balancing_is_what_envoy_took(
    tmp_path: Path, protocol: Protocol, policy: str | None
) -> None:
    async with calling(tmp_path, dead(1), protocol=protocol) as caller:
        dump = await caller.envoy.config_dump()
        (taken,) = [one["cluster"] for one in dump["clusters"] if one["cluster"]["name"] == RATINGS]
        assert taken.get("lb_policy") == policy  # ROUND_ROBIN is the default, and not shown


async def test_outlier_detection_five_gateway_errors_eject_a_host_at_once(tmp_path: Path) -> None:
    bad, good = HttpBackend("bad"), HttpBackend("good")
    bad.status = 503
    async with serving(bad, good), calling(tmp_path, hosts([bad, good])) as caller:
        await until(lambda: enough(caller, bad), what="the bad host has had its errors")
        await until(lambda: stat(caller, "outlier_detection.ejections_active"))
        assert bad.calls == 5
        assert {one.served_by for one in await calls(caller, 20)} == {"good"}
        assert bad.calls == 5


async def enough(caller: Sidecar, bad: HttpBackend) -> bool:
    await calls(caller, 1, "POST")
    return bad.calls >= 5


async def test_outlier_detection_acts_at_once_also_right_after_other_news_of_health(tmp_path: Path) -> None:
    """Envoy's own update_merge_window of 1 s would go on calling the ejected host meanwhile."""
    bad, good = HttpBackend("bad"), HttpBackend("good")
    bad.status = 503
    (third,) = dead(1)

    def now(*, ready: bool) -> World:
        place = [*hosts([bad, good]), dataclasses.replace(third, ready=ready)]
        return world(cluster("paris", service("ratings", place)))

    async with (
        serving(bad, good),
        serving_xds(now(ready=True)) as xds,
        sidecar(xds.port, tmp_path) as caller,
    ):

        async def told() -> bool:
            (host,) = [one for one in (await caller.envoy.clusters())[RATINGS] if one.port == third.port]
            return host.eds_health != "HEALTHY"

        xds.replace(now(ready=False))
        await until(told, what="Envoy has the news of the third host")
        await calls(caller, 100, "POST")
        assert bad.calls <= 10


async def test_outlier_detection_all_hosts_of_a_place_can_be_ejected(tmp_path: Path) -> None:
    far = HttpBackend("far")
    async with serving(far), calling(tmp_path, dead(4), hosts([far], "dublin")) as caller:
        await until(lambda: _all_out(caller))
        before = await stat(caller, "upstream_rq_retry")
        assert statuses(await calls(caller, 20, "POST")) == {200}
        assert await stat(caller, "upstream_rq_retry") == before


async def _all_out(caller: Sidecar) -> bool:
    assert statuses(await calls(caller, 1)) == {200}
    return await stat(caller, "outlier_detection.ejections_active") == 4
