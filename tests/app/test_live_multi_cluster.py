"""`tideover run` keeps ServiceImports in every member, with just the RBAC of `deploy/`, also over a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.test_live_writer import PATIENCE_S, setup
from support.apiserver import ApiServer
from support.mcs import export, install, service
from support.tideover import running_tideover
from support.wait import until


def imported(server: ApiServer, namespace: str) -> dict[str, Any]:
    found = server.admin.list("ServiceImport", namespace)
    return found[0] if found else {}


def clusters(server: ApiServer, namespace: str) -> list[str]:
    return [one["cluster"] for one in imported(server, namespace).get("status", {}).get("clusters", ())]


async def test_what_one_cluster_exports_all_import_also_over_a_restart(
    paris: ApiServer, dublin: ApiServer, namespace: str, tmp_path: Path
) -> None:
    install(paris, dublin)
    paris.admin.create(service(namespace), export(namespace))
    replica = setup(tmp_path / "r", namespace, paris, dublin)
    replica.settings = {**replica.settings, "sameness": "exported"}
    replica.write()
    async with running_tideover(replica):
        for server in (paris, dublin):
            await until(lambda server=server: clusters(server, namespace) == ["paris"], PATIENCE_S)
        dublin.admin.create(service(namespace), export(namespace))
        await until(lambda: clusters(paris, namespace) == ["dublin", "paris"], PATIENCE_S)
    uid = imported(paris, namespace)["metadata"]["uid"]
    async with running_tideover(replica):
        paris.admin.delete("ServiceExport", "ratings", namespace)
        await until(lambda: clusters(paris, namespace) == ["dublin"], PATIENCE_S)
        assert imported(paris, namespace)["metadata"]["uid"] == uid
        dublin.admin.delete("ServiceExport", "ratings", namespace)
        for server in (paris, dublin):
            await until(lambda server=server: not imported(server, namespace), PATIENCE_S)
