"""Clusters that Secrets of the hub register: they come, change, break, vanish and leave, live."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from support.apiserver import ApiServer, Workload
from support.delta import CDS, METHOD, DeltaClient, node
from support.mtls import Mtls
from support.running import ask, status
from support.tideover import Answer, Setup, Tideover, command, running_tideover
from support.wait import until
from tideover_proto.admin.v1 import admin_pb2 as pb

PODS = {"ratings-1": "10.72.1.1", "ratings-2": "10.72.1.2"}
ONLY = {"reviews-1": "10.72.1.3"}


class Mesh:
    """Paris is the hub, dublin joins; both have `ratings`, only dublin has `reviews`."""

    def __init__(self, folder: Path, namespace: str, hub: ApiServer, member: ApiServer) -> None:
        self.namespace, self.hub, self.member = namespace, hub, member
        self.folder = folder
        hub.kubeconfig(folder / "paris.kubeconfig")
        member.kubeconfig(folder / "dublin.kubeconfig")
        paris = {"manifests": None, "kubeconfig": {"path": "./paris.kubeconfig"}}
        self.setup = Setup(folder, {"paris": paris}, {"hub": "paris", "rootNamespace": namespace})
        Workload(hub.admin, namespace).create()
        Workload(member.admin, namespace, pods=dict(PODS), node="dublin-1", region="eu-north").create()
        Workload(member.admin, namespace, "reviews", dict(ONLY), node="dublin-1", region="eu-north").create()

    async def cluster(self, *arguments: str) -> Answer:
        env = {"KUBECONFIG": f"{self.folder / 'paris.kubeconfig'}:{self.folder / 'dublin.kubeconfig'}"}
        return await command("cluster", *arguments, "--namespace", self.namespace, env=env)

    async def join(self) -> None:
        answer = await self.cluster(
            "join", "--context", "dublin", "--server", self.member.url, "--hub-context", "paris"
        )
        assert answer.code == 0, answer.err

    def patch(self, patch: dict[str, Any]) -> None:
        self.hub.admin.patch("Secret", "tideover-cluster-dublin", self.namespace, patch)

    def vanish(self) -> None:
        self.hub.admin.delete("Secret", "tideover-cluster-dublin", self.namespace)

    async def health(self, tideover: Tideover, service: str = "ratings") -> dict[str, str]:
        """What a client of paris is sent: address -> health."""
        name = f"{self.namespace}/{service}:9080"
        answer = await tideover.cli(
            "explain", name, "--from", "eu-west/eu-west-a", "--cluster", "paris", "-o", "json"
        )
        return {
            end["address"]: end["health"]
            for priority in (answer.json()["priorities"] if answer.code == 0 else ())
            for place in priority["localities"]
            for end in place["endpoints"]
        }


@pytest.fixture
def mesh(tmp_path: Path, namespace: str, paris: ApiServer, dublin: ApiServer) -> Mesh:
    return Mesh(tmp_path, namespace, paris, dublin)


async def known(tideover: Tideover, mesh: Mesh, service: str = "ratings") -> set[str]:
    """Addresses of dublin's pods that the replica knows."""
    request = pb.ListEndpointsRequest(service=f"{mesh.namespace}/{service}")
    try:
        answer = await ask(tideover, "ListEndpoints", request)
    except Exception:  # noqa: BLE001 - no such service yet
        return set()
    return {end.address for end in answer.endpoints if end.cluster == "dublin"}


async def cluster(tideover: Tideover) -> Any:
    return next((one for one in (await status(tideover)).clusters if one.name == "dublin"), None)


async def problem(tideover: Tideover, *words: str) -> bool:
    found = [f"{p.object}: {p.message}; {p.consequence}" for p in (await status(tideover)).problems]
    return any(all(word in one for word in words) for one in found)


