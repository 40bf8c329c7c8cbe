"""The bytes of one cluster's last known facts: a header with a checksum, then JSON.

Version 1 may gain fields with defaults; anything else is a new version.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from tideover_core.exports import Export
from tideover_core.model import ClusterFacts, Labels, Locality, Problem, ServiceFacts, ServiceKey
from tideover_core.orders import TrafficOrder
from tideover_core.policy import DestinationRule, FailoverPolicy

from .snapshot_past import KeptPast, ReadPast, WrittenPast, read, write
from .snapshot_seal import BadSnapshotError, sealed, unsealed

__all__ = ["BadSnapshotError", "Saved", "decode", "encode"]

MAGIC = "tideover-facts"
VERSION = "1"


@dataclass(frozen=True, slots=True)
class Saved:
    """What was known, and when (Unix time)."""

    facts: ClusterFacts
    saved_at_s: float
    past: tuple[KeptPast, ...] = ()


class _Facts(msgspec.Struct, omit_defaults=True, kw_only=True):
    saved_at_s: float
    cluster: str
    network: str
    locality: Locality
    services: list[ServiceFacts]
    destination_rules: tuple[DestinationRule, ...] = ()
    failover_policies: tuple[FailoverPolicy, ...] = ()
    orders: tuple[TrafficOrder, ...] = ()
    exports: list[ServiceKey] = []  # as earlier programs wrote them
    exported: list[tuple[ServiceKey, Export]] = []
    nodes: dict[str, Locality] = {}
    node_labels: dict[str, Labels] = {}
    problems: tuple[Problem, ...] = ()
    generation: int = 0


class _Written(_Facts, omit_defaults=True, kw_only=True):
    past: list[WrittenPast] = []


class _Read(_Facts, kw_only=True):
    past: list[ReadPast] = []


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Read)


def encode(saved: Saved) -> bytes:
    """Header and body."""
    facts = saved.facts
    body = _encoder.encode(
        _Written(
            saved_at_s=saved.saved_at_s,
            cluster=facts.cluster,
            network=facts.network,
            locality=facts.locality,
            services=list(facts.services.values()),
            destination_rules=facts.destination_rules,
            failover_policies=facts.failover_policies,
            orders=facts.orders,
            exported=sorted(facts.exports.items(), key=lambda one: one[0]),
            nodes=dict(facts.nodes),
            node_labels=dict(facts.node_labels),
            problems=facts.problems,
            generation=facts.generation,
            past=[write(one) for one in saved.past],
        )
    )
    return sealed(MAGIC, VERSION, body)


def decode(raw: bytes, cluster: str) -> Saved:
    """What `encode` was given. BadSnapshotError: it is torn, changed, or of another version or cluster."""
    body = unsealed(raw, MAGIC, VERSION)
    try:
        told = _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise BadSnapshotError(f"cannot be read: {error}") from error
    if told.cluster != cluster:
        raise BadSnapshotError(f"is of cluster {told.cluster!r}")
    facts = ClusterFacts(
        cluster=cluster,
        network=told.network,
        locality=told.locality,
        services={service.key: service for service in told.services},
        destination_rules=told.destination_rules,
        failover_policies=told.failover_policies,
        orders=told.orders,
        exports={**dict.fromkeys(told.exports, Export()), **dict(told.exported)},
        nodes=told.nodes,
        node_labels=told.node_labels,
        problems=told.problems,
        generation=told.generation,
    )
    past = tuple(one for kept in told.past if (one := read(kept)) is not None)
    return Saved(facts, told.saved_at_s, past)
