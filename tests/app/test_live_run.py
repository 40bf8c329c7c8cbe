"""`tideover run` and `tideover check` as processes, with real API servers."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from discovery.live import service, slice_of
from support.apiserver import ApiServer
from support.certificates import Authority
from support.manifests import ClusterFolder, Place, endpoint_slice
from support.manifests import service as manifest
from support.running import happened, status
from support.tideover import Setup, Tideover, command, running_tideover
from support.wait import until
from tideover_proto.admin.v1 import admin_pb2 as pb

PATIENCE_S = 30  # the cores are shared


def kubeconfig(server: ApiServer, folder: Path, **said: str) -> dict[str, Any]:
    """The row of a cluster that is reached by this kubeconfig."""
    path = folder / f"{server.name}.kubeconfig"
    server.kubeconfig(path, **said)
    return {"manifests": None, "kubeconfig": {"path": str(path)}, "locality": {"region": "eu-west"}}


def live(folder: Path, server: ApiServer, **settings: Any) -> Setup:
    folder.mkdir(parents=True)
    return Setup(folder, {server.name: kubeconfig(server, folder)}, settings)


def in_this_pod(server: ApiServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a pod of that cluster finds: a mounted service account, and where the API server is."""
    folder.mkdir(parents=True)
    (folder / "token").write_text(server.token)
    (folder / "ca.crt").write_text(server.ca_pem)
    monkeypatch.setenv("TIDEOVER_SERVICE_ACCOUNT", str(folder))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))


async def cluster(tideover: Tideover, name: str) -> pb.Cluster:
    """That cluster as `status` shows it."""
    return next((one for one in (await status(tideover)).clusters if one.name == name), pb.Cluster())


async def endpoints(tideover: Tideover, name: str) -> int:
    answer = await tideover.cli("endpoints", name, "-o", "json")
    return len(answer.json()["endpoints"]) if answer.code == 0 else 0


async def metric(tideover: Tideover, name: str, cluster: str) -> float:
    """A metric of that cluster; -1 while it has none."""
    _, text = await tideover.http("/metrics")
    start = f'{name}{{cluster="{cluster}"}} '
    lines = [line.removeprefix(start) for line in text.splitlines() if line.startswith(start)]
    return float(lines[0]) if lines else -1


