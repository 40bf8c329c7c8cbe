"""`tideover.yaml` with real clients: TLS for both sides, changes that are applied while running."""

from __future__ import annotations

import asyncio
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from support.certificates import Authority
from support.delta import CDS, delta_client, node
from support.envoy import running_envoy
from support.load import call
from support.manifests import Place, endpoint_slice, service
from support.mesh import mesh
from support.tideover import Setup, Tideover, running_tideover
from support.wait import until

pytestmark = pytest.mark.envoy
PARIS = ["--cluster", "paris", "--namespace", "bookinfo", "--locality", "eu-west/eu-west-a"]


async def test_mutual_tls_to_a_real_envoy_and_no_entry_without_a_certificate(tmp_path: Path) -> None:
    authority = Authority()
    files = {
        name: tmp_path / name for name in ("ca.pem", "server.pem", "server.key", "caller.pem", "caller.key")
    }
    files["ca.pem"].write_bytes(authority.pem)
    authority.issue("tideover").write(files["server.pem"], files["server.key"])
    authority.issue("caller").write(files["caller.pem"], files["caller.key"])
    tls = {"cert": "server.pem", "key": "server.key", "clientCA": "ca.pem"}
    async with mesh(tmp_path, settings={"tls": tls}) as world, running_tideover(world.setup) as tideover:
        bootstrap = await tideover.bootstrap(
            *PARIS, "--ca", str(files["ca.pem"]), "--cert", str(files["caller.pem"]),
            "--key", str(files["caller.key"]), "--server-name", "tideover.test",
            "--secrets-folder", str(tmp_path / "secrets"),
        )  # fmt: skip
        async with running_envoy(bootstrap, tmp_path):
            port = bootstrap["node"]["metadata"]["HTTP_PORT"]
            assert (await call(port, world.host)).status == 200
            # a change still arrives on that stream
            world.unready("paris")
            await until(lambda: served_by_dublin(port, world.host))
        async with delta_client(world.setup.xds_port, node("stranger")) as stranger:
            with suppress(grpc.aio.AioRpcError, EOFError, asyncio.InvalidStateError):
                await stranger.subscribe(CDS)
                await stranger.receive()
            assert await stranger.status() is grpc.StatusCode.UNAVAILABLE
            assert stranger.received == []


async def served_by_dublin(port: int, host: str) -> bool:
    return (await call(port, host)).served_by.startswith("dublin")


@pytest.mark.parametrize("how", ["the file changes", "SIGHUP"])
async def test_a_cluster_is_added_while_running(tmp_path: Path, how: str) -> None:
    both: dict[str, Any] = Setup(tmp_path / "unused").clusters  # type: ignore[assignment]
    async with mesh(tmp_path) as world:
        world.setup.clusters = {"paris": both["paris"]}
        world.setup.write()
        async with running_tideover(world.setup) as tideover:
            bootstrap = await tideover.bootstrap(*PARIS)
            async with running_envoy(bootstrap, tmp_path) as envoy:
                assert len(await envoy.health(world.wire_name)) == 2
                world.setup.clusters = both
                world.setup.write()
                if how == "SIGHUP":
                    tideover.process.send_signal(signal.SIGHUP)
                await until(lambda: endpoints(envoy, world.wire_name, 4), what=tideover.log)
                text = world.setup.config.read_text()
                world.setup.config.write_text(text + "]")  # a broken file changes nothing
                await until(lambda: "ConfigurationRefused" in tideover.log(), what=tideover.log)
                assert await endpoints(envoy, world.wire_name, 4)
                assert (await tideover.ready()) is True


async def endpoints(envoy: Any, cluster: str, count: int) -> bool:
    return len(await envoy.health(cluster)) == count


async def test_a_policy_takes_effect_while_running(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    with_policies = mesh(tmp_path, settings={"policies": "./policies"})
    async with with_policies as world, running_tideover(world.setup) as tideover:
        bootstrap = await tideover.bootstrap(*PARIS)
        async with running_envoy(bootstrap, tmp_path) as envoy:
            assert len(await envoy.health(world.wire_name)) == 4
            policy = tmp_path / "policies/ratings.yaml"
            policy.write_text(
                "apiVersion: tideover.dev/v1alpha1\nkind: FailoverPolicy\n"
                "metadata: {name: ratings, namespace: bookinfo}\nspec: {scope: Region}\n"
            )
            await until(lambda: endpoints(envoy, world.wire_name, 2), what=tideover.log)
            policy.unlink()  # a folder that turns empty is trouble, not an instruction
            await until(lambda: kept(tideover), what=tideover.log)
            assert await endpoints(envoy, world.wire_name, 2)
            policy.write_text("apiVersion: v1\nkind: List\nitems: []\n")  # this says: none
            await until(lambda: endpoints(envoy, world.wire_name, 4), what=tideover.log)


async def kept(tideover: Tideover) -> bool:
    return "the policies known before stay" in (await tideover.cli("status", "-o", "json")).out


async def test_a_new_client_is_served_what_is_known_while_a_source_is_missing(tmp_path: Path) -> None:
    async with mesh(tmp_path) as world:
        dublin = world.setup.cluster_path("dublin")
        aside = dublin.with_name(".aside")
        dublin.rename(aside)
        async with running_tideover(world.setup, wait=False) as tideover:
            bootstrap = await tideover.bootstrap(*PARIS)
            async with running_envoy(bootstrap, tmp_path) as envoy:
                port = bootstrap["node"]["metadata"]["HTTP_PORT"]
                assert (await call(port, world.host)).served_by.startswith("paris")
                shutil.move(aside, dublin)
                await until(lambda: endpoints(envoy, world.wire_name, 4), what=tideover.log)


async def test_addresses_that_steer_to_local_ports_are_refused_by_default(tmp_path: Path) -> None:
    setting = {"dangerouslyAllowLoopbackEndpoints": False}
    async with mesh(tmp_path, settings=setting) as world:
        places = [Place("10.9.9.9"), Place("169.254.169.254"), Place("nonsense")]
        world.folders["paris"].write("other", service("other"), endpoint_slice("other", places))
        async with running_tideover(world.setup) as tideover:
            bootstrap = await tideover.bootstrap(*PARIS)
            async with running_envoy(bootstrap, tmp_path) as envoy:
                assert await envoy.health(world.wire_name) == {}
                assert await envoy.health("bookinfo/other:9080") == {"10.9.9.9:9080": "HEALTHY"}
            status = (await tideover.cli("status", "-o", "json")).out
            for named in ("127.0.1.1", "169.254.169.254", "nonsense", "EndpointSlice bookinfo/ratings-abcde"):
                assert named in status
