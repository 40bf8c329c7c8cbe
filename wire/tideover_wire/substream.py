"""One type on one stream: what it was sent, what may have changed, and what is to be said now.

Both dialects share this loop. They differ in how requests are read and in what a response carries
(`delta.py`, `sotw.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Set
from dataclasses import dataclass
from typing import Any

from .codec import Frame
from .events import Acked, Event, Nacked, Wants
from .resource import Resource, TypeUrl, View
from .subscription import MAX_NAMES, WILDCARD, Change, Subscription, TooMuchError

_SERVED = frozenset(url.value for url in TypeUrl)
_MERGE_AFTER = 8  # touches kept apart before they become one set: a slow reader costs a set of names
_OUTSTANDING = 32  # responses whose names are remembered until they are acknowledged
_LONGEST_REASON = 4_000  # characters of a refusal that are remembered; the message may be megabytes


class _Nothing:
    """The view of a type that is not served: nothing of it exists, and that is certain."""

    complete = True

    def get(self, type_url: str, name: str) -> Resource | None:
        return None

    def names(self, type_url: str) -> Collection[str]:
        return ()


_NOTHING = _Nothing()


@dataclass(slots=True)
class Batch:
    """What one look at the view found to say."""

    resources: list[Resource]
    missing: list[str]  # subscribed names that do not exist
    greeting: bool = False  # a wildcard that covers nothing wants a first answer (D9)

    def __bool__(self) -> bool:
        return bool(self.resources or self.missing or self.greeting)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the resources in it."""
        return tuple(resource.name for resource in self.resources)


