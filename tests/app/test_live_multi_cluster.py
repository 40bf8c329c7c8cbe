"""`tideover run` keeps ServiceImports in every member, with just the RBAC of `deploy`, over a restart too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.apiserver import ApiServer
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
