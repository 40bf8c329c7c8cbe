"""Shift orders: a part of what their target would get goes to another place; freezes keep it where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .assignment import Health, Placed
from .holds import FREE, Holds, by_order, percent_of
from .model import Endpoint, ServiceKey
from .orders import Action, ActiveOrder
from .steering import EndpointKey

Shares = Mapping[EndpointKey, float]
Notes = Mapping[EndpointKey, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Shifting:
    """The shifts and freezes in force that may hold endpoints of one service."""

    service: ServiceKey
    orders: Sequence[ActiveOrder]

    def __bool__(self) -> bool:
        return bool(self.orders)

    def shifted(self, shares: Shares, placed: Sequence[Placed], holds: Holds) -> Shares:
        """The shares after all shifts at once; the same object when nothing moves.

        Of shifts that overlap the one of the larger percent counts; what a freeze holds is not shifted.
        Receivers share by their weights and admission; without a healthy one nothing is shifted.
        """
        shifts = [one for one in self.orders if one.order.action is Action.SHIFT]
        receivers = [self._receivers(shift, placed, holds) for shift in shifts]
        after = dict(shares)
        moved = [0.0] * len(shifts)
        for one in placed:
            share = shares.get(one.endpoint.key, 0.0)
            held = [n for n, shift in enumerate(shifts) if receivers[n] and self._holds(shift, one.endpoint)]
            if share <= 0 or not held or self._frozen(one.endpoint):
                continue
            first = max(held, key=lambda n: (shifts[n].percent, -n))
            part = share * percent_of(shifts[first].percent) / 100
            after[one.endpoint.key] = share - part
            moved[first] += part
        for part, weights in zip(moved, receivers, strict=True):
            total = sum(weights.values())
            for key, weight in weights.items():
                after[key] = after.get(key, 0.0) + (part * weight / total if part else 0.0)
        return after if any(moved) else shares

    def notes(self, placed: Sequence[Placed], holds: Holds) -> Notes:
        """What is to be said at each endpoint that an order is about."""
        said: dict[EndpointKey, tuple[str, ...]] = {}
        for order in self.orders:
            words = by_order(order)
            receivers = self._receivers(order, placed, holds)
            for one in placed:
                key = one.endpoint.key
                if self._holds(order, one.endpoint):
                    said[key] = (*said.get(key, ()), self._said(order, words, one.endpoint, receivers))
                elif key in receivers:
                    said[key] = (*said.get(key, ()), f"{words}: to here")
        return said

    def _said(self, order: ActiveOrder, words: str, endpoint: Endpoint, receivers: Shares) -> str:
        if order.order.action is not Action.SHIFT:
            return words
        if self._frozen(endpoint):
            return f"{words}, but it is frozen"
        return words if receivers else f"{words}, but nothing healthy is there for this client"

    def _receivers(self, order: ActiveOrder, placed: Sequence[Placed], holds: Holds) -> Shares:
        to = order.order.to
        if to is None or order.order.action is not Action.SHIFT:
            return {}
        return {
            one.endpoint.key: one.weight * (holds.get(one.endpoint.key, FREE).admitted or 100.0)
            for one in placed
            if one.health is Health.HEALTHY
            and to.holds(self.service, one.endpoint)
            and not self._holds(order, one.endpoint)
        }

    def _holds(self, order: ActiveOrder, endpoint: Endpoint) -> bool:
        return order.order.target.holds(self.service, endpoint)

    def _frozen(self, endpoint: Endpoint) -> bool:
        return any(one.order.action is Action.FREEZE and self._holds(one, endpoint) for one in self.orders)
