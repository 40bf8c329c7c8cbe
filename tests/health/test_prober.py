"""Our own prober against real servers, well and ill behaved."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from health.probing import OPTIONS, QUICK, Serve, answering, probing, raw, resetting, target, tls_of
from support.backend import HttpBackend, SilentBackend, TcpBackend
from support.backend import serving as backends
from support.ports import free_port
from support.wait import holds, until
from tideover_core.model import Protocol
from tideover_core.policy import CheckKind
from tideover_health.active.checks import Target


async def test_another_rate_and_other_networks_apply_while_it_runs() -> None:
    backend = HttpBackend("one")
    async with backends(backend):
        many = [target(f"s{number}", backend.port) for number in range(10)]
        async with probing(*many) as one:
            await until(lambda: one.prober.status.passed >= 10)
            assert one.prober.status.stretch == 1
            one.prober.configure(replace(OPTIONS, checks_per_second=10))
            assert (one.prober.status.most_per_s, one.prober.status.stretch) == (10, 2)
            before, at_s = one.prober.status.passed, time.monotonic()
            await until(lambda: one.prober.status.passed >= before + 5)
            assert one.prober.status.passed - before <= 10 * (time.monotonic() - at_s) + 3
            one.prober.configure(replace(OPTIONS, networks=frozenset({"elsewhere"})))
            assert one.prober.status.targets == 0


async def test_http_tcp_and_tls_servers_well_and_ill_behaved(tmp_path: Path) -> None:
    ok, hanging, silent, listening = HttpBackend("ok"), HttpBackend("h"), SilentBackend("s"), TcpBackend("t")
    hanging.hangs = True
    redirect = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/elsewhere\r\n\r\n" % ok.port
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(backends(ok, hanging, silent, listening))

        async def port(serve: Serve, tls: ssl.SSLContext | None = None) -> int:
            return await stack.enter_async_context(raw(serve, tls))

        context = tls_of(tmp_path)
        late = r"no answer within 0\.5 s"
        expected = {
            target("ok", ok.port): (True, "HTTP 200"),
            target("hanging", hanging.port): (False, late),
            target("silent", silent.port): (False, late),
            target("refused", free_port()): (False, "connection refused"),
            target("redirect", await port(answering(redirect))): (
                False,
                "HTTP 302: a redirect, not followed",
            ),
            target("ill", await port(answering(b"HTTP/1.1 503 X\r\n\r\n"))): (False, "HTTP 503"),
            target("reset", await port(resetting)): (False, "connection reset|closed without an answer"),
            target("garbage", await port(answering(b"\x00\xff\x13\x37\r\n"))): (False, "no HTTP answer: .*"),
            target("closed", await port(answering(b""))): (False, "closed without an answer"),
            target("endless", await port(answering(b"HTTP/1.1 200" + b" " * 5000))): (
                False,
                "no HTTP answer: a first line without end",
            ),
            target("tls", await port(answering(answer), context), protocol=Protocol.TLS): (True, "HTTP 200"),
            target("no-tls", listening.port, protocol=Protocol.TLS): (False, "no TLS: .*"),
            target("tcp", listening.port, CheckKind.TCP): (True, "accepts connections"),
            target("no-tcp", free_port(), CheckKind.TCP): (False, "connection refused"),
        }
        async with probing(*expected) as probe:

            def as_expected() -> bool:
                last = probe.last()
                return all(
                    one.name in last
                    and last[one.name][0] is healthy
                    and re.fullmatch(detail, last[one.name][1])
                    for one, (healthy, detail) in expected.items()
                )

            await until(as_expected, what=probe.last)
            assert probe.prober.status.targets == len(expected)
        assert {one.checker.id for one in probe.told} == {"replica 0"}
        assert ok.headers[0]["Host"] == "ok.x:1"


async def test_the_path_of_a_policy_cannot_write_headers() -> None:
    asked: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

    check = replace(QUICK, path="a b\r\nHost: evil\r\n\r\n?x=1")
    async with raw(note) as port, probing(target("ok", port, check=check)) as probe:
        await until(lambda: probe.last() == {"x/ok:1": (True, "HTTP 200")})
        first, host, *_ = asked[0].split(b"\r\n")
        assert first == b"GET /a%20b%0D%0AHost:%20evil%0D%0A%0D%0A?x=1 HTTP/1.1"
        assert host == b"Host: ok.x:1"


async def test_the_grpc_health_protocol() -> None:
    server, servicer = grpc.aio.server(), health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await servicer.set("well", health_pb2.HealthCheckResponse.SERVING)
    await servicer.set("ill", health_pb2.HealthCheckResponse.NOT_SERVING)

    async def big(_request: bytes, _context: object) -> bytes:
        return b"\x08\x01\x12" + b"\xff\xff\xff\x03" + bytes(2**23 - 1)  # SERVING, and 8 MiB of something

    async def hang(_request: bytes, _context: object) -> bytes:
        await asyncio.Event().wait()
        return b""

    ports = {}
    servers = [server]
    for name, method in {"big": big, "hang": hang}.items():
        other = grpc.aio.server()
        handler: Any = grpc.unary_unary_rpc_method_handler(method)
        other.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),)
        )
        ports[name] = other.add_insecure_port("127.0.0.1:0")
        servers.append(other)
    bare = grpc.aio.server()
    ports["bare"] = bare.add_insecure_port("127.0.0.1:0")
    for one in (*servers, bare):
        await one.start()

    def ask(name: str, port: int, service: str = "") -> Target:
        check = replace(QUICK, kind=CheckKind.GRPC, service=service, interval_s=0.5)
        return target(name, port, check=check, protocol=Protocol.GRPC)

    garbage = answering(b"HTTP/1.1 200 OK\r\n\r\n")
    try:
        async with (
            raw(garbage) as http,
            probing(
                ask("well", port, "well"),
                ask("ill", port, "ill"),
                ask("unknown", port, "other"),
                ask("bare", ports["bare"]),
                ask("big", ports["big"]),
                ask("hang", ports["hang"]),
                ask("http", http),
                ask("refused", free_port()),
            ) as probe,
        ):
            await until(lambda: len(probe.last()) == 8, what=probe.last)
            said = {name[2:-2]: answer for name, answer in probe.last().items()}
            assert {name for name, (healthy, _) in said.items() if healthy} == {"well"}
            assert said["ill"] == (False, "NOT_SERVING")
            assert said["hang"] == (False, "no answer within 0.5 s")
            starts = {"unknown": "NOT_FOUND", "bare": "UNIMPLEMENTED", "big": "RESOURCE_EXHAUSTED"}
            for name, code in starts.items():
                assert said[name][1].startswith(f"gRPC {code}"), said[name]
    finally:
        for one in (*servers, bare):
            await one.stop(0)


async def test_loopback_is_never_asked_unless_that_is_allowed_by_name() -> None:
    ok = HttpBackend("ok")
    async with (
        backends(ok),
        probing(target("ok", ok.port), options=replace(OPTIONS, allow_loopback=False)) as probe,
    ):
        await until(lambda: probe.prober.status.not_looked > 2)
        assert (ok.calls, probe.told) == (0, [])


async def test_targets_change_while_it_runs_and_other_networks_are_not_asked() -> None:
    one, two = HttpBackend("one"), HttpBackend("two")
    two.status = 500
    async with (
        backends(one, two),
        probing(target("one", one.port), replace(target("far", two.port), network="island")) as probe,
    ):
        await until(lambda: probe.last() == {"x/one:1": (True, "HTTP 200")})
        assert (two.calls, probe.prober.status.targets) == (0, 1)
        probe.targets.set((target("two", two.port), target("h2", two.port, protocol=Protocol.HTTP2)))
        await until(lambda: "x/two:1" in probe.last())
        assert probe.prober.status.unasked == {"HTTP checks of HTTP/2 ports are made by Envoys only": 1}
        calls = one.calls
        await holds(lambda: one.calls == calls, 0.3)
        probe.targets.set(())
        await until(lambda: probe.prober.status.targets == 0)


async def test_never_more_than_the_rate_nor_than_at_once() -> None:
    ok, hanging, open_now, most_open = HttpBackend("ok"), 0, 0, 0

    async def hang(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most_open, hanging
        open_now, hanging = open_now + 1, hanging + 1
        most_open = max(most_open, open_now)
        try:
            await _reader.read()
            await _reader.read()
        finally:
            open_now -= 1

    options = replace(OPTIONS, checks_per_second=50, at_once=4)
    async with backends(ok), raw(hang) as stuck:
        wanted = [target(f"t{n}", ok.port) for n in range(200)] + [target(f"s{n}", stuck) for n in range(4)]
        # hanging ones must not keep the slots to themselves for long
        wanted = [replace(one, check=replace(one.check, timeout_s=0.1)) for one in wanted]
        started_s = time.monotonic()
        async with probing(*wanted, options=options) as probe:
            await until(lambda: ok.calls + hanging > 60)
            calls, took_s = ok.calls + hanging, time.monotonic() - started_s
            assert calls <= 50 * took_s + 6, "as many as the rate, and one slice"
            assert most_open <= 2, "of one namespace"
            status = probe.prober.status
            assert (status.wanted_per_s, status.most_per_s) == (pytest.approx(2040), 50)
            assert status.stretch == pytest.approx(40.8)


async def test_in_doubt_only_who_does_not_listen_is_told() -> None:
    backend = TcpBackend("b")
    doubted = replace(target("b", backend.port, CheckKind.TCP), in_doubt=True)
    async with probing(doubted) as probe:
        await until(lambda: probe.last() == {"x/b:1": (False, "connection refused")})
        async with backends(backend):
            await until(lambda: probe.last() == {"x/b:1": (True, "accepts connections")})
            await until(lambda: sum(one.healthy for one in probe.told) == QUICK.healthy_threshold)
            told, calls = len(probe.told), backend.calls
            await until(lambda: backend.calls > calls + 3)
            assert len(probe.told) == told


async def test_a_replica_that_was_too_busy_to_look_says_nothing() -> None:
    silent = SilentBackend("s")
    check = replace(QUICK, timeout_s=0.1, interval_s=0.2)
    async with backends(silent), probing(target("s", silent.port, check=check)) as probe:
        await until(lambda: probe.prober.status.running)
        failed = probe.prober.status.failed
        time.sleep(0.5)
        await until(lambda: probe.prober.status.not_looked)
        assert probe.prober.status.failed == failed
