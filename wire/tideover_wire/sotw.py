"""The state-of-the-world dialect: requests name all that is wanted. Responses carry the whole set for
clusters and listeners, whose absence deletes them, and only what changed for all other types (S2)."""

from __future__ import annotations

from typing import Any

from .codec import SPLIT_BYTES, set_version, sotw_response
from .events import Event
from .resource import Resource, TypeUrl, View
from .subscription import WILDCARD, Change
from .substream import Substream

_WHOLE_SET = frozenset({TypeUrl.CLUSTER.value, TypeUrl.LISTENER.value})


class SotwSubstream(Substream):
    """One type on a state-of-the-world stream. An absent resource cannot be said, only left out."""

    split_bytes: int | None = SPLIT_BYTES

    def __init__(self, type_url: str, identifier: str) -> None:
        super().__init__(type_url, identifier)
        self._last_version = ""

    def on_request(self, request: Any) -> list[Event]:
        """A stale nonce gets no answer and changes nothing (S1)."""
        first = not self.subscription.asked
        nonce = request.response_nonce
        if nonce and nonce != self.last_nonce and not first:
            return []
        change = self.subscription.replace(tuple(request.resource_names))
        events = self._apply(change)
        if first and request.version_info:
            self._reconnected(request.version_info)
        elif nonce:
            events += self._acknowledged(nonce, self._error(request))
        return events

    def _error(self, request: Any) -> str | None:
        if not request.HasField("error_detail"):
            return None
        return request.error_detail.message or "no reason given"

    def _reconnected(self, version: str) -> None:
        """The client has something from before, but does not say what: its names are sent again (S4)."""
        self._greet = self._greet and self._served  # another release may serve it: leave it alone
        self._inherited = set(self.subscription.names)

    def additions(self, view: View, nonce: str) -> tuple[bytes, tuple[str, ...]] | None:
        """New and changed resources. That a name does not exist cannot be said (D3 is delta's)."""
        batch = self._collect(self._view(view))
        if batch is None or not (batch.resources or batch.greeting):
            return None
        names = batch.names
        return self._respond(batch.resources, nonce), names

    def removals(self, view: View, nonce: str) -> bytes | None:
        """Nothing: what is gone is forgotten, so that it is sent when it comes back (C7)."""
        self._take_gone(self._view(view))
        return None

    def _respond(self, resources: list[Resource], nonce: str) -> bytes:
        self._last_version = set_version(resources)
        self._outstanding.clear()  # only the newest nonce counts
        self._responded(nonce, tuple(resource.name for resource in resources))
        return sotw_response(self._frame, resources, self._last_version, nonce)


class WholeSetSubstream(SotwSubstream):
    """Clusters or listeners on a state-of-the-world stream: what is left out is deleted.

    So additions are sent together with what is about to go, and a second response without it
    follows after the additions of all other types: make before break (O1).
    """

    split_bytes = None

    def __init__(self, type_url: str, identifier: str) -> None:
        super().__init__(type_url, identifier)
        self._held: dict[str, Resource] = {}  # what the client has, as it was sent
        self._claimed = ""  # version of a reconnected client's set; "" once we know its set

    def _reconnected(self, version: str) -> None:
        super()._reconnected(version)
        self._claimed = version

    def _apply(self, change: Change) -> list[Event]:
        if WILDCARD in change.dropped:
            self._claimed = ""  # with the wildcard it let go of that set
        return super()._apply(change)

    def _error(self, request: Any) -> str | None:
        # Envoy sends a late NACK with the newer nonce: the version tells that it was accepted (E2)
        if request.version_info == self._last_version:
            return None
        return super()._error(request)

    def additions(self, view: View, nonce: str) -> tuple[bytes, tuple[str, ...]] | None:
        """The whole set when anything in it is new, changed, or asked for and missing."""
        reconnected = self._claimed or self._inherited
        if reconnected and not self._certain(view) and not self._safe_to_answer(view):
            self._withheld = True
            return None
        batch = self._collect(view)
        if not batch:
            return None
        unchanged = self._claimed == set_version(self._held.values()) and self._is_pure_wildcard()
        self._claimed = ""
        if unchanged:
            return None
        names = batch.names
        return self._respond(list(self._held.values()), nonce), names

    def _is_pure_wildcard(self) -> bool:
        return self.subscription.wildcard and not self.subscription.names

    def _certain(self, view: View) -> bool:
        """Whether what the view does not give is not there; one that could not be built is."""
        if not view.complete:
            return False
        covered = view.names(self.type_url) if self.subscription.wildcard else ()
        return all(view.get(self.type_url, name) is not None for name in covered)

    def _safe_to_answer(self, view: View) -> bool:
        """Whether a set can be sent that lacks nothing a reconnected client may have."""
        names = self.subscription.names
        if self.subscription.wildcard or not self._inherited < names:
            return False
        if any(view.get(self.type_url, name) is None for name in self._inherited):
            return False
        if all(view.get(self.type_url, name) is None for name in names - self._inherited):
            return False
        self._owed.update(self._inherited)
        self._inherited.clear()
        self._due = True
        return True

    def removals(self, view: View, nonce: str) -> bytes | None:
        """The set without what is gone."""
        if not self._take_gone(view):
            return None
        return self._respond(list(self._held.values()), nonce)

    def _note_sent(self, resource: Resource) -> None:
        super()._note_sent(resource)
        self._held[resource.name] = resource

    def _drop(self, name: str) -> None:
        super()._drop(name)
        self._held.pop(name, None)


def sotw_substream(type_url: str, identifier: str) -> SotwSubstream:
    """The substream of this type."""
    kind = WholeSetSubstream if type_url in _WHOLE_SET else SotwSubstream
    return kind(type_url, identifier)
