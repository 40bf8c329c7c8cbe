"""One TCP check: whether somebody accepts a connection. Nothing is sent or read."""

from __future__ import annotations

import asyncio

from .checks import Target
from .outcome import Outcome, broken


async def tcp(target: Target) -> Outcome:
    """Ask once. The caller limits the time."""
    try:
        _, writer = await asyncio.open_connection(target.address, target.port, limit=1024)
    except OSError as error:
        return broken(error)
    writer.transport.abort()
    return Outcome(True, "accepts connections")
