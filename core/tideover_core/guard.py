"""The guard against mass removal: an API server may answer "nothing" and mean "I have lost my memory".

When of a cluster's addresses more vanish within 10 seconds than stay, they are held: put back as they last
were, until they come back, a second look after the hold time says the same, or an operator accepts it. Whole
services and policies that vanished in the same stroke are held with them.

Never held: readiness, additions, an address that its pod or another service still has, and endpoints that
were terminating before. Nor when all that vanished is of one service that still exists, with a slice: that is
a scale-down to zero. Fewer than two addresses are no mass.

Pure. `now_s` is a steady clock: one that is set back would keep what it holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .difference import differing
from .held import (
    NOTHING_HELD,
    OTHERS,
    HeldEnd,
    HeldService,
    Holding,
    Name,
    ends_of,
    named,
    others_restored,
    pod_of,
    restored,
    taken,
)
from .model import ClusterFacts, Endpoint, ServiceFacts, ServiceKey

WINDOW_S = 10.0
HOLD_S = 30.0
_FEW = 2

Change = tuple[ServiceFacts | None, ServiceFacts | None]


@dataclass(frozen=True, slots=True)
class _Loss:
    """What one service lost. `counted`: endpoints that neither terminated first nor have moved."""

    facts: ServiceFacts
    counted: tuple[tuple[int, Endpoint], ...]
    leaving: tuple[tuple[int, Endpoint], ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class _Stroke:
    """What vanished and what appeared in one change."""

    at_s: float
    losses: Mapping[ServiceKey, _Loss] = field(default_factory=dict)
    others: Mapping[Name, Any] = field(default_factory=dict)
    appeared: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Guard:
    """What the guard remembers of one cluster. Begin with `Guard(hold_s=...)`."""

    hold_s: float = HOLD_S
    holding: Holding = NOTHING_HELD
    since_s: float | None = None  # when the first of what is held vanished
    said: ClusterFacts | None = None  # what the cluster said last
    counts: Mapping[str, int] = field(default_factory=dict)  # endpoints by address, without terminating ones
    strokes: tuple[_Stroke, ...] = ()  # of the last 10 s, oldest first
    # services that are published otherwise than the cluster says them, and what of the holding is in them
    laid: Mapping[ServiceKey, tuple[HeldService | None, ServiceFacts]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Held:
    """What is held back, for people. Times are on the guard's clock."""

    addresses: int
    of: int  # the cluster's addresses with them
    services: int
    since_s: float
    next_look_s: float

    def __str__(self) -> str:
        if not self.addresses:  # others have them by now
            many = f"{self.services} services" if self.services else "policies"
            return (
                "1 service that vanished is held" if self.services == 1 else f"{many} that vanished are held"
            )
        return f"{self.addresses} of {self.of} addresses vanished at once and are held"


def guarded(
    guard: Guard,
    before: ClusterFacts | None,
    said: ClusterFacts,
    slices_present: Collection[ServiceKey],
    now_s: float,
) -> tuple[Guard, ClusterFacts]:
    """What to publish of what the cluster says now. Call it for each change, and after `accepted` and
    `confirmed`.

    `before` is what was published last (None or an earlier life's facts at first); `slices_present` are the
    services that have an EndpointSlice. What changes nothing keeps its identity.
    """
    base = before or replace(said, services={}, generation=said.generation - 1)
    if guard.said is None:
        first = before or said
        guard = replace(guard, said=first, counts=_counted(first))
    changed = _changed(guard.said or said, said)
    guard, stroke = _noted(guard, said, changed, now_s)
    holding = guard.holding
    if holding:
        holding = holding.without(said, changed, _pods(_new(changed), stroke.appeared))
    if (stroke.losses or stroke.others) and (holding or stroke.losses):
        holding = _with_lost(guard, holding, stroke, slices_present)
    since_s = guard.since_s if guard.holding and holding else (now_s if holding else None)
    guard, published = _published(replace(guard, holding=holding, since_s=since_s), base, said, changed)
    return guard, said if before is None and published is base else published


def accepted(guard: Guard) -> Guard:
    """An operator says that it is true: nothing is held any more, and what comes counts from here."""
    return replace(guard, holding=NOTHING_HELD, since_s=None, strokes=())


def confirmed(guard: Guard, now_s: float) -> Guard:
    """A second, complete look says the same: what had its time is gone, and what comes counts from here."""
    holding = guard.holding.after(now_s)
    strokes = tuple(stroke for stroke in guard.strokes if stroke.at_s > now_s - guard.hold_s)
    return replace(guard, holding=holding, since_s=guard.since_s if holding else None, strokes=strokes)


