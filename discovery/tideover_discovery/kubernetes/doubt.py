"""What stays of facts from the snapshot while a listing may be missing something: absence proves nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from tideover_core import policy as core
from tideover_core.model import Endpoint, Problem, ServiceFacts, ServiceKey
from tideover_core.orders import TrafficOrder

from .objects import Key

P = TypeVar("P", core.DestinationRule, core.FailoverPolicy, TrafficOrder)


@dataclass(frozen=True, slots=True)
class Doubts:
    """What could not be read, beside the objects that were.

    `doubtful`: broken, and no good version of it is known here; `unsure`: something broken may be any
    object, so that absence proves nothing.
    """

    problems: tuple[Problem, ...] = ()
    doubtful: frozenset[Key] = frozenset()
    unsure: bool = False

    def __bool__(self) -> bool:
        """Whether anything absent may be there after all."""
        return self.unsure or bool(self.doubtful)


NO_DOUBTS = Doubts()


def in_doubt(doubts: Doubts, service: ServiceKey) -> bool:
    """Whether parts of this service may be among what is broken and was never good here."""
    return doubts.unsure or any(_may_be_of(key, service) for key in doubts.doubtful)


def still(policies: Iterable[P], now: Iterable[P], doubts: Doubts) -> list[P]:
    """Policies known before that are not among those `now`, and may be in what is broken."""
    if not doubts:
        return []
    there = {(policy.namespace, policy.name) for policy in now}
    return [
        policy
        for policy in policies
        if (policy.namespace, policy.name) not in there
        and (doubts.unsure or Key(type(policy).__name__, policy.namespace, policy.name) in doubts.doubtful)
    ]


def _may_be_of(doubt: Key, service: ServiceKey) -> bool:
    if doubt.namespace != service.namespace:
        return False
    if doubt.kind == "EndpointSlice":  # Kubernetes names slices after their services
        return doubt.name == service.name or doubt.name.startswith(service.name + "-")
    return doubt.kind == "Service" and doubt.name == service.name


def together(before: ServiceFacts, now: ServiceFacts | None) -> ServiceFacts:
    """What is said now, and what was known before of what is not said now."""
    if now is None:
        return before
    ports = {port.number: port for port in (*before.ports, *now.ports)}
    endpoints = {
        number: _endpoints(before.endpoints.get(number, ()), now.endpoints.get(number, ()))
        for number in sorted(ports)
    }
    return replace(now, ports=tuple(ports[number] for number in sorted(ports)), endpoints=endpoints)


def _endpoints(before: tuple[Endpoint, ...], now: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    found = {endpoint.key: endpoint for endpoint in before}
    for endpoint in now:
        old = found.get(endpoint.key)
        found[endpoint.key] = endpoint
        if old is not None and old.labels and not endpoint.labels:  # its pod is not said now
            found[endpoint.key] = replace(
                endpoint, labels=old.labels, locality=old.locality, weight=old.weight
            )
    return tuple(sorted(found.values(), key=lambda endpoint: (endpoint.address, endpoint.port)))
