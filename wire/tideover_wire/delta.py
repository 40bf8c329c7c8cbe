"""The incremental dialect: requests say what to add and drop, responses what changed and what is gone."""

from __future__ import annotations

from typing import Any

from .codec import SPLIT_BYTES, delta_response
from .events import Event
from .resource import View
from .subscription import WILDCARD, Change
from .substream import Substream


class DeltaSubstream(Substream):
    """One type on a delta stream."""

    split_bytes = SPLIT_BYTES  # a response that says only a part is complete in itself

    def on_request(self, request: Any) -> list[Event]:
        """Subscriptions count whatever the nonce is (D1); the nonce only acknowledges."""
        first = not self.subscription.asked
        wildcard_before = self.subscription.wildcard
        change = self.subscription.update(
            tuple(request.resource_names_subscribe), request.resource_names_unsubscribe
        )
        events = self._apply(change)
        if wildcard_before and self.subscription.wildcard:
            self._answer_unsubscribed(change)
        if first and request.initial_resource_versions:
            self._inherit(dict(request.initial_resource_versions))
        if request.response_nonce:
            error = (
                request.error_detail.message or "no reason given"
                if request.HasField("error_detail")
                else None
            )
            events += self._acknowledged(request.response_nonce, error)
        return events

    def _answer_unsubscribed(self, change: Change) -> None:
        """A name dropped while the wildcard stays may still be covered by it: say which (D5)."""
        for name in change.dropped:
            if name not in self.subscription.names and name != WILDCARD:
                self._owed.add(name)

    def _inherit(self, versions: dict[str, str]) -> None:
        """A reconnecting client says what it has: only differences are sent (D2, D7)."""
        self._greet = False
        self._everything = True
        if not self._served:
            self._owed.difference_update(versions)  # another release may serve it: leave it alone
            return
        names = self.subscription.names
        for name, version in versions.items():
            if self.subscription.wildcard or name in names:
                self.sent[name] = version
                self._inherited.add(name)
                self._owed.discard(name)

    def additions(self, view: View, nonce: str) -> tuple[bytes, tuple[str, ...]] | None:
        """New and changed resources, and the names that were asked for and do not exist (D3)."""
        batch = self._collect(self._view(view))
        if not batch:
            return None
        names = batch.names
        self._responded(nonce, names)
        return delta_response(self._frame, batch.resources, batch.missing, nonce), names

    def removals(self, view: View, nonce: str) -> bytes | None:
        """What the client has and is no more."""
        gone = self._take_gone(self._view(view))
        if not gone:
            return None
        self._responded(nonce, tuple(gone))
        return delta_response(self._frame, (), gone, nonce)
