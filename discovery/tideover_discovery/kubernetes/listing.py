"""Objects of all sources of one cluster, laid together; what is broken stays at its last good version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tideover_core.model import Problem

from .manifest import Broken, Item, Manifest
from .objects import Key


@dataclass(frozen=True, slots=True)
class Listing:
    """Objects by key. `doubtful`: broken, and no good version of it is known here; `unsure`: something
    broken may be any object, so that absence proves nothing."""

    items: Mapping[Key, Item] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    doubtful: frozenset[Key] = frozenset()
    unsure: bool = False


def combine(manifests: Mapping[str, Manifest], previous: Mapping[Key, Item]) -> Listing:
    """All objects, files in the order of their names; `previous` are those of the last listing."""
    items: dict[Key, Item] = {}
    problems: list[Problem] = []
    broken: list[Broken] = []
    for file in sorted(manifests):
        manifest = manifests[file]
        broken += manifest.broken
        if not items:
            items.update(manifest.items)
            continue
        for key, item in manifest.items.items():
            first = items.setdefault(key, item)
            if first is not item:
                problems.append(
                    Problem(str(key), f"also at {first.where}", f"ignored, {first.file} counts", item.where)
                )
    doubtful = set()
    unsure = False
    for fault in broken:
        if fault.key is not None and fault.certain and (fault.key in previous or fault.key in items):
            kept = items.setdefault(fault.key, previous.get(fault.key) or items[fault.key])
            same = kept.where if kept is not previous.get(fault.key) else ""
            consequence = f"ignored, {same} counts" if same else "its last good version stays"
        elif fault.key is not None and fault.certain:
            doubtful.add(fault.key)
            consequence = "ignored until it is mended; no good version of it is known"
        else:
            stay = {k: v for k, v in previous.items() if v.file == fault.file and k not in items}
            items.update(stay)
            unsure = unsure or not stay
            consequence = "what it said before stays" if stay else "ignored until it is mended"
        name = str(fault.key) if fault.key else fault.file
        problems.append(Problem(name, fault.message, consequence, fault.where))
    return Listing(items, tuple(problems), frozenset(doubtful), unsure)
