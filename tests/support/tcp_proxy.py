"""A proxy before a server on loopback that cuts, refuses, pauses and delays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from support.ports import free_ports


class TcpProxy:
    """Passes bytes on, as it is told to at the moment. It begins open."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        (self.port,) = free_ports(1)
        self._delay_s = 0.0
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def open(self) -> None:
        """Everything passes again, at once."""
        self._delay_s = 0.0
        self._flows.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def cut(self) -> None:
        """Every connection of now is aborted; new ones are welcome."""
        for task in self._open:
            task.cancel()

    def refuse(self) -> None:
        """Every connection is aborted, new ones are refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def pause(self) -> None:
        """Connections stay open and new ones are accepted, and no byte passes any more."""
        self._flows.clear()

    def delay(self, seconds: float) -> None:
        """Each piece of an answer, or question, comes so much later."""
        self._delay_s = seconds

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._pass_on(reader, back))
                    tasks.create_task(self._pass_on(there, writer))
            finally:
                back.transport.abort()
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._open.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            await self._flows.wait()
            writer.write(data)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof() if writer.can_write_eof() else None


@asynccontextmanager
async def tcp_proxy(target_port: int) -> AsyncIterator[TcpProxy]:
    proxy = TcpProxy(target_port)
    await proxy.open()
    try:
        yield proxy
    finally:
        proxy.refuse()
        while proxy._open:
            await asyncio.wait(proxy._open)
