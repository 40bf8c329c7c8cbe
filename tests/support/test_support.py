"""The support itself: a test that trusts a broken tool proves nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from support.backend import GRPC_METHOD, GrpcBackend, HttpBackend, TcpBackend, serving
from support.envoy import ads_bootstrap, running_envoy, validate
from support.load import call, load
from support.manifests import ClusterFolder, Place, endpoint_slice, service
from support.ports import free_port, free_ports
from support.wait import holds, until

XDS = "xds"


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(20))) == 20


async def test_until_says_what_it_waited_for() -> None:
    with pytest.raises(AssertionError, match="a pony"):
        await until(lambda: False, 0.05, "a pony")


async def test_holds_fails_when_it_ends() -> None:
    with pytest.raises(AssertionError):
        await holds(lambda: False, 0.05)


async def test_a_backend_says_who_it_is_and_fails_as_told() -> None:
    other = HttpBackend("ratings-1")
    async with serving(other):
        assert (await call(other.port, "x")).served_by == "ratings-1"
        other.status = 503
        assert (await call(other.port, "x")).status == 503
        other.resets = True
        assert (await call(other.port, "x")).status == 0
        await other.stop()
        assert (await call(other.port, "x")).status == 0


async def test_grpc_and_tcp_backends_say_who_they_are() -> None:
    one, two = GrpcBackend("g"), TcpBackend("t")
    async with serving(one, two), grpc.aio.insecure_channel(f"127.0.0.1:{one.port}") as channel:
        say: Any = channel.unary_unary(GRPC_METHOD)
        assert await say(b"") == b"g"
        one.code = grpc.StatusCode.UNAVAILABLE
        with pytest.raises(grpc.aio.AioRpcError):
            await say(b"")


async def test_load_tells_who_served_and_what_failed() -> None:
    backend = HttpBackend("ratings-1")
    async with serving(backend), load(backend.port, "x") as calls:
        await calls.only_from("ratings-1", count=5)
        backend.status = 500
        await until(calls.failed)
    assert set(calls.served()) == {"ratings-1"}


def test_a_cluster_folder_is_replaced_whole(tmp_path: Path) -> None:
    folder = ClusterFolder(tmp_path / "paris")
    objects = [service("ratings"), endpoint_slice("ratings", [Place("10.0.0.1", zone="a")])]
    folder.write("ratings", *objects)
    folder.write("ratings", *objects)
    assert [p.name for p in folder.path.iterdir()] == ["ratings.json"]


@pytest.mark.envoy
async def test_a_real_envoy_is_read_and_stopped(tmp_path: Path) -> None:
    backend = HttpBackend("b")
    boot = ads_bootstrap(free_port())
    cluster = {**boot["static_resources"]["clusters"][0], "name": "static-one"}
    boot["static_resources"]["clusters"].append(cluster)
    async with serving(backend), running_envoy(boot, tmp_path, wait=False) as envoy:
        hosts = await envoy.clusters()
        assert set(hosts) == {XDS, "static-one"}
        assert hosts[XDS][0].eds_health == "HEALTHY"
        assert await envoy.rejected() == {}
        assert (await envoy.config_dump())["clusters"] == []
        assert not await envoy.ready()  # no control plane, so it must not go live
    assert envoy.process.returncode is not None
    assert validate(boot, tmp_path) == ""
    boot["static_resources"]["clusters"][0]["nonsense"] = 1
    assert "nonsense" in validate(boot, tmp_path)
