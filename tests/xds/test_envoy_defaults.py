"""The table of defaults in interfaces.md, each row as a real Envoy behaves with what we send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest

from support.backend import GRPC_METHOD, GrpcBackend, HttpBackend, SilentBackend, TcpBackend, serving
from support.load import call
from support.wait import until
from support.xds_calling import HOST, NO_EJECTION, calling, calls, dead, hosts, stat, statuses
from support.xds_serving import Sidecar, serving_xds, sidecar
from support.xds_worlds import RATINGS, cluster, endpoint, service, world
from tideover_core.model import Endpoint, Protocol
from tideover_core.policy import FailoverPolicy, Retry, Settings
from tideover_core.world import Mesh

pytestmark = pytest.mark.envoy
HTTP2_PING_LIMIT_S = 20


# --- failover, panic


async def test_failover_is_on_without_any_policy(tmp_path: Path) -> None:
    near, far = HttpBackend("near"), HttpBackend("far")
    async with serving(near, far):
        async with calling(tmp_path, hosts([near]), hosts([far], "dublin")) as caller:
            assert {one.served_by for one in await calls(caller, 10)} == {"near"}
        async with calling(tmp_path, hosts([near], ready=False), hosts([far], "dublin")) as caller:
            assert {one.served_by for one in await calls(caller, 10)} == {"far"}


async def test_panic_two_weak_priorities_never_send_to_dead_hosts(tmp_path: Path) -> None:
    near, far = HttpBackend("near"), HttpBackend("far")
    async with serving(near, far):
        paris = [*hosts([near]), *dead(4, ready=False)]
        dublin = [*hosts([far], "dublin"), *dead(4, "dublin", ready=False)]
        async with calling(tmp_path, paris, dublin) as caller:
            made = await calls(caller, 60)
            assert statuses(made) == {200}
            assert {one.served_by for one in made} == {"near", "far"}
            assert await stat(caller, "lb_healthy_panic") == 0
            assert await stat(caller, "upstream_rq_retry") == 0


async def test_panic_nothing_ready_anywhere_still_calls_the_whole_list(tmp_path: Path) -> None:
    near, far = HttpBackend("near"), HttpBackend("far")
    async with serving(near, far):
        unready = hosts([near], ready=False), hosts([far], "dublin", ready=False)
        async with calling(tmp_path, *unready) as caller:
            assert statuses(await calls(caller, 10)) == {200}


# --- retries


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_retries_all_of_the_first_priority_refuses_and_nobody_notices(
    tmp_path: Path, method: str
) -> None:
    far = [HttpBackend(f"far-{n}") for n in range(3)]
    async with serving(*far):
        # without ejection, so that retries alone must do it
        settings = Settings(outlier=NO_EJECTION)
        async with calling(tmp_path, dead(5), hosts(far, "dublin"), settings=settings) as caller:
            made = await asyncio.gather(*(call(caller.http, HOST, method=method) for _ in range(200)))
            assert statuses(made) == {200}
            assert await stat(caller, "upstream_rq_retry") == 200
            assert await stat(caller, "upstream_rq_retry_overflow") == 0


async def test_retries_two_dead_priorities_are_within_two_retries(tmp_path: Path) -> None:
    far = HttpBackend("far")
    async with serving(far):
        policy = FailoverPolicy("bookinfo", "p", (), Settings(outlier=NO_EJECTION))
        zones = [dead(3), [endpoint(e.address, e.port, locality=_zone("b")) for e in dead(3)]]
        now = world(
            cluster("paris", service("ratings", [*zones[0], *zones[1]])),
            cluster("dublin", service("ratings", hosts([far], "dublin"))),
            mesh=Mesh(failover_policies=(policy,)),
        )
        async with serving_xds(now) as xds, sidecar(xds.port, tmp_path) as caller:
            priorities = {one.priority for one in (await caller.envoy.clusters())[RATINGS]}
            assert priorities == {0, 1, 2}
            assert statuses(await calls(caller, 50, "POST")) == {200}


def _zone(letter: str) -> Any:
    from tideover_core.model import Locality

    return Locality("eu-west", f"eu-west-{letter}")


@pytest.mark.parametrize(
    ("method", "fault", "served"),
    [
        ("GET", "resets", True),
        ("HEAD", "resets", True),
        ("OPTIONS", "resets", True),
        ("POST", "resets", False),  # it may have been handled
        ("GET", "status", True),
        ("POST", "status", False),
    ],
)
async def test_retries_what_may_have_been_handled_only_for_idempotent_methods(
    tmp_path: Path, method: str, fault: str, served: bool
) -> None:
    near, far = HttpBackend("near"), HttpBackend("far")
    setattr(near, fault, 503 if fault == "status" else True)
    async with serving(near, far):
        settings = Settings(outlier=NO_EJECTION)
        async with calling(tmp_path, hosts([near]), hosts([far], "dublin"), settings=settings) as caller:
            made = await calls(caller, 5, method)
            assert {one.status == 200 for one in made} == {served}


async def test_retries_a_service_that_a_policy_calls_idempotent(tmp_path: Path) -> None:
    near, far = HttpBackend("near"), HttpBackend("far")
    near.resets = True
    async with serving(near, far):
        settings = Settings(outlier=NO_EJECTION, retry=Retry(idempotent=True))
        async with calling(tmp_path, hosts([near]), hosts([far], "dublin"), settings=settings) as caller:
            assert statuses(await calls(caller, 5, "POST")) == {200}


async def test_retries_an_error_of_the_service_itself_reaches_the_caller(tmp_path: Path) -> None:
    near, far = HttpBackend("near"), HttpBackend("far")
    near.status = 500
    async with serving(near, far), calling(tmp_path, hosts([near]), hosts([far], "dublin")) as caller:
        assert statuses(await calls(caller, 10)) == {500}
        assert await stat(caller, "outlier_detection.ejections_active") == 0


async def test_retries_grpc_unavailable(tmp_path: Path) -> None:
    near, far = GrpcBackend("near"), GrpcBackend("far")
    near.code = grpc.StatusCode.UNAVAILABLE
    async with (
        serving(near, far),
        calling(tmp_path, hosts([near]), hosts([far], "dublin"), protocol=Protocol.GRPC) as caller,
    ):
        assert [await say(caller) for _ in range(3)] == [b"far"] * 3
        near.code = grpc.StatusCode.INTERNAL  # it may have been handled
        with pytest.raises(grpc.aio.AioRpcError, match="INTERNAL"):
            await say(caller)


async def test_retries_a_silent_host_when_a_policy_limits_each_try(tmp_path: Path) -> None:
    near, far = SilentBackend("near"), HttpBackend("far")
    async with serving(near, far):
        settings = Settings(retry=Retry(per_try_timeout_s=0.5))
        async with calling(tmp_path, hosts([near]), hosts([far], "dublin"), settings=settings) as caller:
            assert statuses(await calls(caller, 3)) == {200}
            assert await stat(caller, "upstream_rq_per_try_timeout") >= 1


# --- timeouts, silent peers


async def test_timeouts_none_for_a_call_and_an_hour_for_an_idle_stream(tmp_path: Path) -> None:
    near = HttpBackend("near")
    async with serving(near), calling(tmp_path, hosts([near])) as caller:
        dump = await caller.envoy.config_dump()
        (table,) = dump["routes"]
        actions = [
            route["route"]
            for host in table["route_config"]["virtual_hosts"]
            for route in host["routes"]
            if "route" in route
        ]
        assert {action["timeout"] for action in actions} == {"0s"}
        assert "per_try_timeout" not in str(table)
        (http,) = [one for one in dump["listeners"] if one["name"] == "outbound/http"]
        assert "'stream_idle_timeout': '3600s'" in str(http)


async def test_timeouts_connecting_gives_up_after_a_second_and_goes_elsewhere(tmp_path: Path) -> None:
    far = HttpBackend("far")
    async with serving(far), deaf() as near, calling(tmp_path, [near], hosts([far], "dublin")) as caller:
        assert statuses(await calls(caller, 1)) == {200}
        assert await stat(caller, "upstream_cx_connect_timeout") == 1


async def test_timeouts_a_host_that_cannot_be_reached_is_ejected_also_when_tries_are_short(
    tmp_path: Path,
) -> None:
    far = HttpBackend("far")
    async with serving(far), deaf() as near:
        settings = Settings(retry=Retry(per_try_timeout_s=0.5))
        async with calling(tmp_path, [near], hosts([far], "dublin"), settings=settings) as caller:
            assert statuses(await calls(caller, 5)) == {200}
            await until(lambda: stat(caller, "outlier_detection.ejections_active"))


@asynccontextmanager
async def deaf() -> AsyncIterator[Endpoint]:
    """A port that answers no SYN any more: its queue of connections is full."""
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = []
        try:
            for _ in range(4):
                one = socket.socket()
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))
                waiting.append(one)
            yield endpoint("127.0.0.1", port)
        finally:
            for one in waiting:
                one.close()


async def test_silent_peers_http2_is_pinged_and_given_up(tmp_path: Path) -> None:
    near = SilentBackend("near")
    async with serving(near), calling(tmp_path, hosts([near]), protocol=Protocol.GRPC) as caller:
        with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
            await asyncio.wait_for(say(caller), HTTP2_PING_LIMIT_S)
        assert await stat(caller, "http2.keepalive_timeout") >= 1


async def test_silent_peers_tcp_keepalive_is_on_within_ten_seconds(tmp_path: Path) -> None:
    near = HttpBackend("near")
    async with serving(near), calling(tmp_path, hosts([near])) as caller:
        assert statuses(await calls(caller, 1)) == {200}
        (left_s,) = keepalive_timers(near.port)
        assert 0 < left_s <= 10


def keepalive_timers(remote_port: int) -> list[float]:
    """Seconds until the next keepalive probe of each connection to a port (Linux's /proc)."""
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, _, remote, state, _, timer, *_ = line.split()
        kind, left = timer.split(":")
        if int(remote.split(":")[1], 16) == remote_port and state == "01" and kind == "02":
            found.append(int(left, 16) / 100)  # the kernel tells clock ticks of 10 ms
    return found


# --- protocols


async def say(caller: Sidecar) -> bytes:
    options = [("grpc.default_authority", HOST), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{caller.http}", options=options) as channel:
        answer: bytes = await channel.unary_unary(GRPC_METHOD)(b"")
        return answer


async def test_grpc_takes_turns_over_http2(tmp_path: Path) -> None:
    backends = [GrpcBackend(f"b{n}") for n in range(2)]
    async with serving(*backends), calling(tmp_path, hosts(backends), protocol=Protocol.GRPC) as caller:
        served = [await say(caller) for _ in range(10)]
        assert served.count(b"b0") == served.count(b"b1") == 5


async def test_websocket(tmp_path: Path) -> None:
    near = HttpBackend("near")
    async with serving(near), calling(tmp_path, hosts([near])) as caller, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{caller.http}/ws"
        async with session.ws_connect(url, headers={"host": HOST}) as socket:
            await socket.send_str("hello")
            assert await socket.receive_str(timeout=10) == "near: hello"


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.TLS])
async def test_tcp_also_when_the_first_hosts_refuse(tmp_path: Path, protocol: Protocol) -> None:
    near = TcpBackend("near")
    async with serving(near):
        paris = [*hosts([near]), *dead(3)]
        async with calling(tmp_path, paris, protocol=protocol) as caller:
            for _ in range(10):
                reader, writer = await asyncio.open_connection("127.0.0.1", caller.tcp[RATINGS])
                assert await asyncio.wait_for(reader.readline(), 10) == b"near\n"
                writer.write(b"ping")
                assert await asyncio.wait_for(reader.readexactly(4), 10) == b"ping"
                writer.close()


async def test_http_1_0_a_trailing_dot_and_every_way_to_write_the_host(tmp_path: Path) -> None:
    near = HttpBackend("near")
    async with serving(near), calling(tmp_path, hosts([near])) as caller:
        full = "ratings.bookinfo.svc.cluster.local"
        for host in (
            "ratings",
            HOST,
            "ratings.bookinfo",
            "ratings.bookinfo.svc",
            full,
            full + ".",
            full + ":9080",
        ):
            assert (await call(caller.http, host)).status == 200, host
        reader, writer = await asyncio.open_connection("127.0.0.1", caller.http)
        writer.write(b"GET / HTTP/1.0\r\nHost: ratings\r\n\r\n")
        assert b" 200 " in await asyncio.wait_for(reader.readline(), 10)
        writer.close()


@pytest.mark.parametrize("host", ["nobody", "ratings:1", "ratings.shop", "127.0.0.1"])
async def test_an_unknown_host_is_told_so(tmp_path: Path, host: str) -> None:
    async with calling(tmp_path, dead(1)) as caller:
        answer = await call(caller.http, host)
        assert answer.status == 404
        assert f"of the name {host}" in answer.body
