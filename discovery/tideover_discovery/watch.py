"""What every source of facts offers: the facts of one cluster, and how fresh they are, side by side."""

from __future__ import annotations

from typing import Protocol

from tideover_core.latest import Latest
from tideover_core.model import ClusterFacts, SourceStatus


class Source(Protocol):
    """One cluster's facts. Facts of a source that was never listed completely are None."""

    cluster: str
    facts: Latest[ClusterFacts | None]
    status: Latest[SourceStatus]

    async def run(self) -> None:
        """List, then watch, until cancelled. Trouble is a status, never an exception."""
        ...
