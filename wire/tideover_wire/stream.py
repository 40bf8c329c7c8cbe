"""One stream of either variant, on ADS or a single-type service: requests in, events out, and the
next response pulled when the writer is free (docs/decisions/0001)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .codec import MAX_REQUEST_BYTES, parse_delta, parse_sotw
from .delta import DeltaSubstream
from .events import Event, Opened, Refused
from .node import Client, read_node
from .resource import SEND_ORDER, TypeUrl, View
from .sotw import sotw_substream
from .subscription import TooMuchError
from .substream import Substream

MAX_TYPES = 64  # type URLs on one stream, known or not; Envoy knows about a dozen
MAX_TYPE_URL_LENGTH = 256
_RANK = {url.value: rank for rank, url in enumerate(SEND_ORDER)}


class Variant(StrEnum):
    """The two dialects of the protocol."""

    DELTA = "delta"
    SOTW = "sotw"


@dataclass(frozen=True, slots=True)
class Sent:
    """What a client was sent of one type, for `clients show` and for debugging (rule O5)."""

    type_url: str
    wildcard: bool
    subscribed: tuple[str, ...]  # in no order: a thousand streams are asked at once
    versions: Mapping[str, str]  # name -> version sent
    last_nonce: str
    acked_nonce: str
    nack: str  # message of the last NACK, "" once a later response was accepted


class Stream:
    """The state of one stream. Not thread safe; never blocks; knows no clock."""

    def __init__(self, variant: Variant, type_url: str | None, identifier: str) -> None:
        """`type_url` is None on ADS; `identifier` goes to `control_plane.identifier` (rule C9)."""
        self._variant = variant
        self._type_url = type_url
        self._identifier = identifier
        self._parse = parse_delta if variant is Variant.DELTA else parse_sotw
        self._substreams: dict[str, Substream] = {}  # in the order of their turn
        self._client: Client | None = None
        self._nonces = 0
        self._over = False

    def on_request(self, raw: bytes) -> tuple[Event, ...]:
        """Take one serialised (Delta)DiscoveryRequest. A `Refused` event is the last of a stream."""
        if self._over:
            return ()
        events: list[Event] = []
        try:
            self._take(raw, events)
        except TooMuchError as error:
            events.append(self._refuse("RESOURCE_EXHAUSTED", str(error)))
        except ValueError as error:
            events.append(self._refuse("INVALID_ARGUMENT", str(error)))
        return tuple(events)

    def touch(self, changes: Mapping[str, Collection[str]] | None) -> None:
        """These names, by type URL, may have changed in the view; None: anything may have.

        Cheap: called for every stream at every change. Names the client did not ask for are ignored.
        """
        if changes is None:
            for substream in self._substreams.values():
                substream.touch(None)
            return
        for type_url, names in changes.items():
            touched = self._substreams.get(type_url)
            if touched is not None:
                touched.touch(names)

    @property
    def pending(self) -> bool:
        """Whether `next_response` may have something to say: most requests are plain ACKs, after which
        it has not. False is certain."""
        return any(substream.pending for substream in self._substreams.values())

    def next_response(self, view: View) -> bytes | None:
        """The next serialised response, or None when there is nothing to say now.

        To be called after every request, touch and finished write until it returns None. Nothing
        is queued: it is made from the view as it is now (rules C10, O4) in make-before-break order.
        """
        if self._over:
            return None
        nonce = f"{self._nonces + 1:x}"
        for substream in self._substreams.values():
            added = substream.additions(view, nonce)
            if added is not None:
                self._nonces += 1
                response, names = added
                if substream.type_url == TypeUrl.CLUSTER:
                    self._clusters_changed(names)
                return response
        for substream in reversed(self._substreams.values()):
            removed = substream.removals(view, nonce)
            if removed is not None:
                self._nonces += 1
                return removed
        return None

    def acknowledged(self, names: Set[str] | None) -> bool | None:
        """Whether the client has taken all that it is to be sent of these clusters and endpoints (None: of
        everything), and refused none of it; None: it asks for none of them."""
        concerned = self._substreams.values() if names is None else self._of_clusters()
        said = [answer for one in concerned if (answer := one.acknowledged(names)) is not None]
        return all(said) if said else None

    def _of_clusters(self) -> list[Substream]:
        found = (self._substreams.get(url) for url in (TypeUrl.CLUSTER, TypeUrl.ENDPOINT))
        return [one for one in found if one is not None]

    def sent(self) -> tuple[Sent, ...]:
        """The state per type."""
        return tuple(
            Sent(
                type_url=substream.type_url,
                wildcard=substream.subscription.wildcard,
                subscribed=tuple(substream.subscription.names),
                versions=dict(substream.sent),
                last_nonce=substream.last_nonce,
                acked_nonce=substream.acked_nonce,
                nack=substream.nack,
            )
            for substream in self._substreams.values()
        )

    @property
    def lacks_clusters(self) -> bool:
        """Whether an Envoy asks for endpoints on ADS and for no cluster (E3).

        After a NACK and a reconnect Envoy may never ask for clusters again; the server closes a
        stream for which this holds for 30 s.
        """
        if self._type_url is not None or self._client is None or self._client.proxyless:
            return False
        endpoints = self._substreams.get(TypeUrl.ENDPOINT)
        clusters = self._substreams.get(TypeUrl.CLUSTER)
        return bool(endpoints and endpoints.subscription) and not (clusters and clusters.subscription)

    def _take(self, raw: bytes, events: list[Event]) -> None:
        if len(raw) > MAX_REQUEST_BYTES:
            raise TooMuchError(f"a request of {len(raw)} bytes; at most {MAX_REQUEST_BYTES} are taken")
        request = self._parse(raw)
        if self._client is None:
            if not request.HasField("node"):
                raise ValueError("the first request of a stream must carry `node`; this one has none")
            self._client = read_node(request.node)
            events.append(Opened(self._client))
        events += self._substream(request).on_request(request)

    def _substream(self, request: Any) -> Substream:
        type_url = self._resolved_type(request.type_url)
        substream = self._substreams.get(type_url)
        if substream is None:
            if len(self._substreams) >= MAX_TYPES:
                raise TooMuchError(f"more than {MAX_TYPES} resource types on one stream")
            make = DeltaSubstream if self._variant is Variant.DELTA else sotw_substream
            substream = make(type_url, self._identifier)
            self._substreams[type_url] = substream
            # additions are sent in this order, removals in reverse (O1); types we do not serve come last
            self._substreams = dict(
                sorted(self._substreams.items(), key=lambda item: _RANK.get(item[0], len(_RANK)))
            )
        return substream

    def _resolved_type(self, type_url: str) -> str:
        if len(type_url) > MAX_TYPE_URL_LENGTH:
            raise ValueError(f"a type_url of more than {MAX_TYPE_URL_LENGTH} characters")
        if self._type_url is None:
            if not type_url:
                raise ValueError("a request on ADS must carry `type_url`; this one has none")
            return type_url
        if type_url and type_url != self._type_url:
            raise ValueError(
                f"this service serves {self._type_url}, not {type_url}; use ADS for several types"
            )
        return self._type_url

    def _clusters_changed(self, names: Collection[str]) -> None:
        """Envoy warms a changed cluster until its endpoints come; it need not ask for them (O2)."""
        endpoints = self._substreams.get(TypeUrl.ENDPOINT)
        if endpoints is not None:
            endpoints.resend(names)

    def _refuse(self, code: str, message: str) -> Refused:
        self._over = True
        self._substreams.clear()
        return Refused(code, message)
