"""The narrow border between what is decided and what moves bytes: views go in, events come out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tideover_wire.events import Event
from tideover_wire.node import Client
from tideover_wire.resource import View
from tideover_wire.stream import Stream

Changes = Mapping[str, frozenset[str]]  # type URL -> names that may have changed, for any client


class Views(Protocol):
    """Where the server gets what a client is sent."""

    def view(self, client: Client) -> View:
        """The live view of this client: it answers from the newest world. Equal clients share one."""
        ...


class Observer(Protocol):
    """Told what happens on streams; must not block. `stream_id` is unique for the process's life."""

    def opened(self, stream_id: int, peer: str, client: Client, stream: Stream) -> None:
        """A client said who it is; `stream.sent()` may be read until `closed`."""
        ...

    def event(self, stream_id: int, event: Event) -> None:
        """Anything else that a request said: wants, acked, nacked, refused."""
        ...

    def closed(self, stream_id: int, reason: str) -> None:
        """The stream is over."""
        ...