@asynccontextmanager
async def watched(tideover: Tideover, mesh: Mesh) -> AsyncIterator[None]:
    """Dublin's endpoints are there all the time in this block."""
    lost: list[object] = []

    async def look() -> None:
        while True:
            now = await known(tideover, mesh)
            if now != set(PODS.values()):
                lost.append(now)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(look())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert lost == []


async def fresh(tideover: Tideover) -> bool:
    one = await cluster(tideover)
    return one is not None and one.known and not one.HasField("stale_since")


async def test_a_cluster_joins_changes_breaks_and_vanishes_and_nothing_is_lost(mesh: Mesh) -> None:
    async with running_tideover(mesh.setup) as tideover:
        assert await cluster(tideover) is None
        await mesh.join()
        await until(lambda: fresh(tideover), what=tideover.log)
        assert await known(tideover, mesh) == set(PODS.values())
        assert (await cluster(tideover)).source == f"Secret {mesh.namespace}/tideover-cluster-dublin"
        async with watched(tideover, mesh):
            # other credentials, another place
            text = mesh.member.kubeconfig()
            mesh.patch({"data": {"kubeconfig": base64.b64encode(text.encode()).decode()}})
            mesh.patch({"metadata": {"annotations": {"tideover.dev/locality": "eu-south"}}})

            async def moved() -> bool:
                one = await cluster(tideover)
                return one.locality.startswith("eu-south") and await fresh(tideover)

            await until(moved, what=tideover.log)
            # another one of that name, with paris behind it: the older one counts
            paris = base64.b64encode(mesh.hub.kubeconfig().encode()).decode()
            name = {"name": "z", "namespace": mesh.namespace, "labels": {"tideover.dev/cluster": "dublin"}}
            mesh.hub.admin.create(
                {"apiVersion": "v1", "kind": "Secret", "metadata": name, "data": {"kubeconfig": paris}}
            )
            await until(lambda: problem(tideover, f"Secret {mesh.namespace}/z: ", "first"), what=tideover.log)
            assert (await cluster(tideover)).server == mesh.member.url
            mesh.hub.admin.delete("Secret", "z", mesh.namespace)
            # broken: the last good credentials stay in use
            bad = json.loads(text)
            bad["users"][0]["user"] = {"exec": {"command": "/bin/sh"}}
            mesh.patch({"data": {"kubeconfig": base64.b64encode(json.dumps(bad).encode()).decode()}})
            await until(lambda: problem(tideover, "exec", "last good credentials stay"), what=tideover.log)
            assert await fresh(tideover)
            # gone
            mesh.vanish()
            await until(lambda: problem(tideover, "Cluster dublin", "is gone"), what=tideover.log)
            assert await fresh(tideover)
        mesh.member.admin.namespace(mesh.namespace)
        await tideover.terminate()
    assert "kubeconfig" not in (mesh.folder / "state" / "registrations.json").read_text()
    async with running_tideover(mesh.setup) as tideover:
        assert await known(tideover, mesh) == set(PODS.values())
        await until(lambda: problem(tideover, "Cluster dublin", "is gone"), what=tideover.log)
        one = await cluster(tideover)
        await until(lambda: _reason(tideover, "its registration Secret is gone"), what=tideover.log)
        assert one.HasField("stale_since")
        async with watched(tideover, mesh):
            await mesh.join()
            await until(lambda: fresh(tideover), what=tideover.log)
        assert not await problem(tideover, "Cluster dublin", "is gone")


async def _reason(tideover: Tideover, text: str) -> bool:
    return text in (await cluster(tideover)).reason


