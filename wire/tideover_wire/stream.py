"""One stream of either variant, on ADS or a single-type service: requests in, events out, and the
next response pulled when the writer is free (docs/decisions/0001)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from .events import Event
from .resource import View


class Variant(StrEnum):
    """The two dialects of the protocol."""

    DELTA = "delta"
    SOTW = "sotw"


@dataclass(frozen=True, slots=True)
class Sent:
    """What a client was sent of one type, for `clients show` and for debugging (rule O5)."""

    type_url: str
    wildcard: bool
    subscribed: tuple[str, ...]
    versions: Mapping[str, str]  # name -> version sent
    last_nonce: str
    acked_nonce: str
    nack: str  # message of the last NACK, "" once a later response was accepted


class Stream:
    """The state of one stream. Not thread safe; never blocks; knows no clock."""

    def __init__(self, variant: Variant, type_url: str | None, identifier: str) -> None:
        """`type_url` is None on ADS; `identifier` goes to `control_plane.identifier` (rule C9)."""
        raise NotImplementedError

    def on_request(self, raw: bytes) -> tuple[Event, ...]:
        """Take one serialised (Delta)DiscoveryRequest. A `Refused` event is the last of a stream."""
        raise NotImplementedError

    def touch(self, changes: Mapping[str, Collection[str]] | None) -> None:
        """These names, by type URL, may have changed in the view; None: anything may have.

        Cheap: called for every stream at every change. Names the client did not ask for are ignored.
        """
        raise NotImplementedError

    def next_response(self, view: View) -> bytes | None:
        """The next serialised response, or None when there is nothing to say now.

        To be called after every request, touch and finished write until it returns None. Nothing
        is queued: it is made from the view as it is now (rules C10, O4) in make-before-break order.
        """
        raise NotImplementedError

    def sent(self) -> tuple[Sent, ...]:
        """The state per type."""
        raise NotImplementedError
