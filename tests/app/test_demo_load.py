"""Every call is measured, and its end is told for what it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from support.wait import until
from tideover_app.demo.layout import Cluster
from tideover_app.demo.load import MIX, Load, Sidecar, parse_head
from tideover_app.demo.measure import Call

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def sidecar(answer: Answer) -> AsyncIterator[tuple[int, list[int]]]:
    """A stand-in for Envoy that answers each request by `answer`; its port, and its connections."""
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                _, headers = parse_head(b"X 0\r\n" + head.partition(b"\r\n")[2])
                await reader.readexactly(int(headers["content-length"]))
                await answer(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], connections
    finally:
        server.close()


def reply(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def calls_with(answer: Answer, count: int = 16) -> list[Call]:
    async with sidecar(answer) as (port, _):
        load = Load((Cluster("paris", "eu-west", "a", 10, port, 0),), 400)
        task = asyncio.create_task(load.run())
        await until(lambda: len(load.calls) >= count)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return load.calls


async def test_a_good_answer_says_who_gave_it() -> None:
    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(200, b"{}", "x-served-by: dublin/ratings-2"))

    calls = await calls_with(answer)
    assert {(c.caller, c.served_by, c.failed) for c in calls} == {("paris", "dublin", False)}
    assert {(c.service, c.method) for c in calls} == set(MIX)
    assert [c.ended_s for c in calls] == sorted(c.ended_s for c in calls)


async def test_hosts_are_the_services() -> None:
    seen: set[bytes] = set()

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        seen.add(next(line for line in head.split(b"\r\n") if line.startswith(b"host:")))
        writer.write(reply(200, b"", "x-served-by: paris/x"))

    await calls_with(answer)
    assert seen == {
        b"host: ratings.bookinfo:9080",
        b"host: reviews.bookinfo:9080",
        b"host: productpage.bookinfo:9080",
    }


@pytest.mark.parametrize(
    ("body", "cut"),
    [
        (
            b"upstream connect error or disconnect/reset. reset reason: connection termination",
            True,
        ),
        (
            b"upstream connect error or disconnect/reset. reset reason: remote connection failure",
            False,
        ),
        (b"no healthy upstream", False),
        (b"upstream request timeout", False),
    ],
)
async def test_only_a_post_that_lost_its_connection_was_cut(body: bytes, cut: bool) -> None:
    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(503, body))

    calls = await calls_with(answer)
    assert all(c.failed and c.status == 503 for c in calls)
    assert all(c.error == body.decode() for c in calls)
    assert {c.method: c.cut for c in calls} == {"GET": False, "POST": cut}


async def test_an_answer_without_200_failed_whoever_gave_it() -> None:
    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(500, b"oops", "x-served-by: paris/ratings-1"))

    assert all(c.failed and c.status == 500 for c in await calls_with(answer))


async def test_a_sidecar_that_hangs_up_is_a_failed_call() -> None:
    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.close()

    assert all(c.error.startswith("the sidecar hung up") for c in await calls_with(answer))


async def test_no_sidecar_is_a_failed_call() -> None:
    load = Load((Cluster("paris", "eu-west", "a", 10, 1, 0),), 400)
    task = asyncio.create_task(load.run())
    await until(lambda: load.calls)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert load.calls[0].failed


async def test_calls_begin_though_earlier_ones_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tideover_app.demo.load.TIMEOUT_S", 0.3)

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        pass

    calls = await calls_with(answer, 30)
    assert all(c.error == "no answer within 0.3 s" for c in calls)
    assert calls[20].began_s < calls[0].ended_s


async def test_connections_are_kept_and_close_is_honoured() -> None:
    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        last = head.startswith(b"GET /last")
        writer.write(reply(200, b"", *(["connection: close"] if last else [])))

    async with sidecar(answer) as (port, connections):
        client = Sidecar(port)
        for service in ("ratings", "ratings", "last", "ratings"):
            await client.call(service, "GET")
        client.close()
    assert len(connections) == 2
