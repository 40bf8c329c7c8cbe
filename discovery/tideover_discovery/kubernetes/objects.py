"""The Kubernetes objects that are read, cut down to the fields that count.

Decoded by msgspec, from JSON bytes or from plain dictionaries, with field errors that say where.
Unknown fields of Kubernetes' own kinds are skipped: they say nothing about traffic.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from msgspec import Raw, Struct

SERVICE_NAME = "kubernetes.io/service-name"


class Refusal(ValueError):  # noqa: N818 (the domain's word)
    """An object, or a part of one, that cannot be used; the text says what is wrong."""


class Nameless(Refusal):
    """A slice that names no service: no service can be missing anything because of it."""


class Key(NamedTuple):
    """What tells objects of one cluster apart."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Shape(Struct, frozen=True, gc=False, rename="camel"):
    """Reads camelCase fields into frozen values that the garbage collector need not visit."""


class Metadata(Shape, frozen=True):
    """Names, labels and annotations of an object."""

    name: str = ""
    namespace: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: str | None = None


class Object(Struct, frozen=True, gc=False, rename="camel", tag_field="kind"):
    """What every kind has."""

    metadata: Metadata
    api_version: str = ""


class PortSpec(Shape, frozen=True):
    """One of Service.spec.ports."""

    port: int
    name: str | None = None
    protocol: str | None = None
    app_protocol: str | None = None


class ServiceSpec(Shape, frozen=True):
    """Service.spec."""

    ports: list[PortSpec] | None = None
    type: str | None = None
    external_name: str | None = None
    session_affinity: str | None = None
    internal_traffic_policy: str | None = None
    traffic_distribution: str | None = None


class Service(Object, frozen=True, tag="Service"):
    """A core/v1 Service."""

    spec: ServiceSpec = ServiceSpec()


class Conditions(Shape, frozen=True):
    """Of one endpoint; None: not said, see `endpoints.conditions`."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Reference(Shape, frozen=True):
    """An endpoint's targetRef."""

    kind: str | None = None
    name: str | None = None
    namespace: str | None = None


class SliceEndpoint(Shape, frozen=True):
    """One of EndpointSlice.endpoints."""

    addresses: list[str]
    conditions: Conditions | None = None
    node_name: str | None = None
    zone: str | None = None
    target_ref: Reference | None = None


class SlicePort(Shape, frozen=True):
    """One of EndpointSlice.ports; `name` is the Service port's name."""

    port: int | None = None
    name: str | None = None
    protocol: str | None = None


class EndpointSlice(Object, frozen=True, tag="EndpointSlice"):
    """A discovery.k8s.io/v1 EndpointSlice."""

    address_type: str = ""
    endpoints: list[SliceEndpoint] | None = None
    ports: list[SlicePort] | None = None

    @property
    def service(self) -> str:
        """The name of the Service it belongs to, "" when it names none."""
        return (self.metadata.labels or {}).get(SERVICE_NAME, "")


class Pod(Object, frozen=True, tag="Pod"):
    """A core/v1 Pod: only its labels and annotations count, the slice says the rest."""


class Node(Object, frozen=True, tag="Node"):
    """A core/v1 Node: only its labels count."""


class Namespace(Object, frozen=True, tag="Namespace"):
    """A core/v1 Namespace: only its annotations count."""


class ServiceExport(Object, frozen=True, tag="ServiceExport"):
    """A Multi-Cluster Services ServiceExport."""


class DestinationRule(Object, frozen=True, tag="DestinationRule"):
    """Istio's DestinationRule; its spec is read field by field, so that none is missed."""

    spec: dict[str, Any] = {}


class FailoverPolicy(Object, frozen=True, tag="FailoverPolicy"):
    """Tideover's FailoverPolicy."""

    spec: dict[str, Any] = {}


AnyObject = (
    Service | EndpointSlice | Pod | Node | Namespace | ServiceExport | DestinationRule | FailoverPolicy
)  # fmt: skip

# kind -> shape, API group, versions that are read, whether it lives in a namespace
KINDS: dict[str, tuple[type[AnyObject], str, frozenset[str], bool]] = {
    "Service": (Service, "", frozenset({"v1"}), True),
    "EndpointSlice": (EndpointSlice, "discovery.k8s.io", frozenset({"v1"}), True),
    "Pod": (Pod, "", frozenset({"v1"}), True),
    "Node": (Node, "", frozenset({"v1"}), False),
    "Namespace": (Namespace, "", frozenset({"v1"}), False),
    "ServiceExport": (ServiceExport, "multicluster.x-k8s.io", frozenset({"v1", "v1beta1", "v1alpha1"}), True),
    "DestinationRule": (
        DestinationRule,
        "networking.istio.io",
        frozenset({"v1", "v1beta1", "v1alpha3"}),
        True,
    ),
    "FailoverPolicy": (FailoverPolicy, "tideover.dev", frozenset({"v1alpha1"}), True),
}


