"""What stays of facts from the snapshot while a listing may be missing something: absence proves nothing."""

from __future__ import annotations

from dataclasses import replace

from tideover_core.model import Endpoint, ServiceFacts, ServiceKey

from .listing import Listing
from .objects import Key


def in_doubt(listing: Listing, service: ServiceKey) -> bool:
    """Whether parts of this service may be among what is broken and was never good here."""
    return listing.unsure or any(_may_be_of(key, service) for key in listing.doubtful)


def _may_be_of(doubt: Key, service: ServiceKey) -> bool:
    if doubt.namespace != service.namespace:
        return False
    return doubt.name == service.name or (
        doubt.kind == "EndpointSlice" and doubt.name.startswith(service.name + "-")
    )


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
        if old is not None and old.labels and not endpoint.labels:  # its pod is not said now
            endpoint = replace(endpoint, labels=old.labels, locality=old.locality, weight=old.weight)
        found[endpoint.key] = endpoint
    return tuple(sorted(found.values(), key=lambda endpoint: (endpoint.address, endpoint.port)))
