"""Small messages that several resources hold."""

from __future__ import annotations

from envoy.config.core.v3 import address_pb2, config_source_pb2
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

LOOPBACK = "127.0.0.1"


def ads(initial_fetch_timeout_s: float | None = None) -> config_source_pb2.ConfigSource:
    """What refers to another resource of the same stream; None: Envoy's 15 s."""
    source = config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(), resource_api_version=config_source_pb2.ApiVersion.V3
    )
    if initial_fetch_timeout_s is not None:
        source.initial_fetch_timeout.CopyFrom(seconds(initial_fetch_timeout_s))
    return source


def seconds(value: float) -> Duration:
    """A duration, to the microsecond."""
    duration = Duration()
    duration.FromMicroseconds(round(value * 1_000_000))
    return duration


def packed(message: Message) -> Any:
    """A message as google.protobuf.Any, with the same bytes on every replica."""
    any_ = Any()
    any_.Pack(message, deterministic=True)
    return any_


def on_loopback(port: int) -> address_pb2.Address:
    """A local address to listen on."""
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=LOOPBACK, port_value=port))
