"""What operators ask for and how far it is, in words: for status and explain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tideover_core.model import ServiceKey
from tideover_core.world import World

from .lengths import length
from .ordering import Shown

_NEXT = {"Rising": "next step", "Draining": "drained", "Returning": "next step of its way back"}


def told(one: Shown, now_s: float) -> str:
    """Who asked for what and why, its state, and what comes next and when."""
    order = one.order
    amount = "" if order.action == "Freeze" else f" {order.percent:g} %"
    to = "" if order.to is None else f" to {order.to}"
    said = [f"{order}: {order.action} {order.target}{amount}{to} ({order.reason})"]
    if one.state == "Refused":
        said.append("Refused, and not acted on")
    else:
        said += [
            f"placed {length(now_s - one.placed_at_s)} ago by {order.author or 'its object'}",
            f"{one.state}, {one.percent:g} % in force" if amount else one.state,
        ]
    if one.why:
        said.append(one.why)
    ends_s = None if order.expires_at_s is None else order.expires_at_s - now_s
    if one.next_s is not None and one.state in _NEXT and one.next_s != ends_s:
        said.append(f"{_NEXT[one.state]} in {length(one.next_s)}")
    if one.state not in {"Returning", "Refused"}:
        said.append("ends when it is deleted" if ends_s is None else f"ends in {length(ends_s)}")
    return "; ".join(said)


def concerning(listed: Iterable[Shown], world: World, service: ServiceKey) -> Iterator[Shown]:
    """Those that hold an endpoint of this service."""
    known = world.services.get(service)
    ends = [] if known is None else [
        end for part in known.parts for found in part.facts.endpoints.values() for end in found
    ]  # fmt: skip
    for one in listed:
        aim = one.order.target
        if one.state != "Refused" and any(aim.holds(service, end) for end in ends):
            yield one
