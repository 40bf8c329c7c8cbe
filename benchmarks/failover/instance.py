"""One instance of the measured service: a process of its own, told on stdin what is wrong with it.

Started by file name with `-I -S`, hence no imports of ours. Each attempt that reaches it is a line of its
log: monotonic seconds, the caller's address, the status that it got.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import socket
import struct
import sys
import time
from typing import Any, TextIO

WORK_S = 0.004
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
SKF_NET_OFF, SOURCE = 0xFFF00000, 12  # of the IP header, as a socket filter sees it


class Instance:
    """Well at first. `status` for `share` of the calls; `delayS`; `perSecond`: more are refused with 503;
    `drop`: the first three bytes of callers' addresses whose packets are dropped from now on."""

    def __init__(self, name: str, log: TextIO) -> None:
        self.name, self._log = name, log
        self._wrong: dict[str, Any] = {}
        self._errors, self._tokens, self._filled_s = 0.0, 0.0, time.monotonic()
        self._sockets: list[Any] = []
        self._writers: set[asyncio.StreamWriter] = set()

    async def run(self, address: str, port: int) -> None:
        server = await asyncio.start_server(self._serve, address, port, backlog=1024)
        self._sockets = list(server.sockets)
        stdin = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin
        )
        while line := await stdin.readline():
            self._tell(json.loads(line))

    def _tell(self, wrong: dict[str, Any]) -> None:
        if wrong.get("drop") != self._wrong.get("drop"):
            for one in [*self._sockets, *(w.get_extra_info("socket") for w in self._writers)]:
                _drop(one, wrong.get("drop", ""))
        self._wrong = wrong

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        source = writer.get_extra_info("peername")[0]
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                status = self._status()
                self._log.write(f"{time.monotonic():.4f} {source} {status}\n")
                await asyncio.sleep(self._wrong.get("delayS", WORK_S))
                head = f"HTTP/1.1 {status} X\r\nx-served-by: {self.name}\r\ncontent-length: 0\r\n\r\n"
                writer.write(head.encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass  # the caller hung up
        finally:
            self._writers.discard(writer)
            writer.close()

    def _status(self) -> int:
        most = self._wrong.get("perSecond")
        if most is not None:
            now_s = time.monotonic()
            self._tokens = min(most / 4, self._tokens + most * (now_s - self._filled_s))
            self._filled_s = now_s
            if self._tokens < 1:
                return 503
            self._tokens -= 1
        if "status" not in self._wrong:
            return 200
        self._errors += self._wrong.get("share", 1.0)
        if self._errors < 1:
            return 200
        self._errors -= 1
        return int(self._wrong["status"])


def _drop(one: socket.socket, prefix: str) -> None:
    """Drop what comes from addresses that begin so ("127.9.1"); "" for nothing any more."""
    if not prefix:
        one.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
        return
    first = int.from_bytes(socket.inet_aton(f"{prefix}.0"), "big")
    program = [
        (0x20, 0, 0, SKF_NET_OFF + SOURCE),  # load the source address
        (0x54, 0, 0, 0xFFFFFF00),  # its first three bytes
        (0x15, 0, 1, first),
        (0x06, 0, 0, 0),  # equal: nothing is passed on
        (0x06, 0, 0, 0xFFFFFFFF),
    ]
    body = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    one.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(body))
    )


if __name__ == "__main__":
    with open(sys.argv[4], "w", buffering=1) as out:
        asyncio.run(Instance(sys.argv[1], out).run(sys.argv[2], int(sys.argv[3])))
