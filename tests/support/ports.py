"""Free ports on loopback.

They lie below those that kernels hand out, so that no outgoing connection takes one between the choice and
the use, or while a server is down; and no port is given twice, in this process or in another worker's.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from itertools import chain

FIRST, END = 12_000, 32_000


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    found: list[int] = []
    while len(found) < count:
        port = next(_CANDIDATES)
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return found


def free_port() -> int:
    return free_ports(1)[0]


def _candidates() -> Iterator[int]:
    """Each port of this worker's share once, from anywhere in it; then all over again."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    of = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    mine = range(FIRST + worker, END, of)
    start = random.randrange(len(mine))
    while True:
        yield from chain(mine[start:], mine[:start])


_CANDIDATES = _candidates()
