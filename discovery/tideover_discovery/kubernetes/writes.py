"""A change to an object at an API server, as a value; whoever holds the Lease sends it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
FIELD_MANAGER = "tideover"
Field = tuple[str, ...]  # the names that lead to a field, without the keys of list items
_UNDECLARED = re.compile(r"(\.\S+): field not declared in schema")


@dataclass(frozen=True, slots=True)
class Write:
    """One request. `object` and `why` are for the log: "ServiceImport shop/cart", "exported"."""

    object: str
    why: str
    method: str
    path: str
    body: Mapping[str, Any] = field(default_factory=dict)
    content_type: str = JSON
    query: Mapping[str, str] = field(default_factory=dict)
    leisurely: bool = False


def applied(about: tuple[str, str], path: str, body: Mapping[str, Any]) -> Write:
    """Server-side apply: only the fields in `body` are ours, and those we no longer name go away.

    With the object's uid in it, it never makes one anew that was deleted meanwhile.
    """
    return Write(*about, "PATCH", path, body, APPLY, {"fieldManager": FIELD_MANAGER, "force": "true"})


def removed(about: tuple[str, str], path: str, uid: str, version: str) -> Write:
    """Deletes just this object, as it was seen."""
    seen = {"uid": uid, "resourceVersion": version}
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": seen}
    return Write(*about, "DELETE", path, body)


def undeclared(reason: str) -> frozenset[Field]:
    """The fields that a server refuses to apply because its CRD, an older one, does not have them."""
    found = (re.sub(r"\[[^]]*\]", "", path) for path in _UNDECLARED.findall(reason))
    return frozenset(tuple(path[1:].split(".")) for path in found)


def without(write: Write, fields: Iterable[Field]) -> Write:
    """The same write without these fields."""
    body: Any = write.body
    for path in fields:
        body = _without(body, path)
    return write if body is write.body else replace(write, body=body)


def _without(value: Any, path: Field) -> Any:
    if isinstance(value, list):
        return [_without(one, path) for one in value]
    if not isinstance(value, Mapping) or path[0] not in value:
        return value
    rest = {name: said for name, said in value.items() if name != path[0]}
    return rest if len(path) == 1 else {**rest, path[0]: _without(value[path[0]], path[1:])}
