"""Small services on loopback that say who they are, and fail in the ways that a test asks for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
from aiohttp import WSMsgType, web

from support.ports import free_port

GRPC_METHOD = "/test.Echo/Say"
GRPC_STREAM = "/test.Echo/Chat"


class HttpBackend:
    """HTTP/1 on `host` (any 127.x.y.z); answers `{"servedBy": name}`, echoes WebSocket messages at `/ws`."""

    def __init__(self, name: str, port: int = 0, host: str = "127.0.0.1") -> None:
        self.name, self.port, self.host = name, port or free_port(), host
        self.status = 200
        self.hangs = False  # accepts and never answers
        self.delay_s = 0.0  # before each answer
        self.resets = False  # reads the request and closes the connection without an answer
        self.answers: dict[str, str] = {}  # more headers of its answers
        self.calls = 0
        self.at_s: list[float] = []  # when each came, `time.monotonic`
        self.headers: list[dict[str, str]] = []
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/ws", self._websocket)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port).start()

    async def stop(self) -> None:
        """Refuse from now on; `start` again listens on the same port."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        self.at_s.append(time.monotonic())
        self.headers.append(dict(request.headers))
        if self.hangs:
            await asyncio.Event().wait()
        if slow_s := float(request.query.get("slow_s", self.delay_s)):
            await asyncio.sleep(slow_s)
        if self.resets and request.transport is not None:
            request.transport.abort()
        answer = {"servedBy": self.name, "method": request.method, "path": request.path}
        return web.json_response(
            answer, status=self.status, headers={"x-served-by": self.name} | self.answers
        )

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        self.calls += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                await socket.send_str(f"{self.name}: {message.data}")
        return socket


class GrpcBackend:
    """gRPC over cleartext HTTP/2: `GRPC_METHOD` answers its name, `GRPC_STREAM` does so to each message."""

    def __init__(self, name: str, port: int = 0, host: str = "127.0.0.1") -> None:
        self.name, self.port, self.host = name, port or free_port(), host
        self.code = grpc.StatusCode.OK
        self.hangs = False
        self.go_on = asyncio.Event()  # for calls that hang
        self.calls = 0
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        handler: Any = grpc.unary_unary_rpc_method_handler(self._say)
        stream: Any = grpc.stream_stream_rpc_method_handler(self._chat)
        service, method = GRPC_METHOD.strip("/").split("/")
        handlers = {method: handler, GRPC_STREAM.rpartition("/")[2]: stream}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        self._server.add_insecure_port(f"{self.host}:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    async def _say(self, _request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        self.calls += 1
        if self.hangs:
            await self.go_on.wait()
        if self.code is not grpc.StatusCode.OK:
            await context.abort(self.code, f"{self.name} was told to")
        return self.name.encode()

    async def _chat(
        self, messages: AsyncIterator[bytes], _context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[bytes]:
        self.calls += 1
        async for _ in messages:
            yield self.name.encode()


class TcpBackend:
    """Greets with `NAME\\n`, then echoes."""

    def __init__(self, name: str, port: int = 0, host: str = "127.0.0.1") -> None:
        self.name, self.port, self.host = name, port or free_port(), host
        self.calls = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        self._writers.add(writer)
        try:
            writer.write(f"{self.name}\n".encode())
            while part := await reader.read(4096):
                writer.write(part)
                await writer.drain()
        except OSError:
            pass  # the caller went away, which is its right
        finally:
            self._writers.discard(writer)
            writer.close()


class SilentBackend:
    """Listens, and neither reads nor answers: the kernel accepts, nobody speaks (as under SIGSTOP)."""

    def __init__(self, name: str, port: int = 0, host: str = "127.0.0.1") -> None:
        self.name, self.port, self.host = name, port or free_port(), host
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        async def keep(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.append(writer)

        self._server = await asyncio.start_server(keep, self.host, self.port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.close()
            await self._server.wait_closed()
            self._server = None


Backend = HttpBackend | GrpcBackend | TcpBackend | SilentBackend


@asynccontextmanager
async def serving(*backends: Backend) -> AsyncIterator[None]:
    """All of them, started, for the length of a block."""
    async with AsyncExitStack() as stack:
        for backend in backends:
            await backend.start()
            stack.push_async_callback(backend.stop)
        yield
