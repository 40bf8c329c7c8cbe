"""The policies of a world, found by the service they are about, in the order in which they count."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .model import Labels, ServiceKey
from .policy import DestinationRule, FailoverPolicy
from .world import World

_DOMAINS = ("svc.cluster.local", "svc.clusterset.local")


@dataclass(frozen=True, slots=True)
class Rules:
    """An index over one set of policies; each list is oldest first."""

    exact: dict[str, list[DestinationRule]]
    wildcards: tuple[DestinationRule, ...]
    named: dict[ServiceKey, list[FailoverPolicy]]
    namespaced: dict[str, list[FailoverPolicy]]
    root_namespace: str

    # how specific a target is
    MESH, NAMESPACE, SERVICE = 1, 2, 3

    def naming(self, service: ServiceKey) -> Sequence[FailoverPolicy]:
        """FailoverPolicies with this service among their targets."""
        return self.named.get(service, ())

    def of_namespace(self, namespace: str) -> Sequence[FailoverPolicy]:
        """FailoverPolicies without targets for this namespace."""
        return () if namespace == self.root_namespace else self.namespaced.get(namespace, ())

    def of_mesh(self) -> Sequence[FailoverPolicy]:
        """FailoverPolicies without targets in the root namespace."""
        return self.namespaced.get(self.root_namespace, ())

    def specificity(self, rule: DestinationRule) -> int:
        """How specific a DestinationRule's host is."""
        if not rule.host.startswith("*"):
            return self.SERVICE
        # "*.bookinfo.svc.cluster.local" is the namespace; wider wildcards are the mesh
        return self.NAMESPACE if rule.host.count(".") >= 4 else self.MESH

    def destination_rules(
        self, service: ServiceKey, namespace: str, labels: Labels
    ) -> tuple[DestinationRule, ...]:
        """The DestinationRules that count for clients of this namespace and labels, as Istio ranks them:

        the client's namespace, the service's, the root namespace; in each, rules that select workloads,
        then the longest host, then the oldest.
        """
        ranked: list[tuple[tuple[int, bool, int], DestinationRule]] = []
        for rule in self.about(service):
            tier = self._tier(rule, service, namespace)
            if tier is None or not _visible(rule, namespace) or not _selects(rule, namespace, labels):
                continue
            length = -len(rule.host) if rule.host.startswith("*") else -1000
            ranked.append(((tier, not rule.workload_selector, length), rule))
        ranked.sort(key=lambda pair: pair[0])
        return tuple(rule for _, rule in ranked)

    def selector_labels(self, service: ServiceKey, namespace: str) -> frozenset[str]:
        """The labels by which rules of this namespace select clients."""
        return frozenset(
            label
            for rule in self.about(service)
            if rule.namespace == namespace
            for label in rule.workload_selector
        )

    def about(self, service: ServiceKey) -> Iterable[DestinationRule]:
        """All whose host it is, for whichever clients."""
        hosts = [f"{service.name}.{service.namespace}.{domain}" for domain in _DOMAINS]
        for host in hosts:
            yield from self.exact.get(host, ())
        for rule in self.wildcards:
            if any(host.endswith(rule.host[1:]) for host in hosts):
                yield rule

    def _tier(self, rule: DestinationRule, service: ServiceKey, namespace: str) -> int | None:
        if namespace and rule.namespace == namespace:
            return 0
        if rule.namespace == service.namespace:
            return 1
        return 2 if rule.namespace == self.root_namespace else None


def _visible(rule: DestinationRule, namespace: str) -> bool:
    allowed = rule.export_to or ("*",)
    return "*" in allowed or namespace in allowed or ("." in allowed and rule.namespace == namespace)


def _selects(rule: DestinationRule, namespace: str, labels: Labels) -> bool:
    if not rule.workload_selector:
        return True
    # selectors do not reach across namespaces
    matches = all(labels.get(name) == value for name, value in rule.workload_selector.items())
    return matches and rule.namespace == namespace


_recent: OrderedDict[tuple[int, int, str], tuple[World, Rules]] = OrderedDict()


def rules_of(world: World) -> Rules:
    """The index of a world's policies; kept for the last few sets of policies, by identity."""
    key = (id(world.destination_rules), id(world.failover_policies), world.root_namespace)
    found = _recent.get(key)
    if found is None:
        # holding the policies keeps their ids from being used again
        holder = World(
            destination_rules=world.destination_rules,
            failover_policies=world.failover_policies,
            root_namespace=world.root_namespace,
        )
        found = _recent[key] = (holder, _index(world))
        while len(_recent) > 8:
            _recent.popitem(last=False)
    return found[1]


def _index(world: World) -> Rules:
    exact: dict[str, list[DestinationRule]] = {}
    wildcards: list[DestinationRule] = []
    for rule in world.destination_rules:
        if rule.host.startswith("*"):
            wildcards.append(rule)
        else:
            exact.setdefault(rule.host, []).append(rule)
    named: dict[ServiceKey, list[FailoverPolicy]] = {}
    namespaced: dict[str, list[FailoverPolicy]] = {}
    for policy in world.failover_policies:
        for target in policy.targets:
            # nobody sets policy for the services of others, but the mesh's owner
            if policy.namespace in (target.namespace, world.root_namespace):
                named.setdefault(target, []).append(policy)
        if not policy.targets:
            namespaced.setdefault(policy.namespace, []).append(policy)
    return Rules(exact, tuple(wildcards), named, namespaced, world.root_namespace)
