"""What is kept of an object: no more than is read, and equal parts once. There are many pods."""

from __future__ import annotations

from functools import lru_cache

from .objects import (
    CAPACITY,
    SERVICE_NAME,
    TOPOLOGY_MODES,
    TRAFFIC_DISTRIBUTION,
    WEIGHT,
    AnyObject,
    Conditions,
    EndpointSlice,
    Metadata,
    Namespace,
    Node,
    Pod,
    Reference,
    Service,
    SliceEndpoint,
)

_READ: dict[type, tuple[str, ...]] = {
    Pod: (WEIGHT, CAPACITY),
    Node: (),
    Namespace: (TRAFFIC_DISTRIBUTION,),
    Service: (TRAFFIC_DISTRIBUTION, *TOPOLOGY_MODES),
    EndpointSlice: (),
}


def lean(found: AnyObject) -> AnyObject:
    """The object without what nobody reads; policies and exports as they are."""
    annotations = _READ.get(type(found))
    if annotations is None:
        return found
    metadata = _metadata(found.metadata, annotations)
    if isinstance(found, Pod):
        return Pod(metadata)
    if isinstance(found, Node):
        return Node(metadata)
    if isinstance(found, Namespace):
        return Namespace(metadata)
    if isinstance(found, Service):
        return Service(
            Metadata(
                metadata.name,
                metadata.namespace,
                annotations=metadata.annotations,
                creation_timestamp=found.metadata.creation_timestamp,
            ),
            spec=found.spec,
        )
    assert isinstance(found, EndpointSlice)
    return EndpointSlice(
        Metadata(metadata.name, metadata.namespace, _shared(((SERVICE_NAME, found.service),))),
        address_type=_one(found.address_type) or "",
        endpoints=None if found.endpoints is None else [_endpoint(said) for said in found.endpoints],
        ports=found.ports,
    )


def _metadata(found: Metadata, annotations: tuple[str, ...]) -> Metadata:
    said = found.annotations
    kept = {name: said[name] for name in annotations if name in said} if said and annotations else None
    labels = _shared(tuple(sorted(found.labels.items()))) if found.labels else None
    return Metadata(found.name, _one(found.namespace), labels, kept or None)


def _endpoint(said: SliceEndpoint) -> SliceEndpoint:
    """All addresses of one endpoint are the same thing; kube-proxy takes the first too."""
    conditions, target, hostname = said.conditions, said.target_ref, said.hostname
    name = target.name if target else None
    return SliceEndpoint(
        said.addresses[:1],
        conditions and _conditions(conditions.ready, conditions.serving, conditions.terminating),
        _one(said.node_name),
        _one(said.zone),
        target and Reference(_one(target.kind), name, _one(target.namespace)),
        name if hostname == name else hostname,
    )


@lru_cache(maxsize=27)
def _conditions(ready: bool | None, serving: bool | None, terminating: bool | None) -> Conditions:
    return Conditions(ready, serving, terminating)


# Bounded, unlike sys.intern: what others write must not pile up. What fell out is merely kept twice.
@lru_cache(maxsize=4096)
def _one(text: str | None) -> str | None:
    """Equal texts, as one object."""
    return text


@lru_cache(maxsize=4096)
def _shared(labels: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Equal labels, as one mapping."""
    return dict(labels)
