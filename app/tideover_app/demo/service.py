"""One instance of a bookinfo service: a process of its own, so that a signal hits one instance.

Started by file name with `-I -S` (no packages, half the start-up time), hence no imports from ours.
"""

from __future__ import annotations

import asyncio
import json
import sys

WORK_S = 0.004  # a call takes this long, so that a kill finds some in flight


async def main(cluster: str, name: str, address: str, port: int) -> None:
    """Answer every request with who answered, until killed."""
    body = json.dumps({"cluster": cluster, "instance": name}).encode() + b"\n"
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        f"x-served-by: {cluster}/{name}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    answer = head.encode() + body

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(_content_length(request))
                await asyncio.sleep(WORK_S)
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the caller hung up
        finally:
            writer.close()

    server = await asyncio.start_server(serve, address, port, backlog=1024)
    async with server:
        await server.serve_forever()


def _content_length(request: bytes) -> int:
    """Of a request's head; 0 when it has no body."""
    for line in request.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
