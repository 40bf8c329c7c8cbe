"""The recent past of a cluster's service ports, in the shape that the state folder keeps.

JSON has no keys but strings, so mappings become pairs. Times are Unix time. Whatever fields `Past` has
are kept; a past of another shape is forgotten, which costs a minute of precision and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from types import GenericAlias
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from tideover_core.model import ServiceKey
from tideover_core.past import PEAK_S, Past
from tideover_core.presence import History, history_of

CLOCKS_DIFFER_S = 60.0


@dataclass(frozen=True, slots=True)
class KeptPast:
    """The past of one service port."""

    service: ServiceKey
    port: int
    past: Past


class WrittenPast(msgspec.Struct):
    """The same, as it is written."""

    service: ServiceKey
    port: int
    past: dict[str, Any]


class ReadPast(msgspec.Struct):
    """The same, as it is read: each field by its own type."""

    service: ServiceKey
    port: int
    past: dict[str, msgspec.Raw]


def kept(history: History, cluster: str) -> Iterator[KeptPast]:
    """What is to be kept of one cluster."""
    for (owner, service), ports in history.pasts.items():
        if owner == cluster:
            yield from (KeptPast(service, port, past) for port, past in ports.items())


def remembered(clusters: Iterable[tuple[str, Iterable[KeptPast]]], now_s: float) -> History:
    """The history that was kept; `presence.expire` drops what no longer counts.

    What ends later than anything can was kept by a clock that has been set back since: it is forgotten.
    """
    pasts: dict[tuple[str, ServiceKey], dict[int, Past]] = {}
    latest_s = now_s + PEAK_S + CLOCKS_DIFFER_S
    for cluster, ports in clusters:
        for one in ports:
            if max(one.past.ends(), default=0.0) > latest_s:
                continue
            pasts.setdefault((cluster, one.service), {})[one.port] = one.past
    return history_of(pasts)


def write(one: KeptPast) -> WrittenPast:
    """For the JSON encoder."""
    past = {field.name: _plain(getattr(one.past, field.name)) for field in fields(Past)}
    return WrittenPast(one.service, one.port, past)


def read(one: ReadPast) -> KeptPast | None:
    """What `write` was given; None when it is of another shape."""
    hints = get_type_hints(Past)
    try:
        past = {name: _read(raw, hints[name]) for name, raw in one.past.items()}
    except (KeyError, msgspec.DecodeError):
        return None
    return KeptPast(one.service, one.port, Past(**past))


def _plain(value: object) -> object:
    return list(value.items()) if isinstance(value, Mapping) else value


def _read(raw: msgspec.Raw, kind: Any) -> Any:
    if get_origin(kind) is not Mapping:
        return msgspec.json.decode(raw, type=kind)
    pairs: Any = GenericAlias(list, (GenericAlias(tuple, get_args(kind)),))
    return dict(msgspec.json.decode(raw, type=pairs))
