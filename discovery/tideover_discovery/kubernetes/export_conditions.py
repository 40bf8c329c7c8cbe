"""The conditions of ServiceExports: Valid, Ready and Conflict, in the words of the API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tideover_core.exports import INVALID_TYPE, NO_SERVICE, Export, Merged
from tideover_core.model import ServiceKey

from .multi_cluster import EXPORTS, GROUP, FoundCondition, path_of
from .service_imports import Seen, Shared, handed_on, in_doubt
from .writes import Write, applied

_LONGEST = 1024
_FAULTS = {
    NO_SERVICE: "There is no Service of this name in this namespace and cluster.",
    INVALID_TYPE: "A Service of type ExternalName has no endpoints, and cannot be exported.",
}


class Condition(NamedTuple):
    """One condition, without its times."""

    type: str
    status: str
    reason: str
    message: str


def conditions(export: Export, come_to: Merged | None) -> tuple[Condition, ...]:
    """What is said of one export; `come_to` is what all exports of the name come to."""
    if export.offered is None or come_to is None:
        reason = export.fault or NO_SERVICE
        return (
            Condition("Valid", "False", reason, _FAULTS[reason]),
            Condition("Ready", "False", "Failed", _FAULTS[reason]),
            Condition("Conflict", "False", "NoConflicts", ""),
        )
    *_, refused = handed_on(export.labels, export.annotations)
    left_out = f"Not handed on, as Kubernetes or Tideover does not take them: {', '.join(refused)}."
    return (
        Condition("Valid", "True", "Valid", left_out[:_LONGEST] if refused else ""),
        Condition("Ready", "True", "Exported", "It is part of the service over all clusters."),
        _conflict(come_to),
    )


def _conflict(come_to: Merged) -> Condition:
    if not come_to.conflicts:
        return Condition("Conflict", "False", "NoConflicts", "")
    of = len(come_to.clusters)
    told = ", ".join(f"{one.property} ({one.disagree}/{of} clusters disagree)" for one in come_to.conflicts)
    message = f"Conflicting {told}. The oldest ServiceExport decides, in cluster {come_to.clusters[0]}"
    if any(one.reason == "PortConflict" for one in come_to.conflicts):
        message += "; of ports the union counts, and of two with one name or number the older"
    reason = ",".join(one.reason for one in come_to.conflicts)
    return Condition("Conflict", "True", reason, f"{message}."[:_LONGEST])


def export_writes(key: ServiceKey, cluster: str, wanted: Shared, seen: Seen, now: str) -> Iterator[Write]:
    """What brings the conditions of a cluster's ServiceExport to what they should be. `now` is RFC 3339."""
    found, export = seen.exports.get(key), wanted.exports.get(key, {}).get(cluster)
    if found is None or export is None or in_doubt(wanted, seen.imports.get(key)):
        return  # our facts are behind; they come
    wanting, said, about = conditions(export, wanted.merged.get(key)), found.conditions, found.metadata
    if all(_stands(one, said.get(one.type), about.generation) for one in wanting):
        return
    written = [_written(one, said.get(one.type), about.generation, now) for one in wanting]
    body = {
        "apiVersion": f"{GROUP}/{seen.version}",
        "kind": "ServiceExport",
        "metadata": {"name": key.name, "namespace": key.namespace, "uid": about.uid},
        "status": {"conditions": written},
    }
    path = f"{path_of(EXPORTS, key, seen.version, key.name)}/status"
    yield applied((f"ServiceExport {key}", "its conditions changed"), path, body)


def _stands(wanted: Condition, said: FoundCondition | None, generation: int | None) -> bool:
    """Whether a condition is there already. Servers with an older CRD drop `observedGeneration`."""
    if said is None or said.observed_generation not in (None, generation):
        return False
    return wanted == (said.type, said.status, said.reason, said.message)


def _written(
    wanted: Condition, said: FoundCondition | None, generation: int | None, now: str
) -> dict[str, Any]:
    since = said.last_transition_time if said is not None and said.status == wanted.status else None
    found: dict[str, Any] = {**wanted._asdict(), "lastTransitionTime": since or now}
    if generation is not None:
        found["observedGeneration"] = generation
    return found
