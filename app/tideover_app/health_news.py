"""What changed between two judgements, as lines of the journal. A table says which change is which event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tideover_core.failover_news import About, Loss, Losses, Topic, together
from tideover_core.model import ServiceKey
from tideover_core.world import World
from tideover_health.verdict import Alarm, State, Subject, Verdict
from tideover_health.verdict import Kind as Judged

from .health_view import MOVED, about, stopped, where
from .replica import Kind

Line = tuple[Kind, str, str]
_Key = tuple[ServiceKey, int, Subject]


@dataclass(frozen=True, slots=True)
class Told:
    """What was told last: verdicts by subject, and alarms by service port and whether capacity is short."""

    verdicts: Mapping[_Key, Verdict] = field(default_factory=dict)
    alarms: Mapping[tuple[ServiceKey, int, bool], Alarm] = field(default_factory=dict)


def news(
    before: Told, verdicts: Iterable[Verdict], alarms: Iterable[Alarm], now_s: float
) -> tuple[Told, list[Line]]:
    """What is told now; the lines are those that are new, by service."""
    now = Told(
        {(one.service, one.port, one.subject): one for one in verdicts},
        {(one.service, one.port, one.short): one for one in alarms},
    )
    lines = [
        line
        for key in sorted(before.verdicts.keys() | now.verdicts.keys(), key=str)
        if (line := _line(before.verdicts.get(key), now.verdicts.get(key), now_s)) is not None
    ]
    return now, [*lines, *_alarms(before, now)]


def losses_by_cluster(
    verdicts: Iterable[Verdict], alarms: Iterable[Alarm], world: World
) -> Mapping[str, Losses]:
    """What is to be an Event in which cluster, besides places that fail over: endpoints that are given less
    than their share, and alarms."""
    found: dict[str, list[tuple[About, tuple[Loss, str]]]] = {}
    for one in verdicts:
        if one.subject.kind is Judged.ENDPOINT and one.state in MOVED:
            said = f"{where(one)} is given {one.percent:g} % of its share; {'; '.join(one.causes)}"
            about_it = (one.service, Topic.FAILOVER)
            found.setdefault(one.subject.site.cluster, []).append((about_it, (Loss.PART, said)))
    for alarm in alarms:
        topic = Topic.SHORT if alarm.short else Topic.SICK
        service = world.services.get(alarm.service)
        for part in service.parts if service is not None else ():
            said = f"port {alarm.port}: {alarm.message}"
            found.setdefault(part.cluster, []).append(((alarm.service, topic), (Loss.PART, said)))
    return {cluster: together(losses) for cluster, losses in found.items()}


def _line(before: Verdict | None, now: Verdict | None, now_s: float) -> Line | None:
    was, given = _given(before)
    is_now, gives = _given(now)
    one = now or before
    if one is None:
        return None
    subject = f"Service {one.service}"
    why, was_why = stopped(now), stopped(before)
    if why and why != was_why:
        return (Kind.FROZEN, subject, about(one, now_s))
    kind = _kind((was, is_now), given, gives)
    if kind is None:
        return (Kind.NO_LONGER_FROZEN, subject, about(one, now_s)) if was_why and now and not why else None
    if kind is Kind.SERVICE_RECOVERED:
        return (kind, subject, f"{where(one)}: is given all of its share again")
    return (kind, subject, about(one, now_s))


def _kind(change: tuple[bool, bool], given: float, gives: float) -> Kind | None:
    """By (moved before, moved now) and the percent of its share before and now."""
    match change:
        case (False, True) if gives == 0:
            return Kind.SERVICE_UNHEALTHY
        case (False, True):
            return Kind.SERVICE_RECOVERING  # the first step of what had no traffic yet
        case (True, False):
            return Kind.SERVICE_RECOVERED
        case (True, True) if gives > given:
            return Kind.SERVICE_RECOVERING if given == 0 else Kind.STEP_TAKEN
        case (True, True) if gives < given:
            return Kind.STEP_ABORTED
    return None


def _given(verdict: Verdict | None) -> tuple[bool, float]:
    if verdict is None or verdict.state not in MOVED:
        return False, 100.0
    return True, 0.0 if verdict.state in (State.DOWN, State.HOLDING) else verdict.percent


def _alarms(before: Told, now: Told) -> list[Line]:
    """Where one begins and ends: the numbers in it change all the time."""
    lines: list[Line] = []
    for service, port, short in sorted(now.alarms.keys() - before.alarms.keys()):
        alarm = now.alarms[service, port, short]
        kind = Kind.CAPACITY_SHORT if short else Kind.FROZEN
        lines.append((kind, f"Service {service}", f"port {port}: {alarm.message}"))
    for service, port, short in sorted(before.alarms.keys() - now.alarms.keys()):
        kind, said = (
            (Kind.CAPACITY_ENOUGH, "everything that is called fits again")
            if short
            else (Kind.NO_LONGER_FROZEN, "is judged again")
        )
        lines.append((kind, f"Service {service}", f"port {port}: {said}"))
    return lines
