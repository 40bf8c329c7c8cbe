"""Clusters that are to be emptied: first no new calls (DRAINING), later nothing at all.

To a client it is one more drain (see `holds.py`): never the last choice.
"""

from __future__ import annotations

from enum import StrEnum

# from the first to the second: calls that run may end, and load reports of before have come
DRAIN_S = 30.0


class Leaving(StrEnum):
    """How far a cluster is on its way out."""

    NO = ""
    DRAINING = "draining"
    DRAINED = "drained"
