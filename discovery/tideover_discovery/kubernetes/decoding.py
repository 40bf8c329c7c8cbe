"""One object, as JSON or a plain dictionary, into its shape; who it is, even when it is broken."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Raw, Struct

from .objects import (
    KINDS,
    SERVICE_NAME,
    AnyObject,
    EndpointSlice,
    Key,
    Nameless,
    Refusal,
    Service,
    is_label,
)

MAX_NAME_LENGTH = 253
_NAME = re.compile(r"[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?\Z")


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
    _check_names(found)
    if isinstance(found, EndpointSlice):
        _check_slice(found)
    return found


def _check_slice(found: EndpointSlice) -> None:
    if not found.service:
        raise Nameless(f"it names no Service: label {SERVICE_NAME} is missing")
    if found.address_type not in ("IPv4", "IPv6", "FQDN"):
        raise Refusal(f"addressType is {found.address_type!r}, not IPv4, IPv6 or FQDN")


def _check_names(found: AnyObject) -> None:
    """Kubernetes' own rules, as files may say anything: names become parts of names on the wire."""
    name, namespace = found.metadata.name, found.metadata.namespace
    if not name:
        raise Refusal("metadata.name is missing")
    allowed = is_label(name) if isinstance(found, Service) else _NAME.match(name)
    if not allowed or len(name) > MAX_NAME_LENGTH:
        raise Refusal(f"metadata.name {name[:80]!r} is no name that Kubernetes allows")
    if namespace and not is_label(namespace):
        raise Refusal(f"metadata.namespace {namespace[:80]!r} is no name that Kubernetes allows")


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
