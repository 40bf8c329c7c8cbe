"""Who decides what is written into a cluster (`Writer`, pure), and what they decide by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from msgspec import Raw

from tideover_core.world import World

from .objects import Key
from .resources import Resource
from .writes import Write

Object = Mapping[str, Any]  # a whole object, as JSON; what it holds may be anything
MERGE = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a writer decides by.

    `seen`: by kind, the objects of this cluster that the writer asked for. `versions`: by kind, which
    version the server has; a kind that is not in it does not exist there. `now`: RFC 3339.
    """

    cluster: str
    world: World
    seen: Mapping[str, Mapping[Key, Object]]
    versions: Mapping[str, str]
    now: str


class Writer(Protocol):
    """Says what one cluster lacks to be as it should be. Pure: it is asked again whenever something changed.

    Nothing is asked of it before each of its `resources` was listed, or is known not to exist, and the
    world is complete. `name` is for messages and metrics.
    """

    name: str
    resources: tuple[Resource[Object], ...]

    def writes(self, scene: Scene) -> Iterable[Write | None]:
        """What differs from what should be, as requests; none when all is well. None: others may have a turn.

        A request with the resourceVersion that was seen is refused when it is outdated, and decided anew.
        """
        ...


def read(raw: Raw) -> Object:
    """A whole object, without the fields that only tell who wrote what (for `Resource.read`)."""
    found = msgspec.json.decode(raw, type=dict[str, Any])
    return without_managed_fields(found)


def without_managed_fields(found: dict[str, Any]) -> Object:
    """The object without them."""
    metadata = found.get("metadata")
    if isinstance(metadata, dict):
        metadata.pop("managedFields", None)
    return found


def metadata(found: Object) -> Object:
    """Its metadata, or nothing."""
    said = found.get("metadata")
    return said if isinstance(said, dict) else {}
