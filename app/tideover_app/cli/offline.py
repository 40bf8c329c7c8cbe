"""The world as the configured files describe it, read once, without a running control plane."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tideover_core.model import ClusterFacts, Locality, Problem
from tideover_core.world import Mesh, Sameness, World, merge

from .failure import Code, Failure

if TYPE_CHECKING:
    from tideover_app.config import Cluster, Config, Flaw

Progress = Callable[[str], None]
PATIENCE_S = 1.0


class SlowOnly:
    """Progress on stderr, a line a second, and none at all for what is quick."""

    def __init__(self) -> None:
        self._quiet_until_s = time.monotonic() + PATIENCE_S

    def __call__(self, line: str) -> None:
        """Say it, if it is time."""
        now_s = time.monotonic()
        if now_s >= self._quiet_until_s:
            self._quiet_until_s = now_s + PATIENCE_S
            typer.echo(f"tideover: {line}", err=True)


@dataclass(frozen=True, slots=True)
class Offline:
    """What was read. `unreadable`: what is missing in the world, by its key in the configuration."""

    world: World
    policies: ClusterFacts | None = None
    unreadable: tuple[Flaw, ...] = ()
    problems: tuple[Problem, ...] = ()


def load_config(path: Path, bad_end: Code = Code.WRONG_USE) -> Config:
    """The configuration; a Failure with all that is wrong in it."""
    from tideover_app.config import ConfigError, load

    try:
        return load(path)
    except ConfigError as error:
        raise Failure(bad_end, str(error)) from None


def read(config: Config, progress: Progress, live: Sequence[ClusterFacts] | None = None) -> Offline:
    """Read every cluster's manifests and the policies. What cannot be read is told, not raised.

    `live`: what live clusters said, for those who have asked them."""
    collecting = gc.isenabled()
    gc.disable()  # all that is made here is kept: looking for garbage among it only costs time
    try:
        return _read(config, progress, live)
    finally:
        gc.freeze()
        if collecting:
            gc.enable()


def _read(config: Config, progress: Progress, live: Sequence[ClusterFacts] | None) -> Offline:
    facts: list[ClusterFacts] = list(live or ())
    policies: ClusterFacts | None = None
    unreadable: list[Flaw] = []
    for index, cluster in enumerate(config.clusters):
        if cluster.manifests is None:
            if live is not None:
                continue
            key = "kubeconfig" if cluster.kubeconfig else "inCluster"
            message = f"a live cluster is not read here; give {cluster.name!r} `manifests`, from a dump"
            unreadable.append(config.flaw(message, "clusters", index, key))
            continue
        try:
            facts.append(_read_cluster(cluster, cluster.manifests, config, progress))
        except OSError as error:
            unreadable.append(config.flaw(_why(error), "clusters", index, "manifests"))
    if config.policies is not None:
        try:
            policies = _read_policies(config.policies, progress)
        except OSError as error:
            unreadable.append(config.flaw(_why(error), "policies"))
    rules = policies.destination_rules if policies else ()
    more = policies.failover_policies if policies else ()
    world = merge(facts, Mesh(Sameness(config.sameness), config.root_namespace, rules, more))
    read_ones = [*facts, policies] if policies else facts
    problems = [problem for one in read_ones for problem in one.problems]
    return Offline(world, policies, tuple(unreadable), (*problems, *world.problems))


def _read_policies(path: Path, progress: Progress) -> ClusterFacts:
    from tideover_discovery.files import misplaced, read_cluster

    facts = read_cluster("policies", "", Locality(), path, progress=progress)
    return replace(facts, problems=(*facts.problems, *misplaced(facts.orders)))


def _read_cluster(cluster: Cluster, path: Path, config: Config, progress: Progress) -> ClusterFacts:
    from tideover_discovery.files import read_cluster

    place = cluster.locality
    return read_cluster(
        cluster.name,
        cluster.network,
        Locality(place.region, place.zone, place.subzone),
        path,
        allow_loopback=config.dangerously_allow_loopback_endpoints,
        progress=progress,
    )


def _why(error: OSError) -> str:
    return f"cannot be read: {error.filename}: {error.strerror}"
