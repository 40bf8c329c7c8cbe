"""What `tideover check` found, as one document: is the configuration sound, is each source readable,
what is refused. An error stops a cluster or the program; a problem costs one object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tideover_core.model import ClusterFacts, Problem

if TYPE_CHECKING:
    from tideover_discovery.kubernetes.client.look import Look

    from .config_yaml import Flaw

Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class Source:
    """A cluster, or the policies. `facts` is None when they could not be read; `look`: of a live cluster."""

    name: str
    path: str
    facts: ClusterFacts | None
    look: Look | None = None


def checked(
    configuration: str, errors: Sequence[Flaw], sources: Sequence[Source], problems: Sequence[Problem]
) -> Document:
    """The document; `ok` when nothing in it is an error."""
    return {
        "ok": not errors,
        "configuration": configuration,
        "errors": [{"where": e.where, "key": e.at, "message": e.message} for e in errors],
        "sources": [_source(source) for source in sources],
        "problems": [
            {"object": p.object, "message": p.message, "consequence": p.consequence, "where": p.where}
            for p in problems
        ],
    }


def _source(source: Source) -> Mapping[str, object]:
    counts = dict.fromkeys(("services", "endpoints", "readyEndpoints", "policies"), 0)
    facts = source.facts
    if facts is not None:
        ready_by_key = {
            endpoint.key: endpoint.ready
            for service in facts.services.values()
            for ends in service.endpoints.values()
            for endpoint in ends
        }
        counts["services"] = len(facts.services)
        counts["endpoints"] = len(ready_by_key)
        counts["readyEndpoints"] = sum(ready_by_key.values())
        counts["policies"] = len(facts.destination_rules) + len(facts.failover_policies)
    found = {"name": source.name, "manifests": source.path, "readable": facts is not None, **counts}
    return found | _live(source.look) if source.look is not None else found


def _live(look: Look) -> Document:
    permissions = [
        {
            "verb": one.need.verb,
            "resource": one.need.resource,
            "namespace": one.need.namespace,
            "required": one.need.required,
            "allowed": one.allowed,
        }
        for one in look.answers
    ]
    return {
        "server": look.server,
        "version": look.version,
        "reachable": not look.trouble,
        "permissions": permissions,
    }
