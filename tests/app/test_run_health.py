"""The keeper of health: signals become steering, steering survives, and an error of judging ends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from core.test_capacity import PA, A, percents, world
from health import fleet as fleets
from support.wait import holds, until
from tideover_app import run_health
from tideover_app.run_health import HealthKeeper
from tideover_app.run_replica import RunningReplica
from tideover_app.snapshot import StateFolder
from tideover_core.allotment import Allotment
from tideover_core.model import Locality, ServiceKey
from tideover_core.names import Target
from tideover_core.steering import Admission, PortSteering, Site, Steering
from tideover_core.world import World
from tideover_health.judge import Judge
from tideover_health.signals import Report, Signal, Voter
from tideover_health.verdict import Kind, State, Subject, Verdict

RATINGS = ServiceKey("bookinfo", "ratings")
PARIS = Site("paris", Locality("eu-west", "eu-west-a"))
REPORT = Report(Voter("spiffe://a"), 1.0, ())


class Scripted(Judge):
    """Judges that paris is down after any report; until `error` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.judged = 0
        self.down = False
        self.due_s: float | None = None

    def take(self, signal: Signal, now_s: float) -> None:
        if self.error is not None:
            raise self.error
        self.down = True

    def judge(self, world: World, now_s: float) -> Mapping[ServiceKey, Steering]:
        self.judged += 1
        if self.error is not None:
            raise self.error
        if self.down and not self._steering:
            admission = Admission(0, "calls fail")
            self._steering = {RATINGS: {9080: PortSteering(sites={PARIS: admission})}}
        return self._steering

    def next_s(self) -> float | None:
        return self.due_s

    def verdicts(self, now_s: float) -> Sequence[Verdict]:
        if not self.down:
            return ()
        cause = ("calls fail",)
        return [Verdict(RATINGS, 9080, Subject(Kind.SITE, PARIS), State.DOWN, 0, now_s, causes=cause)]

    def saved(self) -> dict[str, Any]:
        return {"version": 1, "down": self.down}

    def restore(self, saved: dict[str, Any], now_s: float) -> str:
        if saved.get("version") != 1:
            return "has another version"
        self.down = saved["down"]
        return ""


