"""One resource's list-then-watch without I/O: answers and events in, the next request and changes out.

Only a complete list replaces what is known. In a stream, events go forward: what is not newer than the
position reached is a duplicate or from the past, and is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from .decoding import UNREADABLE, Unread, make_key
from .objects import Key, Nameless, Refusal

T = TypeVar("T")
PAGE = 500
_IDLE_PAGES = 20
_AT_A_TIME = 50  # objects that are decoded before others get a turn
# Who an object is that cannot be read as far as its name: it may be any
UNNAMED = "?"
_INITIAL_END = "k8s.io/initial-events-end"
# What servers answer that do not stream lists: unknown field, feature off, etcd too old
_NO_STREAMED_LISTS = frozenset({400, 405, 422, 500, 501})
# What servers answer that do not know our position any more, or cannot read it
_ANEW = frozenset({400, 410, 422})


class Want(Enum):
    """A kind of request."""

    LIST = "list"  # a page of a list
    INITIAL = "initial"  # a watch that begins with all objects
    WATCH = "watch"  # a watch from the position reached


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to make."""

    want: Want
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Broken:
    """An object that cannot be read. `good`: a version of it that could be read is known, and stays."""

    message: str
    good: bool
    hides: bool  # what it may stand for is unknown; False: it is certain to stand for nothing


@dataclass(frozen=True, slots=True)
class Changed(Generic[T]):
    """What a list or events change. `changes`: None is an object that was deleted. `listed`: these are all
    objects there are, and those in `absent`, known before, were not in the list."""

    changes: Mapping[Key, T | None] = field(default_factory=dict)
    listed: bool = False
    absent: frozenset[Key] = frozenset()

    def __bool__(self) -> bool:
        return self.listed or bool(self.changes)

    @property
    def all(self) -> Mapping[Key, T | None]:
        """With what is absent counted as deleted."""
        return {**dict.fromkeys(self.absent), **self.changes} if self.absent else self.changes


