"""Real Envoys check endpoints for us (Health Discovery Service)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from support.backend import HttpBackend, TcpBackend
from support.backend import serving as backends
from support.certificates import Authority
from support.envoy import Envoy, running_envoy
from support.health_serving import bare_bootstrap, proven, serving
from support.ports import free_port
from support.wait import holds, until
from tideover_app.bootstrap_checks import health_discovery
from tideover_core.latest import Latest
from tideover_core.model import Locality, Protocol
from tideover_core.policy import ActiveCheck, CheckKind
from tideover_core.world import World
from tideover_health.active.checks import Target
from tideover_health.hds_server import HdsOptions, HdsServer
from tideover_health.signals import Checked

pytestmark = pytest.mark.envoy
QUICK = ActiveCheck(interval_s=0.2, timeout_s=0.3, unhealthy_threshold=1, healthy_threshold=1)
NAME = "bookinfo/ratings:9080"


@dataclass
class Hds:
    server: HdsServer
    wanted: Latest[tuple[Target, ...]]
    told: list[Checked]
    port: int

    def last(self) -> dict[tuple[str, str, int], bool]:
        """(checker, name, port) -> what was told last."""
        return {(one.checker.id, one.name, one.address[1]): one.healthy for one in self.told}

    def checkers(self) -> set[str]:
        return {one.checker.id for one in self.told}


@asynccontextmanager
async def hds(*targets: Target, port: int = 0) -> AsyncIterator[Hds]:
    told: list[Checked] = []
    wanted: Latest[tuple[Target, ...]] = Latest(targets)
    options = HdsOptions(report_every_s=0.3, share_out_every_s=0.3)
    server = HdsServer(told.append, proven, wanted, World, options)
    async with serving(server.handlers(), port) as found:
        running = asyncio.create_task(server.run())
        try:
            yield Hds(server, wanted, told, found)
        finally:
            running.cancel()
            await asyncio.wait({running})


@asynccontextmanager
async def checking(port: int, folder: Path, *names: str) -> AsyncIterator[list[Envoy]]:
    """Envoys of these names, in zones a, b, c, ..."""
    async with AsyncExitStack() as stack:
        envoys = []
        for number, name in enumerate(names):
            where = f"eu-west-{'abcdef'[number]}"
            bootstrap = bare_bootstrap(port, name, where, hds_config=health_discovery("xds"))
            envoys.append(await stack.enter_async_context(running_envoy(bootstrap, folder, name=name)))
        yield envoys


def target(backend: HttpBackend | TcpBackend, check: ActiveCheck = QUICK, **more: Any) -> Target:
    one = Target(NAME, "default", backend.host, backend.port, check, host="ratings.bookinfo:9080")
    return replace(one, **({"locality": Locality("eu-west", "eu-west-a")} | more))


async def test_an_endpoint_is_seen_from_several_places_and_told_well_and_ill(tmp_path: Path) -> None:
    well, ill = HttpBackend("well"), HttpBackend("ill")
    ill.status = 503
    async with (
        backends(well, ill),
        hds(target(well), target(ill)) as served,
        checking(served.port, tmp_path, "e1", "e2") as envoys,
    ):
        both = {"spiffe://e1", "spiffe://e2"}
        expected = {(e, NAME, b.port): b is well for e in both for b in (well, ill)}
        await until(lambda: served.last() == expected, what=served.last)
        # nobody was told ill who never was, not even before the first look
        assert all(one.healthy for one in served.told if one.address[1] == well.port)
        assert well.headers[0]["Host"] == "ratings.bookinfo:9080"
        # recovery, and an end
        ill.status, well.status = 200, 301
        await until(lambda: served.last() == {k: not v for k, v in expected.items()}, what=served.last)
        # what Envoy counts of its checks is not among its clusters' numbers
        names = await envoys[0].stats("membership_total")
        assert not any(NAME in name and "check/" not in name for name in names)


async def test_what_is_wanted_changes_on_the_stream_down_to_nothing_and_back(tmp_path: Path) -> None:
    one, two = HttpBackend("one"), HttpBackend("two")
    async with (
        backends(one, two),
        hds(target(one)) as served,
        checking(served.port, tmp_path, "e1") as (envoy,),
    ):
        await until(lambda: served.last() == {("spiffe://e1", NAME, one.port): True})
        # a place goes, another comes: an empty place would kill Envoy
        served.wanted.set((target(two, locality=Locality("eu-north", "eu-north-a")),))
        await until(lambda: ("spiffe://e1", NAME, two.port) in served.last())
        served.wanted.set(())
        await until(lambda: served.server.status.working == 0)
        served.told.clear()
        await until(lambda: two.calls)
        calls = await _settled(one, two)
        await holds(lambda: one.calls + two.calls == calls and envoy.process.returncode is None, 0.6)
        served.wanted.set((target(one), target(two)))
        await until(lambda: len(served.last()) == 2 and all(served.last().values()))
        assert envoy.process.returncode is None


async def _settled(*backends: HttpBackend) -> int:
    """Their calls, once no more come."""
    before = -1
    while (calls := sum(one.calls for one in backends)) != before:
        before = calls
        await asyncio.sleep(0.5)  # longer than an interval: none came in it
    return calls


async def test_after_a_restart_of_ours_envoy_is_told_again(tmp_path: Path) -> None:
    one, port = HttpBackend("one"), free_port()
    async with backends(one), AsyncExitStack() as stack:
        first = await stack.enter_async_context(AsyncExitStack())
        served = await first.enter_async_context(hds(target(one), port=port))
        await stack.enter_async_context(checking(port, tmp_path, "e1"))
        await until(lambda: served.told)
        await first.aclose()
        again = await stack.enter_async_context(hds(target(one), port=port))
        await until(
            lambda: again.last() == {("spiffe://e1", NAME, one.port): True}, 30, lambda: again.server.status
        )


async def test_tcp_grpc_and_a_hanging_endpoint(tmp_path: Path) -> None:
    tcp, hanging, gone = TcpBackend("tcp"), HttpBackend("hanging"), TcpBackend("gone")
    hanging.hangs = True
    server, servicer = grpc.aio.server(), health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    await servicer.set("ratings", health_pb2.HealthCheckResponse.SERVING)
    await server.start()
    by_grpc = Target(
        "bookinfo/grpc:1", "default", "127.0.0.1", grpc_port,
        replace(QUICK, kind=CheckKind.GRPC, service="ratings", interval_s=0.5, timeout_s=0.5), Protocol.GRPC,
    )  # fmt: skip
    by_tcp = replace(QUICK, kind=CheckKind.TCP)
    wanted = (
        by_grpc,
        target(tcp, by_tcp, name="bookinfo/tcp:1"),
        target(gone, by_tcp, name="bookinfo/gone:1"),
        target(hanging, name="bookinfo/hanging:1"),
    )
    try:
        async with backends(tcp, hanging), hds(*wanted) as served, checking(served.port, tmp_path, "e1"):
            expected = {
                ("spiffe://e1", "bookinfo/grpc:1", grpc_port): True,
                ("spiffe://e1", "bookinfo/tcp:1", tcp.port): True,
                ("spiffe://e1", "bookinfo/gone:1", gone.port): False,
                ("spiffe://e1", "bookinfo/hanging:1", hanging.port): False,
            }
            await until(lambda: served.last() == expected, what=served.last)
            assert "timed out" in {one.detail for one in served.told}
            await servicer.set("ratings", health_pb2.HealthCheckResponse.NOT_SERVING)
            await until(lambda: served.last()["spiffe://e1", "bookinfo/grpc:1", grpc_port] is False)
    finally:
        await server.stop(0)


def _direct(port: int) -> dict[str, Any]:
    """A listener that answers 200 over HTTP/1 and HTTP/2, whichever is spoken."""
    router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": "in",
        "codec_type": "HTTP2",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": router}}],
    }
    return {
        "name": "in",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


async def test_http2_tls_and_what_is_not_what_it_says(tmp_path: Path) -> None:
    """An Envoy is its own backend over HTTP/2, and a server over TLS."""
    h2, plain = free_port(), HttpBackend("plain")
    Authority().issue("ratings").write(tmp_path / "cert", tmp_path / "key")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert", tmp_path / "key")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
        writer.close()

    server, servicer = grpc.aio.server(), health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    pair = ((tmp_path / "key").read_bytes(), (tmp_path / "cert").read_bytes())
    grpc_port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    await server.start()
    encrypted = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    tls_port = encrypted.sockets[0].getsockname()[1]
    slowly = replace(QUICK, interval_s=0.5, timeout_s=0.5)
    rows = [
        ("h2", h2, Protocol.HTTP2, True),
        ("not-h2", plain.port, Protocol.HTTP2, False),
        ("tls", tls_port, Protocol.TLS, True),
        ("not-tls", plain.port, Protocol.TLS, False),
        ("not-plain", tls_port, Protocol.HTTP, False),
        ("grpc-tls", grpc_port, Protocol.TLS, True),
        ("tcp-tls", plain.port, Protocol.TLS, True),  # somebody listens, whatever it speaks
    ]
    kinds = {"grpc": CheckKind.GRPC, "tcp": CheckKind.TCP}
    wanted = []
    for name, port, protocol, _ in rows:
        check = replace(slowly, kind=kinds.get(name.partition("-")[0], CheckKind.HTTP))
        one = Target(f"x/{name}:1", "default", "127.0.0.1", port, check, protocol)
        wanted.append(replace(one, host="ratings.bookinfo:9080"))
    async with AsyncExitStack() as stack, encrypted, backends(plain), hds(*wanted) as served:
        stack.push_async_callback(server.stop, 0)
        bootstrap = bare_bootstrap(served.port, "e1", hds_config=health_discovery("xds"))
        bootstrap["static_resources"]["listeners"] = [_direct(h2)]
        async with running_envoy(bootstrap, tmp_path, name="e1") as envoy:
            expected = {("spiffe://e1", f"x/{name}:1", port): healthy for name, port, _, healthy in rows}
            await until(lambda: served.last() == expected, what=served.last)
            assert envoy.process.returncode is None
