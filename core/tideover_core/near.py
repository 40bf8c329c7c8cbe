"""How near an endpoint is to a client: in how many keys, from the first on, they are equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .model import Endpoint, Labels, Locality, Vantage

DEFAULT_NEAR = ("network", "region", "zone", "subzone")
HOSTNAME = frozenset(("node", "kubernetes.io/hostname"))

# words, and the labels that Kubernetes and Istio have for the same thing
_WORDS: Mapping[str, str] = {
    **{word: word for word in ("network", "cluster", "region", "zone", "subzone", "node")},
    "topology.istio.io/network": "network",
    "topology.istio.io/cluster": "cluster",
    "topology.kubernetes.io/region": "region",
    "failure-domain.beta.kubernetes.io/region": "region",
    "topology.kubernetes.io/zone": "zone",
    "failure-domain.beta.kubernetes.io/zone": "zone",
    "topology.istio.io/subzone": "subzone",
    "kubernetes.io/hostname": "node",
}
_OF_PLACE: Mapping[str, Callable[[Locality, str, str], str]] = {
    "network": lambda locality, cluster, network: network,
    "cluster": lambda locality, cluster, network: cluster,
    "region": lambda locality, cluster, network: locality.region,
    "zone": lambda locality, cluster, network: locality.zone,
    "subzone": lambda locality, cluster, network: locality.subzone,
}

NodeLabels = Callable[[str, str], Labels]  # cluster, node -> labels


def label_of(key: str) -> str:
    """The key without the value that it may demand."""
    return key.partition("=")[0]


def is_label(key: str) -> bool:
    """Whether a key of `near` is a pod or node label rather than a place."""
    return label_of(key) not in _WORDS


@dataclass(frozen=True, slots=True)
class Nearness:
    """The keys with the values that a client wants. `by_place`: the place of an endpoint says it all."""

    keys: tuple[str, ...]
    wanted: tuple[str, ...]
    by_place: bool
    node_labels: NodeLabels

    def matched(self, endpoint: Endpoint) -> int:
        """How many keys are equal, from the first on; as many as there are keys is nearest.

        As in Istio, what neither of them has is equal.
        """
        count = 0
        for key, wanted in zip(self.keys, self.wanted, strict=True):
            if _value(key, endpoint, self.node_labels) != wanted:
                break
            count += 1
        return count

    def described(self, matched: int) -> str:
        """That nearness in words."""
        for key, wanted in reversed(list(zip(self.keys[:matched], self.wanted[:matched], strict=True))):
            if wanted:
                return f"near: {key}" if "=" in key else f"near: same {_WORDS.get(key, key)}"
        if matched < len(self.keys):
            return f"near: other {_WORDS.get(self.keys[matched], self.keys[matched])}"
        return "near: everything is equally near"


def nearness(keys: tuple[str, ...], vantage: Vantage, node_labels: NodeLabels) -> Nearness:
    """The keys of `near` as this client wants them."""
    wanted = tuple(_wanted(key, vantage, node_labels) for key in keys)
    return Nearness(keys, wanted, all(_WORDS.get(label_of(key)) in _OF_PLACE for key in keys), node_labels)


def _wanted(key: str, vantage: Vantage, node_labels: NodeLabels) -> str:
    name, equals, value = key.partition("=")
    if equals:
        return value
    word = _WORDS.get(name)
    if word == "node":
        return vantage.node
    if word is not None:
        return _OF_PLACE[word](vantage.locality, vantage.cluster, vantage.network)
    return vantage.labels.get(name) or node_labels(vantage.cluster, vantage.node).get(name, "")


def _value(key: str, endpoint: Endpoint, node_labels: NodeLabels) -> str:
    name = label_of(key)
    word = _WORDS.get(name)
    if word == "node":
        return endpoint.node
    if word is not None:
        return _OF_PLACE[word](endpoint.locality, endpoint.cluster, endpoint.network)
    return endpoint.labels.get(name) or node_labels(endpoint.cluster, endpoint.node).get(name, "")
