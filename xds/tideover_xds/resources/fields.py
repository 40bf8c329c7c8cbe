"""Protobuf's wire format, as far as joining cached parts into messages needs it; and the Resource
that every stream shares.

Joining serialised fields gives the same message as building it whole: protobuf's fields may come
in any order, and repeated ones are concatenated. That is what makes one changed endpoint cheap.
"""

from __future__ import annotations

from google.protobuf.message import Message

from tideover_wire.codec import varint
from tideover_wire.resource import Resource, TypeUrl, version_of


def block(field: int, body: bytes) -> bytes:
    """A length-delimited field: a message, a string or bytes."""
    return varint(field << 3 | 2) + varint(len(body)) + body


def text(field: int, value: str) -> bytes:
    """A string field."""
    return block(field, value.encode())


def dump(message: Message) -> bytes:
    """The same bytes for the same message, on every replica."""
    serialised: bytes = message.SerializeToString(deterministic=True)
    return serialised


def resource(url: TypeUrl, name: str, body: bytes, *depends_on: str) -> Resource:
    """A body with its name, its version, and the two envelopes that the protocol's variants send."""
    version = version_of(body, *depends_on)
    any_bytes = text(1, url) + block(2, body)
    # envoy.service.discovery.v3.Resource: version = 1, resource = 2, name = 3
    wrapped = text(3, name) + text(1, version) + block(2, any_bytes)
    return Resource(name, version, body, any_bytes, wrapped)
