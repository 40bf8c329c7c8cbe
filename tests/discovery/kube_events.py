"""Answers and events of an API server as bytes, and a following that reads small objects."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tideover_discovery.kubernetes.following import Ask, Changed, Following, Interrupted, Offers
from tideover_discovery.kubernetes.objects import Key, Refusal

Told = dict[str, int | None]


def thing(name: str, version: int, **more: Any) -> dict[str, Any]:
    return {"kind": "Thing", "metadata": {"name": name, "resourceVersion": str(version)}, **more}


def event(kind: str, name: str, version: int, **more: Any) -> bytes:
    return json.dumps({"type": kind, "object": thing(name, version, **more)}).encode()


def bookmark(version: int, *, ends_list: bool = False) -> bytes:
    meta: dict[str, Any] = {"resourceVersion": str(version)}
    if ends_list:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    return json.dumps({"type": "BOOKMARK", "object": {"kind": "Thing", "metadata": meta}}).encode()


def error(code: int, reason: str = "", **details: Any) -> bytes:
    status = {"kind": "Status", "code": code, "reason": reason, "message": "told so", "details": details}
    return json.dumps({"type": "ERROR", "object": status}).encode()


def page(version: int, things: Mapping[str, int], token: str = "") -> bytes:
    items = [thing(name, at) for name, at in things.items()]
    meta = {"resourceVersion": str(version), "continue": token}
    return json.dumps({"kind": "ThingList", "metadata": meta, "items": items}).encode()


def read(raw: msgspec.Raw) -> int:
    """What is told of a thing is its version; one with `broken` is refused."""
    said = msgspec.json.decode(raw)
    if said.get("broken"):
        raise Refusal("it is broken")
    return int(said["metadata"]["resourceVersion"])


def following(*, streams: bool = True) -> Following[int]:
    return Following("Thing", read, Offers(streamed_lists=streams))


def told(steps: Iterable[Changed[int]]) -> Changed[int]:
    """All of it in one."""
    changes: dict[Key, int | None] = {}
    listed, absent = False, frozenset[Key]()
    for step in steps:
        changes.update(step.changes)
        listed, absent = listed or step.listed, absent | step.absent
    return Changed(changes, listed, absent)


def names(changed: Changed[int]) -> Told:
    return {key.name: value for key, value in changed.changes.items()}


def say(one: Following[int], *lines: bytes) -> Told:
    return names(told(one.lines(lines)))


def interrupted(one: Following[int], *lines: bytes) -> str:
    try:
        for _ in one.lines(lines):
            pass
    except Interrupted as stop:
        return stop.reason
    raise AssertionError("it went on")


def watching(version: int = 10, **things: int) -> Following[int]:
    """Listed at this version, and asking for the watch."""
    one = following(streams=False)
    one.next()
    told(one.page(page(version, things)))
    assert one.next().query["resourceVersion"] == str(version)
    return one


def asked(ask: Ask) -> tuple[str, dict[str, str]]:
    return ask.want.value, dict(ask.query)
