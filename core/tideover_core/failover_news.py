"""What is worth an Event: services of one cluster that begin or cease to fail over, to look sick everywhere,
or to be called more than all places carry; none too often."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from .model import ServiceKey
from .overview import PlaceHealth

QUIET_S = 10.0  # between two pieces of news of one service


class Topic(StrEnum):
    """What the news of a service is about."""

    FAILOVER = "failover"
    SICK = "sick"  # it looks so everywhere, and nothing is moved
    SHORT = "short"  # of capacity


class Loss(IntEnum):
    """How much of a service's traffic leaves its places in a cluster, at the worst of them. Of other topics:
    NONE when it is over."""

    NONE = 0
    PART = 1
    ALL = 2


@dataclass(frozen=True, slots=True)
class News:
    """A service's loss has changed to this. `at_s` is Unix time."""

    service: ServiceKey
    topic: Topic
    loss: Loss
    text: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of one topic of a service, what is so now, and how often it changed since."""

    loss: Loss = Loss.NONE
    at_s: float = -QUIET_S  # on the monotonic clock
    now: Loss = Loss.NONE
    changes: int = 0


About = tuple[ServiceKey, Topic]
Known = Mapping[About, Told]
Losses = Mapping[About, tuple[Loss, str]]
_OVER: Mapping[Topic, str] = {
    Topic.FAILOVER: "carries its own load again, or is gone",
    Topic.SICK: "is judged again",
    Topic.SHORT: "everything that is called fits again",
}


def losses(places: Iterable[PlaceHealth]) -> Losses:
    """How much each service loses, and the places where it does."""
    return together(
        ((place.service, Topic.FAILOVER), (Loss.ALL if place.stays_percent == 0 else Loss.PART, str(place)))
        for place in places
    )


def together(found: Iterable[tuple[About, tuple[Loss, str]]]) -> Losses:
    """What is said of the same, in one line; the worst counts."""
    both: dict[About, tuple[Loss, str]] = {}
    for about, (loss, said) in found:
        before, text = both.get(about, (Loss.NONE, ""))
        both[about] = (max(before, loss), f"{text}; {said}" if text else said)
    return both


def heard(known: Known, losses: Losses, now_s: float, unix_s: float) -> tuple[Known, list[News]]:
    """What is to be told now. The first change is told at once, what follows within `QUIET_S` at its end, as
    it is then; what went back and forth meanwhile is a number in the text."""
    after = dict(known)
    news = []
    for about in known.keys() | losses.keys():
        told = known.get(about, Told())
        loss, text = losses.get(about, (Loss.NONE, ""))
        if loss is not told.now:
            told = replace(told, now=loss, changes=told.changes + 1)
        if now_s - told.at_s >= QUIET_S:
            if loss is not told.loss:
                news.append(News(*about, loss, _text(text or _OVER[about[1]], told.changes), unix_s))
                told = Told(loss, now_s, loss)
            elif loss is Loss.NONE:
                after.pop(about, None)
                continue
        after[about] = told
    return after, sorted(news, key=lambda one: (one.service, one.topic))


def next_s(known: Known) -> float | None:
    """When something may have to be told without any further change."""
    return min((told.at_s + QUIET_S for told in known.values() if told.now is not told.loss), default=None)


def _text(text: str, changes: int) -> str:
    return f"{text} (changed {changes} times in a short time)" if changes > 2 else text
