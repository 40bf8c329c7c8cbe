"""API servers die, hang, lie and forget, under load: nothing is lost, no call fails, no hand is needed."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from e2e.live import network, servers
from support.apiserver import ApiServer
from support.apiserver.bending import Bending, bending
from support.envoy import Envoy
from support.live_mesh import LiveMesh, live_mesh
from support.load import Load
from support.tcp_proxy import tcp_proxy
from support.tideover import Tideover, running_tideover
from support.wait import holds, until
from tideover_discovery.kubernetes.contact import GRACE_S, STEADY_S

pytestmark = pytest.mark.envoy
__all__ = ["network", "servers"]
PATIENCE_S = 30


@dataclass
class Watched:
    """A caller in paris under load, and what Tideover says of paris meanwhile."""

    world: LiveMesh
    tideover: Tideover
    envoy: Envoy
    calls: Load

    async def cluster(self) -> dict[str, Any]:
        answer = await self.tideover.cli("status", "-o", "json")
        return next(c for c in answer.json()["clusters"] if c["name"] == "paris")

    async def stale(self, *words: str) -> None:
        """Until status names cause and time, and the metrics the age; nothing is lost meanwhile."""

        async def said() -> bool:
            assert await self.there()
            return await self.metric("tideover_cluster_stale_seconds") > 0

        async def why() -> bool:
            paris = await self.cluster()
            return bool(paris.get("staleSince")) and all(word in paris["reason"] for word in words)

        await until(said, PATIENCE_S, self.tideover.log)
        await until(why, PATIENCE_S, self.tideover.log)

    async def fresh(self) -> None:
        """In step again by itself, and a pod's change is seen."""

        async def said() -> bool:
            stale_s = await self.metric("tideover_cluster_stale_seconds")
            return stale_s == await self.metric("tideover_cluster_held_endpoints") == 0

        await until(said, PATIENCE_S, self.tideover.log)
        paris = await self.cluster()
        assert not paris.get("staleSince")
        assert paris["reason"] == ""
        await self.follows()

    async def follows(self) -> None:
        """Readiness of one pod reaches Envoy, both ways."""
        ratings = self.world.workloads["paris"]
        address = f"{ratings.pods['paris-2']}:{self.world.target}"
        for ready, wanted in ((False, "UNHEALTHY"), (True, "HEALTHY")):
            ratings.ready("paris-2", ready)
            await until(lambda wanted=wanted: self.has(address, wanted), PATIENCE_S, self.tideover.log)

    async def has(self, address: str, wanted: str) -> bool:
        return (await self.envoy.health(self.world.wire_name)).get(address) == wanted

    async def there(self) -> bool:
        """Whether Envoy has every endpoint."""
        return (await self.envoy.health(self.world.wire_name)).keys() == self.world.hostports()

    async def whole(self) -> bool:
        """Whether Envoy has every endpoint, and as a healthy one."""
        health = await self.envoy.health(self.world.wire_name)
        return health == dict.fromkeys(self.world.hostports(), "HEALTHY")

    async def metric(self, name: str) -> float:
        _, text = await self.tideover.http("/metrics")
        start = f'{name}{{cluster="paris"}} '
        return next(
            (float(line.removeprefix(start)) for line in text.splitlines() if line.startswith(start)), -1
        )

    async def told(self, *words: str) -> None:
        async def said() -> bool:
            status = (await self.tideover.cli("status", "-o", "json")).out
            return all(word in status for word in words)

        await until(said, PATIENCE_S, self.tideover.log)

    def happened(self, kind: str) -> int:
        lines = [json.loads(line) for line in self.tideover.log().splitlines() if line.startswith("{")]
        return sum(line["event"] == kind and line.get("object") == "Cluster paris" for line in lines)


@asynccontextmanager
async def watched(world: LiveMesh, **of: Any) -> AsyncIterator[Watched]:
    async with running_tideover(world.setup, **of) as tideover, world.called(tideover) as (envoy, calls):
        one = Watched(world, tideover, envoy, calls)
        yield one
        assert await one.whole()


async def test_the_server_is_killed_stopped_and_started_again(
    tmp_path: Path, servers: dict[str, ApiServer]
) -> None:
    async with live_mesh(tmp_path, servers, "killed") as world, watched(world) as one:
        servers["paris"].kill()
        await one.stale("connection refused")
        await asyncio.to_thread(servers["paris"].start)
        await one.fresh()
        servers["paris"].pause()  # connections stay open, and nothing is said on them
        try:
            await one.stale("no answer in time")
        finally:
            servers["paris"].resume()
        await one.fresh()