async def test_a_cluster_leaves_drained_and_what_lives_only_there_goes_last(mesh: Mesh) -> None:
    async with running_tideover(mesh.setup) as tideover:
        await mesh.join()
        await until(lambda: fresh(tideover), what=tideover.log)
        assert set(PODS.values()) <= (await mesh.health(tideover)).keys()
        leaving = asyncio.create_task(
            mesh.cluster("leave", "dublin", "--hub-context", "paris", "--drain-seconds", "10")
        )
        await until(lambda: problem(tideover, "Cluster dublin", "is leaving: draining"), what=tideover.log)
        now = await mesh.health(tideover)
        assert {now[address] for address in PODS.values()} == {"DRAINING"}
        assert {now[address] for address in now.keys() - PODS.values()} == {"HEALTHY"}
        server = f"127.0.0.1:{mesh.setup.admin_port}"
        refused = await mesh.cluster("leave", "dublin", "--hub-context", "paris", "--server", server)
        assert (refused.code, f"{mesh.namespace}/reviews" in refused.err) == (1, True)
        # nothing else has it: it goes on
        assert await mesh.health(tideover, "reviews") == {"10.72.1.3": "HEALTHY"}
        answer = await leaving
        assert answer.code == 0, answer.err

        async def gone() -> bool:
            return await cluster(tideover) is None

        await until(gone, what=tideover.log)
        assert await known(tideover, mesh) == set()
        await tideover.terminate()
    async with running_tideover(mesh.setup) as tideover:
        assert await cluster(tideover) is None


async def test_two_kinds_of_secrets_and_leaving_without_one(mesh: Mesh) -> None:
    content = base64.b64encode(mesh.member.kubeconfig().encode()).decode()
    mesh.hub.admin.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": "istio-remote-secret",
                "namespace": mesh.namespace,
                "labels": {"istio/multiCluster": "true"},
            },
            "data": {"virginia": content, "paris": content},
        }
    )
    async with running_tideover(mesh.setup) as tideover:

        async def istio() -> bool:
            return any(c.name == "virginia" and c.known for c in (await status(tideover)).clusters)

        await until(istio, what=tideover.log)
        assert await problem(tideover, "istio-remote-secret", "is in tideover.yaml, which counts")
        refused = await mesh.cluster("leave", "virginia", "--hub-context", "paris")
        assert (refused.code, "istioctl" in refused.err) == (1, True)
        await mesh.join()
        await until(lambda: fresh(tideover), what=tideover.log)
        mesh.vanish()
        await until(lambda: problem(tideover, "Cluster dublin", "is gone"), what=tideover.log)
        answer = await mesh.cluster(
            "leave", "dublin", "--hub-context", "paris", "--drain-seconds", "2", "--secret-gone"
        )
        assert answer.code == 0, answer.err

        async def gone() -> bool:
            return await cluster(tideover) is None

        await until(gone, what=tideover.log)


async def test_the_trust_domain_of_a_registered_cluster_proves_whose_clients_they_are(
    tmp_path: Path, namespace: str, paris: ApiServer, dublin: ApiServer
) -> None:
    mtls = Mtls(tmp_path / "tls", trust_domain="dublin.example")
    mesh = Mesh(tmp_path, namespace, paris, dublin)
    mesh.setup.settings = {**mesh.setup.settings, **mtls.settings}
    mesh.setup.write()
    await mesh.join()
    async with running_tideover(mesh.setup) as tideover:

        async def proven(cluster: str) -> bool:
            """Whether a client that says that it is of paris is served as one of that cluster."""
            async with mtls.channel(mesh.setup.xds_port, mtls.pair("caller", namespace)) as channel:
                call: Any = channel.stream_stream(METHOD)()
                client = DeltaClient(call, node("caller", NAMESPACE=namespace))
                await client.subscribe(CDS, ["*"])
                await client.receive()
                found = (await tideover.cli("clients", "-o", "json")).json()["clients"]
                call.cancel()
            return [one["vantage"]["cluster"] for one in found if one["id"] == "caller"] == [cluster]

        assert await proven("paris")
        mesh.patch({"metadata": {"annotations": {"tideover.dev/trust-domain": "dublin.example"}}})
        await until(lambda: proven("dublin"), 30, tideover.log)
        mesh.patch({"metadata": {"annotations": {"tideover.dev/trust-domain": None}}})
        await until(lambda: proven("paris"), 30, tideover.log)
