"""The table of faults: what goes wrong, for whom, and how it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from signal import SIGCONT, SIGKILL, SIGSTOP

from .lying import lying
from .world import CALLERS, SITES, Caller, Site, World

Act = Callable[[World], Awaitable[float]]


@dataclass(frozen=True)
class Times:
    """Seconds of a run. `fault_s`: how long it lasts; `back_s`: how long the way back may take."""

    calm_s: float = 3.0
    fault_s: float = 8.0
    back_s: float = 25.0
    flapping_s: float = 120.0


@dataclass(frozen=True)
class Fault:
    """`sick` instances are harmed for `harmed` callers; `counted` are those whose failed calls count.

    `leaves`: the calls have to leave paris. `comes_back`: the way back is watched.
    """

    name: str
    story: str
    begin: Act
    end: Act
    sick: tuple[str, ...] = ("paris/1", "paris/2", "paris/3")
    harmed: tuple[str, ...] = tuple(caller.name for caller in CALLERS)
    counted: tuple[str, ...] = tuple(caller.name for caller in CALLERS)
    leaves: bool = True
    comes_back: bool = False
    sites: tuple[Site, ...] = SITES
    callers: tuple[Caller, ...] = CALLERS
    unhealthy_above: float = 50.0  # percent of errors: of Tideover's policy
    capacity: float | None = None  # calls per second that an instance can take
    whole_fault: Callable[[World, Times], Awaitable[None]] | None = None  # instead of waiting for `fault_s`
    lies: bool = False
    silent: frozenset[str] = frozenset()

    @asynccontextmanager
    async def beside(self, world: World) -> AsyncIterator[None]:
        if self.lies and world.tideover is not None:
            async with lying(world):
                yield
        else:
            yield


def _sick(**how: object) -> Act:
    return lambda world: world.wrong(*world.names("paris"), **how)


async def _well(world: World) -> float:
    return await world.wrong(*world.names("paris"))


async def _nothing(world: World) -> float:
    return time.monotonic()


def _killed(*names: str) -> tuple[Act, Act]:
    async def kill(world: World) -> float:
        return world.signal(SIGKILL, *names)

    async def run(world: World) -> float:
        await world.start(*names)
        return time.monotonic()

    return kill, run


async def _stop(world: World) -> float:
    return world.signal(SIGSTOP, *world.names("paris"))


async def _continue(world: World) -> float:
    return world.signal(SIGCONT, *world.names("paris"))


async def _flap(world: World, times: Times) -> None:
    """Sick and well, five seconds each."""
    end_s = time.monotonic() + times.flapping_s
    sick = True
    while time.monotonic() < end_s:
        await asyncio.sleep(5)
        sick = not sick
        await (_sick(status=503)(world) if sick else _well(world))


async def _relapse(world: World, times: Times) -> None:
    """Well until a tenth of the calls are back, then sick again."""
    await asyncio.sleep(times.fault_s)
    await _well(world)
    end_s = time.monotonic() + times.back_s
    while time.monotonic() < end_s:
        newest = world.calls[-100:]
        if sum(call.served_by.startswith("paris/") for call in newest) >= 10:
            break
        await asyncio.sleep(0.05)
    await _sick(status=503)(world)
    await asyncio.sleep(times.fault_s)


async def _behead(world: World) -> float:
    if world.tideover is not None:
        await world.tideover.kill()
    return await _sick(status=503)(world)


async def _wake_new(world: World, times: Times) -> None:
    """Somebody starts to call when the others have known for a while."""
    await asyncio.sleep(times.fault_s / 2)
    world.silent.clear()
    await asyncio.sleep(times.fault_s / 2)


async def _overload(world: World) -> float:
    for site in ("dublin", "oslo"):
        await world.wrong(*world.names(site), perSecond=15)
    return await _sick(status=503)(world)


_LOW = tuple(replace(one, per_second=1.0) if one.name in ("a-2", "b-2") else one for one in CALLERS)
_HALF = (
    Site("paris", "eu-west", "eu-west-b", 1, 4),
    Site("dublin", "eu-west", "eu-west-c", 2, 2),
    Site("oslo", "eu-north", "eu-north-a", 3, 4),
)
_NINE = tuple(
    Caller(f"{zone}-{n}", f"eu-west-{zone}", net, n, per_second=11.0)
    for zone, net, most in (("a", 1, 5), ("b", 2, 4))
    for n in range(1, most + 1)
)
_QUIET = tuple(replace(one, per_second=12.0) for one in CALLERS)

TABLE = (
    Fault("instance crash", "SIGKILL of one of three instances", *_killed("paris/1"),
          sick=("paris/1",), leaves=False),
    Fault("all crash", "SIGKILL of all instances in paris", *_killed("paris/1", "paris/2", "paris/3")),
    Fault("503", "all instances in paris answer 503, and stay ready", _sick(status=503), _well),
    Fault("503, low rate", "the same; counted are two callers with 1 call per second, beside two with 25",
          _sick(status=503), _well, callers=_LOW, counted=("a-2", "b-2")),
    Fault("503, new caller", "the same; counted is a caller whose first call comes 4 s after the fault",
          _sick(status=503), _well, counted=("b-2",), silent=frozenset({"b-2"}), whole_fault=_wake_new),
    Fault("slow", "answers take 3 s, each try may take 0.5 s", _sick(delayS=3.0), _well),
    Fault("stopped", "SIGSTOP of all instances in paris", _stop, _continue),
    Fault("30 % errors", "three of ten calls get 503; the policy says that 20 % is too much",
          _sick(status=503, share=0.3), _well, unhealthy_above=20.0),
    Fault("gray", "packets from zone a to the instances (zone b) are dropped; zone b itself is well",
          _sick(drop="127.9.1"), _well, harmed=("a-1", "a-2")),
    Fault("liar", "one reporter of ten says that all its calls to paris fail; nothing is wrong",
          _nothing, _nothing, sick=(), harmed=(), leaves=False, callers=_NINE, lies=True),
    Fault("flapping", "503 for 5 s, well for 5 s, and so on", _sick(status=503), _well, whole_fault=_flap),
    Fault("recovery", "503, then well; until all calls are back", _sick(status=503), _well, comes_back=True),
    Fault("relapse", "well again, and sick as soon as a tenth of the calls are back",
          _sick(status=503), _well, whole_fault=_relapse, comes_back=True),
    Fault("half capacity", "503 in paris (4 instances); near dublin has 2, far oslo 4; each takes 15 calls "
          "per second, more get 503", _overload, _well, sick=("paris/1", "paris/2", "paris/3", "paris/4"),
          sites=_HALF, callers=_QUIET, capacity=15),
    Fault("control plane dead", "kill -9 of the control plane, then 503", _behead, _well),
)  # fmt: skip
