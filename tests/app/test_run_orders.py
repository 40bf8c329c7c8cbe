"""The keeper of orders: clocks that jump, a hub that refuses, two orders that together empty a service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.order_worlds import ORDER, drain, two_clusters
from support.wait import until
from tideover_app import run_orders, run_orders_hub
from tideover_app.admin_orders import MOST_DRY_RUNS, DryRuns
from tideover_app.config import Cluster, Config
from tideover_app.ordering import RefusedError, wanted
from tideover_app.run_orders import OrderKeeper, order_clock
from tideover_app.run_orders_hub import HubOrders
from tideover_app.run_replica import RunningReplica
from tideover_app.snapshot import StateFolder
from tideover_core.dry_run import outlook
from tideover_core.model import ServiceKey
from tideover_core.orders import TrafficOrder
from tideover_core.ramp import Outcome
from tideover_discovery.kubernetes.client import ApiError
from tideover_discovery.kubernetes.watch import order_copies
from tideover_health.signals import Report, Row, Voter

NOW_S = 1_764_000_000.0
DRAIN = wanted("Drain", "cluster/paris", 100.0, "", 0.0, 7200.0, "kernel upgrade")


class Kept:
    """A keeper in a world, with a clock that tests move."""

    def __init__(self, folder: Path, now_s: float = NOW_S) -> None:
        self.now_s = now_s
        self.replica = RunningReplica("r", "", start_grace_s=0, tell=lambda happening: None)
        self.replica.serving = True
        self.replica.world.set(two_clusters())
        self.folder, self.state = folder, StateFolder(folder)
        self.state.open()
        self.keeper = OrderKeeper(Config(hub="paris"), self.replica, self.state, self._changed)
        self.keeper._now_s = lambda: self.now_s
        self.keeper.load()

    def restarted(self, now_s: float) -> Kept:
        """The next process, at that time of the wall clock."""
        self.state.close()
        return Kept(self.folder, now_s)

    def _changed(self) -> None:
        self.replica.world.set(replace(self.replica.world.value, orders=self.keeper.in_force()))

    def given(self, *orders: TrafficOrder) -> None:
        """These are the objects of the hub."""
        world = self.replica.world.value
        paris = replace(world.clusters["paris"], orders=orders)
        self.replica.world.set(replace(world, clusters={**world.clusters, "paris": paris}))

    def look(self, later_s: float = 0.0) -> None:
        self.now_s += later_s
        self.keeper.look()

    def states(self) -> dict[str, str]:
        return {
            one.order.name.rpartition("-")[0] or one.order.name: one.state for one in self.keeper.listed()
        }


@asynccontextmanager
async def at_work(*work: Callable[[], Any]) -> Any:
    tasks = [asyncio.ensure_future(one()) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def state_of(kept: Kept) -> str:
    return next(iter(kept.states().values()), "")


# whoever may read may ask


async def test_dry_runs_in_numbers_are_looked_at_one_at_a_time_and_then_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most = 0, 0

    def slow(*asked: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.01)
        running -= 1
        return outlook(*asked)

    monkeypatch.setattr(run_orders, "outlook", slow)
    kept = Kept(tmp_path)
    dry = DryRuns()
    asked = [dry.run(kept.keeper, DRAIN) for _ in range(2 * MOST_DRY_RUNS)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert most == 1
    assert sum(isinstance(one, RefusedError) for one in answers) == MOST_DRY_RUNS
    assert (await dry.run(kept.keeper, DRAIN)).outlook.endpoints


@pytest.mark.parametrize("place", ["cluster/" + "x" * 2000, "," * 2000])
def test_a_target_has_a_length(place: str) -> None:
    with pytest.raises(ValueError, match="at most 1024 characters"):
        wanted("Drain", place, 100.0, "", 0.0, 7200.0, "why")


# clocks


def test_a_clock_that_is_set_is_not_seen_and_a_sleep_of_the_machine_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wall_s, booted_s = [NOW_S], [100.0]
    monkeypatch.setattr(time, "time", lambda: wall_s[0])
    monkeypatch.setattr(time, "clock_gettime", lambda clock: booted_s[0])
    now_s = order_clock()
    wall_s[0] += 9e9
    assert now_s() == NOW_S
    booted_s[0] += 3600  # suspended, and back
    assert now_s() == NOW_S + 3600


async def test_after_a_restart_the_wall_clock_counts_and_what_has_expired_meanwhile_comes_back_in_steps(
    tmp_path: Path,
) -> None:
    kept = Kept(tmp_path)
    await kept.keeper.place(DRAIN, "ada")
    late = kept.restarted(NOW_S + 7300)
    assert state_of(late) == "Draining"  # as it was left
    late.look()
    assert state_of(late) == "Returning"
    assert late.keeper.in_force()[0].percent == 95  # a step, not all of it at once


async def test_a_clock_that_is_behind_after_a_restart_is_told(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    await kept.keeper.place(DRAIN, "ada")
    early = kept.restarted(0.0)
    early.look(1000)
    assert state_of(early) == "Draining"
    assert [one.message for one in early.replica.problems()] == [
        "would expire in 20417 days: is the clock right?"
    ]


async def test_a_process_that_was_stopped_for_hours_ends_what_expired_and_skips_no_step(
    tmp_path: Path,
) -> None:
    kept = Kept(tmp_path)
    await kept.keeper.place(replace(DRAIN, over_s=60.0), "ada")
    kept.look(3600)  # SIGSTOP, and on
    assert (state_of(kept), kept.keeper.in_force()[0].percent) == ("Rising", 20)
    kept.look(7200)
    assert (state_of(kept), kept.keeper.in_force()[0].percent) == ("Returning", 19)


# what is seen where traffic returns


async def test_the_way_back_is_watched_by_those_who_judge(tmp_path: Path) -> None:
    kept, cart = Kept(tmp_path), ServiceKey("shop", "cart")
    placed = await kept.keeper.place(DRAIN, "ada")
    seen, asked = {cart: Outcome.WELL}, []

    def returning(aim: object, watched_s: Callable[[ServiceKey], float]) -> dict[ServiceKey, Outcome]:
        asked.append((str(aim), round(watched_s(cart))))
        return seen

    kept.keeper.returning = returning
    await kept.keeper.undo(placed.shown.order.name, "ada")
    for _ in range(10):
        kept.look(1)
    assert kept.keeper.in_force()[0].percent == 75
    seen[cart] = Outcome.POOR
    kept.look(1)
    (active,) = kept.keeper.in_force()
    assert (active.percent, active.percent_for(cart)) == (75, 95)
    assert asked[-2:] == [("cluster/paris", 9), ("cluster/paris", 0)]
    assert "shop/cart, which was not well there, is given 5 %" in kept.keeper.listed()[0].why
    assert "errors came back" in kept.replica.happenings.value[-1].message
    await kept.keeper.save()
    (again,) = kept.restarted(kept.now_s).keeper.in_force()
    assert again == active


# what is still open


async def test_of_what_is_not_sent_any_more_the_last_word_on_open_streams_stands(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    place = kept.replica.world.value.clusters["paris"].locality
    report = Report(Voter("a"), 1.0, (Row("shop/cart:80", place, 0, 0, in_progress=3),))

    def still_open() -> list[int]:
        return [one.open for one in kept.keeper.listed()[0].streams]

    await kept.keeper.place(DRAIN, "ada")
    kept.look()
    kept.keeper.take(report)
    kept.look(4)
    assert still_open() == [3]
    kept.look(2)
    assert still_open() == []  # sent, and told of no more: they have ended
    for _ in range(3):
        kept.keeper.take(report)
        kept.look(4)
        assert state_of(kept) == "Draining"
    kept.look(10)
    kept.keeper.take(report)
    kept.look(4)
    assert (state_of(kept), still_open()) == ("Drained", [3])
    kept.look(3600)
    assert still_open() == [3]
    await kept.keeper.undo(kept.keeper.listed()[0].order.name, "ada")
    kept.look(1)
    assert still_open() == []


# two that together empty a service


async def test_of_two_objects_that_together_empty_a_service_one_is_refused(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.given(replace(drain(cluster="paris"), name="one"), replace(drain(cluster="dublin"), name="two"))
    async with at_work(kept.keeper.objects.run):
        kept.look()
        assert kept.states() == {}  # not known yet
        await until(lambda: kept.states() == {"one": "Draining", "two": "Refused"})
    assert "shop/cart:80" in kept.keeper.listed()[-1].why


async def test_and_of_two_that_are_given_at_once(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    other = replace(DRAIN, target=drain(cluster="dublin").target)
    found = await asyncio.gather(
        kept.keeper.place(DRAIN, "ada"), kept.keeper.place(other, "bob"), return_exceptions=True
    )
    assert [isinstance(one, RefusedError) for one in found] == [False, True]


async def test_what_another_replica_has_accepted_is_not_refused_by_one_that_starts(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.given(replace(drain(service=ServiceKey("shop", "cart")), accepted=True))
    kept.look()
    assert kept.states() == {"kernel": "Draining"}


async def test_objects_wait_until_all_is_read(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.replica.serving = False
    kept.given(drain(cluster="rome"), replace(ORDER, name="kernel2"))
    async with at_work(kept.keeper.objects.run):
        kept.look()
        await asyncio.sleep(0)
        assert kept.states() == {}
        kept.replica.serving = True
        kept.look()
        await until(lambda: kept.states() == {"kernel": "Refused", "kernel2": "Draining"})


# a hub that refuses


async def test_what_the_hub_refuses_is_told_and_holds_up_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, put = Kept(tmp_path), []

    class Copies:
        def __init__(self, access: object, name: str) -> None:
            pass

        async def put(self, order: TrafficOrder) -> None:
            put.append(order.name)

        async def remove(self, namespace: str, name: str) -> None:
            raise ApiError(403, f"delete {namespace}/{name}: forbidden")

        async def close(self) -> None:
            pass

    monkeypatch.setattr(order_copies, "OrderCopies", Copies)
    monkeypatch.setattr(run_orders_hub, "access", lambda cluster: None)
    team = replace(drain(service=ServiceKey("shop", "cart"), cluster="paris"), namespace="shop", name="team")
    kept.given(team)
    hub = Cluster(name="paris", manifests=str(tmp_path))  # type: ignore[arg-type] # as in a file
    config = Config(hub="paris", clusters=(hub,))
    async with at_work(kept.keeper.objects.run, HubOrders(kept.keeper, kept.replica, lambda: config).run):
        kept.look()
        await until(lambda: state_of(kept) == "Draining")
        await kept.keeper.undo("team", "ada")
        await kept.keeper.place(replace(DRAIN, percent=40.0), "ada")
        await until(lambda: put)
        told = "TrafficOrder shop/team is not deleted, so it has ended here only: delete shop/team: forbidden"
        await until(lambda: kept.keeper.hub_trouble == told)
        assert [one.message for one in kept.replica.problems()] == [f"not in step with the hub: {told}"]


async def test_what_is_drained_stays_until_its_last_calls_are_reported(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.keeper.report_every_s = lambda: 10.0
    await kept.keeper.place(DRAIN, "somebody")
    states = []
    for later_s in (0.0, 10.0, 10.0, 10.0, 9.0, 1.0):
        kept.look(later_s)
        states += kept.states().values()
    assert states == [*["Draining"] * 5, "Drained"]