async def test_the_server_forgets_everything_and_is_believed_only_when_told_to(
    tmp_path: Path, servers: dict[str, ApiServer]
) -> None:
    world_of = live_mesh(tmp_path, servers, "wiped", settings={"removalHold": "1h"})
    async with world_of as world, watched(world) as one:
        await asyncio.to_thread(servers["paris"].wipe)
        servers["paris"].admin.apply_crds()
        await one.told("vanished at once and are held")
        assert await one.metric("tideover_cluster_held_endpoints") >= 2
        servers["paris"].admin.namespace("wiped")
        world.workloads["paris"].create()  # it was restored
        await one.fresh()


async def test_the_network_to_the_server_is_cut_pauses_crawls_and_flaps(
    tmp_path: Path, servers: dict[str, ApiServer]
) -> None:
    async with tcp_proxy(servers["paris"].port) as proxy:
        urls = {"paris": proxy.url}
        async with live_mesh(tmp_path, servers, "cut", urls=urls) as world, watched(world) as one:
            proxy.refuse()
            await one.stale("connection refused")
            await proxy.open()
            await one.fresh()
            proxy.pause()
            await one.stale("no answer in time")
            await proxy.open()
            await one.fresh()
            proxy.delay(0.3)
            await one.follows()
            await proxy.open()
            before, began_s = one.happened("SourceStale"), time.monotonic()
            for _ in range(30):  # ten times a second
                proxy.refuse()
                await asyncio.sleep(0.05)
                await proxy.open()
                await asyncio.sleep(0.05)
            await one.fresh()
            # on a slow machine they take longer, and contact that held for a second is contact
            most = 2 + (time.monotonic() - began_s) / (GRACE_S + STEADY_S)
            assert one.happened("SourceStale") - before <= most


@pytest.mark.parametrize("spoilt", ["whole", "torn"])
async def test_partitioned_while_we_restart_the_snapshot_is_what_is_known(
    tmp_path: Path, servers: dict[str, ApiServer], spoilt: str
) -> None:
    async with (
        tcp_proxy(servers["paris"].port) as proxy,
        live_mesh(tmp_path, servers, f"restart-{spoilt}", urls={"paris": proxy.url}) as world,
        running_tideover(world.setup) as first,
        world.called(first) as (envoy, calls),
    ):
        newest = tmp_path / "state" / "paris.facts"
        older = newest.with_suffix(".facts.previous")
        await Watched(world, first, envoy, calls).follows()
        # each is written at most once a second: wait until the last change is in the newest
        await until(lambda: older.exists() and time.time() - newest.stat().st_mtime > 1.5, PATIENCE_S)
        proxy.refuse()
        await first.kill()
        if spoilt == "torn":
            newest.write_bytes(newest.read_bytes()[:-100])
        async with running_tideover(world.setup) as second:
            again = Watched(world, second, envoy, calls)
            await again.stale("connection refused")
            if spoilt == "torn":
                await again.told("is torn", "an older one is used")
            await holds(again.there, 1)
            await proxy.open()
            await again.fresh()


async def test_the_server_answers_nonsense_nothing_or_only_some_lists(
    tmp_path: Path, servers: dict[str, ApiServer]
) -> None:
    async with bending(servers["paris"], tmp_path) as proxy:
        world_of = live_mesh(tmp_path, servers, "lies", urls={"paris": proxy.url})
        async with world_of as world:
            proxy.kubeconfig(tmp_path / "paris.kubeconfig")
            async with watched(world) as one:
                for bend, word in ((html, "HTML"), (unauthorized, "401")):
                    await lie(proxy, bend)
                    await one.stale(word)
                    await truth(proxy)
                    await one.fresh()
                await lie(proxy, some_lists_fail)
                await one.stale("/api/v1/pods")
                await truth(proxy)
                await one.fresh()
                proxy.repeat = True  # each event twice
                proxy.cut()
                await one.follows()
                proxy.repeat = False
                await lie(proxy, nothing)
                await one.told("vanished at once and are held")
                assert await one.whole()
                await truth(proxy)
                await one.fresh()


async def lie(proxy: Bending, bend: Callable[[web.Request], web.Response | None]) -> None:
    proxy.bend = bend
    proxy.cut()


async def truth(proxy: Bending) -> None:
    proxy.bend = lambda request: None
    proxy.cut()


def html(request: web.Request) -> web.Response:
    return web.Response(text="<html><body>Please log in</body></html>", content_type="text/html")


def unauthorized(request: web.Request) -> web.Response:
    return web.json_response({"kind": "Status", "status": "Failure", "code": 401}, status=401)


def some_lists_fail(request: web.Request) -> web.Response | None:
    """Back after an outage in which it lost its place, and Pods cannot be had."""
    if request.path == "/api/v1/pods":
        return web.json_response({"kind": "Status", "status": "Failure", "code": 500}, status=500)
    if "resourceVersion" in request.query and request.query["resourceVersion"] not in ("", "0"):
        return web.json_response({"kind": "Status", "status": "Failure", "code": 410}, status=410)
    return None


