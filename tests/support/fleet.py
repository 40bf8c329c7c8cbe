"""Envoys that report what they see, each with a vote of its own, under steady load; and policies in a hurry.

async with mesh(folder, settings=...) as world, running_tideover(world.setup) as tideover:
    async with fleet(world, tideover, mtls, 3) as callers: ...
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from support.envoy import Envoy, running_envoy
from support.load import Call, Load, load
from support.mesh import ZONES, Mesh
from support.mtls import Mtls
from support.tideover import Tideover
from support.wait import until

REGIONS = {"paris": "eu-west", "dublin": "eu-north"}
HASTY: Mapping[str, Any] = {
    "fleetHealth": {"window": "2s", "minRequests": 5, "minReporters": 2},
    "failback": {
        "holdDown": "4s",
        "steps": [20, 50, 100],
        "stepEvery": "1500ms",
        "abortAboveErrorPercent": 5,
    },
}
# so that what moves is moved by us and not by each Envoy for itself
NO_EJECTION: Mapping[str, Any] = {"outlier": {"maxEjectionPercent": 0}}


@dataclass(frozen=True)
class Caller:
    """One Envoy, where it listens, and the calls that go through it."""

    name: str
    envoy: Envoy
    port: int
    calls: Load


@dataclass
class Fleet:
    """Callers of one service."""

    world: Mesh
    tideover: Tideover
    callers: list[Caller]

    async def sees(self, cluster: str, *health: str, of: Mesh | None = None) -> bool:
        """Whether every Envoy has all endpoints of that cluster (`of` another service) in such a state."""
        world = of or self.world
        wanted = {world.hostport(one) for one in world.names(cluster)}
        for caller in self.callers:
            known = await caller.envoy.health(world.wire_name)
            if not wanted <= known.keys() or not {known[one] for one in wanted} <= set(health):
                return False
        return True

    def failed(self) -> list[Call]:
        """What any caller saw fail."""
        return [call for caller in self.callers for call in caller.calls.failed()]

    def statuses(self, cluster: str, status: int) -> None:
        """What the service answers in that cluster from now on; it stays ready."""
        for name in self.world.names(cluster):
            self.world.backends[name].status = status

    async def verdicts(self) -> list[dict[str, Any]]:
        """What `tideover status` says of what is judged."""
        return list((await self.asked("status"))["verdicts"])

    async def asked(self, *command: str) -> dict[str, Any]:
        """The JSON answer of a command."""
        answer = await self.tideover.cli(*command, "-o", "json")
        assert answer.code == 0, f"{answer.err}\n{self.tideover.log()[-3000:]}"
        return dict(answer.json())

    async def events(self) -> list[str]:
        """Kinds and objects of what happened to services, oldest first."""
        return [one["kind"] for one in await self.told()]

    async def told(self) -> list[dict[str, Any]]:
        """What happened to services, oldest first."""
        found = (await self.asked("events"))["events"]
        return [one for one in found if one["object"].startswith("Service ")]

    async def happened(self, kind: str, timeout_s: float = 20) -> None:
        """Wait for an event of that kind."""

        async def there() -> bool:
            return kind in await self.events()

        await until(there, timeout_s, lambda: f"{kind}; {self.tideover.log()[-3000:]}")


def policy(world: Mesh, **spec: Any) -> None:
    """The FailoverPolicy of the world's service."""
    body = {
        "apiVersion": "tideover.dev/v1alpha1",
        "kind": "FailoverPolicy",
        "metadata": {"name": world.name, "namespace": world.namespace},
        "spec": {"targetRefs": [{"kind": "Service", "name": world.name}], **spec},
    }
    world.folders["paris"].write(f"policy-{world.name}", body)


@asynccontextmanager
async def fleet(
    world: Mesh,
    tideover: Tideover,
    mtls: Mtls | None,
    count: int,
    *,
    cluster: str = "paris",
    per_second: float = 30,
    more: Sequence[str] = (),
) -> AsyncIterator[Fleet]:
    """So many callers in that cluster; with certificates of their own, or (None) plain ones. `more` options
    of `tideover bootstrap envoy`."""
    folder = world.setup.folder
    where = ["--cluster", cluster, "--namespace", "bookinfo"]
    where += ["--locality", f"{REGIONS[cluster]}/{ZONES[cluster]}"]
    async with AsyncExitStack() as stack:

        async def start(number: int) -> Caller:
            name = f"{cluster}-caller-{number}"
            proof = mtls.envoy(name) if mtls is not None else []
            bootstrap = await tideover.bootstrap(*where, "--node-id", name, *proof, *more)
            envoy = await stack.enter_async_context(running_envoy(bootstrap, folder, name=name))
            port = int(bootstrap["node"]["metadata"]["HTTP_PORT"])
            calls = load(port, world.host, callers=2, per_second=per_second)
            return Caller(name, envoy, port, await stack.enter_async_context(calls))

        callers = await asyncio.gather(*(start(number) for number in range(1, count + 1)))
        yield Fleet(world, tideover, list(callers))
