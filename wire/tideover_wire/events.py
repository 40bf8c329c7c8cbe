"""What a stream tells its server: events that came out of a request."""

from __future__ import annotations

from dataclasses import dataclass

from .node import Client


@dataclass(frozen=True, slots=True)
class Opened:
    """The first request of a stream: who it is."""

    client: Client


@dataclass(frozen=True, slots=True)
class Wants:
    """Names newly subscribed and unsubscribed ("*" is the wildcard), after normalising."""

    type_url: str
    subscribed: tuple[str, ...] = ()
    unsubscribed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Acked:
    """A response was accepted."""

    type_url: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Nacked:
    """A response was refused. `names`: the resources that were in it."""

    type_url: str
    nonce: str
    message: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The stream must end: `code` is a gRPC status name (INVALID_ARGUMENT, ...), `message` says why."""

    code: str
    message: str


Event = Opened | Wants | Acked | Nacked | Refused
