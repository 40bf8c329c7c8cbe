"""The one place where facts become the world that is served.

The first change is merged at once; those that come meanwhile join the next merge. There is no debounce.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from tideover_core import presence
from tideover_core.leaving import Leaving
from tideover_core.model import ClusterFacts, Problem, ServiceKey
from tideover_core.orders import ActiveOrder
from tideover_core.overview import PlaceHealth
from tideover_core.steering import Steering
from tideover_core.world import Mesh, Sameness, World, merge
from tideover_xds.border import Changes
from tideover_xds.cache import Cache

from .config import Config
from .failing import NOTHING, PlaceName, failing
from .metrics import Gauges, Metrics
from .run_policies import STATE_NAME, PolicyWatch
from .run_replica import RunningReplica
from .run_sources import Sources

TELL_AFTER_S = 0.02
SETTLE_S = 2.0
Touch = Callable[[Changes | None], None]
Failed = Callable[[Mapping[PlaceName, PlaceHealth]], None]
Keep = Callable[[dict[str, ClusterFacts], presence.History], None]


def steady_clock() -> Callable[[], float]:
    """Unix time that never jumps: an hour set back would keep what vanished for an hour."""
    began_s = time.time() - time.monotonic()
    return lambda: began_s + time.monotonic()


class WorldKeeper:
    """Builds the newest world and tells everyone who lives by it. One event loop."""

    def __init__(self, config: Config, replica: RunningReplica, metrics: Metrics, gauges: Gauges) -> None:
        self.cache = replica.served = Cache(replica.world.value)
        self.touch: Touch = lambda changes: None
        self.keep: Keep = lambda facts, history: None
        self.history = presence.History()
        self.leaving: Callable[[], Mapping[str, Leaving]] = dict
        self.registered: Callable[[], bool] = lambda: True  # all registered clusters are known
        self.failing: Failed = lambda places: None
        self.steering: Callable[[World], Mapping[ServiceKey, Steering]] = lambda world: self._steering
        self.orders: Callable[[], tuple[ActiveOrder, ...]] = tuple
        self.renewed: Callable[[], None] = lambda: None  # the world is another
        self._config = config
        self._replica = replica
        self._metrics = metrics
        self._gauges = gauges
        self._now_s = steady_clock()
        self._changed = asyncio.Event()
        self._told = asyncio.Event()
        self._failing = NOTHING
        self._settled = False
        self._steering: Mapping[ServiceKey, Steering] = {}
        self._facts: dict[str, ClusterFacts] = {}

    def changed(self) -> None:
        """Facts, policies, freshness or problems may be different now."""
        self._changed.set()

    def configure(self, config: Config) -> None:
        """Merge by this configuration from now on."""
        self._config = config
        self.changed()

    async def run(self, sources: Sources, policies: PolicyWatch) -> None:
        """Merge whenever something changed or a memory of vanished endpoints ends, until cancelled."""
        while True:
            self._changed.clear()
            self.renew(sources, policies)
            next_s = presence.next_change_s(self.history)
            try:
                async with asyncio.timeout(None if next_s is None else max(0.0, next_s - self._now_s())):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def renew(self, sources: Sources, policies: PolicyWatch) -> None:
        """Merge now. An error of the program in it keeps the world as it is, and is a problem."""
        before = self._replica.world.value
        try:
            with self._metrics.merges.time():
                world = self._merged(sources, policies)
                changes = self.cache.update(world)
        except Exception as error:  # noqa: BLE001 - whatever it is: clients keep what they have (law 1)
            structlog.get_logger().exception("WorldNotMerged")
            message = f"cannot be merged: {type(error).__name__}: {error}"
            self._replica.note("world", [Problem("World", message, "the world before stays in use")])
        else:
            self._replica.note("world", ())
            self._replica.world.set(world)
            if world is not before:
                self.renewed()
            if world.complete and not before.complete:
                self.touch(None)
                gc.freeze()  # what is known now stays: a collection that walks all of it is a pause
            elif changes is None or changes:
                self.touch(changes)
        self._told.set()

    def _merged(self, sources: Sources, policies: PolicyWatch) -> World:
        now_s = self._now_s()
        facts = {known.cluster: known for known in sources.facts()}
        history = presence.expire(self.history, now_s)
        for cluster in facts.keys() | self._facts.keys():
            old, new = self._facts.get(cluster), facts.get(cluster)
            if old is not new:
                history = presence.observe(history, old, new, now_s)
        self._facts, self.history = facts, history
        # policies that were never read must not be remembered as none: a scope may be among them
        self.keep({**facts, STATE_NAME: policies.facts()} if policies.known else facts, history)
        mesh = Mesh(
            sameness=Sameness(self._config.sameness),
            root_namespace=self._config.root_namespace,
            destination_rules=policies.value.destination_rules,
            failover_policies=policies.value.failover_policies,
            leaving=self.leaving(),
            steering=self._steering,
            orders=self.orders(),
        )
        # what nobody is known to keep at home must not leave in the moment before the policies are read
        served = facts.values() if policies.known or policies.heard or self._settled else ()
        presences, complete = presence.presences(history), self._complete(sources, policies)
        world = merge(served, mesh, presences, self._replica.world.value, complete=complete)
        self._steering = self.steering(world)
        if self._steering is mesh.steering:
            return world
        return merge(served, replace(mesh, steering=self._steering), presences, world, complete=complete)

    def _complete(self, sources: Sources, policies: PolicyWatch) -> bool:
        """Law 1: every source is known; and at the start has also been looked at, or had its time for it.

        What the snapshot knows may be a second older than what clients have. Most sources can be listed
        at once; that moment is worth waiting for, before anything is removed. Of no cluster nothing is known.
        """
        self._settled = self._settled or (sources.heard and policies.heard)
        return policies.known and sources.known and self.registered() and self._settled

    async def settle(self) -> None:
        """What has not been looked at by then is taken as the snapshot knows it."""
        await asyncio.sleep(SETTLE_S)
        self._settled = True
        self.changed()

    async def tell(self) -> None:
        """Tell the journal what begins and ends, until cancelled; clients' pushes go first."""
        while True:
            await self._told.wait()
            await asyncio.sleep(TELL_AFTER_S)
            self._told.clear()
            self.tell_now()

    def tell_now(self) -> None:
        """What began and ended since the last time."""
        replica = self._replica
        self._failing = failing(replica.world.value, self._failing)
        self._gauges.services_failing_over = self._failing.service_count
        replica.journal.sources(replica.worth_telling())
        origins = replica.origins().items()
        replica.journal.held({name: one.held for name, one in origins if one.held is not None})
        replica.journal.problems(replica.problems())
        replica.journal.failing(self._failing.places)
        self.failing(self._failing.places)
