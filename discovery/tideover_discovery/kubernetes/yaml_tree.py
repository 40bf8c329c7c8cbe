"""YAML text into plain values, one top-level object at a time, within bounds.

Built on libyaml's events rather than a loader: a dump of 100 MB is never in memory as a whole,
every object knows its line, duplicate keys are errors, and aliases cannot multiply without end.
Scalars follow YAML 1.2's core schema: `on`, `yes` and dates are text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from .objects import Refusal

MAX_DEPTH = 64
MAX_ALIASED_NODES = 100_000

_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})\Z")
_FLOAT = re.compile(r"[-+]?([0-9]{1,30}\.[0-9]{0,30}|\.[0-9]{1,30})([eE][-+]?[0-9]{1,3})?\Z")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_STANDARD = "tag:yaml.org,2002:"
_PLAIN_TAGS = {None, "!", *(_STANDARD + name for name in ("int", "float", "bool", "null"))}
_COLLECTION_TAGS = {None, "!", _STANDARD + "map", _STANDARD + "seq"}


class BadYaml(Refusal):
    """YAML that cannot be read; `line` counts from 1 inside the text."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def objects_in(text: str) -> Iterator[tuple[int, str, Any]]:
    """(line, kind of the list it came in or "", value) of each top-level object of one document.

    The items of a List come one by one, before the rest of the document has been read.
    Raises BadYaml at the first fault.
    """
    try:
        loader = yaml.CSafeLoader(text)
    except yaml.YAMLError as error:
        raise _bad(error, text) from None
    try:
        yield from _Tree(loader).objects()
    except yaml.YAMLError as error:
        raise _bad(error, text) from None
    finally:
        loader.dispose()


def _bad(error: yaml.YAMLError, text: str) -> BadYaml:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        return BadYaml(f"not YAML: {what}", min(mark.line + 1, len(text.splitlines())) if mark else 1)
    return BadYaml(f"not YAML: {str(error).splitlines()[0]}", 1)


class _Tree:
    """Composes values from the events of one document."""

    def __init__(self, loader: yaml.CSafeLoader) -> None:
        # Any: the stubs make every event and every mark optional
        self._next: Callable[[], Any] = loader.get_event
        self._anchors: dict[str, tuple[Any, int]] = {}  # value, and how many nodes it holds
        self._nodes = 0
        self._aliased = 0

    def objects(self) -> Iterator[tuple[int, str, Any]]:
        self._next()  # stream start
        event = self._next()
        if isinstance(event, StreamEndEvent):
            return
        assert isinstance(event, DocumentStartEvent)
        event = self._next()
        if isinstance(event, MappingStartEvent):
            yield from self._top_level(event)
        else:
            line = _line(event)
            if self._value(event, 0) is not None:
                raise BadYaml("a manifest is a mapping with apiVersion, kind and metadata", line)
        while not isinstance(event := self._next(), StreamEndEvent):
            if isinstance(event, DocumentStartEvent):
                raise BadYaml("a second document without `---` at the start of a line", _line(event))

    def _top_level(self, start: Any) -> Iterator[tuple[int, str, Any]]:
        """An object; or a List, whose items are yielded as they are read.

        kubectl writes `kind: List` after the items, so a list without it was cut off; and YAML that was
        cut is often still YAML. That is why an item waits for the next one: the last may be a half one.
        """
        found: dict[str, Any] = {}
        is_list, last = False, None
        while not isinstance(event := self._next(), MappingEndEvent):
            name = self._key(event, found)
            value = self._next()
            if name == "items" and isinstance(value, SequenceStartEvent):
                is_list = True
                found[name] = None
                while not isinstance(item := self._next(), SequenceEndEvent):
                    if last is not None:
                        yield last
                    last = _line(item), _list_kind(found), self._value(item, 2)
            else:
                found[name] = self._value(value, 1)
        if not is_list:
            yield _line(start), "", found
        elif "kind" not in found:
            raise BadYaml("a list that does not say `kind: List`: it may have been cut off", _line(start))
        elif last is not None:
            yield last

    def _key(self, event: Any, seen: dict[str, Any]) -> str:
        if not isinstance(event, ScalarEvent):
            raise BadYaml("a key that is not plain text", _line(event))
        if event.value in seen:
            raise BadYaml(f"key {event.value!r} occurs twice", _line(event))
        return str(event.value)

    def _value(self, event: Any, depth: int) -> Any:
        self._nodes += 1
        if type(event) is ScalarEvent:
            value: Any = _scalar(event)
            if event.anchor:
                self._anchors[event.anchor] = (value, 1)
            return value
        if type(event) is AliasEvent:
            return self._alias(event)
        line = _line(event)
        if depth > MAX_DEPTH:
            raise BadYaml(f"nested more than {MAX_DEPTH} deep", line)
        if event.tag not in _COLLECTION_TAGS:
            raise BadYaml(f"tag {event.tag} has no meaning here", line)
        before = self._nodes + self._aliased
        collection = self._mapping(depth) if type(event) is MappingStartEvent else self._sequence(depth)
        if event.anchor:
            self._anchors[event.anchor] = (collection, self._nodes + self._aliased - before + 1)
        return collection

    def _mapping(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[Any] = []
        while type(event := self._next()) is not MappingEndEvent:
            name = self._key(event, found)
            value = self._value(self._next(), depth + 1)
            if name == "<<" and event.implicit[0]:
                merged += value if isinstance(value, list) else [value]
            else:
                found[name] = value
        for other in merged:
            if not isinstance(other, dict):
                raise BadYaml("`<<` merges mappings only", _line(event))
            found = {**other, **found}
        return found

    def _sequence(self, depth: int) -> list[Any]:
        found = []
        while type(event := self._next()) is not SequenceEndEvent:
            found.append(self._value(event, depth + 1))
        return found

    def _alias(self, event: Any) -> Any:
        line = _line(event)
        if event.anchor not in self._anchors:
            raise BadYaml(f"alias *{event.anchor} names nothing before it", line)
        value, nodes = self._anchors[event.anchor]
        self._aliased += nodes
        if self._aliased > MAX_ALIASED_NODES:
            raise BadYaml(f"aliases repeat more than {MAX_ALIASED_NODES} values", line)
        return value


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _list_kind(seen: dict[str, Any]) -> str:
    """PodList -> Pod; List -> "", its items say themselves."""
    kind = seen.get("kind")
    return kind.removesuffix("List") if isinstance(kind, str) else ""


def _scalar(event: ScalarEvent) -> Any:
    value: str = event.value
    if not event.implicit[0]:  # quoted, a block, or tagged
        if event.tag is None or event.tag == _STANDARD + "str" or event.tag == "!":
            return value
        if event.tag not in _PLAIN_TAGS:
            raise BadYaml(f"tag {event.tag} has no meaning here", _line(event))
    if value in _WORDS:
        return _WORDS[value]
    first = value[0]
    if first in "+-.0123456789":
        if _INT.match(value):
            return int(value)
        if _FLOAT.match(value):
            return float(value)
    return value
