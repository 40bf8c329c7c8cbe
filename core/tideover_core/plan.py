"""The answer for one service port and one vantage."""

from __future__ import annotations

from .assignment import Assignment
from .model import Vantage
from .names import Target
from .world import World


def plan(world: World, target: Target, vantage: Vantage) -> Assignment | None:
    """The assignment; None when the world has no such service, port or subset.

    `vantage` is complete (see `world.located`). A service whose complete facts say zero gives an
    assignment without priorities.
    """
    raise NotImplementedError
