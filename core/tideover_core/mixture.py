"""From admissions to priorities: a mixture of the worlds that parts of the traffic see (decision 10).

The part of the traffic between two admissions sees whoever is admitted no more as down; each part goes as
Envoy would send it, by its own priorities; together they are one priority, weighted. So what an endpoint
is not admitted goes exactly where all of it would go if that endpoint were down, and a small step moves
little.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from .assignment import Health, LeftOut, Placed, Priority, WeightedLocality
from .holds import FREE, WHOLE, Holds, Seen, seen
from .levels import Levelling, endpoint_shares
from .model import Locality
from .shifting import Shares, Shifting
from .steering import EndpointKey, Site

_LOCALITY_SCALE = 10_000  # weights of localities are hundredths of a percent
_ENDPOINT_SCALE = 1_000
_NOTHING = 1e-9
_MOST_CAUSES = 5


@dataclass(frozen=True, slots=True)
class Steer:
    """What verdicts, orders and capacity make of one service port for one vantage.

    `shares`: what capacity gives each site, admissions included; None: as the priorities say.
    """

    holds: Holds
    shifting: Shifting
    shares: Mapping[Site, float] | None = None


@dataclass(frozen=True, slots=True)
class Mixed:
    """The priorities, and what is not sent any more."""

    priorities: tuple[Priority, ...]
    left_out: tuple[LeftOut, ...]


def mixed(placed: Sequence[Placed], steer: Steer, levelling: Levelling) -> Mixed:
    """The answer, with what steers it. With nothing admitted in part: as if what is not were down."""
    first = seen(placed, steer.holds, 0.0)
    bounds = _bounds(placed, steer.holds)
    if len(bounds) <= 2 and not steer.shifting and steer.shares is None:
        return Mixed(levelling.priorities(first.sent), tuple(first.left_out))
    before = _shares(first, levelling)
    shares, because = before, _partly(first, steer.holds)
    if steer.shares is not None and (given := _by_capacity(first, steer, steer.shares)):
        shares, because = given, ["capacity: what each place is to take", *because]
    elif len(bounds) > 2:
        parts = [seen(placed, steer.holds, low) for low in bounds[1:-1]]
        shares = _natural(bounds, [before, *(_shares(part, levelling) for part in parts)])
    unshifted = shares
    if steer.shifting:
        shares = steer.shifting.shifted(shares, first.sent, steer.holds)
    notes = steer.shifting.notes(first.sent, steer.holds) if steer.shifting else {}
    if notes:
        sent = [_noted(one, notes.get(one.endpoint.key, ())) for one in first.sent]
        first = Seen(sent, first.left_out)
        if shares is not unshifted:
            because += dict.fromkeys(why for said in notes.values() for why in said)
    if _same(shares, before):
        return Mixed(levelling.priorities(first.sent), tuple(first.left_out))
    merged = _merged(first, shares, _few(because), levelling)
    return Mixed(merged, tuple(first.left_out))


def _bounds(placed: Sequence[Placed], holds: Holds) -> list[float]:
    """The admissions between which all of the traffic sees the same.

    Where even the best is admitted in part only, that part is all there is.
    """
    values = {value for hold in holds.values() for value in (hold.judged, hold.ordered)}
    if not any(0 < value < WHOLE for value in values):
        return [0.0, WHOLE]
    most = max(
        (holds.get(one.endpoint.key, FREE).admitted for one in placed if one.health is Health.HEALTHY),
        default=0.0,
    )
    return sorted({0.0, most} | {value for value in values if value < most})


def _natural(bounds: Sequence[float], parts: Sequence[Shares]) -> Shares:
    """Each endpoint's part of the traffic, of what it gets between each two bounds."""
    total: dict[EndpointKey, float] = {}
    for (low, high), part in zip(pairwise(bounds), parts, strict=True):
        for key, share in part.items():
            total[key] = total.get(key, 0.0) + share * (high - low) / bounds[-1]
    return total


def _shares(found: Seen, levelling: Levelling) -> Shares:
    levels = levelling.levels(levelling.counted(found.sent))
    return endpoint_shares(levelling.expected(levels, 0.0), levelling.overprovisioning_percent)


