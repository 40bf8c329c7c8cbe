"""Votes: one for each Envoy of proven identity, and no more for whoever invents names (decision 11). Pure.

| proven by | a vote of its own |
|---|---|
| token that is bound to a pod | the pod |
| SPIFFE ID, from the address of exactly one pod that the facts know in that namespace | the pod |
| SPIFFE ID, from elsewhere | one for the ID |
| anything else, and whoever claims other than it proved | none: the shared one |

Node ids, keys and serial numbers of certificates never count: one holder of an ID makes as many as it likes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from tideover_core.model import ClusterFacts, Locality, ServiceFacts, ServiceKey
from tideover_wire.node import Client

from .caller import Caller, How, contradictions


@dataclass(frozen=True, slots=True)
class Vote:
    """Whose vote. `id` "" is the shared one. `cluster`, `node`, `locality`: proven or matched with facts."""

    id: str = ""
    cluster: str = ""
    node: str = ""
    locality: Locality = field(default_factory=Locality)


SHARED = Vote()


class Pod(NamedTuple):
    """A pod that serves something, as the facts know it."""

    cluster: str
    namespace: str
    name: str
    node: str
    locality: Locality


class Pods:
    """Pods by address, kept up from one world to the next: only services that changed are read."""

    def __init__(self) -> None:
        self._by_address: dict[str, dict[Pod, int]] = {}
        self._seen: dict[str, dict[ServiceKey, ServiceFacts]] = {}

    def update(self, clusters: Mapping[str, ClusterFacts]) -> None:
        """These are the clusters now."""
        for name in self._seen.keys() | clusters.keys():
            before = self._seen.get(name, {})
            now = clusters[name].services if name in clusters else {}
            for key in before.keys() | now.keys():
                old, new = before.get(key), now.get(key)
                if old is not new:
                    self._count(name, old, -1)
                    self._count(name, new, +1)
            if name in clusters:
                self._seen[name] = dict(now)
            else:
                del self._seen[name]

    def at(self, address: str) -> list[Pod]:
        """All pods that are said to have this address."""
        return list(self._by_address.get(address, ()))

    def _count(self, cluster: str, facts: ServiceFacts | None, by: int) -> None:
        for ends in facts.endpoints.values() if facts is not None else ():
            for end in ends:
                if not end.pod:
                    continue
                pod = Pod(cluster, facts.key.namespace if facts else "", end.pod, end.node, end.locality)
                pods = self._by_address.setdefault(end.address, {})
                pods[pod] = pods.get(pod, 0) + by
                if not pods[pod]:
                    del pods[pod]
                if not pods:
                    del self._by_address[end.address]


def vote(caller: Caller, client: Client, peer: str, pods: Pods) -> Vote:
    """Whose vote this client's reports are. `peer` is the connection's other end as gRPC writes it."""
    if not caller.proven or contradictions(caller, client):
        return SHARED
    if caller.how is How.TOKEN:
        if not caller.pod:
            return SHARED  # whoever may ask for tokens of an account may ask for many
        return Vote(_pod(caller.cluster, caller.namespace, caller.pod), caller.cluster, caller.node)
    if caller.how is not How.CERTIFICATE or not caller.namespace:
        return SHARED
    pod = _matched(caller, peer, pods)
    if pod is None:
        return Vote(caller.id, caller.cluster)
    claims = client.vantage
    if claims.cluster not in {"", pod.cluster} or claims.node not in {"", pod.node}:
        return SHARED  # it stands elsewhere than it says
    return Vote(_pod(pod.cluster, pod.namespace, pod.name), pod.cluster, pod.node, pod.locality)


def _pod(cluster: str, namespace: str, name: str) -> str:
    """One name for a pod, however it is proven: two ways must not be two votes."""
    return f"pod {cluster}/{namespace}/{name}"


def _matched(caller: Caller, peer: str, pods: Pods) -> Pod | None:
    """The one pod that this can be. Where two clusters have that address, nobody knows which called."""
    found = [
        pod
        for pod in pods.at(address_of(peer))
        if pod.namespace == caller.namespace and caller.cluster in {"", pod.cluster}
    ]
    same = {(pod.cluster, pod.name) for pod in found}
    return min(found) if len(same) == 1 else None


def address_of(peer: str) -> str:
    """The address in `ipv4:10.0.0.1:5000` or `ipv6:%5Bfd00::1%5D:5000`; "" when there is none."""
    kind, _, rest = peer.partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return ""
    text = rest.rpartition(":")[0].removeprefix("%5B").removesuffix("%5D").strip("[]").partition("%")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def from_loopback(peer: str) -> bool:
    """Whether the other end is on this machine."""
    address = address_of(peer)
    return peer.startswith("unix:") or (bool(address) and ip_address(address).is_loopback)
