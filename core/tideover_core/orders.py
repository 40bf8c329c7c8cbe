"""What operators ask for: drain, shift, freeze; and what of it is in force at an instant."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from .model import ServiceKey
from .target import Aim


class Action(StrEnum):
    """What is to happen to the target's traffic."""

    DRAIN = "Drain"  # `percent` of its share leaves it
    SHIFT = "Shift"  # `percent` of it goes to another place
    FREEZE = "Freeze"  # no automatic change; facts still count


@dataclass(frozen=True, slots=True)
class TrafficOrder:
    """One order. `expires_at_s` is Unix time, None: until it is deleted. `to` is for Shift.

    `over_s`: how long its percent takes to rise, in steps. `force_empty`: who has nothing else healthy is
    left without, too; else they go on with what they have. `accepted`: some replica has looked at it before.
    """

    namespace: str
    name: str
    action: Action
    target: Aim
    percent: float = 100.0
    to: Aim | None = None
    expires_at_s: float | None = None
    reason: str = ""
    created: str = ""
    over_s: float = 0.0
    force_empty: bool = False
    author: str = ""
    accepted: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return f"TrafficOrder {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ActiveOrder:
    """An order as it is in force at this instant; one that has ended is none.

    `percent`: what the order asks for by now, which may rise in steps. `emptied`: the drain time is over,
    so endpoints of which nothing is to be left may go. `apart`: services for which another percent counts.
    """

    order: TrafficOrder
    percent: float
    emptied: bool = False
    apart: tuple[tuple[ServiceKey, float], ...] = ()

    def percent_for(self, service: ServiceKey) -> float:
        """What counts for this service."""
        return next((percent for key, percent in self.apart if key == service), self.percent)
