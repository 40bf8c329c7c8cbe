"""One instance of a bookinfo service: a process of its own, so that a signal hits one instance.

Started by file name with `-I -S` (no packages, half the start-up time), hence no imports from ours.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys

WORK_S = 0.004  # a call takes this long, so that a kill finds some in flight


async def main(cluster: str, name: str, address: str, port: int) -> None:
    """Answer every request with who answered, until killed; after SIGUSR1 with 503, until SIGUSR2."""
    body = json.dumps({"cluster": cluster, "instance": name}).encode() + b"\n"
    answers = {status: _answer(status, f"{cluster}/{name}", body) for status in ("200 OK", "503 Sick")}
    status = "200 OK"

    def turn(into: str) -> None:
        nonlocal status
        status = into

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, turn, "503 Sick")
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, turn, "200 OK")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(_content_length(request))
                await asyncio.sleep(WORK_S)
                writer.write(answers[status])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the caller hung up
        finally:
            writer.close()

    server = await asyncio.start_server(serve, address, port, backlog=1024)
    async with server:
        await server.serve_forever()


def _answer(status: str, served_by: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n"
        f"x-served-by: {served_by}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _content_length(request: bytes) -> int:
    """Of a request's head; 0 when it has no body."""
    for line in request.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
