"""Envoys and attackers with certificates, against `tideover run` with TLS."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.config.core.v3.base_pb2 import Locality
from envoy.config.endpoint.v3.load_report_pb2 import ClusterStats, UpstreamLocalityStats
from envoy.service.load_stats.v3.lrs_pb2 import LoadStatsRequest
from google.protobuf.duration_pb2 import Duration

from support.certificates import replace, spiffe_id
from support.delta import CDS, METHOD, DeltaClient, node
from support.envoy import running_envoy
from support.load import load
from support.mesh import Mesh, mesh
from support.mtls import Mtls
from support.tideover import Tideover, running_tideover
from support.wait import until
from tideover_proto.admin.v1 import admin_pb2 as pb
from tideover_proto.admin.v1 import admin_pb2_grpc

pytestmark = pytest.mark.envoy
LOADS = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats"
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


def made_up(audience: str) -> str:
    """What gRPC takes for a token; no API server does."""
    claims = {"aud": audience, "exp": int(time.time()) + 600, "sub": "system:serviceaccount:bookinfo:caller"}
    parts = [json.dumps(one).encode() for one in ({"alg": "none"}, claims)]
    return ".".join(base64.urlsafe_b64encode(one).decode().rstrip("=") for one in [*parts, b"signature"])


async def problem(tideover: Tideover, name: str, text: str) -> None:
    async def look() -> bool:
        return text in " ".join((await shown(tideover, name))["problems"])

    await until(look, 20, tideover.log)


async def test_envoy_sends_the_token_of_a_file_over_tls_and_the_newest_on_each_stream(tmp_path: Path) -> None:
    mtls, token = Mtls(tmp_path / "tls"), tmp_path / "token"
    token.write_text(made_up("tideover"))
    async with mesh(tmp_path, settings=mtls.server_only) as world:
        says = [*PARIS, "--namespace", "bookinfo", "--node-id", "caller", "--token-file", str(token)]
        secrets = ["--secrets-folder", str(tmp_path / "secrets")]
        bootstrap = await Tideover.bootstrap_of(world.setup, *says, *mtls.trusting(), *secrets)
        async with running_envoy(bootstrap, tmp_path, wait=False) as envoy:
            async with running_tideover(world.setup) as tideover:
                await problem(tideover, "caller", "not looked at: no cluster or admin known here")
            replace(token, made_up("vault").encode())
            async with running_tideover(world.setup) as tideover:
                await problem(tideover, "caller", "for another audience than tideover")
                assert token.read_text() not in tideover.log()
                assert token.read_text() not in envoy.log()


CLIENT = """
import sys, grpc
channel = grpc.insecure_channel(sys.argv[1])
channel.unary_unary("/test.Echo/Say")(b"", timeout=30, wait_for_ready=True)
sys.stdin.read()
"""


async def test_grpc_sends_the_token_of_a_file_over_tls(tmp_path: Path) -> None:
    mtls, token = Mtls(tmp_path / "tls"), tmp_path / "token"
    token.write_text(made_up("tideover"))
    settings = mtls.server_only
    async with (
        mesh(tmp_path, settings=settings, protocol="grpc") as world,
        running_tideover(world.setup) as tideover,
    ):
        says = [*PARIS, "--namespace", "bookinfo", "--node-id", "caller", "--token-file", str(token)]
        bootstrap = await tideover.bootstrap(*says, "--ca", str(mtls.ca), kind="grpc")
        environment = {
            **os.environ,
            "GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap),
            "GRPC_EXPERIMENTAL_XDS_BOOTSTRAP_CALL_CREDS": "true",
        }
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CLIENT, f"xds:///{world.host}"),
            stdin=asyncio.subprocess.PIPE,
            env=environment,
        )
        try:
            await problem(tideover, "caller", "not looked at: no cluster or admin known here")
        finally:
            client.kill()
            await client.wait()


def report(world: Mesh, name: str) -> bytes:
    """Of one call, by an Envoy that calls itself that."""
    row = UpstreamLocalityStats(
        locality=Locality(region="eu-west", zone="eu-west-a"),
        total_successful_requests=1,
        total_issued_requests=1,
    )
    stats = ClusterStats(
        cluster_name=world.wire_name, upstream_locality_stats=[row], load_report_interval=Duration(seconds=1)
    )
    return bytes(LoadStatsRequest(node=node(name), cluster_stats=[stats]).SerializeToString())


async def test_a_hundred_names_of_one_certificate_are_one_reporter(tmp_path: Path) -> None:
    mtls = Mtls(tmp_path / "tls")
    async with (
        mesh(tmp_path, settings=mtls.settings) as world,
        running_tideover(world.setup) as tideover,
        mtls.channel(world.setup.xds_port, mtls.pair("caller-1")) as one,
        mtls.channel(world.setup.xds_port, mtls.pair("caller-2")) as other,
    ):
        calls: list[Any] = []
        for n in range(100):
            calls.append((other if n == 99 else one).stream_stream(LOADS)())
            await calls[-1].write(report(world, f"envoy-{n}"))

        async def reporters() -> tuple[int, int]:
            health = (await tideover.cli("status", "-o", "json")).json()["health"]
            return health["provenReporters"], health["unprovenReporters"]

        async def heard() -> bool:
            return await reporters() == (2, 0)

        await until(heard, 20, tideover.log)
        for n, call in enumerate(calls):  # all of them were, and it stays at that
            await call.read()
            await call.write(report(world, f"envoy-{n}"))
        assert await reporters() == (2, 0)
        for call in calls:
            call.cancel()
