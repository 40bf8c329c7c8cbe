"""Whether an API server is still the one it was.

Restored from a backup, or emptied, it may have come past the versions that we know from another history,
and no watch would notice.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from msgspec import Struct

from .decoding import UNREADABLE
from .following import number


@dataclass(frozen=True, slots=True)
class Identity:
    """How far a server is, and the uid of its `kube-system`, which lives as long as the cluster."""

    version: str = ""
    uid: str = ""

    def forgot(self, now: Identity) -> bool:
        """Whether the server that says `now` has not come from here by going forward."""
        return bool(self.differs(now))

    def differs(self, now: Identity) -> str:
        """Why it has not, in words; "" when it has."""
        if self.uid and now.uid and self.uid != now.uid:
            return "another cluster answers than before: the uid of its kube-system is another"
        before, after = number(self.version), number(now.version)
        if before is not None and after is not None and after < before:
            return f"its history went back from {before} to {after}: it was restored, or emptied"
        return ""


class _Meta(Struct, rename="camel"):
    resource_version: str = ""
    uid: str = ""


class _Item(Struct):
    metadata: _Meta


class _List(Struct):
    metadata: _Meta
    items: list[_Item] | None
    kind: str = ""


_LIST = msgspec.json.Decoder(_List)


def identity_of(body: bytes) -> Identity | None:
    """From a list of the namespace `kube-system`; None when it is no such list."""
    try:
        said = _LIST.decode(body)
    except UNREADABLE:
        return None
    if not said.kind.endswith("List") or not said.metadata.resource_version:
        return None
    return Identity(said.metadata.resource_version, said.items[0].metadata.uid if said.items else "")
