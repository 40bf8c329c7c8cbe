"""Envoys and attackers with certificates, against `tideover run` with TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from support.certificates import spiffe_id
from support.delta import CDS, METHOD, DeltaClient, node
from support.envoy import running_envoy
from support.load import load
from support.mesh import mesh
from support.mtls import Mtls
from support.tideover import Tideover, running_tideover
from support.wait import until
from tideover_proto.admin.v1 import admin_pb2 as pb
from tideover_proto.admin.v1 import admin_pb2_grpc

pytestmark = pytest.mark.envoy
PARIS = ["--cluster", "paris", "--locality", "eu-west/eu-west-a"]
HOME = {"trustDomain": "paris.example", "locality": {"region": "eu-west"}}


async def shown(tideover: Tideover, name: str) -> dict[str, Any]:
    """That client as `clients` shows it."""

    async def look() -> dict[str, Any] | None:
        clients = (await tideover.cli("clients", "-o", "json")).json()["clients"]
        return next((one for one in clients if one["id"] == name), None)

    return dict(await until(look, 20, tideover.log) or {})


async def test_what_a_certificate_proves_overrides_what_an_envoy_says(tmp_path: Path) -> None:
    mtls = Mtls(tmp_path / "tls", trust_domain="paris.example")
    async with mesh(tmp_path, settings=mtls.settings) as world:
        world.setup.clusters = {**world.setup.clusters, "paris": HOME}
        world.setup.write()
        async with running_tideover(world.setup) as tideover:
            says = ["--cluster", "dublin", "--namespace", "shop", "--node-id", "liar"]
            lying = await tideover.bootstrap(*says, *mtls.envoy("caller-1"))
            honest = await tideover.bootstrap(*PARIS, "--namespace", "bookinfo", *mtls.envoy("caller-2"))
            port = lying["node"]["metadata"]["HTTP_PORT"]
            async with (
                running_envoy(lying, tmp_path, name="liar") as envoy,
                running_envoy(honest, tmp_path, name="honest"),
                load(port, world.name) as calls,  # a name that only means something in its own namespace
            ):
                await calls.only_from("paris-1", "paris-2")
                found = await shown(tideover, "liar")
                assert found["identity"] == spiffe_id("caller-1", trust_domain="paris.example")
                assert (found["vantage"]["cluster"], found["vantage"]["namespace"]) == ("paris", "bookinfo")
                assert found["problems"] == [
                    "node metadata CLUSTER_ID is 'dublin', its certificate proves 'paris'",
                    "node metadata NAMESPACE is 'shop', its certificate proves 'bookinfo'",
                ]
                problems = (await tideover.cli("status", "-o", "json")).json()["problems"]
                assert {one["object"] for one in problems} == {"Client liar"}
                assert await envoy.rejected() == {}


async def test_a_certificate_of_another_trust_domain_is_served_and_proves_nothing(tmp_path: Path) -> None:
    mtls = Mtls(tmp_path / "tls", trust_domain="evil.example")
    async with mesh(tmp_path, settings=mtls.settings) as world:
        world.setup.clusters = {**world.setup.clusters, "paris": HOME}
        world.setup.write()
        async with (
            running_tideover(world.setup) as tideover,
            mtls.channel(world.setup.xds_port, mtls.pair("caller-1")) as channel,
        ):
            call: Any = channel.stream_stream(METHOD)()
            client = DeltaClient(call, node("stranger"))
            await client.subscribe(CDS, ["*"])
            assert (await client.receive()).resources
            found = await shown(tideover, "stranger")
            assert found["identity"] == ""
            assert found["problems"] == [
                "its certificate is of trust domain evil.example, of no cluster here"
            ]
            call.cancel()


async def test_the_certificate_of_a_sidecar_reads_and_does_not_write(tmp_path: Path) -> None:
    mtls = Mtls(tmp_path / "tls")
    admin = spiffe_id("deployer", "ops")
    settings = {**mtls.settings, "admins": [admin]}
    async with mesh(tmp_path, settings=settings) as world, running_tideover(world.setup):
        request = pb.AcceptRemovalsRequest(cluster="paris")
        for account, namespace, code in (
            ("sidecar", "bookinfo", grpc.StatusCode.PERMISSION_DENIED),
            ("deployer", "bookinfo", grpc.StatusCode.PERMISSION_DENIED),
            ("deployer", "ops", grpc.StatusCode.FAILED_PRECONDITION),  # it may, and nothing is held
        ):
            pair = mtls.pair(account, namespace)
            async with mtls.channel(world.setup.admin_port, pair) as channel:
                stub = admin_pb2_grpc.AdminStub(channel)
                assert (await stub.GetStatus(pb.GetStatusRequest(), timeout=10)).clusters
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await stub.AcceptRemovals(request, timeout=10)
                assert refused.value.code() is code, refused.value.details()
