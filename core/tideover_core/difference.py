"""What changed between two mappings of frozen values: an unchanged value is the same object."""

from __future__ import annotations

from collections.abc import Mapping
from operator import is_
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def differing(old: Mapping[K, V], new: Mapping[K, V]) -> set[K]:
    """The keys whose values are not the same object, or that only one has."""
    if old is new:
        return set()
    if len(old) == len(new) and all(map(is_, old, new)):  # as nearly always; hashing 2,000 keys costs more
        return {key for key, was, now in zip(new, old.values(), new.values(), strict=True) if was is not now}
    return {key for key in old.keys() | new.keys() if old.get(key) is not new.get(key)}