class Kept:
    """A keeper with a scripted judge, and how often its steering changed."""

    def __init__(self) -> None:
        self.replica = RunningReplica("r", "", start_grace_s=0, tell=lambda happening: None)
        self.judge = Scripted()
        self.changes = 0
        self.keeper = HealthKeeper(self.judge, self.replica, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def events(self) -> list[str]:
        return [f"{one.kind} {one.object}: {one.message}" for one in self.replica.happenings.value]

    def problems(self) -> list[str]:
        return [f"{one.object}: {one.message}; {one.consequence}" for one in self.replica.problems()]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    monkeypatch.setattr(run_health, "BETWEEN_S", 0.02)
    monkeypatch.setattr(run_health, "BETWEEN_SAVES_S", 0.01)
    monkeypatch.setattr(run_health, "AGAIN_AFTER_S", 0.02)
    return Kept()


async def at_work(work: Any, condition: Any) -> None:
    task = asyncio.ensure_future(work)
    try:
        await until(condition)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_signal_becomes_steering_and_an_event(kept: Kept) -> None:
    kept.keeper.take(REPORT)
    await at_work(kept.keeper.run(), lambda: kept.keeper.steering)
    assert kept.changes == 1
    assert kept.events() == [
        "ServiceUnhealthy Service bookinfo/ratings: port 9080 at eu-west/eu-west-a/ in paris: "
        "down, is given 0 % of its share; calls fail"
    ]
    assert [one.state for one in kept.keeper.view().verdicts] == [State.DOWN]


async def test_many_signals_are_one_judgement(kept: Kept) -> None:
    for _ in range(1000):
        kept.keeper.take(REPORT)
    await at_work(kept.keeper.run(), lambda: kept.judge.judged)
    assert kept.judge.judged == 1


async def test_without_signals_it_judges_when_it_is_time_and_only_then(kept: Kept) -> None:
    task = asyncio.ensure_future(kept.keeper.run())
    await holds(lambda: kept.judge.judged == 0, 0.1)
    kept.judge.due_s = 0.0
    kept.keeper.look()
    await until(lambda: kept.judge.judged >= 3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_error_of_judging_keeps_what_was_decided_and_is_a_problem_until_it_is_over(
    kept: Kept,
) -> None:
    kept.keeper.take(REPORT)
    kept.keeper.decide()
    before = kept.keeper.steering
    kept.judge.error = ZeroDivisionError("a flaw")
    kept.keeper.take(REPORT)
    kept.keeper.decide()
    assert kept.keeper.steering is before
    assert kept.problems() == [
        "Health: cannot judge what is reported: ZeroDivisionError: a flaw; what was decided before stays"
    ]
    kept.judge.error = None
    await at_work(kept.keeper.run(), lambda: not kept.problems())


async def test_what_was_judged_survives_a_restart(kept: Kept, tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    kept.keeper.take(REPORT)
    kept.keeper.decide()
    await at_work(kept.keeper.save(folder), (tmp_path / "verdicts.state").exists)
    again = Kept()
    again.keeper.restore(folder)
    again.keeper.decide()
    assert again.keeper.steering == kept.keeper.steering


@pytest.mark.parametrize("body", [b'{"version": 2}', b"[1, 2]", b"{}", b"\xff", b'{"version": 1}'])
def test_garbage_in_state_is_refused_and_places_are_taken_as_they_are(
    kept: Kept, tmp_path: Path, body: bytes
) -> None:
    folder = StateFolder(tmp_path)
    folder.save_document("verdicts", body)
    kept.keeper.restore(folder)
    assert len(kept.problems()) == 1
    assert kept.problems()[0].startswith("Saved verdicts: ")
    kept.keeper.decide()
    assert kept.keeper.steering == {}


async def test_a_state_folder_that_cannot_be_written_is_a_problem_until_it_can(
    kept: Kept, tmp_path: Path
) -> None:
    folder = StateFolder(tmp_path / "none")
    kept.keeper.take(REPORT)
    kept.keeper.decide()
    await at_work(kept.keeper.save(folder), lambda: "Saved verdicts: cannot be" in str(kept.problems()))
    folder.folder.mkdir()
    await at_work(kept.keeper.save(folder), lambda: kept.problems() == [])


async def test_what_is_above_capacity_is_shared_out_and_a_shortfall_is_an_alarm(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_health, "ALLOT_EVERY_S", 0.0)
    kept.replica.world.set(world())
    rates = {(RATINGS, 9080, A, PA): 30.0}
    monkeypatch.setattr(kept.judge, "loads", lambda now_s: rates)
    kept.keeper.decide()
    assert percents(kept.keeper.steering[RATINGS][9080].shares) == {"a": {"a": 67, "b": 33}}
    assert (kept.changes, kept.keeper.view().alarms) == (1, ())
    kept.keeper.decide()
    assert kept.changes == 1
    rates[RATINGS, 9080, A, PA] = 100.0
    kept.keeper.decide()
    (alarm,) = kept.keeper.view().alarms
    assert alarm.message.startswith("20 requests/s too many: all places that may be called carry 80")
    assert (alarm.short, kept.keeper.view().plans[Target(RATINGS, 9080)].shortfall) == (True, 20)
    since_s = alarm.since_s
    for rate in (60.0, 101.0):  # it comes and goes: that is one, and told once
        rates[RATINGS, 9080, A, PA] = rate
        kept.keeper.decide()
    assert [one.since_s for one in kept.keeper.view().alarms] == [since_s]
    assert sum("CapacityShort" in one for one in kept.events()) == 1
    rates[RATINGS, 9080, A, PA] = 60.0
    monkeypatch.setattr(run_health, "SHORT_FOR_S", 0.0)
    kept.keeper.decide()
    assert "CapacityEnough" in kept.events()[-1]


async def test_a_verdict_and_who_takes_its_traffic_are_one_decision(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_health, "ALLOT_EVERY_S", 1000.0)
    kept.replica.world.set(world())
    monkeypatch.setattr(kept.judge, "loads", lambda now_s: {(RATINGS, 9080, A, PA): 30.0})
    kept.keeper.decide()
    admission = Admission(0, "503")
    judged = {RATINGS: {9080: PortSteering(sites={PA: admission})}}
    monkeypatch.setattr(kept.judge, "judge", lambda world, now_s: judged)
    kept.keeper.decide()
    found = kept.keeper.steering[RATINGS][9080]
    assert found.sites == {PA: admission}
    assert percents(found.shares) == {"a": {"b": 67, "n": 33}}


def test_what_a_place_was_seen_to_carry_is_its_capacity_when_asked() -> None:
    own, others = fleets.callers(3, per_second=20), fleets.callers(2, "d", per_second=10, at=fleets.DUBLIN)
    for caller in others:
        caller.near = ("dublin", "virginia")

    def broken(now_s: float, at: Locality, name: str, number: int) -> float:
        return float(name == "paris" and now_s > 1020)

    for learn in (True, False):
        kept = Allotment(learn=learn)
        fleet = fleets.Fleet([*own, *others], fault=broken)
        for _ in range(19):
            kept.allot(fleet.world, {}, fleet.run(1).judge.loads(fleet.now_s))
        while not (judged := fleet.judge.judge(fleet.world, fleet.now_s)):
            fleet.step()
        seen, now_s = fleet.judge, fleet.now_s
        kept.allot(fleet.world, judged, seen.loads(now_s), seen.failed_loads(now_s))
        steered = kept.steered(judged)[fleets.SERVICE][fleets.PORT].shares
        if not learn:
            assert steered == {}
            continue
        loads = next(iter(kept.plans.values())).loads
        # dublin is as full as it ever was: what paris loses goes to whom no limit is known of
        assert loads[fleets.site("dublin")].capacity == pytest.approx(20, rel=0.3)
        assert loads[fleets.site("dublin")].expected <= loads[fleets.site("dublin")].capacity
        assert steered[fleets.PARIS][fleets.site("virginia")] > 0.6