class Substream(ABC):
    """Subscription, nonces and versions of one type (rule C2).

    `sent` is what the client is believed to have, by name. It says nothing of acceptance: a
    response that was refused is not sent again before its content changes (C5).
    """

    split_bytes: int | None = None  # where a response may be cut; None: never

    def __init__(self, type_url: str, identifier: str) -> None:
        self.type_url = type_url
        self.subscription = Subscription(type_url)
        self.sent: dict[str, str] = {}
        self.last_nonce = ""
        self.acked_nonce = ""
        self.nack = ""
        self._refused: frozenset[str] = frozenset()  # what was in the response of `nack`
        self._frame = Frame.of(type_url, identifier)
        self._served = type_url in _SERVED
        self._touched: list[Collection[str]] = []
        self._everything = False  # anything may have changed
        self._due = False  # `_owed` or `_greet` has something new
        self._owed: set[str] = set()  # to be answered even if unchanged
        self._gone: set[str] = set()  # sent, and to be removed after all additions (O1)
        self._greet = False
        # Design law 1: what a reconnecting client had is left alone until all sources are known
        self._inherited: set[str] = set()
        self._withheld = False  # something was not said because the view was not complete
        self._outstanding: dict[str, tuple[str, ...]] = {}  # nonce -> names in that response

    @abstractmethod
    def on_request(self, request: Any) -> list[Event]:
        """Take a parsed request of this type."""

    @abstractmethod
    def additions(self, view: View, nonce: str) -> tuple[bytes, tuple[str, ...]] | None:
        """A response with new, changed and missing resources; and which are new or changed."""

    @abstractmethod
    def removals(self, view: View, nonce: str) -> bytes | None:
        """A response that removes what is gone."""

    @property
    def pending(self) -> bool:
        """Whether a look at the view may find something to say; False is certain."""
        return bool(self._everything or self._touched or self._due or self._gone or self._withheld)

    def acknowledged(self, names: Set[str] | None) -> bool | None:
        """Whether the client has taken all there is of these names (None: of all); None: it wants none."""
        if not self.subscription or (names is not None and not self._wants(names)):
            return None
        if self.pending or (self.nack and (names is None or not names.isdisjoint(self._refused))):
            return False
        return all(names is not None and names.isdisjoint(sent) for sent in self._outstanding.values())

    def _wants(self, names: Set[str]) -> bool:
        return not (self.sent.keys().isdisjoint(names) and self.subscription.names.isdisjoint(names))

    def touch(self, names: Collection[str] | None) -> None:
        """These names may have changed; None: anything may have."""
        if names is None:
            self._everything = True
            self._touched.clear()
        elif not self._everything:
            self._touched.append(names)
            if len(self._touched) > _MERGE_AFTER:
                self._merge_touched()

    def _merge_touched(self) -> None:
        """What was touched as one set, or all when that is hardly more to look at: it stays bounded."""
        names = self._of_interest()
        if len(names) > len(self.sent) + len(self.subscription.names):
            self.touch(None)
        else:
            self._touched = [names]

    def resend(self, names: Iterable[str]) -> None:
        """Say these again, if the client has them: something that they hang on changed (O2)."""
        again = [name for name in names if name in self.sent]
        if again:
            self._owed.update(again)
            self._due = True

    def _of_interest(self) -> set[str]:
        names: set[str] = set()
        wanted = self.subscription.names
        for touched in self._touched:
            if self.subscription.wildcard:
                names.update(touched)
            elif isinstance(touched, Set):
                if not touched.isdisjoint(wanted):
                    names.update(touched & wanted)
            else:
                names.update(name for name in touched if name in wanted)
        return names

    # --- requests

    def _apply(self, change: Change) -> list[Event]:
        """Note a changed subscription; names that are no longer wanted are forgotten."""
        names = self.subscription.names
        for name in change.dropped:
            if name == WILDCARD:
                self._forget([other for other in (*self.sent, *self._inherited) if other not in names])
                self._owed &= names
                self._greet = False
            else:
                self._unsubscribed(name)
        for name in change.added:
            if name == WILDCARD:
                self._greet = True
                self._everything = True
            else:
                self._owed.add(name)
                self._inherited.discard(name)
        if len(self._owed) > 2 * MAX_NAMES:
            raise TooMuchError(f"more than {2 * MAX_NAMES} names wait for an answer that is not read")
        self._due = self._due or bool(change.added or change.dropped)
        if not change.added and not change.dropped:
            return []
        return [Wants(self.type_url, change.added, change.dropped)]

    def _unsubscribed(self, name: str) -> None:
        self._owed.discard(name)
        if self.subscription.wildcard:
            self.touch((name,))  # it may still be covered, or be gone for this client
        else:
            self._forget((name,))

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._drop(name)
            self._gone.discard(name)
            self._inherited.discard(name)

    def _drop(self, name: str) -> None:
        """The client has this no more."""
        self.sent.pop(name, None)

    def _acknowledged(self, nonce: str, error: str | None) -> list[Event]:
        """The client's word on a response: `error` is None when it accepted it."""
        names = self._outstanding.pop(nonce, None)
        if names is None:
            return []  # of another stream, or answered before
        if error is None:
            self.acked_nonce = nonce
            self.nack = ""
            self._refused = frozenset()
            return [Acked(self.type_url, nonce)]
        self.nack = error if len(error) <= _LONGEST_REASON else f"{error[:_LONGEST_REASON]} ..."
        self._refused = frozenset(names)
        return [Nacked(self.type_url, nonce, self.nack, names)]

    # --- responses

    def _view(self, view: View) -> View:
        return view if self._served else _NOTHING

    def _next_names(self, view: View) -> list[str] | None:
        """The names to look at now; None when nothing happened since the last look."""
        if (self._withheld or self._inherited) and view.complete:
            self._everything = self._everything or self._withheld
            self._withheld = False
            self._inherited.clear()
        if self._everything:
            names = {*self.sent, *self.subscription.names, *self._owed}
            if self.subscription.wildcard:
                names.update(view.names(self.type_url))
        elif self._touched or self._due:
            names = self._of_interest()
            names.update(self._owed)
        else:
            return None
        self._everything = self._due = False
        self._touched.clear()
        return sorted(names)

    def _collect(self, view: View) -> Batch | None:
        """Look at what may have changed. What is gone is only noted, for `removals`."""
        names = self._next_names(view)
        if names is None:
            return None
        complete = view.complete
        covered = self._covered(view, len(names))
        batch = Batch([], [])
        size = 0
        for position, name in enumerate(names):
            resource = self._find(view, name, covered, complete)
            if resource is None:
                if not (complete and name in covered):
                    self._absent(name, batch, complete)
                continue  # one that exists and cannot be told now stays with the client as it was
            if name not in self._owed and self.sent.get(name) == resource.version:
                if self.sent[name] is not resource.version:
                    self._note_sent(resource)  # the client's words for the same
                continue
            size += len(resource.wrapped)
            if self.split_bytes is not None and size > self.split_bytes and batch.resources:
                self._later(names[position:])
                break
            self._owed.discard(name)
            self._note_sent(resource)
            batch.resources.append(resource)
        self._greeting(batch, complete)
        return batch

    def _covered(self, view: View, asked: int) -> Collection[str]:
        """What the wildcard covers, fit to be asked this often whether a name is in it."""
        if not self.subscription.wildcard:
            return ()
        names = view.names(self.type_url)
        return names if asked <= 2 or isinstance(names, Set) else frozenset(names)

    def _find(self, view: View, name: str, covered: Collection[str], complete: bool) -> Resource | None:
        if not complete and name in self._inherited:
            return None
        if name in self.subscription.names or name in covered:
            return view.get(self.type_url, name)
        return None

    def _absent(self, name: str, batch: Batch, complete: bool) -> None:
        """A name that has nothing to send: removed if it was sent, answered as missing if asked for.

        While a source is not known neither is certain, so nothing is said, and it stays owed.
        """
        if not complete:
            self._withheld = True
        elif name in self.sent:
            self._gone.add(name)
            self._owed.discard(name)
        elif name in self._owed:
            self._owed.discard(name)
            batch.missing.append(name)

    def _greeting(self, batch: Batch, complete: bool) -> None:
        if not self._greet:
            return
        if batch.resources:
            self._greet = False
        elif complete:
            self._greet = False
            batch.greeting = True
        else:
            self._withheld = True

    def _later(self, names: list[str]) -> None:
        """The rest of a response that grew too large; it is looked at again in its turn."""
        self._touched.append(names)
        self._due = True

    def _note_sent(self, resource: Resource) -> None:
        # the resource's own strings replace those of the request: a thousand streams share them
        self.sent.pop(resource.name, None)
        self.sent[resource.name] = resource.version
        self.subscription.adopt(resource.name)

    def _take_gone(self, view: View) -> list[str]:
        """The names to remove now. While a source is not known none is, and all stay noted."""
        if not self._gone:
            return []
        if not view.complete:
            self._withheld = True
            return []
        # a name that came back meanwhile is not removed (O4): its touch was looked at before
        covered = self._covered(view, len(self._gone))
        gone = [
            name
            for name in sorted(self._gone)
            if name not in covered and self._find(view, name, covered, True) is None
        ]
        self._gone.clear()
        for name in gone:
            self._drop(name)
        return gone

    def _responded(self, nonce: str, names: tuple[str, ...]) -> None:
        self.last_nonce = nonce
        self._outstanding[nonce] = names
        if len(self._outstanding) > _OUTSTANDING:
            del self._outstanding[next(iter(self._outstanding))]
