"""What the policy objects and orders of one cluster mean, kept as they come and go."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from tideover_core import policy as core
from tideover_core.model import ClusterFacts, Problem
from tideover_core.orders import TrafficOrder

from .doubt import Doubts, P, still
from .manifest import Item
from .objects import Key


class Meant(NamedTuple):
    """Policies and orders, oldest first."""

    rules: tuple[core.DestinationRule, ...] = ()
    policies: tuple[core.FailoverPolicy, ...] = ()
    orders: tuple[TrafficOrder, ...] = ()


class PolicyObjects:
    """Rules, policies and orders by key, and what in them is not acted on."""

    def __init__(self) -> None:
        self._rules: dict[Key, core.DestinationRule] = {}
        self._policies: dict[Key, core.FailoverPolicy] = {}
        self._orders: dict[Key, TrafficOrder] = {}
        self._unsupported: dict[Key, tuple[Problem, ...]] = {}
        self._meant = Meant()

    @property
    def problems(self) -> list[Problem]:
        """What is not acted on, by object."""
        return [problem for key in sorted(self._unsupported) for problem in self._unsupported[key]]

    def take(self, key: Key, item: Item | None) -> None:
        """Note one change."""
        for known in (self._rules, self._policies, self._orders, self._unsupported):
            known.pop(key, None)
        if item is not None:
            self._add(key, item)
        self._meant = Meant(
            _oldest_first(self._rules.values()),
            _oldest_first(self._policies.values()),
            _oldest_first(self._orders.values()),
        )

    def meant(self, before: ClusterFacts, doubts: Doubts) -> Meant:
        """What counts now, with what was known `before` and may be in what is broken."""
        now = self._meant
        if not doubts:
            return now
        return Meant(
            _oldest_first([*now.rules, *still(before.destination_rules, now.rules, doubts)]),
            _oldest_first([*now.policies, *still(before.failover_policies, now.policies, doubts)]),
            _oldest_first([*now.orders, *still(before.orders, now.orders, doubts)]),
        )

    def _add(self, key: Key, item: Item) -> None:
        if isinstance(item.policy, core.DestinationRule):
            self._rules[key] = item.policy
        elif isinstance(item.policy, core.FailoverPolicy):
            self._policies[key] = item.policy
        elif isinstance(item.policy, TrafficOrder):
            self._orders[key] = item.policy
        if item.unsupported:
            told = partial(Problem, str(key), consequence="the rest of the policy applies", where=item.where)
            self._unsupported[key] = tuple(told(message=message) for message in item.unsupported)


def _oldest_first(policies: Iterable[P]) -> tuple[P, ...]:
    return tuple(sorted(policies, key=core.age))