class Head(Struct, frozen=True, gc=False, rename="camel"):
    """Just enough to say what an object is, when it could not be read as a whole."""

    kind: str = ""
    api_version: str = ""
    metadata: Any = None


_JSON_OBJECT = msgspec.json.Decoder(AnyObject)
_JSON_HEAD = msgspec.json.Decoder(Head)


class Unread(Exception):  # noqa: N818 (not an error: most kinds are none of our business)
    """An object of a kind that is not read."""


def decode(raw: Raw | bytes | dict[str, Any], kind: str = "") -> AnyObject:
    """One object, from JSON or a plain dictionary; `kind` is that of the list it came in.

    Raises Unread for a kind that does not concern us, Refusal for one that does and is broken.
    """
    try:
        if isinstance(raw, dict):
            found: AnyObject = msgspec.convert(raw, AnyObject)
        else:
            found = _JSON_OBJECT.decode(raw)
    except msgspec.DecodeError as error:  # ValidationError is one
        found = _again(raw, kind, error)
    name = type(found).__name__
    _, group, versions, _ = KINDS[name]
    seen_group, _, seen_version = found.api_version.rpartition("/")
    if found.api_version and (seen_group != group or seen_version not in versions):
        if seen_group == group:
            raise Refusal(f"{found.api_version} is not a version that is read; use {group}/{max(versions)}")
        raise Unread(name)  # another group's kind of the same name
    if not found.metadata.name:
        raise Refusal("metadata.name is missing")
    if isinstance(found, EndpointSlice) and not found.service:
        raise Nameless(f"it names no Service: label {SERVICE_NAME} is missing")
    return found


def _again(raw: Raw | bytes | dict[str, Any], kind: str, error: msgspec.DecodeError) -> AnyObject:
    """Items of a PodList do not repeat their kind: read them by the list's. Else say what is broken."""
    head = head_of(raw)
    if head is None:
        raise Refusal(str(error)) from None
    kind = head.kind or kind
    if kind not in KINDS:
        if not kind:
            raise Refusal("it has no kind") from None
        if head.api_version.startswith("tideover.dev/"):
            raise Refusal(f"kind {kind} is not acted on by this version") from None
        raise Unread(kind) from None
    if head.kind:
        _, group, _, _ = KINDS[kind]
        if head.api_version and head.api_version.rpartition("/")[0] != group:
            raise Unread(kind) from None
        raise Refusal(str(error)) from None
    shape = KINDS[kind][0]
    try:
        if isinstance(raw, dict):
            return msgspec.convert(raw, shape)
        return msgspec.json.decode(raw, type=shape)
    except msgspec.DecodeError as second:
        raise Refusal(str(second)) from None


def head_of(raw: Raw | bytes | dict[str, Any]) -> Head | None:
    """Kind and metadata of an object, broken or not; None when it is no object at all."""
    try:
        return msgspec.convert(raw, Head) if isinstance(raw, dict) else _JSON_HEAD.decode(raw)
    except msgspec.DecodeError:
        return None


def key_of(raw: Raw | bytes | dict[str, Any], kind: str = "") -> Key | None:
    """The key of an object that may be broken, as far as it says."""
    head = head_of(raw)
    if head is None or not isinstance(head.metadata, dict):
        return None
    name, namespace = head.metadata.get("name"), head.metadata.get("namespace")
    kind = head.kind or kind
    if not kind or not isinstance(name, str) or not name:
        return None
    return make_key(kind, namespace if isinstance(namespace, str) else None, name)


def make_key(kind: str, namespace: str | None, name: str) -> Key:
    """A key with Kubernetes' defaults: no namespace is `default`, and some kinds have none."""
    namespaced = KINDS[kind][3] if kind in KINDS else bool(namespace)
    return Key(kind, (namespace or "default") if namespaced else "", name)


def key(found: AnyObject) -> Key:
    """The key of a decoded object."""
    return make_key(type(found).__name__, found.metadata.namespace, found.metadata.name)
