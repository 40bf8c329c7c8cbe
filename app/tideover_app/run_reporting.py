"""Where signals come from, wired: load reports, Envoy's metrics, health discovery, and our own checks."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from tideover_core.latest import Latest
from tideover_core.model import Locality, Problem
from tideover_core.world import World
from tideover_health.active.checks import Target, Targets
from tideover_health.active.prober_run import Prober, ProberOptions
from tideover_health.hds_server import HdsServer
from tideover_health.load_reports_server import LoadReportOptions, LoadReportsServer
from tideover_health.metrics_server import MetricsServer
from tideover_health.signals import Voter

from .config import Config
from .health_view import Looking, Pace
from .replica import Kind
from .run_health import BETWEEN_S, HealthKeeper
from .run_identity import Identities
from .run_replica import RunningReplica

LOOK_EVERY_S = 1.0
MOST_PROBLEMS = 50  # of reporters, told one by one


class Reporting:
    """All that tells the keeper of health. To be made inside the event loop of its replica."""

    def __init__(
        self, config: Config, replica: RunningReplica, health: HealthKeeper, identities: Identities
    ) -> None:
        self._replica, self._health = replica, health
        self._aims = Targets(allow_loopback=config.dangerously_allow_loopback_endpoints)
        self._targets: Latest[tuple[Target, ...]] = Latest(())

        def world() -> World:
            return replica.world.value

        reports = config.health.load_reports
        self._reports = LoadReportsServer(
            health.take,
            identities.voter,
            health.judge.doubted,
            LoadReportOptions(interval_s=reports.interval_s, reports_per_second=reports.reports_per_second),
        )
        self._shown = Pace()
        self._refused: dict[str, str] = {}  # node id -> why
        replica.fleet.on_clusters(self._reports.clusters_taken)
        self._metrics = MetricsServer(health.take, identities.voter)
        self._hds = HdsServer(health.take, identities.voter, self._targets, world)
        self._prober = Prober(_options(config))
        health.judged, health.pace = self._aim, lambda: self._shown
        health.looking = self._looking

    def configure(self, config: Config) -> None:
        """Another configuration counts from now on; which clusters there are says what we reach, too."""
        reports = config.health.load_reports
        self._reports.configure(reports.interval_s, reports.reports_per_second)
        self._prober.configure(_options(config))

    def handlers(self) -> tuple[Any, ...]:
        """What shares the port of xDS."""
        return (*self._reports.handlers(), *self._metrics.handlers(), *self._hds.handlers())

    def work(self) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What has to run, by name."""
        return {
            "reporters": self._look_after,
            "checks": partial(self._prober.run, self._targets, self._health.take),
            "health discovery": self._hds.run,
        }

    async def stop(self) -> None:
        """End every stream with OK; those of health discovery end with their work."""
        self._metrics.end()
        await self._reports.stop()

    def _aim(self) -> None:
        """The world or what is doubted may be another."""
        doubted = self._health.judge.doubted()
        self._targets.set(self._aims.of(self._replica.world.value, doubted))
        self._reports.touch()

    async def _look_after(self) -> None:
        """Keep what is shown of reporters up to date, until cancelled."""
        while True:
            self._look()
            await asyncio.sleep(LOOK_EVERY_S)

    def _look(self) -> None:
        reporters, now_s = self._reports.reporters(), time.time()
        votes = {one.voter.id for one in reporters if one.voter.proven}  # one may call itself many
        pace = self._reports.pace
        self._shown = Pace(
            interval_s=pace.interval_s,
            detection_s=pace.detection_s + BETWEEN_S,
            proven=len(votes),
            unproven=sum(not one.voter.proven for one in reporters),
            by_endpoint=pace.by_endpoint,
            per_second=pace.reports_per_second,
            last_report_s={
                one.client.id: now_s - one.reported_s_ago
                for one in reporters
                if math.isfinite(one.reported_s_ago)
            },
        )
        refused = {one.client.id: one.problem for one in reporters if one.problem}
        new = [name for name, why in refused.items() if self._refused.get(name) != why]
        self._refused = refused
        self._replica.journal.health(
            [(Kind.REPORTER_REFUSED, f"Client {name}", f"of its reports: {refused[name]}") for name in new]
        )
        self._replica.note(
            "reports",
            [
                Problem(f"Client {name}", f"reports what does not count: {why}", "the rest of it counts")
                for name, why in list(refused.items())[:MOST_PROBLEMS]
            ],
        )

    def _looking(self) -> Looking:
        return Looking(self._prober.status, self._hds.status, self._metrics.status)


def _options(config: Config) -> ProberOptions:
    checks = config.health.active_checks
    return ProberOptions(
        voter=Voter(f"replica {config.name}", locality=Locality(config.region)),
        networks=frozenset(checks.networks) or _reached(config),
        checks_per_second=checks.per_second,
        allow_loopback=config.dangerously_allow_loopback_endpoints,
    )


def _reached(config: Config) -> frozenset[str]:
    """Where nothing is said: a check of pods that we cannot reach would call them sick."""
    networks = frozenset(cluster.network for cluster in config.clusters)
    own = frozenset(cluster.network for cluster in config.clusters if cluster.in_cluster)
    return networks if len(networks) == 1 else own
