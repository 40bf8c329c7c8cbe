"""`tideover run` as a process: TLS on its listeners."""

from __future__ import annotations

import asyncio
import ssl
import urllib.request
from asyncio.subprocess import DEVNULL
from http.client import HTTPException
from pathlib import Path

import grpc
import pytest

from support.certificates import Authority
from support.ports import free_port
from support.running import two_clusters
from support.tideover import TIDEOVER, Setup, running_tideover
from support.wait import until


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return two_clusters(tmp_path)


async def test_xds_and_admin_ask_for_client_certificates_and_follow_rotations(setup: Setup) -> None:
    ca = Authority()
    cert, key = setup.folder / "tls.crt", setup.folder / "tls.key"
    ca.issue("first").write(cert, key)
    (setup.folder / "ca.crt").write_bytes(ca.pem)
    setup.settings = {"tls": {"cert": "./tls.crt", "key": "./tls.key", "clientCA": "./ca.crt"}}
    setup.write()
    client = ca.issue("client")
    good = grpc.ssl_channel_credentials(ca.pem, client.key, client.cert)

    async def answers(port: int, credentials: grpc.ChannelCredentials | None) -> bool:
        options = [("grpc.ssl_target_name_override", "tideover.test"), ("grpc.use_local_subchannel_pool", 1)]
        target = f"127.0.0.1:{port}"
        channel = (
            grpc.aio.secure_channel(target, credentials, options=options)
            if credentials
            else grpc.aio.insecure_channel(target, options=options)
        )
        async with channel:
            try:
                await channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=5)
            except grpc.aio.AioRpcError:
                return False
        return True

    async with running_tideover(setup) as tideover:
        for port in (setup.xds_port, setup.admin_port):
            assert await answers(port, good)
            assert not await answers(port, grpc.ssl_channel_credentials(ca.pem))
            assert not await answers(port, None)
        ca.issue("second").write(cert, key)
        await until(lambda: "TlsRotated" in tideover.log())
        cert.write_bytes(b"half a certif")
        await until(lambda: "TLS material" in tideover.log() and "no PEM certificate" in tideover.log())
        for port in (setup.xds_port, setup.admin_port):
            assert await answers(port, good)
        assert [line for line in tideover.log().splitlines() if not line.startswith("{")] == []


async def test_http_outside_loopback_is_encrypted_and_asks_for_no_certificate(setup: Setup) -> None:
    ca = Authority()
    ca.issue("first").write(setup.folder / "tls.crt", setup.folder / "tls.key")
    port = free_port()
    listen = {"xds": f"127.0.0.1:{setup.xds_port}", "admin": f"127.0.0.1:{setup.admin_port}"}
    setup.settings = {
        "listen": {**listen, "http": f"0.0.0.0:{port}"},
        "tls": {"cert": "./tls.crt", "key": "./tls.key"},
    }
    setup.write()
    trusting = ssl.create_default_context(cadata=ca.pem.decode())
    trusting.check_hostname = False

    def ready(scheme: str) -> bool:
        url = f"{scheme}://127.0.0.1:{port}/readyz"
        try:
            with urllib.request.urlopen(url, context=trusting, timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, HTTPException):
            return False

    process = await asyncio.create_subprocess_exec(TIDEOVER, "run", "-c", str(setup.config), stderr=DEVNULL)
    try:
        await until(lambda: asyncio.to_thread(ready, "https"))
        assert not await asyncio.to_thread(ready, "http")
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 15) == 0
