"""Writing into live clusters: conditions, ServiceImports, Events. One desk per cluster, each with its Lease.

Reading and serving never depend on it; with only files for clusters nothing of it is even imported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tideover_core.failover_news import Losses
from tideover_core.model import Problem
from tideover_core.order_book import Standing
from tideover_core.overview import PlaceHealth
from tideover_health.verdict import Alarm, Verdict

from .config import Config
from .failing import PlaceName
from .health_news import losses_by_cluster
from .run_replica import RunningReplica
from .run_sources import Sources

if TYPE_CHECKING:
    from tideover_discovery.kubernetes.watch.desk import Desk, Office, Tally

LOOK_EVERY_S = 1.0
RESTART_AFTER_S = 5.0


class Writers(Collector):
    """The desks of all live clusters, and their metrics."""

    def __init__(
        self, config: Config, replica: RunningReplica, sources: Sources, changed: Callable[[], None]
    ) -> None:
        self._changed = changed
        self._config = config
        self._replica = replica
        self._sources = sources
        self._desks: dict[str, tuple[object, Desk, asyncio.Task[None]]] = {}
        self._tallies: dict[str, Tally] = {}
        self._troubles: dict[str, dict[str, str]] = {}
        self._places: Mapping[PlaceName, PlaceHealth] = {}
        self._judged: Mapping[str, Losses] = {}  # by cluster
        self._office: Office | None = None
        self._held: set[str] = set()
        self.order_standing: Callable[[str, str], Standing | None] = lambda namespace, name: None

    async def run(self) -> None:
        """Have a desk for every live cluster, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    await self._exchange(tasks)
                    self._tell_of_leases()
                    await asyncio.sleep(LOOK_EVERY_S)
        finally:
            self._desks.clear()
            self._office = None

    def failing(self, places: Mapping[PlaceName, PlaceHealth]) -> None:
        """What fails over now."""
        self._places = places if self._replica.world.value.complete else {}
        for name, (_, desk, _) in self._desks.items():
            desk.events.places(self._of(name))

    def judged(self, verdicts: Iterable[Verdict], alarms: Iterable[Alarm]) -> None:
        """What is judged now; what moves traffic away from a place is among what fails over."""
        self._judged = losses_by_cluster(verdicts, alarms, self._replica.world.value)
        for name, (_, desk, _) in self._desks.items():
            desk.events.judged(self._judged.get(name, {}))

    async def _exchange(self, tasks: asyncio.TaskGroup) -> None:
        """Clusters come, go, and get other credentials."""
        accesses = {
            name: access
            for name in self._sources.statuses()
            if (access := getattr(self._sources.source(name), "access", None)) is not None
        }
        for name, (access, _, task) in list(self._desks.items()):
            if task.done() or accesses.get(name) is not access:
                task.cancel()
                await asyncio.wait({task})
                del self._desks[name]
                self._troubles.pop(name, None)
                self._replica.note(f"writing {name}", ())
        for name, access in accesses.items():
            if name not in self._desks:
                self._open(tasks, name, access)

    def _open(self, tasks: asyncio.TaskGroup, name: str, access: Any) -> None:
        from tideover_discovery.kubernetes.watch.desk import Desk, Office, Tally  # slow to import

        if self._office is None:
            config, replica = self._config, self._replica
            self._office = Office(
                config.name, config.root_namespace, replica.world, replica.fleet.acknowledged
            )
            self._office.order_standing = self._standing
            tasks.create_task(self._office.run(), name="what clusters export")
        tally = self._tallies.setdefault(name, Tally())
        desk = Desk(name, access, self._office, tally, partial(self._note, name))
        desk.events.places(self._of(name))
        desk.events.judged(self._judged.get(name, {}))
        self._desks[name] = (access, desk, tasks.create_task(self._keep(name, desk), name=f"writing {name}"))

    def _standing(self, cluster: str, namespace: str, name: str) -> Standing | None:
        """Of an order at its object; where there is a hub, it alone keeps them."""
        hub = self._config.hub
        if hub is not None and hub != cluster:
            return Standing(False, "NotTheHub", f"orders are kept in the hub, cluster {hub}")
        return self.order_standing(namespace, name)

    def _tell_of_leases(self) -> None:
        held = {name for name, tally in self._tallies.items() if tally.holds}
        for name in held ^ self._held:
            said = "is held: written from here" if name in held else "is not held any more"
            structlog.get_logger().info("Writing", object=f"Cluster {name}", message=f"the Lease {said}")
        self._held = held

    async def _keep(self, name: str, desk: Desk) -> None:
        """An error of the program in it ends nothing but it, and another desk is opened soon."""
        try:
            await desk.run()
        except Exception as error:  # noqa: BLE001 - what only writes must not end the serving
            structlog.get_logger().exception("WritingFailed", object=f"Cluster {name}")
            self._note(name, "program", f"failed: {type(error).__name__}: {error}")
            await asyncio.sleep(RESTART_AFTER_S)

    def _note(self, name: str, what: str, trouble: str) -> None:
        """One problem per cluster: most troubles are one missing role."""
        known = self._troubles.setdefault(name, {})
        if known.get(what, "") == trouble:
            return
        known[what] = trouble
        found = [f"{about}: {text}" for about, text in sorted(known.items()) if text]
        said = Problem(f"Cluster {name}", "; ".join(found), "not written; tried again, all else goes on")
        if self._replica.note(f"writing {name}", [said] if found else []):
            self._changed()

    def _of(self, name: str) -> Collection[PlaceHealth]:
        return [place for place in self._places.values() if place.cluster == name]

    def describe(self) -> list[Metric]:
        """Nothing beforehand."""
        return []

    def collect(self) -> Iterator[Metric]:
        """What was written, by cluster."""
        holds = GaugeMetricFamily(
            "tideover_writer_holds_lease",
            "1 where this replica holds the Lease and writes",
            labels=["cluster"],
        )
        writes = CounterMetricFamily(
            "tideover_writer_writes", "Conditions written, by result", labels=["cluster", "result"]
        )
        events = CounterMetricFamily(
            "tideover_writer_events", "Kubernetes Events, by result", labels=["cluster", "result"]
        )
        for name, tally in sorted(self._tallies.items()):
            holds.add_metric([name], tally.holds)
            for result in ("written", "outdated", "failed"):
                writes.add_metric([name, result], getattr(tally, result))
            for result in ("written", "dropped", "failed"):
                events.add_metric([name, result], getattr(tally.events, result))
        yield from (holds, writes, events)