class Interrupted(Exception):  # noqa: N818 (not always an error)
    """The stream or list cannot go on; `next` says what to do then. `status`: the HTTP status, or 0."""

    def __init__(self, reason: str, status: int = 0, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class Offers:
    """What one API server was found to offer; shared by all that is followed there."""

    streamed_lists: bool = True


class _Meta(Struct, gc=False, rename="camel"):
    name: str = ""
    namespace: str | None = None
    resource_version: str = ""
    annotations: dict[str, str] | None = None


class _Head(Struct, gc=False):
    metadata: _Meta = msgspec.field(default_factory=_Meta)


class _Event(Struct, gc=False):
    type: str
    object: Raw


class _ListMeta(Struct, gc=False, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _List(Struct, gc=False):
    metadata: _ListMeta
    items: list[Raw] | None
    kind: str = ""


_EVENT = msgspec.json.Decoder(_Event)
_HEAD = msgspec.json.Decoder(_Head)
_LIST = msgspec.json.Decoder(_List)


class Following(Generic[T]):
    """What is known of one resource at one server, and how far.

    `read` is that of a `Resource`. `broken`: objects that cannot be read now. `past`: events from the past.
    """

    def __init__(self, kind: str, read: Callable[[Raw], T], offers: Offers | None = None) -> None:
        self.kind = kind
        self.broken: dict[Key, Broken] = {}
        self.past = 0
        self._read = read
        self._offers = offers or Offers()
        self._good: set[Key] = set()
        self._position = ""  # the version that a watch goes on from; "": there must be a list
        self._reconcile = False
        self._limit = PAGE
        self._nobody = Key(kind, "", UNNAMED)
        self._asked: Ask | None = None
        self._list: _Listing[T] | None = None
        self._lost_streams = 0  # lists by stream that ended too early, in a row
        self._stuck = 0  # watches that ended in something unreadable, in a row

    @property
    def position(self) -> str:
        """The resourceVersion reached, "" when there must be a list."""
        return self._position

    @property
    def listing(self) -> bool:
        """Whether a list is asked for or goes on."""
        return self._list is not None

    def reconcile(self) -> None:
        """Have a list next, to compare; should that fail, the watch goes on from where it was."""
        self._reconcile = True

    def forget(self) -> None:
        """The position means nothing any more: there must be a list."""
        self._position, self._list = "", None

    def next(self) -> Ask:
        """The request to make now."""
        if self._position and not self._reconcile:
            self._list = None
            query = {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": self._position}
            self._asked = Ask(Want.WATCH, query)
        elif self._list is not None and self._list.token:
            self._asked = Ask(Want.LIST, {"limit": str(self._limit), "continue": self._list.token})
        elif self._offers.streamed_lists and self._lost_streams < 2:
            self._list = _Listing()
            query = {"watch": "1", "allowWatchBookmarks": "true", "sendInitialEvents": "true"}
            self._asked = Ask(Want.INITIAL, query | {"resourceVersionMatch": "NotOlderThan"})
        else:
            self._list = _Listing()
            self._asked = Ask(Want.LIST, {"limit": str(self._limit)})
        return self._asked

    def page(self, body: bytes) -> Iterator[Changed[T]]:
        """Take one page of a list, some objects at a time. The last page ends with all that has changed."""
        assert self._list is not None
        try:
            said = _LIST.decode(body)
        except UNREADABLE:
            self.failed()
            raise Interrupted(f"{self.kind}: answered no list of JSON, or one that is cut off") from None
        if not said.kind.endswith("List") or not said.metadata.resource_version:
            self.failed()
            raise Interrupted(f"{self.kind}: answered {said.kind or 'something'}, which is no list")
        items, known = said.items or [], len(self._list.found)
        for start in range(0, len(items), _AT_A_TIME):
            for raw in items[start : start + _AT_A_TIME]:
                self._listed(raw)
            yield Changed()
        before, self._list.token = self._list.token, said.metadata.continue_
        self._list.idle = 0 if len(self._list.found) > known else self._list.idle + 1
        if self._list.token and (before == self._list.token or self._list.idle >= _IDLE_PAGES):
            self.failed()
            raise Interrupted(f"{self.kind}: the pages of the list go round in a circle")
        if not self._list.token:
            yield self._whole(said.metadata.resource_version)

    def lines(self, lines: Sequence[bytes]) -> Iterator[Changed[T]]:
        """Take lines of a watch, some at a time; each step says what has changed."""
        for start in range(0, len(lines), _AT_A_TIME):
            changes: dict[Key, T | None] = {}
            for line in lines[start : start + _AT_A_TIME]:
                try:
                    whole = self._line(line, changes)
                except Interrupted:
                    if changes:
                        yield Changed(changes)
                    raise
                if whole is not None:
                    yield whole
            yield Changed(changes)

    def refused(self, status: int, body: Mapping[str, Any]) -> None:
        """The request was answered with an error: what that means for the next one."""
        asked = self._asked.want if self._asked is not None else None
        if asked is Want.WATCH and (status in _ANEW or _too_large(body)):
            self._position = ""
        elif asked is Want.INITIAL and status in _NO_STREAMED_LISTS and not _too_large(body):
            self._offers.streamed_lists = False
            self._list = None
            return
        self.failed()

    def failed(self, *, unread: bool = False) -> None:
        """The request or stream ended badly. A list begins anew; `unread`: it said what cannot be read."""
        if self._list is not None and self._asked is not None and self._asked.want is Want.INITIAL:
            self._lost_streams += 1
        self._list = None
        self._reconcile = False
        self._stuck = self._stuck + 1 if unread else 0
        if self._stuck > 2:  # again and again from here: a list leads past it
            self._position, self._stuck = "", 0

    def too_long(self) -> None:
        """A page was longer than is read: smaller ones from now on."""
        self._limit = max(self._limit // 4, 1)
        self.failed()

    def silent(self) -> None:
        """The stream said nothing for too long; one that should list does not know how to."""
        if self._list is not None and not self._list.found:
            self._offers.streamed_lists = False
        self.failed()

    def _line(self, line: bytes, changes: dict[Key, T | None]) -> Changed[T] | None:
        try:
            event = _EVENT.decode(line)
            if event.type == "ERROR":
                self._error(msgspec.json.decode(event.object))
            meta = _HEAD.decode(event.object).metadata
        except UNREADABLE:
            self.failed(unread=True)
            raise Interrupted(f"{self.kind}: the watch said what is no JSON, or cut off") from None
        if event.type == "BOOKMARK":
            return self._bookmark(meta)
        if event.type in ("ADDED", "MODIFIED", "DELETED") and meta.name:
            self._event(event, meta, changes)
        return None

    def _bookmark(self, meta: _Meta) -> Changed[T] | None:
        version = meta.resource_version
        if self._list is not None:
            ended = (meta.annotations or {}).get(_INITIAL_END) == "true"
            return self._whole(version) if ended else None
        if _order(version, self._position) < 0:
            self._position = ""
            raise Interrupted(f"{self.kind}: the server's history was reset to {version}")
        self._position = version or self._position
        return None

    def _event(self, event: _Event, meta: _Meta, changes: dict[Key, T | None]) -> None:
        key = make_key(self.kind, meta.namespace, meta.name)
        if self._list is not None:
            if event.type == "DELETED":  # among the initial objects, when the server is quick
                self._list.found.pop(key, None)
                self._list.broken.pop(key, None)
            else:
                self._listed(event.object, meta)
            return
        if _order(meta.resource_version, self._position) <= 0:
            self.past += 1
            return
        self._position, self._stuck = meta.resource_version or self._position, 0
        if event.type == "DELETED":
            self.broken.pop(key, None)
            if key in self._good:
                self._good.discard(key)
                changes[key] = None
            return
        try:
            changes[key] = self._read(event.object)
            self._good.add(key)
            self.broken.pop(key, None)
        except Unread:
            return
        except (Refusal, *UNREADABLE) as error:
            self.broken[key] = self._faulty(key, error)

    def _listed(self, raw: Raw, meta: _Meta | None = None) -> None:
        assert self._list is not None
        try:
            meta = meta or _HEAD.decode(raw).metadata
        except UNREADABLE as error:
            self._list.broken[self._nobody] = Broken(str(error), good=False, hides=True)
            return
        if not meta.name:
            self._list.broken[self._nobody] = Broken("metadata.name is missing", good=False, hides=True)
            return
        key = make_key(self.kind, meta.namespace, meta.name)
        try:
            self._list.found[key] = self._read(raw)
            self._list.broken.pop(key, None)
        except Unread:
            return
        except (Refusal, *UNREADABLE) as error:
            self._list.found.pop(key, None)
            self._list.broken[key] = self._faulty(key, error)

    def missing(self) -> Changed[T]:
        """The server has no such resource: a list of none."""
        absent, self._good, self.broken = frozenset(self._good), set(), {}
        self._position, self._list, self._reconcile = "", None, False
        return Changed(listed=True, absent=absent)

    def _faulty(self, key: Key, error: Exception) -> Broken:
        return Broken(str(error), good=key in self._good, hides=not isinstance(error, Nameless))

    def _whole(self, version: str) -> Changed[T]:
        """The list is complete."""
        assert self._list is not None
        found, broken = self._list.found, self._list.broken
        absent = (self._good - found.keys()) - broken.keys()
        if self._nobody in broken:  # it may be any of them
            absent = set()
        self._good = (self._good - absent) | found.keys()
        self.broken = broken
        self._position, self._list, self._reconcile = version, None, False
        self._lost_streams = self._stuck = 0
        return Changed(found, listed=True, absent=frozenset(absent))

    def _error(self, said: Any) -> None:
        """An ERROR event ends the stream."""
        status = said if isinstance(said, dict) else {}
        number = status.get("code")
        code = number if isinstance(number, int) else 0
        reason = f"{status.get('reason') or 'error'}: {status.get('message') or ''}".rstrip(": ")[:400]
        details = status.get("details")
        after = details.get("retryAfterSeconds") if isinstance(details, dict) else None
        self.refused(code, status)
        raise Interrupted(
            f"{self.kind}: the watch was ended with {code} {reason}",
            code,
            float(after) if isinstance(after, (int, float)) else None,
        )


@dataclass(slots=True)
class _Listing(Generic[T]):
    """A list that is not complete yet."""

    token: str = ""
    idle: int = 0  # pages in a row that had nothing new
    found: dict[Key, T] = field(default_factory=dict)
    broken: dict[Key, Broken] = field(default_factory=dict)


def number(version: str) -> int | None:
    """A resourceVersion as a number, None for one that is none (of 64 bits)."""
    return int(version) if version.isdecimal() and len(version) <= 20 else None


def _order(version: str, position: str) -> int:
    """-1, 0 or 1; versions that are no numbers are new unless they are equal."""
    a, b = number(version), number(position)
    if a is not None and b is not None:
        return (a > b) - (a < b)
    return 0 if version == position and version else 1


def _too_large(body: Mapping[str, Any]) -> bool:
    """The server's history ends before our position: it was restored, or wiped."""
    details = body.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    return any(
        isinstance(cause, dict) and cause.get("reason") == "ResourceVersionTooLarge" for cause in causes or ()
    )
