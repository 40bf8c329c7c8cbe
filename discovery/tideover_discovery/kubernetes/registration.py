"""Secrets of the hub that register clusters: ours, and Istio's remote secrets.

Whoever may write Secrets there is not the operator of this machine, so a kubeconfig in one may name
nothing outside itself. Nothing of a Secret's data is ever in a reason.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tideover_core.model import Locality

from .objects import Refusal

CLUSTER = "tideover.dev/cluster"
NETWORK = "tideover.dev/network"
LOCALITY = "tideover.dev/locality"
TRUST_DOMAIN = "tideover.dev/trust-domain"
LEAVING = "tideover.dev/leaving"
KUBECONFIG = "kubeconfig"
ISTIO = "istio/multiCluster"
ISTIO_NAMESPACE = "istio-system"
# names occur in targets and in names of files, as those of tideover.yaml
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\Z")
_DOMAIN = re.compile(r"[a-z0-9._-]{0,255}\Z")  # as `clusters[].trustDomain`
_PLACE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?\Z")  # a label's value
Check = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Registered:
    """A cluster that a Secret registers. Equal ones are the same source: `leaving`, trust and age do not
    count.

    `kubeconfig` "": it is remembered from an earlier life, without its credentials; `missing` says why.
    """

    name: str
    network: str
    locality: Locality
    kubeconfig: str = field(repr=False)
    origin: str  # "Secret tideover-system/dublin"
    created: str = field(default="", compare=False)
    leaving: str = field(default="", compare=False)  # RFC 3339, since when
    missing: str = ""
    trust_domain: str = field(default="", compare=False)  # of its workloads' SPIFFE IDs

    @property
    def age(self) -> tuple[str, str]:
        """Sorts by who was first."""
        return (self.created or "~", self.origin)


@dataclass(frozen=True, slots=True)
class Refused:
    """A registration that cannot be used. `name` "": it is not even known which cluster is meant."""

    name: str
    origin: str
    reason: str
    created: str = ""
    leaving: str = ""  # an operator says that the cluster leaves, whatever became of its Secret

    @property
    def age(self) -> tuple[str, str]:
        """Sorts by who was first."""
        return (self.created or "~", self.origin)


Registration = Registered | Refused


def registrations(secret: Mapping[str, Any], check: Check) -> tuple[Registration, ...]:
    """What one Secret registers, in the order of its keys; Istio's may hold several clusters.

    `check` raises ValueError, with the reason, for a kubeconfig that may not be used.
    """
    metadata = secret.get("metadata") or {}
    labels, data = metadata.get("labels") or {}, secret.get("data") or {}
    leaving = (metadata.get("annotations") or {}).get(LEAVING) or ""
    origin = f"Secret {metadata.get('namespace', '')}/{metadata.get('name', '')}"
    created = str(metadata.get("creationTimestamp") or "")
    found: list[Registration] = []
    for name, content in _named(labels, data):
        try:
            found.append(_registered(name, content, metadata, check))
        except Refusal as refusal:
            shown = name if _NAME.match(name) else ""
            found.append(Refused(shown, origin, str(refusal), created, leaving))
    if not found:
        found.append(Refused("", origin, "it has no data, so it names no cluster", created))
    return tuple(found)


def _named(labels: Mapping[str, str], data: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Names of clusters, each with its kubeconfig as it is in the Secret."""
    if CLUSTER in labels:
        yield labels[CLUSTER], data.get(KUBECONFIG)
    else:
        yield from sorted(data.items())


def _registered(name: str, content: object, metadata: Mapping[str, Any], check: Check) -> Registered:
    annotations = metadata.get("annotations") or {}
    if not _NAME.match(name):
        raise Refusal(f"{name[:80]!a} is no name of a cluster; use letters, digits, '.', '_' and '-'")
    network = annotations.get(NETWORK) or "default"
    if not _NAME.match(network):
        raise Refusal(f"{NETWORK} {network[:80]!a} is no name of a network")
    domain = domain_of(annotations.get(TRUST_DOMAIN) or "")
    text = _decoded(content)
    try:
        check(text)
    except ValueError as error:
        raise Refusal(f"its kubeconfig is refused: {error}") from None
    return Registered(
        name,
        network,
        locality_of(annotations.get(LOCALITY) or ""),
        text.decode(),
        f"Secret {metadata.get('namespace', '')}/{metadata.get('name', '')}",
        str(metadata.get("creationTimestamp") or ""),
        annotations.get(LEAVING) or "",
        trust_domain=domain,
    )


def locality_of(text: str) -> Locality:
    """Read `region/zone/subzone`; Refusal when that is none."""
    try:
        found = Locality.parse(text)
    except ValueError as error:
        raise Refusal(str(error)) from None
    if not all(_PLACE.match(part) for part in (found.region, found.zone, found.subzone)):
        raise Refusal(f"{text[:80]!a} is no locality; write region/zone/subzone")
    return found


def domain_of(text: str) -> str:
    """A trust domain, "" for none; Refusal when that is no such thing."""
    if not _DOMAIN.match(text):
        raise Refusal(f"{TRUST_DOMAIN} {text[:80]!a} is no trust domain; use a-z, 0-9, '.', '_' and '-'")
    return text


def is_name(text: str) -> bool:
    """Whether it may name a cluster or a network."""
    return _NAME.match(text) is not None


def _decoded(content: object) -> bytes:
    if not isinstance(content, str) or not content:
        raise Refusal(f"it has no data {KUBECONFIG!r}")
    try:
        text = base64.b64decode(content, validate=True)
        text.decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Refusal("its kubeconfig is not base64 of a text") from None
    return text