def nothing(request: web.Request) -> web.StreamResponse | None:  # type: ignore[misc]
    """Every list is empty, and complete."""
    if request.path.startswith("/apis") and request.path.count("/") <= 3:
        return None
    if "watch" in request.query:
        if request.query.get("sendInitialEvents") == "true":
            return web.json_response({"kind": "Status", "status": "Failure", "code": 400}, status=400)
        if request.query.get("resourceVersion") != "999999999":
            return web.json_response({"kind": "Status", "status": "Failure", "code": 410}, status=410)
        return None
    empty = {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "999999999"}, "items": []}
    return web.json_response(empty)


async def test_credentials_expire_rotate_and_are_truncated_in_place(
    tmp_path: Path, servers: dict[str, ApiServer]
) -> None:
    paris = servers["paris"]
    async with live_mesh(tmp_path, servers, "rotates") as world:
        admin = paris.admin
        account = {"apiVersion": "v1", "kind": "ServiceAccount"}
        for name in ("first", "second"):
            admin.apply({**account, "metadata": {"name": name, "namespace": "rotates"}}, reader(name))
        path = world.kubeconfig("paris", token=admin.token("rotates", "first"))
        async with watched(world) as one:
            admin.delete("ServiceAccount", "first", "rotates")  # its tokens count no more
            await one.stale("401")
            world.kubeconfig("paris", token=admin.token("rotates", "second"))
            await one.fresh()
            whole = path.read_text()
            path.write_text(whole[: len(whole) // 2])
            await one.told("paris.kubeconfig", "the credentials read before are used on")
            await one.follows()
            path.write_text(whole)
            await until(lambda: forgotten(one, "the credentials read before"), PATIENCE_S)


def reader(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"rotates-{name}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "rotates"}],
    }


async def forgotten(one: Watched, text: str) -> bool:
    return text not in (await one.tideover.cli("status", "-o", "json")).out


async def test_a_name_is_registered_twice_and_a_registered_cluster_leaves(
    tmp_path: Path, servers: dict[str, ApiServer]
) -> None:
    settings = {"hub": "dublin", "rootNamespace": "twice"}
    async with live_mesh(tmp_path, servers, "twice", settings=settings) as world:
        hub = servers["dublin"].admin
        world.setup.clusters = {name: row for name, row in world.setup.clusters.items() if name != "virginia"}
        world.setup.write()
        hub.apply(registration("virginia", "virginia", servers["virginia"]))
        async with running_tideover(world.setup) as tideover, world.called(tideover) as (envoy, calls):
            one = Watched(world, tideover, envoy, calls)
            # neither of the file nor of an older Secret is the name taken away
            hub.apply(registration("paris-too", "paris", servers["virginia"]))
            hub.apply(registration("virginia-too", "virginia", servers["paris"]))
            await one.told("twice/paris-too", "twice/virginia-too")
            assert await one.whole()
            await one.follows()
            for name in ("paris-too", "virginia-too"):
                hub.delete("Secret", name, "twice")
            leaving = {"tideover.dev/leaving": "2026-01-01T00:00:00Z"}
            hub.patch("Secret", "virginia", "twice", {"metadata": {"annotations": leaving}})
            # drained for 30 s by the replica's own clock, whatever the Secret says
            await until(lambda: only(one, "paris", "dublin"), 30 + PATIENCE_S, tideover.log)
            hub.delete("Secret", "virginia", "twice")
            await until(lambda: forgotten(one, "virginia"), PATIENCE_S, tideover.log)
            assert await only(one, "paris", "dublin")


def registration(name: str, cluster: str, server: ApiServer) -> dict[str, Any]:
    """The Secret NAME that registers a cluster at this server."""
    about = {"name": name, "namespace": "twice", "labels": {"tideover.dev/cluster": cluster}}
    data = {"kubeconfig": base64.b64encode(server.kubeconfig().encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": about, "data": data}


async def only(one: Watched, *clusters: str) -> bool:
    """Whether Envoy has the endpoints of these clusters and no others."""
    return (await one.envoy.health(one.world.wire_name)).keys() == one.world.hostports(*clusters)


CLOCK = """
import os, time
_time = time.time
def _shifted():
    try:
        with open(os.environ["CLOCK_SHIFT_S"]) as file:
            return _time() + float(file.read() or 0)
    except OSError:
        return _time()
time.time = _shifted
"""


async def test_the_clock_is_set_back_an_hour(tmp_path: Path, servers: dict[str, ApiServer]) -> None:
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    shift = tmp_path / "shift"
    env = {"PYTHONPATH": str(tmp_path), "CLOCK_SHIFT_S": str(shift)}
    async with live_mesh(tmp_path, servers, "clock") as world, watched(world, env=env) as one:
        shift.write_text("-3600")
        await one.follows()
        servers["paris"].kill()
        await one.stale("connection refused")
        shift.write_text("3600")
        await asyncio.to_thread(servers["paris"].start)
        await one.fresh()
