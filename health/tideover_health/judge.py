"""From signals to steering: what the whole fleet sees, judged together. Pure: `now_s` is a steady clock.

judge.take(signal, now_s)              as signals come
judge.judge(world, now_s)              after signals, changes of the world, and at `next_s()`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tideover_core.model import Locality, ServiceKey
from tideover_core.steering import Site, Steering
from tideover_core.world import World

from .signals import Signal
from .verdict import Alarm, Silence, Verdict

Load = tuple[ServiceKey, int, Locality, Site]  # service port, source place, destination


class Judge:
    """Mutable inside, for speed; what it gives out is frozen, and equal parts keep their identity."""

    def __init__(self) -> None:
        self._steering: Mapping[ServiceKey, Steering] = {}

    def take(self, signal: Signal, now_s: float) -> None:
        """Note what somebody saw. What is absurd or of no service that is known is dropped and counted."""

    def judge(self, world: World, now_s: float) -> Mapping[ServiceKey, Steering]:
        """The steering of all services that have any; the same object while nothing changed.

        Freeze orders in `world.orders` are honoured: what they hold keeps what it has.
        """
        return self._steering

    def next_s(self) -> float | None:
        """When to judge again if no signal comes; None: only then."""
        return None

    def doubted(self) -> frozenset[str]:
        """Wire names for which reporters should report by endpoint now."""
        return frozenset()

    def verdicts(self, now_s: float) -> Sequence[Verdict]:
        """All subjects that are not simply healthy, worst first."""
        return ()

    def alarms(self) -> Sequence[Alarm]:
        """Services of which everything looks sick, so that nothing is moved."""
        return ()

    def heard(self) -> Silence:
        """How well the fleet is heard."""
        return Silence()

    def loads(self, now_s: float) -> Mapping[Load, float]:
        """Requests per second by service port, source place (region and zone) and destination."""
        return {}

    def saved(self) -> dict[str, Any]:
        """What must survive a restart: JSON-able, versioned. Time until `restore` does not count."""
        return {"version": 1, "subjects": []}

    def restore(self, saved: dict[str, Any], now_s: float) -> str:
        """Take back what was saved; "" or why it was refused (then nothing of it counts)."""
        return ""
