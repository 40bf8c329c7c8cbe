"""What was there a moment ago, so that "1 ready of 100" is not read as "all of 1".

Envoy spills in proportion to what it is sent. This history of every service port in every cluster
remembers, for a while, how many were ready, which endpoints vanished while ready, and which have
only just appeared. Pure: time is an argument. Only what differs from the facts of now is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from .difference import differing
from .model import ClusterFacts, ServiceFacts, ServiceKey
from .past import Change, Past, after, current, newcomers, without_addresses
from .world import Presence, Presences

Owner = tuple[str, ServiceKey]  # cluster, service


@dataclass(frozen=True, slots=True)
class History:
    """The pasts that differ from now, by cluster and service, then port; and what `merge` needs of them."""

    pasts: Mapping[Owner, Mapping[int, Past]] = field(default_factory=dict)
    presences: Presences = field(default_factory=dict)
    # not after the first moment at which something stops to count; finding that takes a look at all of it
    look_s: float | None = field(default=None, compare=False)


def observe(
    history: History, before: ClusterFacts | None, latest: ClusterFacts | None, now_s: float
) -> History:
    """The history after one cluster's facts changed.

    `before` is None when the cluster was not known, `latest` when it is no longer configured.
    """
    if latest is None:
        cluster = before.cluster if before is not None else ""
        return _with(history, {owner: {} for owner in history.pasts if owner[0] == cluster})
    known = before.services if before is not None else {}
    changes: dict[Owner, Mapping[int, Past]] = {}
    appeared: set[str] = set()
    for key in differing(known, latest.services):
        was, now = known.get(key), latest.services.get(key)
        owner = (latest.cluster, key)
        pasts = dict(history.pasts.get(owner, {})) if now is not None else {}
        for number, change in _changes(was, now, before is not None):
            appeared |= {endpoint.address for endpoint in newcomers(change.new, change.old or ())}
            pasts[number] = after(pasts.get(number, Past()), change, now_s)
        changes[owner] = pasts if now is not None else {}
    return _reused(_with(history, changes), latest.network, frozenset(appeared))


def history_of(pasts: Mapping[Owner, Mapping[int, Past]]) -> History:
    """The history that these pasts are, as they were kept."""
    known = {owner: {port: past.presence() for port, past in ports.items()} for owner, ports in pasts.items()}
    return History(pasts, known, _first_end_s(pasts.values()))


def expire(history: History, now_s: float) -> History:
    """The history without what has stopped to count; one that equals it when that is nothing."""
    if history.look_s is None or history.look_s > now_s:
        return history
    changes = {
        owner: {number: current(past, now_s) for number, past in pasts.items()}
        for owner, pasts in history.pasts.items()
        if any(end <= now_s for past in pasts.values() for end in past.ends())
    }
    found = _with(history, changes) if changes else history
    return replace(found, look_s=_first_end_s(found.pasts.values()))


def next_change_s(history: History) -> float | None:
    """When to `expire` next: not after it will change something. None while nothing is pending."""
    return history.look_s


def _first_end_s(pasts: Iterable[Mapping[int, Past]]) -> float | None:
    return min((end for ports in pasts for past in ports.values() for end in past.ends()), default=None)


def presences(history: History) -> Presences:
    """What `world.merge` needs of it."""
    return history.presences


def _changes(
    was: ServiceFacts | None, now: ServiceFacts | None, cluster_known: bool
) -> Iterator[tuple[int, Change]]:
    numbers = {n for service in (was, now) if service is not None for n in service.endpoints}
    for number in sorted(numbers):
        old = was.endpoints.get(number, ()) if was is not None else None
        new = now.endpoints.get(number, ()) if now is not None else ()
        if old != new:
            yield number, Change(old, new, cluster_known)


def _reused(history: History, network: str, appeared: frozenset[str]) -> History:
    """Never an address in use again, whichever service or cluster of its network uses it."""
    if not appeared:
        return history
    changes: dict[Owner, Mapping[int, Past]] = {}
    for owner, pasts in history.pasts.items():
        if any(past.vanished for past in pasts.values()):
            kept = {number: without_addresses(past, network, appeared) for number, past in pasts.items()}
            if any(kept[number] is not past for number, past in pasts.items()):
                changes[owner] = kept
    return _with(history, changes) if changes else history


def _with(history: History, changes: Mapping[Owner, Mapping[int, Past]]) -> History:
    """The history with these services' pasts replaced; empty ones are forgotten."""
    pasts, known = dict(history.pasts), dict(history.presences)
    for owner, changed in changes.items():
        kept = {number: past for number, past in changed.items() if not past.is_over()}
        found = {number: past.presence() for number, past in kept.items()}
        worth = {number: presence for number, presence in found.items() if presence != _NOTHING}
        pasts.pop(owner, None)
        known.pop(owner, None)
        if kept:
            pasts[owner] = kept
        if worth:
            known[owner] = worth
    ends = [end for end in (history.look_s, _first_end_s(changes.values())) if end is not None]
    return History(pasts, known, min(ends) if pasts and ends else None)


_NOTHING = Presence()
