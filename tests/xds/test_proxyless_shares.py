"""Shares of the calls as a real gRPC client without a proxy divides them: steps, drains, verdicts.

It knows no weights of endpoints, no proportional spill and no panic, and drops at once what is not healthy.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from support.backend import GRPC_METHOD, GrpcBackend, serving
from support.golden import order
from support.wait import until
from support.xds_calling import hosts, proxyless_bootstrap
from support.xds_serving import applied, serving_xds
from support.xds_worlds import PLACES, cluster, service, world
from tideover_core.model import Protocol, ServiceKey
from tideover_core.orders import ActiveOrder
from tideover_core.policy import FailoverPolicy, FailoverRule, Place, Settings
from tideover_core.steering import Admission, PortSteering, Site
from tideover_core.world import Mesh, World

CALLS, AT_ONCE, NEARLY = 1200, 40, 0.05
RATINGS_KEY = ServiceKey("bookinfo", "ratings")
DUBLIN_FIRST = FailoverPolicy(
    "bookinfo", "order", (), Settings(failover=(FailoverRule(Place(), (Place(cluster="dublin"),)),))
)
# so many calls at once, as often as asked; then who served how many
CALLER = f"""
import collections, grpc, json, sys
with grpc.insecure_channel(sys.argv[1]) as channel:
    call = channel.unary_unary(sys.argv[2])
    call(b"", timeout=10, wait_for_ready=True)
    for line in sys.stdin:
        if line == "hold\\n":
            held = call.future(b"", timeout=20)
            continue
        if line == "held\\n":
            print(json.dumps({{held.result().decode(): 1}}), flush=True)
            continue
        served = collections.Counter()
        for _ in range(int(line) // {AT_ONCE}):
            for one in [call.future(b"", timeout=10) for _ in range({AT_ONCE})]:
                served[one.result().decode() if one.exception() is None else str(one.exception())] += 1
        print(json.dumps(served), flush=True)
"""


def site(name: str) -> Site:
    return Site(name, PLACES[name])


def admitting(percent: float) -> PortSteering:
    return PortSteering(sites={site("paris"): Admission(percent, "fail-back")})


# what is judged: paris, or (a number) its first endpoint; orders; the share of each backend
Judged = PortSteering | float | None
STEPS: list[tuple[str, Judged, tuple[ActiveOrder, ...], dict[str, float]]] = [
    ("nothing", None, (), {"paris-0": 0.5, "paris-1": 0.5}),
    ("5 %", admitting(5), (), {"paris-0": 0.025, "paris-1": 0.025, "dublin-0": 0.475, "dublin-1": 0.475}),
    ("50 %", admitting(50), (), {"paris-0": 0.25, "paris-1": 0.25, "dublin-0": 0.25, "dublin-1": 0.25}),
    ("down", admitting(0), (), {"dublin-0": 0.5, "dublin-1": 0.5}),
    # a quarter sees both; of the rest 70 % stay, as one of two is worth to Envoy
    (
        "an endpoint at 25 %",
        25.0,
        (),
        {"paris-0": 0.125, "paris-1": 0.65, "dublin-0": 0.1125, "dublin-1": 0.1125},
    ),
    ("an endpoint down", 0.0, (), {"paris-1": 1.0}),
    (
        "a drain of 30 %",
        None,
        (order("drain cluster/paris 30"),),
        {"paris-0": 0.35, "paris-1": 0.35, "dublin-0": 0.15, "dublin-1": 0.15},
    ),
    ("a drain", None, (order("drain cluster/paris"),), {"dublin-0": 0.5, "dublin-1": 0.5}),
]


async def test_a_grpc_client_divides_its_calls_as_the_mixture_says() -> None:
    backends = {
        name: [GrpcBackend(f"{name}-{n}", host=f"127.0.{i}.{n + 1}") for n in range(2)]
        for i, name in enumerate(("paris", "dublin"), 1)
    }
    first = backends["paris"][0]

    def now(steering: Judged, orders: tuple[ActiveOrder, ...], before: World | None) -> World:
        if isinstance(steering, float):
            key = ("default", first.host, first.port)
            steering = PortSteering(endpoints={key: Admission(steering, "fail-back")})
        facts = [
            cluster(name, service("ratings", hosts(found, name), ports={9080: Protocol.GRPC}))
            for name, found in backends.items()
        ]
        mesh = Mesh(
            steering={RATINGS_KEY: {9080: steering}} if steering is not None else {},
            orders=orders,
            failover_policies=(DUBLIN_FIRST,),
        )
        return world(*facts, mesh=mesh, previous=before)

    async with (
        serving(*(one for found in backends.values() for one in found)),
        serving_xds(now(None, (), None)) as xds,
        calling(xds.port) as caller,
    ):
        for name, steering, orders, expected in STEPS:
            await applied(xds, now(steering, orders, xds.world))
            assert await shares(caller) == pytest.approx(expected, abs=NEARLY), name
        assert xds.heard.nacks() == []


async def test_a_call_that_runs_is_not_cut_off_by_a_drain() -> None:
    near, far = GrpcBackend("near"), GrpcBackend("far")

    def now(*orders: ActiveOrder, before: World | None = None) -> World:
        ports = {9080: Protocol.GRPC}
        facts = [
            cluster("paris", service("ratings", hosts([near]), ports=ports)),
            cluster("dublin", service("ratings", hosts([far], "dublin"), ports=ports)),
        ]
        return world(*facts, mesh=Mesh(orders=orders), previous=before)

    async with serving(near, far), serving_xds(now()) as xds, calling(xds.port) as caller:
        near.hangs, before = True, near.calls
        assert caller.stdin is not None
        caller.stdin.write(b"hold\n")
        await until(lambda: near.calls > before)
        for drain in ("drain cluster/paris", "drain cluster/paris 100 emptied"):
            await applied(xds, now(order(drain), before=xds.world))
            assert await shares(caller) == {"far": 1.0}
        near.go_on.set()
        assert await made(caller, "held") == {"near": 1}


@asynccontextmanager
async def calling(port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CALLER, "xds:///ratings.bookinfo:9080", GRPC_METHOD),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(proxyless_bootstrap(port))},
    )
    try:
        await asyncio.wait_for(made(process, AT_ONCE), 20)
        yield process
    finally:
        process.kill()
        await process.wait()


async def made(process: asyncio.subprocess.Process, calls: int | str) -> Counter[str]:
    """Who served so many calls, or the one that was held."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{calls}\n".encode())
    return Counter(json.loads(await asyncio.wait_for(process.stdout.readline(), 30)))


async def shares(process: asyncio.subprocess.Process) -> dict[str, float]:
    served = await made(process, CALLS)
    return {name: count / served.total() for name, count in served.items()}