def next_look_s(guard: Guard) -> float | None:
    """When to look again, with a complete list; None while nothing is held."""
    return guard.holding.next_look_s()


def held(guard: Guard) -> Held | None:
    """What is held now, None when nothing is."""
    look_s = next_look_s(guard)
    if look_s is None or guard.since_s is None:
        return None
    addresses = guard.holding.addresses() - guard.counts.keys()
    return Held(
        len(addresses), len(addresses) + len(guard.counts), len(guard.holding.services), guard.since_s, look_s
    )


def _noted(
    guard: Guard, said: ClusterFacts, changed: Mapping[ServiceKey, Change], now_s: float
) -> tuple[Guard, _Stroke]:
    """The guard that knows of these changes, and what vanished and appeared in them."""
    assert guard.said is not None
    losses: dict[ServiceKey, _Loss] = {}
    for key, (old, new) in changed.items():
        if old is not None and (loss := _loss(old, new)) is not None:
            losses[key] = loss
    counts = _recounted(guard.counts, changed)
    appeared = frozenset(
        address for _, new in changed.values() for address in _counted_in(new) if address not in guard.counts
    )
    stroke = _Stroke(now_s, losses, _gone(guard.said, said), appeared)
    strokes = guard.strokes
    if strokes and strokes[0].at_s <= now_s - WINDOW_S:
        strokes = tuple(one for one in strokes if one.at_s > now_s - WINDOW_S)
    if losses or stroke.others or appeared:
        strokes = (*strokes, stroke)
    return replace(guard, said=said, counts=counts, strokes=strokes), stroke


def _recounted(counts: Mapping[str, int], changed: Mapping[ServiceKey, Change]) -> Mapping[str, int]:
    """The endpoints of each address after these changes; the same mapping when that is no different."""
    found: dict[str, int] | None = None
    for old, new in changed.values():
        before, now = _counted_in(old), _counted_in(new)
        if before == now:
            continue
        found = dict(counts) if found is None else found
        for address in now:
            found[address] = found.get(address, 0) + 1
        for address in before:
            found[address] -= 1
            if not found[address]:
                del found[address]
    return counts if found is None else found


def _mass(guard: Guard, slices_present: Collection[ServiceKey]) -> bool:
    """Whether within the window more addresses vanished than stayed, and it is no scale-down to zero."""
    vanished = sum(len(loss.counted) for one in guard.strokes for loss in one.losses.values())
    if vanished < _FEW or vanished <= len(guard.counts) - sum(len(one.appeared) for one in guard.strokes):
        return False  # cheap, and nearly always so
    owners: dict[str, set[ServiceKey]] = {}
    new: set[str] = set()
    for stroke in guard.strokes:
        new |= stroke.appeared
        for key, loss in stroke.losses.items():
            for _, end in loss.counted:
                if end.address not in guard.counts:
                    owners.setdefault(end.address, set()).add(key)
    stayed = len(guard.counts) - len(new & guard.counts.keys())
    if len(owners) < _FEW or len(owners) <= stayed:
        return False
    assert guard.said is not None
    services = {key for keys in owners.values() for key in keys}
    exist = all(key in guard.said.services and key in slices_present for key in services)
    one = set.intersection(*owners.values())
    return not (exist and one)


def _with_lost(
    guard: Guard, holding: Holding, stroke: _Stroke, slices_present: Collection[ServiceKey]
) -> Holding:
    """With what vanished lately, when that is a mass. While something is held, policies are held too."""
    if not _mass(guard, slices_present):
        if not holding:
            return holding
        strokes: tuple[_Stroke, ...] = (_Stroke(stroke.at_s, {}, stroke.others),)
    else:
        strokes = guard.strokes
    assert guard.said is not None
    until_s = stroke.at_s + guard.hold_s
    services, others = dict(holding.services), dict(holding.others)
    there = named(guard.said)
    lost = {
        e.address
        for one in strokes
        for loss in one.losses.values()
        for _, e in (*loss.counted, *loss.leaving)
    }
    users = _pods(guard.said.services, lost)
    for one in strokes:
        others |= {n: (v, until_s) for n, v in one.others.items() if n not in there and n not in others}
        for key, loss in one.losses.items():
            ends = (*loss.counted, *loss.leaving) if one.at_s == stroke.at_s else loss.counted
            free = tuple(HeldEnd(n, e, until_s) for n, e in ends if not taken(key, e, users))
            found = _held_service(services.get(key), guard.said.services.get(key), loss, free)
            if found is not None:
                services[key] = replace(found, until_s=until_s) if loss.whole else found
    return Holding(services, others)


