"""One object, as JSON or a plain dictionary, into its shape; who it is, even when it is broken."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from .lean import lean
from .objects import (
    KINDS,
    SERVICE_NAME,
    SOURCE_CLUSTER,
    AnyObject,
    EndpointSlice,
    Key,
    Metadata,
    Nameless,
    Namespace,
    Node,
    Pod,
    Refusal,
    Service,
    is_label,
)

MAX_NAME_LENGTH = 253
PARTIAL = "PartialObjectMetadata"
_NAME = re.compile(r"[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?\Z")


class Head(Struct, frozen=True, gc=False, rename="camel"):
    """Just enough to say what an object is, when it could not be read as a whole."""

    kind: str = ""
    api_version: str = ""
    metadata: Any = None


class Partial(Struct, frozen=True, gc=False, rename="camel"):
    """An object of which only the metadata counts, whole or as PartialObjectMetadata."""

    metadata: Metadata
    kind: str = ""
    api_version: str = ""


METADATA_ONLY: Mapping[str, Callable[[Metadata, str], AnyObject]] = {
    "Pod": Pod,
    "Node": Node,
    "Namespace": Namespace,
}
_ANY = msgspec.json.Decoder(AnyObject)
_OF_KIND: Mapping[str, msgspec.json.Decoder[AnyObject]] = {
    kind: msgspec.json.Decoder(row[0]) for kind, row in KINDS.items()
}
_PARTIAL = msgspec.json.Decoder(Partial)
_HEAD = msgspec.json.Decoder(Head)
# What decoders say of bytes that are not what they should be
UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


class Unread(Exception):  # noqa: N818 (not an error: most kinds are none of our business)
    """An object of a kind that is not read."""


def decode(raw: Raw | bytes | dict[str, Any], kind: str = "") -> AnyObject:
    """One object, from JSON or a plain dictionary, cut down to what is kept; `kind` is that of the list it
    came in. Pods, Nodes and Namespaces may come as PartialObjectMetadata, if `kind` says which they are.

    Raises Unread for a kind that does not concern us, Refusal for one that does and is broken.
    """
    try:
        found = _by_kind(raw, kind)
    except UNREADABLE as error:
        found = _again(raw, kind, error)
    name = type(found).__name__
    _, group, versions, _ = KINDS[name]
    seen_group, _, seen_version = found.api_version.rpartition("/")
    if found.api_version and (seen_group != group or seen_version not in versions):
        if seen_group == group:
            raise Refusal(f"{found.api_version} is not a version that is read; use {group}/{max(versions)}")
        raise Unread(name)  # another group's kind of the same name
    _check_names(found)
    if isinstance(found, EndpointSlice):
        _check_slice(found)
    return lean(found)


def _by_kind(raw: Raw | bytes | dict[str, Any], kind: str) -> AnyObject:
    """By the kind it says, or the one that is expected. UNREADABLE when it is neither."""
    whole = METADATA_ONLY.get(kind)
    if whole is not None:
        partial = msgspec.convert(raw, Partial) if isinstance(raw, dict) else _PARTIAL.decode(raw)
        if partial.kind == PARTIAL:
            return whole(partial.metadata, "")
        if partial.kind in ("", kind):
            return whole(partial.metadata, partial.api_version)
    decoder = _OF_KIND.get(kind, _ANY)
    found: AnyObject = msgspec.convert(raw, AnyObject) if isinstance(raw, dict) else decoder.decode(raw)
    return found


def _check_slice(found: EndpointSlice) -> None:
    if not found.service:
        if SOURCE_CLUSTER in (found.metadata.labels or {}):
            raise Unread("a slice that another implementation of Multi-Cluster Services imported")
        raise Nameless(f"it names no Service: label {SERVICE_NAME} is missing")
    if found.address_type not in ("IPv4", "IPv6", "FQDN"):
        raise Refusal(f"addressType is {found.address_type!r}, not IPv4, IPv6 or FQDN")


def _check_names(found: AnyObject) -> None:
    """Kubernetes' own rules, as files may say anything: names become parts of names on the wire.

    Written with escapes where they are refused, as some look like others.
    """
    name, namespace = found.metadata.name, found.metadata.namespace
    if not name:
        raise Refusal("metadata.name is missing")
    allowed = is_label(name) if isinstance(found, Service) else _NAME.match(name)
    if not allowed or len(name) > MAX_NAME_LENGTH:
        raise Refusal(f"metadata.name {name[:80]!a} is no name that Kubernetes allows")
    if namespace and not is_label(namespace):
        raise Refusal(f"metadata.namespace {namespace[:80]!a} is no name that Kubernetes allows")


def _again(raw: Raw | bytes | dict[str, Any], kind: str, error: Exception) -> AnyObject:
    """Items of a PodList do not repeat their kind: read them by the list's. Else say what is broken."""
    head = head_of(raw)
    if head is None:
        raise Refusal(str(error)) from None
    kind = _kind(head, kind)
    if kind not in KINDS:
        if not kind:
            raise Refusal("it has no kind") from None
        if head.api_version.startswith("tideover.dev/"):
            raise Refusal(f"kind {kind} is not acted on by this version") from None
        raise Unread(kind) from None
    shape, group, _, _ = KINDS[kind]
    if head.kind == kind and head.api_version and head.api_version.rpartition("/")[0] != group:
        raise Unread(kind) from None
    if head.kind == PARTIAL:
        raise Refusal(str(error)) from None
    try:
        if isinstance(raw, dict):
            return msgspec.convert(raw, shape)
        return _OF_KIND[kind].decode(raw)
    except UNREADABLE as second:
        raise Refusal(str(second)) from None


def _kind(head: Head, expected: str) -> str:
    """What an object is; metadata alone is of the expected kind, if that has nothing else that counts."""
    if head.kind == PARTIAL and expected in METADATA_ONLY:
        return expected
    return head.kind or expected


def head_of(raw: Raw | bytes | dict[str, Any]) -> Head | None:
    """Kind and metadata of an object, broken or not; None when it is no object at all."""
    try:
        return msgspec.convert(raw, Head) if isinstance(raw, dict) else _HEAD.decode(raw)
    except UNREADABLE:
        return None


def key_of(raw: Raw | bytes | dict[str, Any], kind: str = "") -> Key | None:
    """The key of an object that may be broken, as far as it says."""
    head = head_of(raw)
    if head is None or not isinstance(head.metadata, dict):
        return None
    name, namespace = head.metadata.get("name"), head.metadata.get("namespace")
    kind = _kind(head, kind)
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
