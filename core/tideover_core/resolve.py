"""Which setting wins: per field, the most specific layer that says it."""

from __future__ import annotations

from dataclasses import dataclass

from .model import Vantage
from .names import Target
from .policy import Settings
from .world import World


@dataclass(frozen=True, slots=True)
class Resolved:
    """The settings of one target as one vantage sees them, and the policies they come from.

    Fields that nobody sets stay None: each reader has its default.
    `causes`: field name of `Settings` -> the policy that said it.
    """

    settings: Settings
    policies: tuple[str, ...] = ()
    causes: tuple[tuple[str, str], ...] = ()


def resolve(world: World, target: Target, vantage: Vantage) -> Resolved:
    """Settings for this target; reads the vantage's namespace and labels only."""
    raise NotImplementedError


def projection(world: World, target: Target, vantage: Vantage) -> Vantage:
    """The vantage cut down to what `plan` reads of it for this target: equal projections, equal bytes.

    Locality, network, cluster always; the namespace only as far as policies differ by it; the node and
    labels only where this target's settings use them.
    """
    raise NotImplementedError
