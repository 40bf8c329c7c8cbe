"""Which setting wins: per field, the most specific layer that says it.

The order of layers is docs/decisions/0002: settings of a rule for this subset, then port, FailoverPolicies
that name the service, DestinationRules as Istio ranks them with FailoverPolicies of the namespace
before those no more specific, the Service itself, FailoverPolicies of the mesh.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace

from .model import Labels, ServiceKey, Vantage
from .names import POD, Target
from .near import HOSTNAME, is_label, label_of
from .policy import DestinationRule, Settings, Subset
from .rules import Rules, rules_of
from .world import Service, World

# Istio's routing preferences for spec.trafficDistribution; keys as in Settings.near
TRAFFIC_DISTRIBUTION: Mapping[str, tuple[str, ...]] = {
    "PreferClose": ("network", "region", "zone"),
    "PreferSameZone": ("network", "region", "zone"),
    "PreferSameNode": ("network", "region", "zone", "subzone", "node"),
}
_FIELDS = tuple(field.name for field in fields(Settings))
_LOCALITY_FIELDS = ("near", "failover", "distribute")


@dataclass(frozen=True, slots=True)
class Resolved:
    """The settings of one target as one vantage sees them, and the policies they come from.

    Fields that nobody sets stay None: each reader has its default.
    `causes`: field name of `Settings` -> the policy that said it.
    `outer`: keys that go before `failover`. A DestinationRule with failoverPriority and failover means
    the regions inside each of its priorities.
    """

    settings: Settings
    policies: tuple[str, ...] = ()
    causes: tuple[tuple[str, str], ...] = ()
    outer: tuple[str, ...] = ()

    def cause(self, field_name: str) -> str:
        """The policy that set a field, or ""."""
        return next((policy for name, policy in self.causes if name == field_name), "")


@dataclass(frozen=True, slots=True)
class Layer:
    """One voice in the order of precedence. `policy` is the object, `part` says which part of it."""

    policy: str
    settings: Settings
    part: str = ""


def resolve(world: World, target: Target, vantage: Vantage) -> Resolved:
    """Settings for this target; reads the vantage's namespace and labels only."""
    service = world.services.get(target.service)
    if service is None:
        return Resolved(Settings())
    return _merged(_layers(rules_of(world), service, target, vantage))


def known(world: World, target: Target, vantage: Vantage) -> bool:
    """Whether a client there may ask for this: a port of a service, and the subset or pod that it names."""
    service = world.services.get(target.service)
    if service is None or service.port(target.port) is None:
        return False
    if target.hostname:
        return any(target.hostname in part.facts.hostnames for part in service.parts)
    return not target.subset or subset_of(world, target, vantage) is not None


def subset_of(world: World, target: Target, vantage: Vantage) -> Subset | None:
    """The subset that the target names, as the first DestinationRule that counts here defines it."""
    for rule in rules_of(world).destination_rules(target.service, vantage.namespace, vantage.labels):
        for subset in rule.subsets:
            if subset.name == target.subset:
                return subset
    return None


def named_by_anyone(world: World, target: Target) -> bool:
    """Whether some client, wherever it is, may ask for the subset or pod that the target names."""
    service = world.services.get(target.service)
    if service is None:
        return False
    if target.hostname:
        return any(target.hostname in part.facts.hostnames for part in service.parts)
    rules = rules_of(world).about(target.service)
    return any(subset.name == target.subset for rule in rules for subset in rule.subsets)


def subsets(world: World, service: ServiceKey, vantage: Vantage) -> tuple[str, ...]:
    """The names of all subsets and pods of a service that a client may ask for, sorted."""
    counted = rules_of(world).destination_rules(service, vantage.namespace, vantage.labels)
    found = world.services.get(service)
    pods = {POD + name for name in found.hostnames} if found is not None else set()
    return tuple(sorted(pods | {subset.name for rule in counted for subset in rule.subsets}))


