"""What a complete list lacks and is not believed at once: a server may answer "none" and mean "I have lost
my memory". This is for what weights, labels, places and policies come from; `tideover_core.guard` looks after
addresses.

Pure. A list that lacks more objects than it has is looked at again after a while; until it says the same
then, what it lacks is kept, and what an endpoint refers to for as long as it does. Deletions that are told
one by one count at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from tideover_core.model import ClusterFacts

from .objects import Key


@dataclass(frozen=True, slots=True)
class Missing:
    """`keys`: objects that are kept, and until when; `kinds`: of which an earlier life knew some, and the
    first list of this one says none. Times are on a steady clock."""

    keys: Mapping[Key, float] = field(default_factory=dict)
    kinds: Mapping[str, float] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.keys or self.kinds)

    def listed(
        self, kind: str, found: Collection[Key], absent: frozenset[Key], until_s: float
    ) -> tuple[Missing, frozenset[Key]]:
        """After a complete list; with what of `absent` is believed."""
        kept = {key for key in self.keys if key.kind == kind and key not in found}
        mass = len(absent) + len(kept) > len(found)
        keys = {key: at_s for key, at_s in self.keys.items() if key.kind != kind or key in kept}
        if mass:
            keys |= dict.fromkeys(absent, until_s)
        kinds = self.kinds
        if found and kind in kinds:
            kinds = {one: at_s for one, at_s in kinds.items() if one != kind}
        return Missing(keys, kinds), frozenset() if mass else absent

    def without(self, keys: Collection[Key]) -> Missing:
        """These were told of."""
        if not self.keys or self.keys.keys().isdisjoint(keys):
            return self
        return replace(self, keys={key: at_s for key, at_s in self.keys.items() if key not in keys})

    def unsaid(self, kind: str, until_s: float) -> Missing:
        """The first list says none of this kind, and there were some."""
        return replace(self, kinds={**self.kinds, kind: until_s})

    def due(self, now_s: float) -> frozenset[str]:
        """Kinds to be listed again."""
        kinds = {key.kind for key, at_s in self.keys.items() if at_s <= now_s}
        return frozenset(kinds | {kind for kind, at_s in self.kinds.items() if at_s <= now_s})

    def next_look_s(self) -> float | None:
        """When something is due, None: nothing is missing."""
        return min((*self.keys.values(), *self.kinds.values()), default=None)

    def confirmed(self, kinds: Collection[str], now_s: float) -> tuple[Missing, frozenset[Key]]:
        """Second lists of these kinds say the same; with what is believed to be gone."""
        gone = frozenset(key for key, at_s in self.keys.items() if key.kind in kinds and at_s <= now_s)
        keys = {key: at_s for key, at_s in self.keys.items() if key not in gone}
        left = {kind: at_s for kind, at_s in self.kinds.items() if kind not in kinds or at_s > now_s}
        return Missing(keys, left), gone

    def again(self, keys: Collection[Key], until_s: float) -> Missing:
        """These stay, and are looked at again."""
        return replace(self, keys={**self.keys, **dict.fromkeys(keys, until_s)}) if keys else self

    def counts(self) -> Mapping[str, int]:
        """How many objects are kept of each kind, 0: as many as the earlier life knew."""
        found = dict.fromkeys(self.kinds, 0)
        for key in self.keys:
            found[key.kind] = found.get(key.kind, 0) + 1
        return dict(sorted(found.items()))


NOTHING_MISSING = Missing()


def kinds_known(facts: ClusterFacts | None) -> frozenset[str]:
    """Of which kinds there must have been objects, for these facts."""
    if facts is None:
        return frozenset()
    ends = (end for one in facts.services.values() for part in one.endpoints.values() for end in part)
    known = {
        "Pod": any(end.pod and end.labels for end in ends),
        "Node": bool(facts.nodes),
        "DestinationRule": bool(facts.destination_rules),
        "FailoverPolicy": bool(facts.failover_policies),
        "TrafficOrder": bool(facts.orders),
        "ServiceExport": bool(facts.exports),
    }
    return frozenset(kind for kind, there in known.items() if there)
