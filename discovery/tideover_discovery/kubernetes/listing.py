"""Objects of all sources of one cluster, laid together; what is broken stays at its last good version."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from tideover_core.model import Problem

from .doubt import Doubts
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
    doubt: str = ""  # which, in words
    whole: frozenset[str] = frozenset()  # files that could be read to the end once: their absences are known

    @property
    def doubts(self) -> Doubts:
        """What an assembler is told beside the objects."""
        return Doubts(self.problems, self.doubtful, self.unsure)


def changes(before: Listing, now: Listing) -> dict[Key, Item | None]:
    """What differs: objects that are new or changed, None for those that are gone."""
    found: dict[Key, Item | None] = {
        key: item for key, item in now.items.items() if before.items.get(key) is not item
    }
    found.update((key, None) for key in before.items if key not in now.items)
    return found


def combine(manifests: Mapping[str, Manifest], previous: Listing, leaving: Collection[str] = ()) -> Listing:
    """All objects, files in the order of their names; `previous` is the last listing of these files.

    Files that are `leaving` are no longer there, and may come back: what others say counts before them.
    """
    items: dict[Key, Item] = {}
    problems: list[Problem] = []
    broken: list[Broken] = []
    for file in sorted(manifests, key=lambda name: (name in leaving, name)):
        manifest = manifests[file]
        broken += manifest.broken
        if not items:
            items.update(manifest.items)
            continue
        for key, item in manifest.items.items():
            first = items.setdefault(key, item)
            if first is not item and file not in leaving:
                consequence = f"ignored, {first.where} counts"
                problems.append(Problem(str(key), "occurs twice", consequence, item.where))
    stained = {fault.file for fault in broken if fault.hides and not fault.certain}
    whole = frozenset(file for file in manifests if file not in stained or file in previous.whole)
    found = Listing(items, tuple(problems), whole=whole)
    for fault in broken:
        found = _with(found, fault, items, previous)
    return found


def _with(found: Listing, fault: Broken, items: dict[Key, Item], previous: Listing) -> Listing:
    """One fault more; what it may have taken away is put back into `items`."""
    key, doubtful, unsure = fault.key, found.doubtful, found.unsure
    before = previous.items
    if key is not None and fault.certain and key in items:
        consequence = f"ignored, {items[key].where or 'the other'} counts"
    elif key is not None and fault.certain and key in before:
        items[key] = before[key]
        consequence = "its last good version stays"
    elif key is not None and fault.certain:
        consequence = "ignored until it is mended; no good version of it is known"
        doubtful |= {key}
    else:
        stay = {k: v for k, v in before.items() if v.file == fault.file and k not in items}
        items.update(stay)
        consequence = "what it said before stays" if stay else "ignored until it is mended"
        unsure = unsure or (fault.hides and fault.file not in found.whole)
        doubtful |= {key} if key is not None and key not in items else set()
    problem = Problem(str(key or fault.file), fault.message, consequence, fault.where)
    hidden = fault.hides and (unsure != found.unsure or doubtful != found.doubtful)
    doubt = found.doubt or (f"{fault.where}: {fault.message}" if hidden else "")
    return replace(found, problems=(*found.problems, problem), doubtful=doubtful, unsure=unsure, doubt=doubt)
