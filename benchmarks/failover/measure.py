"""What a run shows: plain arithmetic on the calls and on the attempts that reached instances."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from tideover_app.demo.measure import Call, seconds_until_moved

from .faults import Fault
from .world import World

WINDOW_S = 0.5


@dataclass(frozen=True)
class Moments:
    """When the fault began and ended, and when the run was over."""

    fault_s: float
    healed_s: float
    over_s: float


@dataclass(frozen=True)
class Numbers:
    """Of one run. None: it did not happen, or cannot be seen (a killed instance sees no attempts)."""

    calls: int
    failed: int
    detectS: float | None  # noqa: N815 - as in the JSON: until the sick get half as many attempts as calls begin
    movedS: float | None  # noqa: N815 - until 99 % of the harmed calls are served by others
    needlessPercent: float  # noqa: N815 - of the calls that nothing harmed, those served outside paris
    oscillations: int  # times that the harmed calls went away from paris or came back
    backS: float | None  # noqa: N815 - until 99 % of the calls are served in paris again
    survivorPeak: int  # noqa: N815 - most attempts within a second at the places that took over
    overCapacityPercent: float  # noqa: N815 - of the attempts there, those above what they can take
    attemptsAtSick: int  # noqa: N815 - after the fault

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def numbers(world: World, fault: Fault, at: Moments) -> Numbers:
    """All numbers of a run."""
    calls = [call for call in world.calls if at.fault_s <= call.began_s]
    harmed = [call for call in calls if call.caller in fault.harmed]
    well = [call for call in calls if call.caller not in fault.harmed]
    attempts = sorted(world.attempts())
    sick = [t for t, name, source in attempts if name in fault.sick and _harmed(world, fault, source)]
    others = sorted(t for t, name, _ in attempts if not name.startswith("paris/") and t >= at.fault_s)
    late = [t for t in sick if t >= at.fault_s]
    counted = [call for call in calls if call.caller in fault.counted]
    outside = [call for call in (well or harmed) if call.served_by and not _home(call.served_by)]
    needless = outside if not fault.leaves or well else []
    base = (well or harmed) if needless else []
    return Numbers(
        calls=len(counted),
        failed=sum(call.failed for call in counted),
        detectS=_detected(harmed, sick, at) if fault.sick else None,
        movedS=_moved(harmed, fault, at),
        needlessPercent=round(100 * len(needless) / len(base), 2) if base else 0.0,
        oscillations=_oscillations(harmed or well, at),
        backS=_rounded(seconds_until_moved(harmed, at.healed_s, at.over_s, _home))
        if fault.comes_back
        else None,
        survivorPeak=_peak(others),
        overCapacityPercent=_over(world, fault, attempts, at),
        attemptsAtSick=sum(t < at.healed_s for t in late),
    )


def summary(runs: Sequence[Numbers]) -> dict[str, Any]:
    """Medians, with the least and the most of what varies."""
    found: dict[str, Any] = {"runs": len(runs)}
    for key in asdict(runs[0]):
        values = [getattr(one, key) for one in runs]
        known = [value for value in values if value is not None]
        found[key] = round(median(known), 2) if known else None
        found[f"{key}All"] = values
    return found


def _home(place: str) -> bool:
    return place.startswith("paris/")


def _harmed(world: World, fault: Fault, source: str) -> bool:
    return any(one.source == source and one.name in fault.harmed for one in world.callers)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _detected(harmed: Sequence[Call], sick: Sequence[float], at: Moments) -> float | None:
    """Until, within half a second, the sick get at most half as many attempts as calls begin."""
    if not any(t >= at.fault_s for t in sick):
        return None
    begun = sorted(call.began_s for call in harmed)
    moment = at.fault_s
    while moment + WINDOW_S <= at.healed_s:
        seen = _between(sick, moment, moment + WINDOW_S)
        wanted = _between(begun, moment, moment + WINDOW_S)
        if wanted and seen <= wanted / 2:
            return round(moment - at.fault_s, 2)
        moment += 0.02
    return None


def _between(times: Sequence[float], begin_s: float, end_s: float) -> int:
    return bisect_left(times, end_s) - bisect_left(times, begin_s)


def _moved(harmed: Sequence[Call], fault: Fault, at: Moments) -> float | None:
    if not fault.sick or fault.whole_fault is not None:
        return None  # it comes and goes, or is counted by callers that were not there

    def well(place: str) -> bool:
        return place != "" and place not in fault.sick

    return _rounded(seconds_until_moved(harmed, at.fault_s, at.healed_s, well))


def _oscillations(calls: Sequence[Call], at: Moments) -> int:
    """Changes between mostly at home and mostly away, over seconds."""
    away, changes, second = False, 0, at.fault_s
    ordered = sorted((call.ended_s, _home(call.served_by)) for call in calls if call.served_by)
    times = [end for end, _ in ordered]
    while second < at.over_s:
        part = ordered[bisect_left(times, second) : bisect_left(times, second + 1)]
        second += 1
        if not part:
            continue
        share = sum(home for _, home in part) / len(part)
        if (share < 0.3 and not away) or (share > 0.7 and away):
            away, changes = not away, changes + 1
    return changes


def _peak(times: Sequence[float]) -> int:
    return max((_between(times, t, t + 1) for t in times), default=0)


def _over(world: World, fault: Fault, attempts: Sequence[tuple[float, str, str]], at: Moments) -> float:
    """Attempts in seconds in which a place got more than it can take, as percent of all there."""
    if fault.capacity is None:
        return 0.0
    over = total = 0.0
    for site in fault.sites:
        if site.name == "paris":
            continue
        times = [t for t, name, _ in attempts if name.startswith(f"{site.name}/") and t >= at.fault_s]
        second = at.fault_s
        while second < at.healed_s:
            got = _between(times, second, second + 1)
            total, over = total + got, over + max(0.0, got - fault.capacity * site.count)
            second += 1
    return round(100 * over / total, 1) if total else 0.0
