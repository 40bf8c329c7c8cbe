"""A change to an object at an API server, as a value; whoever holds the Lease sends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
FIELD_MANAGER = "tideover"


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
