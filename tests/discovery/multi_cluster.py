"""A cluster set of real API servers: each watched, their facts merged, and each kept at what is exported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from discovery.live import HOME, access_to
from support.apiserver import ApiServer
from tideover_core.latest import Latest
from tideover_core.world import Mesh, Sameness, World, merge
from tideover_discovery.kubernetes.client import Api
from tideover_discovery.kubernetes.service_imports import Shared, shared
from tideover_discovery.kubernetes.watch import KubernetesSource
from tideover_discovery.kubernetes.watch.multi_cluster import MultiCluster
from tideover_discovery.kubernetes.writes import Write


@dataclass
class ClusterSet:
    """Its world, what was written, and what the servers have."""

    servers: Sequence[ApiServer]
    sameness: Sameness
    world: Latest[World] = field(default_factory=lambda: Latest(World(complete=False)))
    shared: Latest[Shared | None] = field(default_factory=lambda: Latest(None))
    writes: list[tuple[str, Write, str]] = field(default_factory=list)
    sources: list[KubernetesSource] = field(default_factory=list)
    members: dict[str, MultiCluster] = field(default_factory=dict)

    def merge(self) -> None:
        known = [facts for source in self.sources if (facts := source.facts.value) is not None]
        complete = all(source.status.value.known for source in self.sources)
        self.world.set(merge(known, Mesh(self.sameness), previous=self.world.value, complete=complete))
        if self.sameness is Sameness.EXPORTED:
            self.shared.set(shared(self.world.value, self.shared.value))

    def written(self, namespace: str) -> list[str]:
        return [f"{name} {w.object} {w.why}" for name, w, _ in self.writes if f" {namespace}/" in w.object]


@asynccontextmanager
async def cluster_set(
    folder: Path, *servers: ApiServer, sameness: Sameness = Sameness.EXPORTED
) -> AsyncIterator[ClusterSet]:
    """While it runs."""
    found = ClusterSet(servers, sameness)
    async with AsyncExitStack() as stack:
        tasks: list[asyncio.Task[None]] = []
        for server in servers:
            (folder / server.name).mkdir(exist_ok=True)
            access = access_to(server, folder / server.name)
            source = KubernetesSource(server.name, "default", HOME, access)
            found.sources.append(source)
            tasks += [asyncio.create_task(source.run()), asyncio.create_task(_follow(found, source))]
            api = Api(access, name=server.name)
            stack.push_async_callback(api.close)
            writer = MultiCluster(server.name, api, found.shared, _told(found, server.name))
            found.members[server.name] = writer
            tasks.append(asyncio.create_task(writer.run()))
        try:
            yield found
            assert not [task for task in tasks if task.done()], "one ended by itself"
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            for one in ended:
                if isinstance(one, BaseException) and not isinstance(one, asyncio.CancelledError):
                    raise one


async def _follow(found: ClusterSet, source: KubernetesSource) -> None:
    async def each(latest: Latest[Any]) -> None:
        version = latest.version
        while True:
            found.merge()
            version, _ = await latest.after(version)

    await asyncio.gather(each(source.facts), each(source.status))


def _told(found: ClusterSet, name: str) -> Any:
    return lambda write, failure: found.writes.append((name, write, failure))


def imported(server: ApiServer, namespace: str, name: str = "ratings", version: str = "v1alpha1") -> Any:
    """The ServiceImport, or None."""
    found = server.admin.list(f"multicluster.x-k8s.io/{version}/ServiceImport", namespace)
    return next((one for one in found if one["metadata"]["name"] == name), None)


def conditions(server: ApiServer, namespace: str, version: str = "v1alpha1") -> dict[str, str]:
    """Of the ServiceExport `ratings`: type -> "status reason"."""
    found = server.admin.get(f"multicluster.x-k8s.io/{version}/ServiceExport", "ratings", namespace)
    said = found.get("status", {}).get("conditions", [])
    return {one["type"]: f"{one['status']} {one['reason']}" for one in said}
