"""What is worth an Event: services of one cluster that begin or cease to fail over, none too often."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

from .model import ServiceKey
from .overview import PlaceHealth

QUIET_S = 10.0  # between two pieces of news of one service


class Loss(IntEnum):
    """How much of a service's traffic leaves its places in a cluster, at the worst of them."""

    NONE = 0
    PART = 1
    ALL = 2


@dataclass(frozen=True, slots=True)
class News:
    """A service's loss has changed to this. `at_s` is Unix time."""

    service: ServiceKey
    loss: Loss
    text: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of one service, what is so now, and how often it changed since."""

    loss: Loss = Loss.NONE
    at_s: float = -QUIET_S  # on the monotonic clock
    now: Loss = Loss.NONE
    changes: int = 0


Known = Mapping[ServiceKey, Told]


def losses(places: Iterable[PlaceHealth]) -> dict[ServiceKey, tuple[Loss, str]]:
    """How much each service loses, and the places where it does."""
    found: dict[ServiceKey, tuple[Loss, str]] = {}
    for place in places:
        loss = Loss.ALL if place.stays_percent == 0 else Loss.PART
        before, text = found.get(place.service, (Loss.NONE, ""))
        found[place.service] = (max(before, loss), f"{text}; {place}" if text else str(place))
    return found


def heard(
    known: Known, losses: Mapping[ServiceKey, tuple[Loss, str]], now_s: float, unix_s: float
) -> tuple[Known, list[News]]:
    """What is to be told now. The first change is told at once, what follows within `QUIET_S` at its end, as
    it is then; what went back and forth meanwhile is a number in the text."""
    after = dict(known)
    news = []
    for service in known.keys() | losses.keys():
        told = known.get(service, Told())
        loss, text = losses.get(service, (Loss.NONE, ""))
        if loss is not told.now:
            told = replace(told, now=loss, changes=told.changes + 1)
        if now_s - told.at_s >= QUIET_S:
            if loss is not told.loss:
                news.append(News(service, loss, _text(loss, text, told.changes), unix_s))
                told = Told(loss, now_s, loss)
            elif loss is Loss.NONE:
                after.pop(service, None)
                continue
        after[service] = told
    return after, sorted(news, key=lambda one: one.service)


def next_s(known: Known) -> float | None:
    """When something may have to be told without any further change."""
    return min((told.at_s + QUIET_S for told in known.values() if told.now is not told.loss), default=None)


def _text(loss: Loss, places: str, changes: int) -> str:
    text = places or "carries its own load again, or is gone"
    return f"{text} (changed {changes} times in a short time)" if changes > 2 else text