def _held_service(
    before: HeldService | None, now: ServiceFacts | None, loss: _Loss, ends: tuple[HeldEnd, ...]
) -> HeldService | None:
    """What is held of a service with this loss; None for nothing more."""
    kept = before.ends if before is not None else ()
    there = ends_of(now) | {end.key for end in kept}
    new = tuple(end for end in ends if end.key not in there)
    gone = loss.whole and now is None
    if not new and (not gone or before is not None):
        return None
    facts = loss.facts if gone or before is None else before.facts
    return HeldService(facts, before.until_s if before is not None else 0.0, (*kept, *new))


def _published(
    guard: Guard, before: ClusterFacts, said: ClusterFacts, changed: Mapping[ServiceKey, Change]
) -> tuple[Guard, ClusterFacts]:
    """What the cluster says with what is held; what equals `before` is that."""
    laid: dict[ServiceKey, tuple[HeldService | None, ServiceFacts]] = {}
    for key in guard.laid.keys() | guard.holding.services.keys() | changed.keys():
        known, held_ = guard.laid.get(key), guard.holding.services.get(key)
        now, was = said.services.get(key), before.services.get(key)
        if known is not None and key not in changed and known[0] is held_:
            laid[key] = known
        elif held_ is not None:
            laid[key] = (held_, restored(held_, now, was))
        elif now is not None and was is not None and was is not now and was == now:
            laid[key] = (None, was)
    found = said
    if laid:
        found = replace(said, services={**said.services, **{key: facts for key, (_, facts) in laid.items()}})
    found = others_restored(found, guard.holding, before)
    guard = replace(guard, laid=laid)
    if (not changed or laid) and _same(found, before):
        return guard, before
    if found.generation > before.generation:
        return guard, found
    return guard, replace(found, generation=before.generation + 1)


def _same(found: ClusterFacts, before: ClusterFacts) -> bool:
    """Whether nothing but the generation differs. Services are compared by identity."""
    return not differing(found.services, before.services) and replace(
        found, services={}, generation=0
    ) == replace(before, services={}, generation=0)


def _changed(before: ClusterFacts, said: ClusterFacts) -> Mapping[ServiceKey, Change]:
    old, new = before.services, said.services
    return {key: (old.get(key), new.get(key)) for key in differing(old, new)}


def _loss(old: ServiceFacts, new: ServiceFacts | None) -> _Loss | None:
    """What the service lost, None for nothing. A pod that is still there has only moved."""
    there = ends_of(new)
    pods = {end.pod for ends in (new.endpoints.values() if new else ()) for end in ends} - {""}
    gone = [
        (number, end)
        for number, ends in old.endpoints.items()
        for end in ends
        if (number, end.key) not in there and end.pod not in pods
    ]
    if not gone and new is not None:
        return None
    counted = tuple(one for one in gone if not one[1].terminating)
    leaving = tuple(one for one in gone if one[1].terminating)
    return _Loss(old, counted, leaving, new is None)


def _gone(before: ClusterFacts, said: ClusterFacts) -> Mapping[Name, Any]:
    """Policies, orders and exports that are no longer said."""
    if all(getattr(before, where) is getattr(said, where) for where in OTHERS):
        return {}
    there = named(said)
    return {name: value for name, value in named(before).items() if name not in there}


def _pods(
    services: Mapping[ServiceKey, ServiceFacts], addresses: Collection[str]
) -> Mapping[str, frozenset[str]]:
    """Which pods these addresses are of."""
    found: dict[str, frozenset[str]] = {}
    for key, facts in services.items() if addresses else ():
        for ends in facts.endpoints.values():
            for end in ends:
                if end.address in addresses:
                    found[end.address] = found.get(end.address, frozenset()) | {pod_of(key, end)}
    return found


def _new(changed: Mapping[ServiceKey, Change]) -> Mapping[ServiceKey, ServiceFacts]:
    return {key: new for key, (_, new) in changed.items() if new is not None}


def _counted_in(facts: ServiceFacts | None) -> list[str]:
    """The addresses of its endpoints, once for each, without terminating ones."""
    if facts is None:
        return []
    return [end.address for ends in facts.endpoints.values() for end in ends if not end.terminating]


def _counted(facts: ClusterFacts) -> Mapping[str, int]:
    return Counter(address for one in facts.services.values() for address in _counted_in(one))
