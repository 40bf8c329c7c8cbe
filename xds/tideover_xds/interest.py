"""What of clients any policy reads: all that tells two clients of one place and namespace apart.

Pods differ in their labels and nodes, and hardly ever does a policy look there. What none looks at
is cut off before views are made, so that a thousand sidecars need a handful of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from tideover_core.model import Vantage
from tideover_core.near import HOSTNAME, is_label, label_of
from tideover_core.policy import DestinationRule, Settings
from tideover_core.world import Service, World

_PREFER_SAME_NODE = "PreferSameNode"


@dataclass(frozen=True, slots=True)
class Interest:
    """The client labels that count somewhere, and whether the node does."""

    labels: frozenset[str] = frozenset()
    node: bool = False

    def cut(self, vantage: Vantage) -> Vantage:
        """The vantage without what nobody reads."""
        labels = {name: vantage.labels[name] for name in self.labels if name in vantage.labels}
        return replace(vantage, node=vantage.node if self.node else "", labels=labels)


def interest(world: World) -> Interest:
    """What the policies and services of this world read."""
    keys = {key for settings in _settings(world) for key in settings.near or ()}
    compared = {key for key in keys if "=" not in key}
    labels = {label_of(key) for key in compared if is_label(key)}
    selected = {name for rule in world.destination_rules for name in rule.workload_selector}
    # a label may also be the node's
    by_node = bool(labels) or any(label_of(key) in HOSTNAME for key in compared)
    return Interest(frozenset(labels | selected), by_node or any(map(_by_node, world.services.values())))


def _settings(world: World) -> Iterator[Settings]:
    for rule in world.destination_rules:
        yield from _of_rule(rule)
    yield from (policy.settings for policy in world.failover_policies)


def _of_rule(rule: DestinationRule) -> Iterable[Settings]:
    subsets = (
        settings for subset in rule.subsets for settings in (subset.settings, *subset.port_settings.values())
    )
    return (rule.settings, *rule.port_settings.values(), *subsets)


def _by_node(service: Service) -> bool:
    return any(
        part.facts.internal_traffic_local or part.facts.traffic_distribution == _PREFER_SAME_NODE
        for part in service.parts
    )
