"""Status conditions as Kubernetes writes them, and the request that brings them up to date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .objects import Key
from .resources import Resource
from .writes import Write
from .writing import MERGE, Object, metadata

LONGEST_MESSAGE = 4096


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition. `status`: True, False or Unknown; `volatile`: it tells a number of the moment."""

    type: str
    status: str
    reason: str
    message: str = ""
    volatile: bool = False


def conditions(before: object, wanted: Sequence[Condition], generation: int, now: str) -> list[Any] | None:
    """All conditions as they should be; None when they are. Those of other types stay as they are.

    `lastTransitionTime` changes only with the status.
    """
    known = [one for one in before if isinstance(one, dict)] if isinstance(before, list) else []
    by_type = {one.get("type"): one for one in known}
    said = [_written(one, by_type.get(one.type, {}), generation, now) for one in wanted]
    types = {one.type for one in wanted}
    after = [one for one in known if one.get("type") not in types] + said
    return None if sorted(known, key=repr) == sorted(after, key=repr) else after


def _written(condition: Condition, before: Object, generation: int, now: str) -> Object:
    moved = before.get("status") != condition.status or not before.get("lastTransitionTime")
    return {
        "type": condition.type,
        "status": condition.status,
        "observedGeneration": generation,
        "lastTransitionTime": now if moved else before["lastTransitionTime"],
        "reason": condition.reason,
        "message": condition.message[:LONGEST_MESSAGE],
    }


def status_write(
    key: Key, resource: Resource[Any], found: Object, wanted: Sequence[Condition], now: str
) -> Write | None:
    """The request that gives this object these conditions; None when it has them."""
    about = metadata(found)
    generation = about.get("generation", 0)
    status = found.get("status")
    before = status.get("conditions") if isinstance(status, dict) else None
    after = conditions(before, wanted, generation, now)
    if after is None:
        return None
    steady = [one for one in wanted if not one.volatile]
    version = str(found.get("apiVersion", "")).rpartition("/")[2] or resource.versions[0]
    return Write(
        str(key),
        "its conditions",
        "PATCH",
        f"/apis/{resource.group}/{version}/namespaces/{key.namespace}/{resource.plural}/{key.name}/status",
        {"metadata": {"resourceVersion": about.get("resourceVersion")}, "status": {"conditions": after}},
        MERGE,
        leisurely=conditions(_only(before, wanted), steady, generation, now) is None and bool(before),
    )


def _only(before: object, wanted: Sequence[Condition]) -> list[Any]:
    """The conditions that are not volatile."""
    volatile = {one.type for one in wanted if one.volatile}
    said = before if isinstance(before, list) else []
    return [one for one in said if isinstance(one, dict) and one.get("type") not in volatile]
