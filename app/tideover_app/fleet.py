"""Who is connected: streams as the xDS server reports them, and what their clients refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tideover_core.model import Problem
from tideover_wire.events import Acked, Event, Nacked, Opened, Refused
from tideover_wire.node import Client
from tideover_wire.resource import TypeUrl
from tideover_wire.stream import Stream

from .journal import Journal
from .replica import Connected, Kind


@dataclass(slots=True)
class _Open:
    peer: str
    client: Client
    stream: Stream
    opened_at_s: float
    nacks: int = 0
    refused: dict[str, Nacked] = field(default_factory=dict)  # by type URL, until a later ACK


@dataclass(slots=True)
class Totals:
    """Counts since the start, by type URL where a type is known."""

    opened: int = 0
    acked: dict[str, int] = field(default_factory=dict)
    nacked: dict[str, int] = field(default_factory=dict)
    refused: int = 0


class Fleet:
    """The observer of the xDS server (`border.Observer`). Calls come from one event loop."""

    def __init__(self, clock: Callable[[], float], journal: Journal) -> None:
        self.totals = Totals()
        self._clock = clock
        self._journal = journal
        self._open: dict[int, _Open] = {}
        self._changed: Callable[[], None] = lambda: None
        self._taken: Callable[[str], None] = lambda client: None

    def on_clusters(self, taken: Callable[[str], None]) -> None:
        """Call `taken` with a client's id when it has accepted clusters."""
        self._taken = taken

    def on_problem(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever `problems` may have changed."""
        self._changed = changed

    def opened(self, stream_id: int, peer: str, client: Client, stream: Stream) -> None:
        """A client said who it is."""
        self.totals.opened += 1
        self._open[stream_id] = _Open(peer, client, stream, self._clock())
        place = f" at {client.vantage.locality}" if client.vantage.locality.region else ""
        cluster = client.vantage.cluster or "an unknown cluster"
        message = f"{client.user_agent or 'a client'} from {peer}{place} in {cluster}"
        self._journal.add(Kind.CLIENT_OPENED, _named(client), message)
        if client.problems:
            self._changed()

    def event(self, stream_id: int, event: Event) -> None:
        """Anything else that a request said."""
        known = self._open.get(stream_id)
        match event:
            case Acked(type_url=type_url):
                self.totals.acked[type_url] = self.totals.acked.get(type_url, 0) + 1
                if known is not None and known.refused.pop(type_url, None) is not None:
                    self._changed()
                if known is not None and type_url == TypeUrl.CLUSTER:
                    self._taken(known.client.id)
            case Nacked(type_url=type_url):
                self.totals.nacked[type_url] = self.totals.nacked.get(type_url, 0) + 1
                if known is not None:
                    self._nacked(known, event)
            case Refused(code=code, message=message):
                self.totals.refused += 1
                subject = _named(known.client) if known else f"Stream {stream_id}"
                self._journal.add(Kind.CLIENT_NACKED, subject, f"stream refused, {code}: {message}")
            case Opened():
                pass  # told with its peer by `opened`

    def closed(self, stream_id: int, reason: str) -> None:
        """The stream is over."""
        gone = self._open.pop(stream_id, None)
        if gone is None:
            return
        self._journal.add(Kind.CLIENT_CLOSED, _named(gone.client), reason or "stream ended")
        if gone.refused or gone.client.problems:
            self._changed()

    def connected(self) -> list[Connected]:
        """Open streams, oldest first."""
        return [
            Connected(i, o.peer, o.client, o.opened_at_s, o.stream.sent(), o.nacks)
            for i, o in self._open.items()
        ]

    def acknowledged(self, names: frozenset[str] | None) -> tuple[int, int]:
        """Of the clients that ask for any of these clusters (None: for anything), (how many have taken all
        there is of them, how many they are)."""
        said = [open_.stream.acknowledged(names) for open_ in self._open.values()]
        return said.count(True), len(said) - said.count(None)

    def __len__(self) -> int:
        return len(self._open)

    def problems(self) -> Iterator[Problem]:
        """What was ignored in clients' nodes, and what clients refuse to take."""
        for stream in self._open.values():
            subject = _named(stream.client)
            for text in stream.client.problems:
                yield Problem(subject, text, "ignored, the client is served without it")
            for nack in stream.refused.values():
                kind = nack.type_url.rsplit(".", 1)[-1]
                message = f"refused {kind} {', '.join(nack.names) or 'response'}: {nack.message}"
                yield Problem(subject, message, "it keeps what it had; sent again only when it changes")

    def _nacked(self, stream: _Open, nack: Nacked) -> None:
        """Count each refusal, tell those that say something new."""
        stream.nacks += 1
        before = stream.refused.get(nack.type_url)
        stream.refused[nack.type_url] = nack
        if before is not None and (before.message, before.names) == (nack.message, nack.names):
            return
        kind = nack.type_url.rsplit(".", 1)[-1]
        names = ", ".join(nack.names) or "a response"
        self._journal.add(
            Kind.CLIENT_NACKED, _named(stream.client), f"refused {kind} {names}: {nack.message}"
        )
        self._changed()


def _named(client: Client) -> str:
    return f"Client {client.id or 'without a name'}"
