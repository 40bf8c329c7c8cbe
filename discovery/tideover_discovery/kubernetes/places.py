"""Where things are: localities from labels, addresses that may be sent traffic."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from tideover_core import addresses
from tideover_core.model import Locality

from .objects import Refusal

REGION = "topology.kubernetes.io/region"
ZONE = "topology.kubernetes.io/zone"
SUBZONE = "topology.istio.io/subzone"
POD_LOCALITY = "istio-locality"


def node_locality(labels: Mapping[str, str]) -> Locality:
    """What a node's labels say; parts they do not say are empty."""
    return Locality(labels.get(REGION, ""), labels.get(ZONE, ""), labels.get(SUBZONE, ""))


@lru_cache(maxsize=4096)
def endpoint_locality(pod: str, node: Locality | None, zone: str, cluster: Locality) -> Locality:
    """The pod's label; else its node's, else the slice's zone, else the cluster's, each part in turn.

    `pod` is the label istio-locality: `region.zone.subzone`, or with slashes.
    """
    if pod:
        label = _pod_locality(pod)
        return Locality(label.region or cluster.region, label.zone, label.subzone)
    said = node or Locality()
    region = said.region or cluster.region
    found = said.zone or zone
    if not found and region == cluster.region:
        return Locality(region, cluster.zone, said.subzone or cluster.subzone)
    return Locality(region, found, said.subzone)


def _pod_locality(label: str) -> Locality:
    parts = label.split("/" if "/" in label else ".", 2)
    return Locality(*parts)


def usable_address(address: str, *, allow_loopback: bool) -> str:
    """The address in its canonical form. Refusal for nonsense, and for what must not be sent traffic."""
    try:
        return addresses.usable_address(address, allow_loopback=allow_loopback)
    except ValueError as error:
        raise Refusal(str(error)) from None
