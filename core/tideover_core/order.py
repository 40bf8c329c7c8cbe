"""Which endpoint comes before which, for one client: a key to sort by, and the reason in words.

First what `distribute` names, then what is near, then the places of `failover` in their order, then
the others. Equal keys are one priority.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TypeVar

from .model import Endpoint, Vantage
from .near import DEFAULT_NEAR, Nearness, NodeLabels, nearness
from .policy import DistributeRule, FailoverRule, Place, Share
from .resolve import Resolved

Key = tuple[int, ...]
OriginRule = TypeVar("OriginRule", FailoverRule, DistributeRule)
DISTRIBUTED: Key = (-1,)


@dataclass(frozen=True, slots=True)
class Rank:
    """Where an endpoint stands. `share` is the one of `distribute` that it serves; -1: none.

    `excluded` is why the endpoint may not be used at all.
    """

    key: Key
    cause: str
    share: int = -1
    excluded: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """The order of preference of one client for one service, ready to rank endpoints."""

    inner: Nearness
    outer: Nearness | None
    failover: FailoverRule | None
    others: bool
    shares: tuple[Share, ...]
    home: Vantage
    causes: dict[str, str]
    ranked: dict[tuple[object, ...], Rank] = field(default_factory=dict)  # by place, for speed

    def rank(self, endpoint: Endpoint) -> Rank:
        """The rank of an endpoint; equal for all of one place where `near` reads places only."""
        by_place = self.inner.by_place and (self.outer is None or self.outer.by_place)
        if not by_place:
            return self._rank(endpoint)
        place = (endpoint.locality, endpoint.cluster, endpoint.network)
        known = self.ranked.get(place)
        if known is None:
            known = self.ranked[place] = self._rank(endpoint)
        return known

    def _rank(self, endpoint: Endpoint) -> Rank:
        for number, share in enumerate(self.shares):
            if _holds(share.place, endpoint):
                why = f"distribute: {share.percent:g} % to {share.place}"
                return Rank(DISTRIBUTED, self._said(why, "distribute"), number)
        outside, outside_cause = 0, ""
        if self.outer is not None:
            matched = self.outer.matched(endpoint)
            outside, outside_cause = len(self.outer.keys) - matched, self.outer.described(matched)
        matched = self.inner.matched(endpoint)
        distance = len(self.inner.keys) - matched
        step, step_cause = self._failover(endpoint)
        if step is None:
            why = self._said("not among the places of failover, and others: false", "others")
            return Rank((), "", excluded=why)
        cause = step_cause or self._said(outside_cause or self.inner.described(matched), "near")
        return Rank((outside, step, distance), cause)

    def _failover(self, endpoint: Endpoint) -> tuple[int | None, str]:
        """0 for near ones, then the number of the place that holds the endpoint; None: not at all."""
        rule = self.failover
        if rule is None or self._is_near(rule.origin, endpoint):
            return 0, ""
        for number, place in enumerate(rule.to, 1):
            if _holds(place, endpoint):
                return number, self._said(f"failover: place {number}, {place}", "failover")
        if not self.others:
            return None, ""
        return len(rule.to) + 1, self._said("others: after the places of failover", "failover")

    def _is_near(self, origin: Place, endpoint: Endpoint) -> bool:
        if origin == Place():
            return endpoint.locality.region == self.home.locality.region
        return _holds(origin, endpoint)

    def _said(self, what: str, field_name: str) -> str:
        policy = self.causes.get(field_name, "")
        return f"{what} ({policy})" if policy else what


def order_of(resolved: Resolved, vantage: Vantage, node_labels: NodeLabels) -> Order:
    """The order that these settings mean for this vantage."""
    settings, causes = resolved.settings, dict(resolved.causes)
    if settings.enabled is False:
        nowhere = nearness((), vantage, node_labels)
        return Order(nowhere, None, None, True, (), vantage, {"near": causes.get("enabled", "")})
    keys = DEFAULT_NEAR if settings.near is None else settings.near
    return Order(
        inner=nearness(keys, vantage, node_labels),
        outer=nearness(resolved.outer, vantage, node_labels) if resolved.outer else None,
        failover=_first_from(settings.failover or (), vantage),
        others=settings.others is not False,
        shares=_shares(_first_from(settings.distribute or (), vantage)),
        home=vantage,
        causes=causes,
    )


def _first_from(rules: tuple[OriginRule, ...], vantage: Vantage) -> OriginRule | None:
    home = (vantage.locality, vantage.cluster, vantage.network)
    return next((rule for rule in rules if rule.origin.holds(*home)), None)


def _shares(rule: DistributeRule | None) -> tuple[Share, ...]:
    """The shares that get traffic, the narrowest place first: "*" means what no other share names."""
    if rule is None:
        return ()
    # a share of nothing, or of no number, gets its traffic in the usual order
    counted = [share for share in rule.to if 0 < share.percent < inf]
    return tuple(sorted(counted, key=lambda share: -share.place.narrowness))


def _holds(place: Place, endpoint: Endpoint) -> bool:
    return place.holds(endpoint.locality, endpoint.cluster, endpoint.network)
