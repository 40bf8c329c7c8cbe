"""The only place that parses requests and encodes responses of the xDS services.

A response is joined from the cached bytes of its resources: repeated fields of a serialised message
may stand anywhere and are concatenated, so nothing is built or serialised twice. What is the same
in every response of one type on one stream is a `Frame`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2 as pb
from google.protobuf.message import DecodeError

from .resource import Resource

# Envoy's largest first request of 20,000 clusters is about 3 MB; the server's receive limit must not be lower
MAX_REQUEST_BYTES = 4 * 1024 * 1024
# gRPC clients take 4 MiB in one message unless told otherwise (Envoy takes any)
SPLIT_BYTES = 3 * 1024 * 1024

# field numbers of discovery.proto as tag bytes (number << 3 | 2); all are length-delimited
_RESOURCES = b"\x12"  # 2, in both responses
_TYPE_URL = b"\x22"  # 4, in both
_NONCE = b"\x2a"  # 5, in both
_REMOVED = b"\x32"  # DeltaDiscoveryResponse.removed_resources = 6
_DELTA_CONTROL_PLANE = b"\x3a"  # 7
_SOTW_CONTROL_PLANE = b"\x32"  # 6
_VERSION_INFO = b"\x0a"  # DiscoveryResponse.version_info = 1
_IDENTIFIER = b"\x0a"  # ControlPlane.identifier = 1


def varint(number: int) -> bytes:
    """An unsigned number in base 128."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _text(tag: bytes, value: str) -> bytes:
    raw = value.encode()
    return tag + varint(len(raw)) + raw


@dataclass(frozen=True, slots=True)
class Frame:
    """What every response of one type on one stream starts with: its type and who sends it (C9)."""

    delta: bytes
    sotw: bytes

    @classmethod
    def of(cls, type_url: str, identifier: str) -> Frame:
        """The frame of a type, for a control plane of this name."""
        sender = _text(_IDENTIFIER, identifier)
        sender = varint(len(sender)) + sender
        url = _text(_TYPE_URL, type_url)
        return cls(url + _DELTA_CONTROL_PLANE + sender, url + _SOTW_CONTROL_PLANE + sender)


def parse_delta(raw: bytes) -> Any:
    """A DeltaDiscoveryRequest. ValueError when the bytes are none."""
    return _parse(pb.DeltaDiscoveryRequest, raw)


def parse_sotw(raw: bytes) -> Any:
    """A DiscoveryRequest. ValueError when the bytes are none."""
    return _parse(pb.DiscoveryRequest, raw)


def _parse(message: Any, raw: bytes) -> Any:
    try:
        return message.FromString(raw)
    except DecodeError as error:
        raise ValueError(f"not a {message.DESCRIPTOR.name}: {error}") from error


def delta_response(frame: Frame, resources: Iterable[Resource], removed: Iterable[str], nonce: str) -> bytes:
    """A serialised DeltaDiscoveryResponse."""
    parts = [frame.delta]
    for resource in resources:
        wrapped = resource.wrapped
        parts += (_RESOURCES, varint(len(wrapped)), wrapped)
    parts += [_text(_REMOVED, name) for name in removed]
    parts.append(_text(_NONCE, nonce))
    return b"".join(parts)


def sotw_response(frame: Frame, resources: Iterable[Resource], version: str, nonce: str) -> bytes:
    """A serialised DiscoveryResponse."""
    parts = [frame.sotw, _text(_VERSION_INFO, version)]
    for resource in resources:
        body = resource.any_bytes
        parts += (_RESOURCES, varint(len(body)), body)
    parts.append(_text(_NONCE, nonce))
    return b"".join(parts)


def set_version(resources: Iterable[Resource]) -> str:
    """`version_info` of a response: a hash of the (name, version) pairs in it, in any order."""
    pairs = sorted(f"{resource.name}\0{resource.version}" for resource in resources)
    return sha256("\n".join(pairs).encode()).hexdigest()[:16]
