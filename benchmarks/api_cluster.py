"""A real API server with a made-up cluster in it, and the one change that the benchmarks time."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from .make_cluster import Cluster, objects

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # the servers are those of the tests

AT_ONCE = 32
Object = dict[str, Any]
PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Service": "/api/v1/namespaces/{}/services",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
}


class ApiCluster:
    """One API server. `slices`: those that may be changed, as they are now; `ports`: of all services."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.url: str = server.url
        self.slices: list[Object] = []
        self.ports = 0

    def fill(self, services: int, endpoints: int, seed: int = 1) -> float:
        """Write a cluster of that size with pods, nodes and namespaces; the seconds that it took."""
        began = time.monotonic()
        made = list(
            objects(Cluster("eu-west", ["eu-west-a", "eu-west-b", "eu-west-c"], seed), services, endpoints)
        )
        slices = [_sent(o, seed) for o in made if o["kind"] == "EndpointSlice"]
        # one assignment for each change: of services with one port, those with endpoints
        self.slices = [one for one in slices if len(one["ports"]) == 1 and one["endpoints"]]
        self.ports = sum(len(o["spec"]["ports"]) for o in made if o["kind"] == "Service")
        first = [o for o in made if o["kind"] in ("Namespace", "Node")]
        rest = [o for o in made if o["kind"] not in ("Namespace", "Node")]
        asyncio.run(self._write_all(first, rest, seed))
        return time.monotonic() - began

    async def _write_all(self, first: list[Object], rest: list[Object], seed: int) -> None:
        async with self.session() as session:
            for part in (first, rest):
                waiting: Iterator[Object] = iter([_sent(o, seed) for o in part])
                await asyncio.gather(*(self._write(session, waiting) for _ in range(AT_ONCE)))

    async def _write(self, session: aiohttp.ClientSession, waiting: Iterable[Object]) -> None:
        for one in waiting:
            path = PATHS[one["kind"]].format(one["metadata"].get("namespace"))
            async with session.post(self.url + path, json=one) as answer:
                if answer.status not in (201, 409):
                    raise RuntimeError(f"{one['kind']} {one['metadata']['name']}: {await answer.text()}")

    async def turn(self, session: aiohttp.ClientSession, index: int) -> None:
        """Turn the readiness of the first endpoint of that slice."""
        one = self.slices[index]
        conditions = one["endpoints"][0]["conditions"]
        conditions["ready"] = conditions["serving"] = not conditions["ready"]
        path = PATHS["EndpointSlice"].format(one["metadata"]["namespace"])
        body = json.dumps({"endpoints": one["endpoints"]})
        headers = {"Content-Type": "application/merge-patch+json"}
        url = f"{self.url}{path}/{one['metadata']['name']}"
        async with session.patch(url, data=body, headers=headers) as answer:
            if answer.status != 200:
                raise RuntimeError(await answer.text())

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(pid) for pid in self.server.pids()]

    def session(self) -> aiohttp.ClientSession:
        context = ssl.create_default_context(cadata=self.server.ca_pem)
        headers = {"Authorization": f"Bearer {self.server.token}"}
        connector = aiohttp.TCPConnector(ssl=context, limit=AT_ONCE)
        return aiohttp.ClientSession(headers=headers, connector=connector)


def _sent(one: Object, seed: int) -> Object:
    """As it is written: the server gives uid, version and generation; addresses differ between clusters."""
    text = json.dumps(one).replace('"10.200.', f'"10.{seed}.') if seed > 1 else json.dumps(one)
    copied: Object = json.loads(text)
    for key in ("uid", "resourceVersion", "creationTimestamp", "generation", "ownerReferences"):
        copied["metadata"].pop(key, None)
    if copied["kind"] == "Service":
        for key in (
            "clusterIP",
            "clusterIPs",
            "selector",
        ):  # with a selector the controllers would make slices
            copied["spec"].pop(key)
    if copied["kind"] == "EndpointSlice":
        copied["metadata"]["labels"].pop("endpointslice.kubernetes.io/managed-by")
    return copied


@contextmanager
def api_clusters(folder: Path, count: int) -> Iterator[list[ApiCluster]]:
    """That many API servers without controllers, empty."""
    from support.apiserver.build import binaries
    from support.apiserver.server import ApiServer

    built = binaries(lambda text: print(text, flush=True))
    servers = [ApiServer(folder / f"server-{i}", f"bench-{i}", built) for i in range(count)]
    try:
        for server in servers:
            server.start()
        yield [ApiCluster(server) for server in servers]
    finally:
        for server in servers:
            server.stop()
