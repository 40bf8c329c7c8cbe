"""The incremental dialect: requests say what to add and drop, responses what changed and what is gone."""

from __future__ import annotations

from typing import Any

from .codec import SPLIT_BYTES, delta_response
from .events import Event
from .resource import View
from .substream import Substream


class DeltaSubstream(Substream):
    """One type on a delta stream."""

    split_bytes = SPLIT_BYTES  # a response that says only a part is complete in itself

    def on_request(self, request: Any) -> list[Event]:
        """Subscriptions count whatever the nonce is (D1); the nonce only acknowledges."""
        first = not self.subscription.asked
        change = self.subscription.update(
            tuple(request.resource_names_subscribe), request.resource_names_unsubscribe
        )
        events = self._apply(change)
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

    def _unsubscribed(self, name: str) -> None:
        super()._unsubscribed(name)
        if self.subscription.wildcard:
            self._owed.add(name)  # say whether the wildcard covers it (D5)

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
