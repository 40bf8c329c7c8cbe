"""`tideover run` with `sameness: exported` on real API servers, as the service account of `deploy/`.

ServiceImports are in every member, over a restart too, and clients are sent just what is exported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from support.apiserver import ApiServer
from support.delta import CDS, EDS, DeltaClient, delta_client, node
from support.mcs import export, install, service
from support.tideover import Setup, running_tideover
from support.wait import until

RBAC = Path(__file__).parents[2] / "deploy" / "base" / "rbac"
ACCOUNT = ("tideover-system", "tideover")
PATIENCE_S = 40  # the cores are shared


def replica(folder: Path, *servers: ApiServer) -> Setup:
    """One whose clusters are these, as the service account of `deploy/` in each."""
    folder.mkdir(parents=True)
    rows: dict[str, Any] = {}
    for server in servers:
        for name in ("namespace", "service-account", "reading", "writing"):
            server.admin.apply((RBAC / f"{name}.yaml").read_text())
        path = folder / f"{server.name}.kubeconfig"
        server.kubeconfig(path, token=server.admin.token(*ACCOUNT))
        rows[server.name] = {"manifests": None, "kubeconfig": {"path": str(path)}}
    return Setup(folder, rows, {"sameness": "exported"})


def imported(server: ApiServer, namespace: str) -> dict[str, Any]:
    found = server.admin.list("ServiceImport", namespace)
    return found[0] if found else {}


def clusters(server: ApiServer, namespace: str) -> list[str]:
    return [one["cluster"] for one in imported(server, namespace).get("status", {}).get("clusters", ())]


def valid(server: ApiServer, namespace: str) -> str:
    status = server.admin.get("ServiceExport", "ratings", namespace).get("status", {})
    found = {one["type"]: one["status"] for one in status.get("conditions", ())}
    return str(found.get("Valid", ""))


async def test_what_one_cluster_exports_all_import_also_over_a_restart(
    paris: ApiServer, dublin: ApiServer, namespace: str, tmp_path: Path
) -> None:
    install(paris, dublin)
    both = (paris, dublin)
    paris.admin.create(service(namespace), export(namespace))
    running = replica(tmp_path / "r", *both)
    async with running_tideover(running):
        for server in both:
            await until(lambda server=server: clusters(server, namespace) == ["paris"], PATIENCE_S)
        await until(lambda: valid(paris, namespace) == "True", PATIENCE_S)
        dublin.admin.create(service(namespace), export(namespace))
        await until(lambda: clusters(paris, namespace) == ["dublin", "paris"], PATIENCE_S)
    uid = imported(paris, namespace)["metadata"]["uid"]
    async with running_tideover(running):
        paris.admin.delete("ServiceExport", "ratings", namespace)
        await until(lambda: clusters(paris, namespace) == ["dublin"], PATIENCE_S)
        assert imported(paris, namespace)["metadata"]["uid"] == uid
        dublin.admin.delete("ServiceExport", "ratings", namespace)
        for server in both:
            await until(lambda server=server: not imported(server, namespace), PATIENCE_S)


def slice_of(namespace: str, address: str) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": "ratings"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "ratings-x", "namespace": namespace, "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [address]}],
    }


async def sent(client: DeltaClient, wanted: set[str]) -> None:
    """Until these are the addresses that it was sent last."""
    found: set[str] | None = None
    while found != wanted:
        response = await client.receive(PATIENCE_S)
        await client.ack(response)
        for one in response.resources if response.type_url == EDS else ():
            groups = ClusterLoadAssignment.FromString(one.resource.value).endpoints
            ends = [end.endpoint.address.socket_address for group in groups for end in group.lb_endpoints]
            found = {end.address for end in ends}


async def test_an_export_that_comes_and_goes_decides_live_what_clients_of_other_clusters_are_sent(
    paris: ApiServer, dublin: ApiServer, namespace: str, tmp_path: Path
) -> None:
    install(paris, dublin)
    for server, address in ((paris, "10.9.0.1"), (dublin, "10.9.1.1")):
        server.admin.create(service(namespace), slice_of(namespace, address))
    dublin.admin.create(export(namespace))
    running, target = replica(tmp_path / "r", paris, dublin), f"{namespace}/ratings:80"
    async with (
        running_tideover(running),
        delta_client(running.xds_port, node("dublin-1", CLUSTER_ID="dublin")) as client,
        delta_client(running.xds_port, node("paris-1", CLUSTER_ID="paris")) as at_home,
    ):
        for one in (client, at_home):
            await one.subscribe(CDS, [target])
            await one.subscribe(EDS, [target])
        # what paris does not export is for paris alone, and another service than what dublin exports
        await sent(client, {"10.9.1.1"})
        await sent(at_home, {"10.9.0.1"})
        paris.admin.create(export(namespace))
        await sent(client, {"10.9.0.1", "10.9.1.1"})
        await sent(at_home, {"10.9.0.1", "10.9.1.1"})
        paris.admin.delete("ServiceExport", "ratings", namespace)
        await sent(client, {"10.9.1.1"})
        await sent(at_home, {"10.9.0.1"})
