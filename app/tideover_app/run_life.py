"""One life of the control plane: wires sources, world, cache and servers, and ends them in order."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tideover_core.allotment import Allotment
from tideover_core.model import ClusterFacts, Problem
from tideover_discovery.watch import Source
from tideover_health.judge import Judge

from .config import Config, ConfigError
from .health_metrics import HealthMetrics
from .metrics import Gauges, Metrics
from .order_metrics import OrderMetrics
from .replica import Kind
from .run_health import HealthKeeper
from .run_log import start_logging, tell
from .run_orders import OrderKeeper
from .run_orders_hub import HubOrders
from .run_policies import STATE_NAME, PolicyWatch
from .run_registrations import Registrations
from .run_reload import STAYS, ConfigWatch, applied, changed_live, load_again, needs_restart, refused
from .run_replica import RunningReplica
from .run_rows import Row
from .run_servers import Servers, warn_of_dangers
from .run_sources import SourceKind, Sources
from .run_state import StateKeeper
from .run_watchdog import Watchdog
from .run_world import WorldKeeper
from .run_writer import Writers
from .snapshot import StateFolder
from .snapshot_past import remembered

# a source that hangs holds a thread; saving and answering must find another
MOST_THREADS, THREADS = 64, "blocking"
LEAVE_AFTER_S = 2.0
SAVE_LAST_S = 10.0


class Life:
    """One life of the control plane."""

    def __init__(self, config: Config, kinds: Sequence[SourceKind]) -> None:
        self.config = config
        self._kinds = kinds
        self._registered: tuple[Row, ...] = ()
        self.log = start_logging()
        self.gauges = Gauges()
        self.replica = RunningReplica(
            config.name,
            config.region,
            start_grace_s=config.start_grace_s,
            tell=lambda happening: tell(self.log, happening),
        )
        self.metrics = Metrics(self.replica, self.replica.fleet, self.gauges, time.time)
        self.stopping = asyncio.Event()

    async def serve(self) -> int:
        """Until a signal says stop; the exit code."""
        self._threads = ThreadPoolExecutor(MOST_THREADS, THREADS)
        asyncio.get_running_loop().set_default_executor(self._threads)
        self.state = StateFolder(self.config.state)
        problem = await asyncio.to_thread(self.state.open)
        try:
            self._remember(problem)
            self.servers = Servers(self.config, self.replica, self.world.cache, self.metrics, self.health)
            self.servers.identities.registered(self.registrations.rows)
            try:
                self.servers.take()
                await self._serve()
            finally:
                await self.servers.stop()
            await self._save_last()
        finally:
            self.state.close()
        self.log.info("Stopped", message="streams ended")
        await self._leave_hanging_threads()
        return 0

    async def _save_last(self) -> None:
        """What is not yet written; a disk that hangs must not hold up the end."""
        try:
            async with asyncio.timeout(SAVE_LAST_S):
                await self.keeper.write()
                if self.health is not None:
                    await self.health.save_now(self.state)
        except TimeoutError:
            self.log.warning("StateNotSaved", message=f"writing takes longer than {SAVE_LAST_S:g} s")

    async def _leave_hanging_threads(self) -> None:
        """A thread that hangs in a dead file system can never be joined: end without it."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        patience_s = LEAVE_AFTER_S
        while any(thread.name.startswith(THREADS) for thread in threading.enumerate()):
            if patience_s <= 0:
                self.log.warning("Left", message="a read or write hangs; ended without waiting for it")
                os._exit(0)
            await asyncio.sleep(0.05)
            patience_s -= 0.05

    def _remember(self, problem: Problem | None) -> None:
        """Make everything that lives from facts, beginning with what was known before."""
        self.registrations = Registrations(self.config, self.register, self.replica.note)
        self._registered = self.registrations.load()
        names = [STATE_NAME, *(row.name for row in self._rows(self.config))]
        known, refused = self.state.load(names)
        self.replica.note("state", [problem] if problem else [])
        self.replica.note("snapshot", refused)
        self.world = WorldKeeper(self.config, self.replica, self.metrics, self.gauges)
        self.keeper = StateKeeper(self.state, known, self.gauges, self._state_noted)
        self.world.keep = self.keeper.keep
        self.world.leaving, self.world.registered = self.registrations.leaving, self.registrations.is_known
        self.registrations.changed = self.world.changed
        self.orders = self._ordering()
        self.health = self._judging()
        self.world.history = remembered(((name, saved.past) for name, saved in known.items()), time.time())
        policies = known.pop(STATE_NAME, None)
        facts = {name: saved.facts for name, saved in known.items()}
        # one that was registered and never listed has nothing that must be waited for
        self._registered = tuple(row for row in self._registered if row.name in facts)
        self.policies = PolicyWatch(
            self.config.policies, policies.facts if policies else None, self.world.changed
        )
        self.sources = Sources(self._open_source, self.world.changed, self.config.start_grace_s)
        self.sources.apply(self._rows(self.config), facts)
        self.replica.facts, self.replica.policies = self.sources, self.policies
        self.replica.fleet.on_problem(self.world.changed)
        self.writers = Writers(self.config, self.replica, self.sources, self.world.changed)
        self.writers.order_standing = self.orders.standing
        self.world.failing = self.writers.failing
        if self.health is not None:
            self.health.told = self.writers.judged
        self.metrics.registry.register(self.writers)
        for name in facts:
            self.log.info("Restored", object=f"Cluster {name}", message="known from the snapshot, stale")

    def _ordering(self) -> OrderKeeper:
        """What keeps orders, beginning with those in force before."""
        orders = OrderKeeper(self.config, self.replica, self.state, self.world.changed)
        orders.load()
        self.world.orders = orders.in_force
        self.replica.orders = orders
        self.metrics.registry.register(OrderMetrics(lambda: orders.book))
        return orders

    def _judging(self) -> HealthKeeper | None:
        """What judges health, beginning with what was judged before; None where that is turned off."""
        if not self.config.health.enabled:
            return None
        health = HealthKeeper(
            Judge(),
            self.replica,
            self.world.changed,
            Allotment(learn=self.config.health.learn_capacity),
        )
        health.restore(self.state)
        health.also, self.orders.returning = self.orders.take, health.returning
        self.orders.report_every_s = lambda: health.pace().interval_s
        self.world.steering, self.world.renewed = health.foreseen, health.look
        self.replica.judged = health.view
        metrics = HealthMetrics(self.replica)
        self.metrics.registry.register(metrics)
        self.metrics.look = metrics.look
        return health

    async def _serve(self) -> None:
        self.world.renew(self.sources, self.policies)
        if self.health is not None:
            # what was judged before the restart holds for the first client too
            self.health.decide()
            self.world.renew(self.sources, self.policies)
        watchdog = Watchdog()
        self.gauges.event_loop_lag_s = lambda: watchdog.lag_s
        async with asyncio.TaskGroup() as tasks:
            self.world.touch = self.servers.xds.touch
            watch = ConfigWatch(self.config.path, self._again)
            self._handle_signals(watch)
            work = {
                "world": lambda: self.world.run(self.sources, self.policies),
                "journal": self.world.tell,
                "writing": self.writers.run,
                "state": self.keeper.run,
                "registrations": self.registrations.run,
                "configuration": watch.run,
                "tls": self._watch_tls,
                "settling": self.world.settle,
                "grace": self._end_grace,
                "orders": self.orders.run,
                "objects of orders": self.orders.objects.run,
                "orders in the hub": HubOrders(self.orders, self.replica, lambda: self.config).run,
            }
            if self.health is not None:
                work |= {"health": self.health.run, "verdicts": partial(self.health.save, self.state)}
            if self.servers.reporting is not None:
                work |= self.servers.reporting.work()
            owned = [tasks.create_task(self._keep(name, one), name=name) for name, one in work.items()]
            owned.append(tasks.create_task(watchdog.beat(), name="heartbeat"))
            self.sources.start(tasks)
            self.policies.start(tasks)
            watchdog.start()
            await self.servers.start()
            self.replica.serving = True
            warn_of_dangers(self.config, self.log)
            self.log.info("Listening", **self.servers.addresses)
            await self.stopping.wait()
            self.replica.serving = False
            self.sources.stop()
            self.policies.stop()
            watchdog.stop()
            for task in owned:
                task.cancel()
            self.world.tell_now()

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do it again when it fails by an error of the program: clients are served all the same."""
        while True:
            try:
                return await work()
            except Exception as error:  # what only tells or saves must not end the serving
                self.log.exception("TaskFailed", object=name)
                failed = f"failed: {type(error).__name__}: {error}"
                self.replica.note(f"task {name}", [Problem(f"Task {name}", failed, "started again")])
                await asyncio.sleep(1)

    def register(self, rows: Sequence[Row]) -> list[str]:
        """Have these clusters too, besides those of the file, which win where a name is in both."""
        self._registered = tuple(rows)
        self.servers.identities.registered(self.registrations.rows)
        return self.sources.apply(self._rows(self.config))

    def _rows(self, config: Config) -> list[Row]:
        """All clusters to have: those of the file, then those that are registered."""
        names = {cluster.name for cluster in config.clusters}
        return [*config.clusters, *(row for row in self._registered if row.name not in names)]

    def _open_source(self, cluster: Row, before: ClusterFacts | None) -> Source:
        kind = next(kind for kind in self._kinds if kind.serves(cluster))
        return kind.open(self.config, cluster, before)

    def _handle_signals(self, watch: ConfigWatch) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        loop.add_signal_handler(signal.SIGHUP, watch.hangup)

    def _state_noted(self, problems: list[Problem]) -> None:
        self.replica.note("state", problems)
        self.world.changed()

    def _again(self, reason: str) -> None:
        """Read the configuration again: apply what can be, say what cannot; a broken one changes nothing."""
        try:
            new = load_again(self.config)
        except ConfigError as error:
            self.gauges.configurations_refused += 1
            self.replica.note("configuration", refused(error))
            message = f"{reason}: {error}; {STAYS}"
            self.replica.journal.add(Kind.CONFIGURATION_REFUSED, "Configuration", message)
            self.world.changed()
            return
        waiting = needs_restart(self.config, new)
        said = [*self.sources.apply(self._rows(new)), *self.policies.apply(new.policies)]
        said += [*changed_live(self.config, new), *(problem.message for problem in waiting)]
        self.config = applied(self.config, new)
        self.gauges.configurations_applied += 1
        self.replica.note("configuration", waiting)
        self.world.configure(self.config)
        self.registrations.configure(self.config)
        self.servers.configure(self.config)
        if self.health is not None:
            self.health.configure(learn_capacity=self.config.health.learn_capacity)
        message = f"{reason}: {'; '.join(said) or 'nothing changed'}"
        self.replica.journal.add(Kind.CONFIGURATION_APPLIED, "Configuration", message)

    async def _end_grace(self) -> None:
        """What was not heard of by then is told."""
        await asyncio.sleep(self.config.start_grace_s)
        self.world.changed()

    async def _watch_tls(self) -> None:
        """Look after TLS files, once a second, also while nobody connects."""
        tls = self.servers.tls
        while tls is not None:
            tls.refresh()  # a handshake may have been first
            if tls.rotations != self.gauges.tls_rotations:
                self.gauges.tls_rotations = tls.rotations
                self.log.info("TlsRotated", message="new connections get the new certificate")
            said = "the certificate read before stays in use"
            problems = [Problem("TLS material", tls.problem, said)] if tls.problem else []
            if self.replica.note("tls", problems):
                self.world.changed()
            await asyncio.sleep(1)
