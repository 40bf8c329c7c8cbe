"""Free ports on loopback."""

from __future__ import annotations

import random
import socket


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def free_port() -> int:
    return free_ports(1)[0]


def lasting_ports(count: int) -> list[int]:
    """Ports of servers that go down and come back: no outgoing connection is given one of them meanwhile."""
    found: set[int] = set()
    while len(found) < count:
        port = random.randrange(20_000, 32_000)  # below what kernels hand out
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.add(port)
    return list(found)
