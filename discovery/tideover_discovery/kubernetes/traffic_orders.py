"""Tideover's own TrafficOrder into an order; a field that is not known or makes no sense refuses it whole."""

from __future__ import annotations

from datetime import datetime

from tideover_core import orders as core
from tideover_core.target import Aim, parse_target

from .fields import Fields
from .objects import Refusal, TrafficOrder

_PARTS = ("endpoint", "service", "cluster", "region", "zone")
_PLACES = ("cluster", "region", "zone")
_MOST_REASON = 1024
_LONGEST_OVER_S = 24 * 3600.0
AUTHOR = "tideover.dev/author"  # annotation: who asked a replica for it


def traffic_order(order: TrafficOrder) -> core.TrafficOrder:
    """The order. Refusal that names the field."""
    unknown: list[str] = []
    spec = Fields("spec", order.spec, unknown)
    namespace = order.metadata.namespace or "default"
    action = _action(spec)
    target = _aim(spec, "target", namespace, _PARTS)
    if target is None:
        raise spec.refusal("target", "is missing: an order says what it is about")
    to = _aim(spec, "to", namespace, _PLACES)
    if (to is not None) is not (action is core.Action.SHIFT):
        raise spec.refusal("to", "is for Shift, which needs it, and for nothing else")
    percent = spec.take("percent")
    if percent is None:
        percent = 100
    elif action is core.Action.FREEZE:
        raise spec.refusal("percent", "is for Drain and Shift: a place is frozen or not")
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 < percent <= 100:
        raise spec.refusal("percent", f"is {percent!r}, not more than 0 and at most 100")
    over_s = spec.duration("over", 0.0, _LONGEST_OVER_S)
    if over_s is not None and action is core.Action.FREEZE:
        raise spec.refusal("over", "is for Drain and Shift: a place is frozen or not")
    force_empty = spec.flag("forceEmpty")
    if force_empty is not None and action is not core.Action.DRAIN:
        raise spec.refusal("forceEmpty", "is for Drain: nothing else empties")
    translated = core.TrafficOrder(
        namespace,
        order.metadata.name,
        action,
        target,
        float(percent),
        to,
        _expiry(spec),
        _reason(spec),
        order.metadata.creation_timestamp or "",
        over_s or 0.0,
        force_empty or False,
        (order.metadata.annotations or {}).get(AUTHOR, ""),
        _accepted(order),
    )
    spec.close()
    if unknown:  # a misspelt expiresAt would be an order for ever
        raise Refusal(unknown[0].replace("is not supported", "is unknown"))
    return translated


def _accepted(order: TrafficOrder) -> bool:
    """Whether a replica has accepted it as it is now."""
    found = order.status.get("conditions") if isinstance(order.status, dict) else None
    generation = order.metadata.generation
    return generation is not None and any(
        (one.get("type"), one.get("status"), one.get("observedGeneration"))
        == ("Accepted", "True", generation)
        for one in (found if isinstance(found, list) else ())
        if isinstance(one, dict)
    )


def _action(spec: Fields) -> core.Action:
    said = spec.text("action")
    if said not in list(core.Action):
        raise spec.refusal("action", f"is {said!r}, not {', '.join(core.Action)}")
    return core.Action(said)


def _aim(spec: Fields, name: str, namespace: str, parts: tuple[str, ...]) -> Aim | None:
    """All that is said together; a service without namespace is of the order's own."""
    said = spec.object(name)
    if said is None:
        return None
    words: list[str] = []
    for part in parts:
        value = said.text(part)
        if value is None:
            continue
        if not value or "," in value:
            raise said.refusal(part, f"is {value!r}, which is no {part}")
        words.append(f"{part}/{namespace + '/' if part == 'service' and '/' not in value else ''}{value}")
    said.close()
    if not words:
        raise spec.refusal(name, f"is empty; it names any of {', '.join(parts)}")
    try:
        return parse_target(",".join(words))
    except ValueError as error:
        raise spec.refusal(name, f"makes no sense: {error}") from None


def _reason(spec: Fields) -> str:
    said = spec.text("reason") or ""
    if not 0 < len(said) <= _MOST_REASON:
        raise spec.refusal("reason", f"is missing, or longer than {_MOST_REASON} characters")
    return said


def _expiry(spec: Fields) -> float | None:
    said = spec.text("expiresAt")
    if said is None:
        return None
    try:
        when = datetime.fromisoformat(said)
    except ValueError:
        raise spec.refusal("expiresAt", f"is {said!r}, not a time as 2026-11-23T10:00:00Z") from None
    if when.tzinfo is None:
        raise spec.refusal("expiresAt", f"is {said!r}, which says no time zone; end it with Z")
    return when.timestamp()