def projection(world: World, target: Target, vantage: Vantage) -> Vantage:
    """The vantage cut down to what `plan` reads of it for this target: equal projections, equal bytes.

    Locality, network, cluster always; the namespace only as far as policies differ by it; the node and
    labels only where this target's settings use them.
    """
    service = world.services.get(target.service)
    if service is None:
        return Vantage(vantage.locality, vantage.cluster, vantage.network)
    rules = rules_of(world)
    counted = rules.destination_rules(service.key, vantage.namespace, vantage.labels)
    labels = {
        name: vantage.labels[name]
        for name in rules.selector_labels(service.key, vantage.namespace)
        if name in vantage.labels
    }
    # a namespace without rules of its own is like any other
    anywhere = rules.destination_rules(service.key, "", vantage.labels)
    matters = (
        bool(labels)
        or len(anywhere) != len(counted)
        or any(a is not b for a, b in zip(anywhere, counted, strict=True))
    )
    resolved = _merged(_layers(rules, service, target, vantage))
    keys = (*(resolved.settings.near or ()), *resolved.outer)
    labels |= _labels_used(world, keys, vantage)
    by_node = any(label_of(key) in HOSTNAME for key in keys)
    local = any(part.facts.internal_traffic_local for part in service.parts)
    return Vantage(
        locality=vantage.locality,
        cluster=vantage.cluster,
        network=vantage.network,
        namespace=vantage.namespace if matters else "",
        node=vantage.node if by_node or local else "",
        labels=labels,
    )


def _labels_used(world: World, keys: Iterable[str], vantage: Vantage) -> dict[str, str]:
    """The client's values of the label keys in `near`, those of its node included."""
    names = [label_of(key) for key in keys if is_label(key) and "=" not in key]
    node = node_labels(world, vantage.cluster, vantage.node)
    values = {name: vantage.labels.get(name, node.get(name, "")) for name in names}
    return {name: value for name, value in values.items() if value}


def node_labels(world: World, cluster: str, node: str) -> Labels:
    """The labels of a node, as far as they are known."""
    facts = world.clusters.get(cluster)
    return facts.node_labels.get(node, {}) if facts is not None and node else {}


def _layers(rules: Rules, service: Service, target: Target, vantage: Vantage) -> Iterable[Layer]:
    """All that counts, the most specific first."""
    counted = rules.destination_rules(service.key, vantage.namespace, vantage.labels)
    general: list[tuple[int, Layer]] = []
    for rule in counted:
        specific, rest = _of_rule(rule, target)
        yield from specific
        if rest is not None:
            general.append((rules.specificity(rule), rest))
    for policy in rules.naming(service.key):
        yield Layer(str(policy), policy.settings)
    namespaced = [Layer(str(policy), policy.settings) for policy in rules.of_namespace(service.key.namespace)]
    for specificity, layer in general:
        if specificity < rules.SERVICE:
            yield from namespaced
            namespaced = []
        yield layer
    yield from namespaced
    yield from _of_service(service)
    for policy in rules.of_mesh():
        yield Layer(str(policy), policy.settings)


def _of_rule(rule: DestinationRule, target: Target) -> tuple[list[Layer], Layer | None]:
    """What a rule says of this subset and port, and what it says of the whole host.

    As in Istio: what a subset says comes first, and settings of a port replace those beside them, which
    are not inherited.
    """
    name, port = str(rule), f"port {target.port}"
    specific: list[Layer] = []
    subset = next((s for s in rule.subsets if target.subset and s.name == target.subset), None)
    if subset is not None:
        if target.port in subset.port_settings:
            return [Layer(name, subset.port_settings[target.port], f"subset {subset.name} {port}")], None
        specific.append(Layer(name, subset.settings, f"subset {subset.name}"))
    if target.port in rule.port_settings:
        return [*specific, Layer(name, rule.port_settings[target.port], port)], None
    return specific, Layer(name, rule.settings)


def _of_service(service: Service) -> Iterable[Layer]:
    for part in sorted(service.parts, key=lambda part: part.age):
        near = TRAFFIC_DISTRIBUTION.get(part.facts.traffic_distribution)
        if near is not None:
            said = f"trafficDistribution {part.facts.traffic_distribution}"
            yield Layer(f"Service {service.key}", Settings(near=near), said)
            return


def _merged(layers: Iterable[Layer]) -> Resolved:
    values: dict[str, object] = {}
    by: dict[str, Layer] = {}
    for layer in layers:
        settings = layer.settings
        for name in _FIELDS:
            value = getattr(settings, name)
            if value is not None and name not in values:
                values[name], by[name] = value, layer
        # who asks for an order of places also asks for it to count, whatever less specific ones say
        if "enabled" not in values and any(by.get(name) is layer for name in _LOCALITY_FIELDS):
            values["enabled"], by["enabled"] = True, layer
    settings = Settings(**values)  # type: ignore[arg-type]
    outer: tuple[str, ...] = ()
    both = by.get("near")
    if both is not None and both is by.get("failover") and both.policy.startswith("DestinationRule "):
        outer = settings.near or ()
        settings = replace(settings, near=("region", "zone", "subzone"))
    return Resolved(
        settings,
        tuple(dict.fromkeys(layer.policy for layer in by.values())),
        tuple((name, f"{by[name].policy} {by[name].part}".strip()) for name in _FIELDS if name in by),
        outer,
    )
