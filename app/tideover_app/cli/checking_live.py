"""`tideover check` of live clusters: are they reachable, may we read what we need, and what is in them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tideover_core.model import ClusterFacts, Problem

if TYPE_CHECKING:
    from tideover_app.config import Cluster, Config, Flaw
    from tideover_discovery.kubernetes.client.look import Look

LIST_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Live:
    """What was found of one cluster."""

    cluster: Cluster
    look: Look
    facts: ClusterFacts | None
    flaws: tuple[Flaw, ...]
    problems: tuple[Problem, ...]


def look_at(config: Config) -> list[Live]:
    """All live clusters of the configuration, at the same time."""
    if not any(cluster.live for cluster in config.clusters):
        return []
    return asyncio.run(_all(config))


async def _all(config: Config) -> list[Live]:
    live = [(n, cluster) for n, cluster in enumerate(config.clusters) if cluster.live]
    return list(await asyncio.gather(*(_one(config, n, cluster) for n, cluster in live)))


async def _one(config: Config, index: int, cluster: Cluster) -> Live:
    from tideover_app.run_access import access
    from tideover_discovery.kubernetes.access_review import missing, needs
    from tideover_discovery.kubernetes.client import Api
    from tideover_discovery.kubernetes.client.look import look

    place = ("clusters", index, "inCluster" if cluster.in_cluster else "kubeconfig")
    api = Api(access(cluster), name=cluster.name)
    try:
        found = await look(api, needs(config.root_namespace if cluster.name == config.hub else ""))
        stale = api.problem
    finally:
        await api.close()
    problems = [
        Problem(f"Cluster {cluster.name}", f"may not {lacks}", _without(lacks))
        for lacks in missing([one for one in found.answers if not one.need.required])
    ]
    if stale and not found.trouble:
        problems.append(Problem(f"Cluster {cluster.name}", stale, "the credentials read before are used"))
    if found.trouble:
        flaws = [config.flaw(f"{found.trouble}; {_advice(found, cluster)}", *place)]
        return Live(cluster, found, None, tuple(flaws), tuple(problems))
    flaws = [
        config.flaw(f"{cluster.name} does not let us {lacks}; {_granting(lacks)}", *place)
        for lacks in missing([one for one in found.answers if one.need.required])
    ]
    facts = None
    if not flaws:
        facts, trouble = await _facts(config, cluster)
        if facts is None:
            flaws.append(config.flaw(f"not listed within {LIST_WITHIN_S:g} s: {trouble}", *place))
    return Live(cluster, found, facts, tuple(flaws), tuple(problems))


def _without(lacks: str) -> str:
    if "tokenreviews" in lacks:
        return "tokens of its clients prove nothing"
    return "what it says there does not count"


_GRANT = "`tideover cluster join`, or deploy/member there, grants it"
_GRANT_OF_HUB = "deploy/hub there grants it"


def _granting(lacks: str) -> str:
    return _GRANT_OF_HUB if " secrets in " in lacks else _GRANT


def _advice(found: Look, cluster: Cluster) -> str:
    """What to do about a server that cannot be asked."""
    if not found.server and cluster.in_cluster:
        return "inCluster is for a control plane that runs in a pod of that cluster"
    if not found.server:
        return "mend the kubeconfig, or name another"
    if found.status == 401:
        return "give it credentials that are valid; `tideover cluster join` makes new ones"
    if found.status == 403:
        return _GRANT
    if found.status:
        return "is this the address of a Kubernetes API server?"
    return "is it up, and are its address and certificate those of the kubeconfig?"


async def _facts(config: Config, cluster: Cluster) -> tuple[ClusterFacts | None, str]:
    """What the control plane would know of it, read in the same way; and why it is not known."""
    from tideover_app.run import SOURCES

    source = next(kind for kind in SOURCES if kind.serves(cluster)).open(config, cluster, None)
    running = asyncio.create_task(source.run())
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(LIST_WITHIN_S):
                await source.facts.after(0)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return source.facts.value, source.status.value.reason


def facts_of(found: Sequence[Live]) -> list[ClusterFacts]:
    """Of those that could be read."""
    return [one.facts for one in found if one.facts is not None]
