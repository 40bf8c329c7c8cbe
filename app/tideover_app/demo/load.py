"""Callers: a steady stream of calls through each cluster's sidecar, every one of them measured.

An open loop: calls begin at their time whether or not earlier ones are answered, as users do. So a
peer that hangs shows as many waiting calls, not as a pause.
"""

from __future__ import annotations

import asyncio
import http.client
import time
import urllib.request
from collections import deque
from dataclasses import dataclass, field

from .layout import NAMESPACE, SERVICE_PORT, Cluster
from .measure import Call

TIMEOUT_S = 10.0  # then the caller gives up
# what one caller does, over and over: 8 calls, mixed so that no service has a gap
MIX = (
    ("ratings", "GET"),
    ("reviews", "GET"),
    ("ratings", "GET"),
    ("productpage", "GET"),
    ("ratings", "POST"),
    ("reviews", "GET"),
    ("ratings", "GET"),
    ("productpage", "GET"),
)
_BODY = b'{"stars": 5}'
# Envoy's words when an upstream connection broke after the request had been sent on it
_CUT = (b"connection termination", b"remote reset")


@dataclass(slots=True)
class Load:
    """The callers of all clusters and what they saw, in the order in which the calls ended."""

    clusters: tuple[Cluster, ...]
    calls_per_second: float  # per caller
    calls: list[Call] = field(default_factory=list)

    async def run(self) -> None:
        """Call until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for cluster in self.clusters:
                tasks.create_task(self._caller(cluster), name=f"caller in {cluster.name}")

    async def _caller(self, cluster: Cluster) -> None:
        sidecar = Sidecar(cluster.sidecar_port)
        every_s = 1 / self.calls_per_second
        next_s = time.monotonic()
        try:
            async with asyncio.TaskGroup() as calls:
                number = 0
                while True:
                    service, method = MIX[number % len(MIX)]
                    number += 1
                    calls.create_task(self._call(sidecar, cluster.name, service, method))
                    # a machine that stalled for long does not get the missed calls all at once
                    next_s = max(next_s + every_s, time.monotonic() - 0.25)
                    await asyncio.sleep(next_s - time.monotonic())
        finally:
            sidecar.close()

    async def _call(self, sidecar: Sidecar, caller: str, service: str, method: str) -> None:
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await sidecar.call(service, method)
        except TimeoutError:
            answer = Answer(0, "", f"no answer within {TIMEOUT_S:g} s", b"")
        except (OSError, asyncio.IncompleteReadError) as error:
            answer = Answer(0, "", f"the sidecar hung up: {type(error).__name__}", b"")
        place = answer.served_by.partition("/")[0] if answer.status == 200 else ""
        cut = not place and method == "POST" and any(words in answer.body for words in _CUT)
        self.calls.append(
            Call(
                caller, service, method, began_s, time.monotonic(), place, answer.status, cut,
                "" if place else answer.error or answer.body.decode(errors="replace"),
            )
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 when nothing did."""

    status: int
    served_by: str
    error: str
    body: bytes


class Sidecar:
    """A pool of kept connections to one Envoy, as an application's HTTP client has."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()

    async def call(self, service: str, method: str) -> Answer:
        """One call; OSError or IncompleteReadError when the sidecar itself fails it."""
        reader, writer = await self._connection()
        try:
            body = _BODY if method == "POST" else b""
            writer.write(
                f"{method} /{service} HTTP/1.1\r\nhost: {service}.{NAMESPACE}:{SERVICE_PORT}\r\n"
                f"content-length: {len(body)}\r\n\r\n".encode()
                + body
            )
            status, headers = parse_head(await reader.readuntil(b"\r\n\r\n"))
            text = await reader.readexactly(int(headers.get("content-length", "0")))
        except BaseException:  # a cancelled call too leaves a connection that nobody else may use
            writer.close()
            raise
        if headers.get("connection", "") == "close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        return Answer(status, headers.get("x-served-by", ""), "", text)

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self.port)

    def close(self) -> None:
        """Hang up."""
        for _, writer in self._idle:
            writer.close()


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers (names in lower case) of an HTTP/1.1 response's head."""
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def get(port: int, path: str, limit_s: float = 2.0) -> bytes | None:
    """The body of a local page, or None when nothing answers there with 200."""
    return await asyncio.to_thread(_get, f"http://127.0.0.1:{port}{path}", limit_s)


def _get(url: str, limit_s: float) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=limit_s) as answer:
            return bytes(answer.read())
    except (OSError, http.client.HTTPException):
        return None
