"""A prober that runs, what it asks and what it told; servers that misbehave."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from support.certificates import Authority
from tideover_core.latest import Latest
from tideover_core.policy import ActiveCheck, CheckKind
from tideover_health.active.checks import Target
from tideover_health.active.prober_run import Prober, ProberOptions
from tideover_health.signals import Checked, Voter

QUICK = ActiveCheck(interval_s=0.1, timeout_s=0.5)
OPTIONS = ProberOptions(Voter("replica 0"), allow_loopback=True, checks_per_second=500)


@dataclass
class Probing:
    prober: Prober
    targets: Latest[tuple[Target, ...]]
    told: list[Checked] = field(default_factory=list)

    def last(self) -> dict[str, tuple[bool, str]]:
        return {one.name: (one.healthy, one.detail) for one in self.told}


@asynccontextmanager
async def probing(*targets: Target, options: ProberOptions = OPTIONS) -> AsyncIterator[Probing]:
    one = Probing(Prober(options), Latest(targets))
    running = asyncio.create_task(one.prober.run(one.targets, one.told.append))
    try:
        yield one
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.wait({running})


def target(name: str, port: int, kind: CheckKind = CheckKind.HTTP, **more: Any) -> Target:
    check = more.pop("check", replace(QUICK, kind=kind, path="/healthz"))
    return Target(f"x/{name}:1", "default", "127.0.0.1", port, check, host=f"{name}.x:1", **more)


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that does with each connection what `serve` does; its port."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except OSError:
            pass  # the prober went away, which is its right
        finally:
            writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def answering(answer: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return serve


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


def tls_of(folder: Path) -> ssl.SSLContext:
    Authority().issue("ratings").write(folder / "cert", folder / "key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    return context
