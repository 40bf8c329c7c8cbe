"""Servers that flood, hang or are very many: the prober reads and waits within its bounds."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

from health.probing import OPTIONS, QUICK, Serve, probing, raw, target, tls_of
from support.backend import HttpBackend, SilentBackend
from support.backend import serving as backends
from support.wait import until
from tideover_core.model import Protocol
from tideover_core.policy import CheckKind


async def test_gigabytes_are_not_read(tmp_path: Path) -> None:
    sent = 0
    ended = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent, ended
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n")
        try:
            while True:
                writer.write(bytes(65536))
                sent += 65536
                await writer.drain()
        finally:
            ended += 1

    async with (
        raw(flood) as plain,
        raw(flood, tls_of(tmp_path)) as encrypted,
        probing(target("flood", plain), target("tls", encrypted, protocol=Protocol.TLS)) as probe,
    ):
        await until(lambda: len(probe.last()) == 2 and ended >= 2)
        assert probe.last() == {"x/flood:1": (True, "HTTP 200"), "x/tls:1": (True, "HTTP 200")}
        # what fits into the kernel's buffers, and no more
        assert sent / ended < 32 * 1024 * 1024


async def test_a_namespace_whose_endpoints_all_hang_leaves_others_their_checks() -> None:
    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await reader.read()

    ok, patient = HttpBackend("ok"), replace(QUICK, interval_s=60.0, timeout_s=60.0)
    async with backends(ok), raw(hang) as stuck:
        wanted = [replace(target(f"s{n}", stuck, check=patient), name=f"hangs/s{n}:80") for n in range(600)]
        async with probing(*wanted, options=replace(OPTIONS, at_once=4)) as probe:
            await until(lambda: probe.prober.status.running == 2)
            probe.targets.set((*wanted, target("t", ok.port)))
            await until(lambda: ok.calls > 2)
            assert probe.prober.status.running <= 3


async def test_nothing_that_floods_hangs_or_breaks_off_is_read_or_waited_for_whatever_the_check() -> None:
    sent: dict[str, int] = {}

    def flooding(name: str) -> Serve:
        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            sent[name] = 0
            while True:
                writer.write(bytes(65536))
                sent[name] += 65536
                await writer.drain()

        return serve

    async def breaking(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    silent = SilentBackend("s")
    once = replace(QUICK, interval_s=1, timeout_s=0.5)
    async with (
        backends(silent),
        raw(flooding("http")) as http,
        raw(flooding("tcp")) as tcp,
        raw(flooding("grpc")) as by_grpc,
        raw(breaking) as broken,
        probing(
            target("http", http, check=once),
            target("tcp", tcp, check=replace(once, kind=CheckKind.TCP)),
            target("grpc", by_grpc, check=replace(once, kind=CheckKind.GRPC), protocol=Protocol.GRPC),
            target("silent", silent.port, check=replace(once, kind=CheckKind.GRPC), protocol=Protocol.GRPC),
            target("silent-tcp", silent.port, check=replace(once, kind=CheckKind.TCP)),
            target("broken", broken, check=replace(once, kind=CheckKind.GRPC), protocol=Protocol.GRPC),
        ) as probe,
    ):
        await until(lambda: len(probe.last()) == 6, what=probe.last)
        said = {name[2:-2]: healthy for name, (healthy, _) in probe.last().items()}
        # that somebody listens is all that a TCP check asks
        assert said == {
            "http": False, "tcp": True, "grpc": False, "silent": False, "silent-tcp": True, "broken": False,
        }  # fmt: skip
        assert max(sent.values()) < 32 * 1024 * 1024, "what fits into the kernel's buffers, and no more"
        await until(lambda: probe.prober.status.running == 0)


async def test_ten_thousand_endpoints_are_asked_in_turn_within_the_rate() -> None:
    open_now = most_open = asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most_open, asked
        open_now, asked = open_now + 1, asked + 1
        most_open = max(most_open, open_now)
        await reader.read()
        open_now -= 1

    async with raw(answer) as port:
        check = replace(QUICK, kind=CheckKind.TCP, interval_s=1.0)
        many = [target(f"n{n}", port, check=check) for n in range(10_000)]
        options = replace(OPTIONS, checks_per_second=400, at_once=20)
        async with probing(*many, options=options) as probe:
            await until(lambda: asked > 0)
            began_s, before = time.monotonic(), asked
            await until(lambda: asked >= before + 150)
            # the rate holds in each tenth of a second: no more than the first one comes early
            assert (asked - before) / (time.monotonic() - began_s) < 400 * 1.25
            status = probe.prober.status
            assert (status.targets, round(status.wanted_per_s), round(status.stretch)) == (10_000, 10_000, 25)
            assert most_open <= 20 + 5, "connections that end are seen a little later"
            # each in its turn: nobody twice before the others had theirs
            assert len({one.name for one in probe.told}) == len(probe.told)
            assert len(probe.prober._due) <= 10_000
