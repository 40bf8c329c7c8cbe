"""Shares of the traffic as a real Envoy divides it: fail-back, a drain in part, a shift, capacity."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from support.backend import HttpBackend, serving
from support.golden import order
from support.xds_calling import HOST, NO_EJECTION, hosts
from support.xds_serving import Sidecar, applied, serving_xds, sidecar
from support.xds_worlds import PLACES, cluster, service, world
from tideover_core.model import ServiceKey
from tideover_core.orders import ActiveOrder
from tideover_core.policy import FailoverPolicy, FailoverRule, Place, Settings
from tideover_core.steering import Admission, PortSteering, Site
from tideover_core.world import Mesh, World

pytestmark = pytest.mark.envoy
RATINGS_KEY = ServiceKey("bookinfo", "ratings")
CALLS, AT_ONCE = 1000, 8
NEARLY = 0.03
Shares = dict[str, float]
DUBLIN_FIRST = FailoverPolicy(
    "bookinfo", "order", (), Settings(failover=(FailoverRule(Place(), (Place(cluster="dublin"),)),))
)


def site(name: str) -> Site:
    return Site(name, PLACES[name])


def admitting(percent: float) -> PortSteering:
    return PortSteering(sites={site("paris"): Admission(percent, "fail-back")})


def drained(text: str) -> tuple[ActiveOrder, ...]:
    return (order(text),)


# what is in force, one after the other, and the share of each cluster's backends then
STEPS: list[tuple[str, PortSteering, tuple[ActiveOrder, ...], Shares]] = [
    ("nothing", PortSteering(), (), {"paris": 1.0}),
    ("down", admitting(0), (), {"dublin": 1.0}),
    ("5 %", admitting(5), (), {"paris": 0.05, "dublin": 0.95}),
    ("25 %", admitting(25), (), {"paris": 0.25, "dublin": 0.75}),
    ("50 %", admitting(50), (), {"paris": 0.5, "dublin": 0.5}),
    ("100 %", admitting(100), (), {"paris": 1.0}),
    ("a drain of 30 %", PortSteering(), drained("drain cluster/paris 30"), {"paris": 0.7, "dublin": 0.3}),
    ("a drain", PortSteering(), drained("drain cluster/paris"), {"dublin": 1.0}),
    ("drained", PortSteering(), drained("drain cluster/paris 100 emptied"), {"dublin": 1.0}),
    ("its end", admitting(50), (), {"paris": 0.5, "dublin": 0.5}),
    (
        "a shift",
        PortSteering(),
        drained("shift cluster/paris 20 cluster/virginia"),
        {"paris": 0.8, "virginia": 0.2},
    ),
    (
        "capacity",
        PortSteering(shares={PLACES["paris"]: {site("paris"): 0.6, site("virginia"): 0.4}}),
        (),
        {"paris": 0.6, "virginia": 0.4},
    ),
]


async def test_an_envoy_divides_its_calls_as_the_mixture_says(tmp_path: Path) -> None:
    backends = {
        name: [HttpBackend(f"{name}-{n}") for n in range(2)] for name in ("paris", "dublin", "virginia")
    }
    everyone = [one for found in backends.values() for one in found]

    def now(steering: PortSteering, orders: tuple[ActiveOrder, ...], before: World | None) -> World:
        facts = [cluster(name, service("ratings", hosts(found, name))) for name, found in backends.items()]
        mesh = Mesh(
            steering={RATINGS_KEY: {9080: steering}}, orders=orders, failover_policies=(DUBLIN_FIRST,)
        )
        return world(*facts, mesh=mesh, previous=before)

    async with (
        serving(*everyone),
        serving_xds(now(PortSteering(), (), None)) as xds,
        sidecar(xds.port, tmp_path) as caller,
    ):
        for name, steering, orders, expected in STEPS:
            await applied(xds, now(steering, orders, xds.world))
            assert await measured(caller) == pytest.approx(expected, abs=NEARLY), name
        assert xds.heard.nacks() == []


async def test_what_fails_at_a_place_on_trial_is_tried_again_elsewhere(tmp_path: Path) -> None:
    """All places are one priority then: to leave it is no way out, and chance finds the sick one again."""
    sick, well = [[HttpBackend(f"{name}-{n}") for n in range(3)] for name in ("paris", "dublin")]
    for one in sick:
        one.status = 503
    facts = [
        cluster(name, service("ratings", hosts(found, name)))
        for name, found in (("paris", sick), ("dublin", well))
    ]
    policy = FailoverPolicy("bookinfo", "calm", (), Settings(outlier=NO_EJECTION))
    mesh = Mesh(steering={RATINGS_KEY: {9080: admitting(50)}}, failover_policies=(policy, DUBLIN_FIRST))
    async with (
        serving(*sick, *well),
        serving_xds(world(*facts, mesh=mesh)) as xds,
        sidecar(xds.port, tmp_path) as caller,
    ):
        assert await measured(caller) == {"dublin": 1.0}
        assert sum(one.calls for one in sick) > CALLS / 2 * 0.8
        assert xds.heard.nacks() == []


async def measured(caller: Sidecar) -> Shares:
    """The share of calls that each cluster's backends answer; each backend of one has the same."""
    served: Counter[str] = Counter()

    async def some(session: aiohttp.ClientSession) -> None:
        for _ in range(CALLS // AT_ONCE):
            async with session.get(f"http://127.0.0.1:{caller.http}/", headers={"host": HOST}) as answer:
                assert answer.status == 200
                served[answer.headers["x-served-by"]] += 1

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(some(session) for _ in range(AT_ONCE)))
    shares: Counter[str] = Counter()
    for name, count in served.items():
        shares[name.partition("-")[0]] += count
    return {name: count / served.total() for name, count in shares.items()}
