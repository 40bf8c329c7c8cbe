"""What stays of facts from the snapshot while a listing may be missing something: absence proves nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from tideover_core import policy as core
from tideover_core.model import Endpoint, ServiceFacts, ServiceKey

from .listing import Listing
from .objects import Key

P = TypeVar("P", core.DestinationRule, core.FailoverPolicy)


def in_doubt(listing: Listing, service: ServiceKey) -> bool:
    """Whether parts of this service may be among what is broken and was never good here."""
    return listing.unsure or any(_may_be_of(key, service) for key in listing.doubtful)


def still(policies: Iterable[P], now: Iterable[P], listing: Listing) -> list[P]:
    """Policies known before that are not among those `now`, and may be in what is broken."""
    there = {(policy.namespace, policy.name) for policy in now}
    return [
        policy
        for policy in policies
        if (policy.namespace, policy.name) not in there
        and (listing.unsure or Key(type(policy).__name__, policy.namespace, policy.name) in listing.doubtful)
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
