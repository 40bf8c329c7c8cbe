"""Hosts of single pods of a headless service, through a real Envoy: that pod answers, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.test_kinds_of_traffic import PARIS, greeting, port_of
from support.envoy import running_envoy
from support.load import call
from support.manifests import Place, endpoint_slice, service
from support.mesh import ZONES, Mesh, mesh
from support.ports import free_port
from support.tideover import running_tideover
from support.wait import until

pytestmark = pytest.mark.envoy


def headless(world: Mesh, cluster: str, *hostnames: str, unready: str = "") -> None:
    """The first backends of a cluster get these hostnames, the others none."""
    names = world.names(cluster)
    places = [Place(world.address(name), zone=ZONES[cluster]) for name in names]
    part = endpoint_slice(
        world.name, places, world.namespace, port=world.target_port, port_name=world.protocol
    )
    for end, hostname in zip(part["endpoints"], hostnames, strict=False):
        end["hostname"] = hostname
        end["conditions"]["ready"] = hostname != unready
    ports = [{"port": world.port, "name": world.protocol}]
    one = service(world.name, world.namespace, ports=ports, clusterIP="None")
    world.folders[cluster].write(world.name, one, part)


async def served(port: int, host: str) -> set[str]:
    return {(await call(port, host)).served_by for _ in range(10)}


async def test_a_host_of_a_pod_is_that_pod_as_pods_come_and_go(tmp_path: Path) -> None:
    async with mesh(tmp_path) as world:
        headless(world, "paris", "web-0", "web-1")
        headless(world, "dublin", "web-0", "web-7")
        async with running_tideover(world.setup) as tideover:
            bootstrap = await tideover.bootstrap(*PARIS)
            async with running_envoy(bootstrap, tmp_path):
                port, name = port_of(bootstrap), f"{world.name}.{world.namespace}"
                for suffix in ("", ".svc", ".svc.cluster.local", f".svc.clusterset.local:{world.port}"):
                    assert await served(port, f"web-0.{name}{suffix}") == {"paris-1"}
                assert await served(port, f"web-1.{name}") == {"paris-2"}
                assert await served(port, f"web-7.{name}") == {"dublin-2"}
                assert await served(port, name) == {"paris-1", "paris-2"}
                assert (await call(port, f"web-9.{name}")).status == 404

                headless(world, "paris", "web-0", "web-2", unready="web-0")

                async def moved() -> bool:
                    return (await call(port, f"web-2.{name}")).served_by == "paris-2"

                await until(moved)
                assert (await call(port, f"web-1.{name}")).status == 404
                # not ready: its own data, or none; the pod of that name in dublin is another
                assert await served(port, f"web-0.{name}") == {"paris-1"}
                assert "paris-1" not in await served(port, name)


async def test_a_tcp_port_of_a_pod(tmp_path: Path) -> None:
    async with mesh(tmp_path, protocol="tcp", name="pg", port=5432) as world:
        headless(world, "paris", "pg-0", "pg-1")
        async with running_tideover(world.setup) as tideover:
            local, other = free_port(), free_port()
            pod = f"{world.wire_name}#@pg-"
            bootstrap = await tideover.bootstrap(
                *PARIS, "--tcp-port", f"{pod}1={local}", "--tcp-port", f"{pod}0={other}"
            )
            async with running_envoy(bootstrap, tmp_path):
                assert {await greeting(local) for _ in range(5)} == {"paris-2"}
                assert {await greeting(other) for _ in range(5)} == {"paris-1"}