async def test_clusters_of_every_kind_are_one_world_and_come_and_go_live(
    paris: ApiServer,
    dublin: ApiServer,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for server, address in ((paris, "10.1.0.1"), (dublin, "10.2.0.1")):
        server.admin.create(service(namespace), slice_of(namespace, [address]))
    setup = Setup(tmp_path / "run")
    in_this_pod(dublin, tmp_path / "account", monkeypatch)
    rows = {
        "paris": kubeconfig(paris, setup.folder),
        "dublin": {"manifests": None, "inCluster": True},
        "virginia": {},
    }
    setup.clusters, setup.settings = rows, {"hub": "paris"}
    setup.write()
    folder = ClusterFolder(setup.cluster_path("virginia"))
    part = endpoint_slice("ratings", [Place("10.3.0.1")])
    for one in (made := manifest("ratings"), part):
        one["metadata"]["namespace"] = namespace
    folder.write("ratings", made, part)
    name = f"{namespace}/ratings"

    checked = await command("check", "-c", str(setup.config), "-o", "json")
    assert checked.code == 0, checked.out
    by_name = {one["name"]: one for one in checked.json()["sources"]}
    assert by_name["paris"]["server"] == paris.url
    assert by_name["dublin"]["version"].startswith("v1.")
    asked = {(p["verb"], p["resource"], p["allowed"]) for p in by_name["paris"]["permissions"]}
    assert {("watch", "endpointslices.discovery.k8s.io", True), ("list", "secrets", True)} <= asked
    assert by_name["paris"]["endpoints"] >= 1

    async with running_tideover(setup) as tideover:
        await until(lambda: endpoints_are(tideover, name, 3), PATIENCE_S)
        shown = {one.name: (one.source, one.server) for one in (await status(tideover)).clusters}
        assert shown == {
            "paris": ("kubeconfig", paris.url),
            "dublin": ("inCluster", f"https://127.0.0.1:{dublin.port}"),
            "virginia": ("manifests", ""),
        }
        assert await metric(tideover, "tideover_cluster_known", "paris") == 1
        assert await metric(tideover, "tideover_cluster_stale_seconds", "dublin") == 0
        assert await metric(tideover, "tideover_cluster_held_endpoints", "dublin") == 0

        setup.clusters = {n: row for n, row in rows.items() if n != "paris"}
        setup.settings = {"hub": "dublin"}
        setup.write()
        tideover.process.send_signal(signal.SIGHUP)
        await until(lambda: endpoints_are(tideover, name, 2), PATIENCE_S)
        setup.clusters = rows
        setup.write()
        tideover.process.send_signal(signal.SIGHUP)
        await until(lambda: endpoints_are(tideover, name, 3), PATIENCE_S)
        paris.admin.apply(slice_of(namespace, ["10.1.0.1", "10.1.0.2"]))
        await until(lambda: endpoints_are(tideover, name, 4), PATIENCE_S)
        _, text = await tideover.http("/metrics")
        for counter in ("lists", "starts", "events"):
            assert f'tideover_watch_{counter}_total{{cluster="paris",kind="EndpointSlice"}} 1.0' in text


async def endpoints_are(tideover: Tideover, name: str, count: int) -> bool:
    return await endpoints(tideover, name) == count


async def test_what_vanishes_at_once_is_held_until_an_operator_accepts_it(
    own_server: ApiServer, tmp_path: Path
) -> None:
    admin = own_server.admin
    admin.namespace("shop")
    for name, address in (("ratings", "10.1.0"), ("reviews", "10.1.1")):
        admin.create(service("shop", name), slice_of("shop", [f"{address}.1", f"{address}.2"], name))
    setup = live(tmp_path / "run", own_server, removalHold="10m")
    async with running_tideover(setup) as tideover:
        await until(lambda: endpoints_are(tideover, "shop/ratings", 2), PATIENCE_S)
        await until(lambda: endpoints_are(tideover, "shop/reviews", 2), PATIENCE_S)
        admin.delete_all("EndpointSlice", "shop")
        admin.delete_all("Service", "shop")
        await until(lambda: held(tideover, 4), PATIENCE_S)
        await happened(tideover, "RemovalsHeld Cluster own")
        assert await metric(tideover, "tideover_cluster_held_endpoints", "own") == 4
        shown = (await tideover.cli("status")).out
        assert "4 of 4 addresses vanished at once and are held, looked at again in " in shown
        for name in ("ratings", "reviews"):
            assert await endpoints(tideover, f"shop/{name}") == 2

        refused = await tideover.cli("cluster", "accept", "own")
        socket = f"unix:{setup.folder}/state/admin.sock"
        assert refused.code == 1
        assert f"use --server {socket}" in refused.err
        accepted = await command("cluster", "accept", "own", "--server", socket)
        assert (accepted.code, accepted.out) == (0, "4 addresses that vanished from own are taken away\n")
        await until(lambda: endpoints_are(tideover, "shop/ratings", 0), PATIENCE_S)
        await happened(tideover, "RemovalsAccepted Cluster own")
        await happened(tideover, "RemovalsNoLongerHeld Cluster own")
        again = await command("cluster", "accept", "own", "--server", socket)
        assert (again.code, again.err) == (1, "tideover: nothing of cluster 'own' is held back\n")


async def held(tideover: Tideover, count: int) -> bool:
    return (await cluster(tideover, "own")).held.addresses == count


async def test_a_restart_during_an_outage_serves_what_was_known_and_says_since_when_and_why(
    own_server: ApiServer, tmp_path: Path
) -> None:
    own_server.admin.namespace("shop")
    own_server.admin.create(service("shop"), slice_of("shop", ["10.1.0.1", "10.1.0.2"]))
    setup = live(tmp_path / "run", own_server)
    saved = setup.folder / "state" / "own.facts"
    async with running_tideover(setup) as tideover:
        await until(lambda: endpoints_are(tideover, "shop/ratings", 2), PATIENCE_S)
        await until(lambda: saved.exists() and b"10.1.0.2" in saved.read_bytes(), PATIENCE_S)
        own_server.admin.apply(slice_of("shop", ["10.1.0.1", "10.1.0.2", "10.1.0.3"]))
        await until(lambda: b"10.1.0.3" in saved.read_bytes(), PATIENCE_S)
        own_server.kill()
        await tideover.kill()
    saved.write_bytes(saved.read_bytes()[:-7])  # torn as well: the one before is used
    async with running_tideover(setup) as tideover:
        assert await endpoints(tideover, "shop/ratings") >= 2
        await until(lambda: refusing(tideover), PATIENCE_S)
        told = await cluster(tideover, "own")
        assert (told.known, told.HasField("stale_since")) == (True, True)
        assert await metric(tideover, "tideover_cluster_stale_seconds", "own") > 0
        counted = 'tideover_watch_errors_total{cause="unreachable",cluster="own",kind="EndpointSlice"}'
        assert counted in (await tideover.http("/metrics"))[1]
        assert "Snapshot of cluster own" in (await tideover.cli("status")).out
        await asyncio.to_thread(own_server.start)
        await until(lambda: fresh(tideover), PATIENCE_S)
        await until(lambda: endpoints_are(tideover, "shop/ratings", 3), PATIENCE_S)


async def refusing(tideover: Tideover) -> bool:
    return "connection refused" in (await cluster(tideover, "own")).reason


async def fresh(tideover: Tideover) -> bool:
    told = await cluster(tideover, "own")
    return told.known and not told.HasField("stale_since")


async def checked(setup: Setup) -> tuple[int, dict[str, Any]]:
    answer = await command("check", "-c", str(setup.config), "-o", "json")
    return answer.code, answer.json()


@pytest.mark.parametrize(
    ("said", "message", "advice"),
    [
        ({"token": "wrong"}, "401 Unauthorized", "credentials that are valid"),
        ({"server": "https://127.0.0.1:1"}, "connection refused", "is it up"),
        ({"server": "https://localhost:{port}", "ca": "other"}, "certificate", "is it up"),
    ],
    ids=["401", "refused", "unknown authority"],
)
async def test_check_says_why_a_cluster_cannot_be_asked_and_what_to_do(
    paris: ApiServer, tmp_path: Path, said: dict[str, str], message: str, advice: str
) -> None:
    said = {key: text.format(port=paris.port) for key, text in said.items()}
    if "ca" in said:
        said["ca"] = Authority().pem.decode()
    setup = live(tmp_path / "run", paris)
    paris.kubeconfig(setup.folder / "paris.kubeconfig", **said)
    code, document = await checked(setup)
    (error,) = document["errors"]
    assert (code, error["key"]) == (1, "clusters[0].kubeconfig")
    assert message in error["message"]
    assert advice in error["message"]
    assert document["sources"][0]["reachable"] is False


async def test_check_names_what_we_may_not_read(paris: ApiServer, namespace: str, tmp_path: Path) -> None:
    about = {"name": "weak", "namespace": namespace}
    paris.admin.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about})
    setup = live(tmp_path / "run", paris, hub="paris")
    paris.kubeconfig(setup.folder / "paris.kubeconfig", token=paris.admin.token(namespace, "weak"))
    code, document = await checked(setup)
    assert code == 1
    messages = " ".join(error["message"] for error in document["errors"])
    assert "does not let us list, watch endpointslices.discovery.k8s.io; `tideover cluster join`" in messages
    assert "list, watch secrets in tideover-system; deploy/hub there grants it" in messages
    problems = " ".join(problem["message"] for problem in document["problems"])
    assert "may not list, watch serviceexports.multicluster.x-k8s.io" in problems
    shown = await command("check", "-c", str(setup.config))
    assert "not readable, 0 of " in shown.out


async def test_check_says_what_is_wrong_with_a_kubeconfig(paris: ApiServer, tmp_path: Path) -> None:
    setup = live(tmp_path / "run", paris)
    path = setup.folder / "paris.kubeconfig"
    path.write_text(path.read_text()[:80])
    code, document = await checked(setup)
    assert code == 1
    assert str(path) in document["errors"][0]["message"]
    assert "mend the kubeconfig" in document["errors"][0]["message"]