def _by_capacity(first: Seen, steer: Steer, sites: Mapping[Site, float]) -> Shares:
    """Each site's share over its healthy endpoints. What drains leave of a site, and sites without any
    healthy, is for the others; verdicts are in the shares already."""
    parts: dict[Site, dict[EndpointKey, float]] = {}
    kept: dict[Site, float] = {}
    weights: dict[Site, int] = {}
    for one in first.sent:
        site = Site(one.endpoint.cluster, one.endpoint.locality)
        if one.health is Health.HEALTHY and sites.get(site, 0.0) > 0:
            hold = steer.holds.get(one.endpoint.key, FREE)
            parts.setdefault(site, {})[one.endpoint.key] = one.weight * (hold.admitted or WHOLE)
            kept[site] = kept.get(site, 0.0) + one.weight * (hold.ordered or WHOLE)
            weights[site] = weights.get(site, 0) + one.weight
    given = {site: sites[site] * kept[site] / weights[site] for site in kept}
    whole = sum(given.values())
    totals = {site: sum(found.values()) for site, found in parts.items()}
    return {
        key: given[site] / whole * part / totals[site]
        for site, found in parts.items()
        for key, part in found.items()
    }


def _same(one: Shares, other: Shares) -> bool:
    if one is other:
        return True
    return all(abs(one.get(key, 0.0) - other.get(key, 0.0)) < _NOTHING for key in one.keys() | other.keys())


def _merged(
    first: Seen, shares: Shares, because: Sequence[str], levelling: Levelling
) -> tuple[Priority, ...]:
    """One priority of all who get traffic, weighted by it; the others follow in their order.

    Who is not healthy is not in the first one: Envoy would count it there once more.
    """
    served: dict[Locality, list[Placed]] = {}
    for one in first.sent:
        if shares.get(one.endpoint.key, 0.0) > _NOTHING:
            served.setdefault(one.endpoint.locality, []).append(one)
    rest: list[Placed] = []
    for one, counted in zip(first.sent, levelling.counted(first.sent), strict=True):
        if shares.get(one.endpoint.key, 0.0) > _NOTHING:
            continue
        if one.health is Health.DRAINING and one.endpoint.locality in served:
            served[one.endpoint.locality].append(one)
        else:
            rest.append(counted)
    places = tuple(_place(where, served[where], shares, because, levelling) for where in sorted(served))
    return levelling.expected([places, *levelling.levels(rest)], levelling.panic_percent)


def _place(
    locality: Locality, placed: list[Placed], shares: Shares, because: Sequence[str], levelling: Levelling
) -> WeightedLocality:
    share = sum(shares.get(one.endpoint.key, 0.0) for one in placed)
    weight = max(1, round(share * _LOCALITY_SCALE))
    ranks = dict.fromkeys(levelling.order.rank(one.endpoint).cause for one in placed)
    said = f"weight {weight}: {100 * share:.3g} % of the traffic"
    ends = sorted(placed, key=lambda one: one.endpoint.key)
    return WeightedLocality(locality, weight, tuple(_scaled(ends, shares)), (*ranks, said, *because))


def _scaled(placed: Sequence[Placed], shares: Shares) -> Iterator[Placed]:
    """The endpoints, weighted by their shares; with their own weights where that is the same."""
    ratios = [shares.get(one.endpoint.key, 0.0) / one.weight for one in placed]
    most = max(ratios)
    if all(ratio > most * (1 - 1e-6) for ratio in ratios if ratio):
        yield from placed
        return
    for one, ratio in zip(placed, ratios, strict=True):
        yield replace(one, weight=max(1, round(one.weight * _ENDPOINT_SCALE * ratio / most)))


def _partly(first: Seen, holds: Holds) -> list[str]:
    """Why anything is admitted in part."""
    found = [
        (Site(one.endpoint.cluster, one.endpoint.locality), holds[one.endpoint.key])
        for one in first.sent
        if one.endpoint.key in holds
    ]
    return list(
        dict.fromkeys(
            f"{site} is admitted {percent:g} %: {cause}"
            for site, hold in found
            for percent, causes in ((hold.judged, hold.judgements), (hold.ordered, hold.orders))
            for cause in causes
            if percent < WHOLE
        )
    )


def _few(causes: Sequence[str]) -> tuple[str, ...]:
    shown = tuple(dict.fromkeys(causes))
    more = len(shown) - _MOST_CAUSES
    return shown if more <= 0 else (*shown[:_MOST_CAUSES], f"and {more} more")


def _noted(one: Placed, notes: tuple[str, ...]) -> Placed:
    return replace(one, causes=(*notes, *one.causes)) if notes else one
