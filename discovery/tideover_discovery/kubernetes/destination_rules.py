"""Istio's DestinationRule into policy, field by field: what is not supported is named, never skipped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tideover_core import policy as core
from tideover_core.policy import Settings, Subset

from .fields import Fields
from .objects import DestinationRule, is_label
from .traffic_policies import settings

_CLUSTER_DOMAINS = (".svc.cluster.local", ".svc.clusterset.local")


def destination_rule(rule: DestinationRule) -> tuple[core.DestinationRule, tuple[str, ...]]:
    """The policy, and what in it is not acted on. Refusal when it makes no sense as a whole."""
    unsupported: list[str] = []
    spec = Fields("spec", rule.spec, unsupported)
    namespace = rule.metadata.namespace or "default"
    whole, ports = traffic_policy(spec.object("trafficPolicy"))
    translated = core.DestinationRule(
        namespace,
        rule.metadata.name,
        _host(spec, namespace),
        whole,
        ports,
        tuple(_subset(part) for part in spec.objects("subsets")),
        tuple(spec.texts("exportTo") or ("*",)),
        _selector(spec.object("workloadSelector")),
        rule.metadata.creation_timestamp or "",
    )
    spec.close()
    return translated, tuple(unsupported)


def _host(spec: Fields, namespace: str) -> str:
    """Fully qualified: a short name is a Service of the rule's own namespace."""
    host = spec.text("host")
    if not host:
        raise spec.refusal("host", "is missing")
    host = host.lower().rstrip(".")
    if "*" in host:
        if host != "*" and (not host.startswith("*.") or "*" in host[1:]):
            raise spec.refusal("host", f"{host!r}: a wildcard is `*` or stands for the first part, `*.a.b`")
        return host
    if "." not in host:
        return f"{host}.{namespace}.svc.cluster.local"
    if not host.endswith(_CLUSTER_DOMAINS):
        spec.unsupported("host", f"{host} is no Service of a cluster, so the rule applies to nothing")
    return host


def traffic_policy(policy: Fields | None) -> tuple[Settings, Mapping[int, Settings]]:
    """A trafficPolicy with its portLevelSettings."""
    if policy is None:
        return Settings(), {}
    ports: dict[int, Settings] = {}
    for level in policy.objects("portLevelSettings"):
        port = level.object("port")
        number = port.integer("number", 1, 65535) if port else None
        if port is None or number is None:
            raise level.refusal("port.number", "is missing")
        port.close()
        if number in ports:
            raise level.refusal("port.number", f"{number} occurs twice")
        ports[number] = settings(level)
        level.close()
    whole = settings(policy)
    policy.close()
    return whole, ports


def _subset(part: Fields) -> Subset:
    name = part.text("name")
    if not name:
        raise part.refusal("name", "is missing")
    if not is_label(name):
        raise part.refusal("name", f"is {name[:80]!r}; use small letters, digits and dashes")
    whole, ports = traffic_policy(part.object("trafficPolicy"))
    subset = Subset(name, part.labels("labels"), whole, ports)
    part.close()
    return subset


def _selector(selector: Fields | None) -> dict[str, str]:
    if selector is None:
        return {}
    labels: dict[str, Any] = selector.labels("matchLabels")
    selector.close()
    return labels
