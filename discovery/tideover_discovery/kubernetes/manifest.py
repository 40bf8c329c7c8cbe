"""One file's text into objects: JSON or YAML, single objects, Lists, several documents.

What cannot be read is `Broken`, with its line and, as far as the text says, its object; the rest of
the file is read all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import msgspec
from msgspec import Raw

from tideover_core import orders
from tideover_core import policy as core

from .decoding import Unread, decode, key, key_of, make_key
from .destination_rules import destination_rule
from .failover_policies import failover_policy
from .objects import AnyObject, DestinationRule, FailoverPolicy, Key, Nameless, Refusal, TrafficOrder
from .traffic_orders import traffic_order
from .yaml_tree import BadYaml, objects_in

Progress = Callable[[float], None]  # the part that is done, 0 to 1
HOLD_ENDPOINTS = frozenset({"Service", "EndpointSlice"})
Policy = core.DestinationRule | core.FailoverPolicy | orders.TrafficOrder


@dataclass(frozen=True, slots=True)
class Item:
    """An object, and where it was read. A live source has no line."""

    body: AnyObject
    file: str = ""
    line: int = 0
    policy: Policy | None = None  # what a policy or order means
    unsupported: tuple[str, ...] = ()  # what in it is not acted on

    @property
    def where(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Broken:
    """What could not be read. Unless its key is certain it may be anything that this file held before.

    `hides`: endpoints may be missing because of it.
    """

    key: Key | None
    message: str
    file: str = ""
    line: int = 0
    certain: bool = True
    hides: bool = True

    @property
    def where(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Manifest:
    """One file: objects by key, and what is broken. The first of two objects with one key counts."""

    items: dict[Key, Item]
    broken: tuple[Broken, ...] = ()


class _Reading:
    """Collects objects of one file; what equals its former version is that version."""

    def __init__(self, file: str, previous: Manifest | None) -> None:
        self.file = file
        self.items: dict[Key, Item] = {}
        self.broken: list[Broken] = []
        self._previous = previous.items if previous else {}

    def add(self, line: int, raw: Raw | dict[str, object], kind: str) -> None:
        """Decode one object; a broken one is recorded."""
        try:
            body = decode(raw, kind)
        except Unread:
            return
        except RecursionError:
            self.fail(line, "nested too deep")
            return
        except Refusal as error:
            self.fail(line, str(error), key_of(raw, kind), hides=not isinstance(error, Nameless))
            return
        name = key(body)
        if name in self.items:
            self.fail(line, f"also at line {self.items[name].line}, which counts", name)
            return
        old = self._previous.get(name)
        if old is not None and old.body == body:
            self.items[name] = old if old.line == line else replace(old, line=line)
            return
        try:
            self.items[name] = item_of(body, self.file, line)
        except Refusal as error:
            self.fail(line, str(error), name)

    def fail(
        self, line: int, message: str, name: Key | None = None, *, certain: bool = True, hides: bool = True
    ) -> None:
        """Record what is broken."""
        certain = certain and name is not None
        hides = hides and (name is None or name.kind in HOLD_ENDPOINTS)
        self.broken.append(Broken(name, message, self.file, line, certain, hides))

    def manifest(self) -> Manifest:
        """What was read."""
        return Manifest(self.items, tuple(self.broken))


def item_of(body: AnyObject, file: str = "", line: int = 0) -> Item:
    """An object with what it means, if it is a policy. Refusal when that makes no sense."""
    if isinstance(body, DestinationRule):
        rule, unsupported = destination_rule(body)
        return Item(body, file, line, rule, unsupported)
    if isinstance(body, FailoverPolicy):
        return Item(body, file, line, failover_policy(body))
    if isinstance(body, TrafficOrder):
        return Item(body, file, line, traffic_order(body))
    return Item(body, file, line)


def read_manifest(
    data: bytes, file: str, previous: Manifest | None = None, progress: Progress | None = None
) -> Manifest:
    """All objects of one file; `previous` is what the same file said before. A blank file is broken:
    it is more likely half written than meant, and deleting it says the same for certain."""
    reading = _Reading(file, previous)
    data = data.removeprefix(b"\xef\xbb\xbf")  # a byte order mark
    if not data or data.isspace():
        reading.fail(0, "the file is empty", hides=False)
    elif not (looks_like_json(data, file) and _read_json(data, reading, or_yaml=not file.endswith(".json"))):
        lines = data.count(b"\n") + 1
        for line, kind, value in _yaml_objects(data, reading):
            reading.add(line, value, kind)
            if progress is not None:
                progress(line / lines)
    return reading.manifest()


def looks_like_json(data: bytes, file: str) -> bool:
    """By its name, or because YAML that starts with a brace is JSON more often than not."""
    return file.endswith(".json") or (
        data[:64].lstrip().startswith(b"{") and data[-64:].rstrip().endswith(b"}")
    )


class _Top(msgspec.Struct, gc=False):
    kind: str = ""
    items: list[Raw] | None = None


def _read_json(data: bytes, reading: _Reading, *, or_yaml: bool) -> bool:
    """Read it; False when it is no JSON and may be YAML."""
    try:
        top = msgspec.json.decode(data, type=_Top)
    except (msgspec.DecodeError, RecursionError) as error:
        if or_yaml:
            return False
        found = re.search(r"byte (\d+)", str(error))
        end = int(found.group(1)) if found else len(data)  # without a position it ends too early
        reading.fail(data.count(b"\n", 0, end) + 1, f"not a Kubernetes object in JSON: {error}")
        return True
    if top.items is None:
        reading.add(1, Raw(data), "")
        return True
    kind = top.kind.removesuffix("List")
    for line, raw in _with_lines(data, top.items):
        reading.add(line, raw, kind)
    return True


def _with_lines(data: bytes, items: list[Raw]) -> Iterator[tuple[int, Raw]]:
    """Each item with its line: between two items are only a comma and white space."""
    position, line = 0, 1
    many_lines = data.count(b"\n", 0, 4096) > 0
    for number, raw in enumerate(items):
        text = memoryview(raw)
        start = data.find(bytes(text), position) if number == 0 else data.find(text[:1], position)
        if many_lines:
            line += data.count(b"\n", position, start)
        yield line, raw
        if many_lines:
            line += data.count(b"\n", start, start + len(text))
        position = start + len(text)


_SEPARATOR = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_SAYS_SOMETHING = re.compile(r"^(?!\s*(#|$)|%|\.\.\.\s*$)", re.MULTILINE)
_NAME = re.compile(r"^metadata:(?:\s*\n(?:[ ]+.*\n)*?[ ]+|\s*\{.*?\b)name:\s*[\"']?([\w.-]+)", re.MULTILINE)
_NAMESPACE = re.compile(r"(?:^[ ]+|[{,]\s*)namespace:\s*[\"']?([\w.-]+)", re.MULTILINE)
_KIND = re.compile(r"^kind:\s*[\"']?(\w+)", re.MULTILINE)


def _yaml_objects(data: bytes, reading: _Reading) -> Iterator[tuple[int, str, dict[str, object]]]:
    """(line, list's kind, value) of each object of each document; broken documents go to `reading`.

    Documents are cut before they are parsed (`---` at the start of a line can be nothing else), so
    that a broken one does not hide those behind it.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reading.fail(data.count(b"\n", 0, error.start) + 1, f"not UTF-8 text at byte {error.start}")
        return
    documents = list(_documents(text))
    if not documents:
        reading.fail(0, "the file holds comments only", hides=False)
    for line, document in documents:
        try:
            for at, kind, value in objects_in(document):
                if isinstance(value, dict):
                    yield line + at, kind, value
                else:
                    reading.fail(line + at, "an item of the list is no mapping")
        except BadYaml as error:
            reading.fail(line + error.line, str(error), _guess(document), certain=False)


def _documents(text: str) -> Iterator[tuple[int, str]]:
    """(lines before it, text) of each document that holds more than comments."""
    start, line = 0, 0
    for match in [*_SEPARATOR.finditer(text), None]:
        end = match.start() if match else len(text)
        document = text[start:end]
        body = document[3:] if document.startswith("---") else document
        if _SAYS_SOMETHING.search(body):
            yield line, document
        line += document.count("\n")
        start = end


def _guess(document: str) -> Key | None:
    """The object of a document that cannot be parsed, from its lines; None for a List."""
    kind, name = _KIND.search(document), _NAME.search(document)
    if not kind or not name or kind.group(1).endswith("List"):
        return None
    namespace = _NAMESPACE.search(document)
    return make_key(kind.group(1), namespace.group(1) if namespace else None, name.group(1))
