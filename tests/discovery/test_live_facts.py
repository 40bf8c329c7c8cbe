"""Facts of what Kubernetes' own controllers write, and the same from files of the same objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from discovery.live import HOME, access_to, fresh, running
from discovery.test_assembler import without_generation
from discovery.worlds import dump
from support.apiserver import ApiServer
from support.apiserver.admin import GROUPS
from support.manifests import Object
from support.wait import until
from tideover_core.model import ClusterFacts, ServiceFacts, ServiceKey
from tideover_discovery.files import read_cluster
from tideover_discovery.kubernetes.watch import KubernetesSource

KINDS = ("Service", "EndpointSlice", "Pod", "Node", "Namespace", "FailoverPolicy", "TrafficOrder")
REGION, ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"


def a_service(namespace: str, name: str, *ports: dict[str, Any], **spec: Any) -> Object:
    about = {"name": name, "namespace": namespace}
    whole = {"selector": {"app": name}, "ports": list(ports), **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": about, "spec": whole}


def a_pod(namespace: str, name: str, app: str, *, http: int = 8080, **more: Any) -> Object:
    about = {"name": name, "namespace": namespace, "labels": {"app": app, "version": "v1"}}
    ports = [{"name": "web", "containerPort": http}]
    spec = {"containers": [{"name": "c", "image": "none", "ports": ports}], **more}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec}


def a_node(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}


def runs(server: ApiServer, namespace: str, pod: str, address: str, *, ready: bool = True) -> None:
    """Do as the kubelet would."""
    status = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
    }
    server.admin.patch("Pod", pod, namespace, {"status": status}, "status")


class Told:
    """What a source knows of one namespace."""

    def __init__(self, source: KubernetesSource, namespace: str) -> None:
        self.source, self.namespace = source, namespace

    def facts(self) -> ClusterFacts:
        found = self.source.facts.value
        assert found is not None
        return found

    def service(self, name: str) -> ServiceFacts | None:
        return self.facts().services.get(ServiceKey(self.namespace, name))

    def ends(self, name: str, port: int) -> list[tuple[Any, ...]]:
        """(address, port, ready, serving, terminating) of each endpoint."""
        found = self.service(name)
        there = found.endpoints.get(port, ()) if found is not None else ()
        return [(e.address, e.port, e.ready, e.serving, e.terminating) for e in there]

    async def has(self, name: str, port: int, *wanted: tuple[Any, ...]) -> None:
        await until(lambda: self.ends(name, port) == list(wanted), 20, lambda: self.ends(name, port))


async def equals_files(server: ApiServer, told: Told, folder: Path) -> None:
    """What the server lists, as files, says the same; events may still be on their way."""
    folder.mkdir()
    for kind in KINDS:
        version = GROUPS.get(kind, "v1")
        items = [{"kind": kind, "apiVersion": version, **one} for one in server.admin.list(kind)]
        (folder / f"{kind.lower()}.json").write_bytes(dump(*items))
    read = without_generation(read_cluster("paris", "default", HOME, folder))
    await until(lambda: without_generation(told.facts()) == read, 20, lambda: "live facts differ from files")


async def test_services_of_every_kind_as_the_controllers_write_them(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    admin, node = paris.admin, f"n-{namespace}"
    web = {"name": "http", "port": 80, "targetPort": "web"}
    plain = {"name": "tcp", "port": 81, "targetPort": 9000}
    async with running(access_to(paris, tmp_path)) as source:
        await fresh(source)
        told = Told(source, namespace)
        admin.create(a_node(node))  # the controller waits for it
        admin.create(
            a_service(namespace, "shop", web, plain, {"name": "dns", "port": 53, "protocol": "UDP"}),
            a_service(namespace, "early", web, publishNotReadyAddresses=True, selector={"app": "shop"}),
            a_service(namespace, "pg", {"name": "tcp", "port": 5432}, clusterIP="None"),
            a_service(namespace, "away", type="ExternalName", externalName="db.example.com", selector=None),
            a_pod(namespace, "shop-1", "shop", nodeName=node),
            a_pod(namespace, "shop-2", "shop", http=8081, nodeName=node),
            a_pod(namespace, "pg-0", "pg", nodeName=node, hostname="pg-0", subdomain="pg"),
            a_pod(namespace, "pg-1", "pg", nodeName=node, hostname="pg-1", subdomain="pg"),
        )
        runs(paris, namespace, "shop-1", "10.9.0.1")
        runs(paris, namespace, "shop-2", "10.9.0.2", ready=False)
        runs(paris, namespace, "pg-0", "10.9.1.1")
        runs(paris, namespace, "pg-1", "10.9.1.2")
        # a port by the name that each pod gives another number, and one by its number
        await told.has(
            "shop", 80, ("10.9.0.1", 8080, True, True, False), ("10.9.0.2", 8081, False, False, False)
        )
        await told.has(
            "shop", 81, ("10.9.0.1", 9000, True, True, False), ("10.9.0.2", 9000, False, False, False)
        )
        await told.has(
            "early", 80, ("10.9.0.1", 8080, True, True, False), ("10.9.0.2", 8081, True, False, False)
        )
        await until(lambda: (pg := told.service("pg")) is not None and pg.hostnames == ("pg-0", "pg-1"), 20)
        assert (pg := told.service("pg")) is not None
        assert pg.headless
        assert {e.hostname: e.address for e in pg.endpoints[5432]} == {"pg-0": "10.9.1.1", "pg-1": "10.9.1.2"}
        assert told.service("away") is None
        mine = [problem for problem in told.facts().problems if namespace in problem.object]
        assert sorted(problem.message.split(" ", 2)[:2] for problem in mine) == [
            ["port", "53"], ["type", "ExternalName"]
        ]  # fmt: skip
        await equals_files(paris, told, tmp_path / "one")
        admin.delete("Node", node)


async def test_what_arrives_late_and_what_leaves(paris: ApiServer, namespace: str, tmp_path: Path) -> None:
    admin, node = paris.admin, f"n-{namespace}"
    async with running(access_to(paris, tmp_path)) as source:
        await fresh(source)
        told = Told(source, namespace)
        admin.create(a_node(node), a_node(f"{node}-b"))
        admin.create(
            a_service(namespace, "shop", {"name": "http", "port": 80, "targetPort": "web"}),
            a_pod(namespace, "shop-1", "shop", nodeName=node, terminationGracePeriodSeconds=300),
            a_pod(namespace, "shop-2", "shop", nodeName=f"{node}-b"),
        )
        runs(paris, namespace, "shop-1", "10.9.2.1")
        runs(paris, namespace, "shop-2", "10.9.2.2")
        await told.has(
            "shop", 80, ("10.9.2.1", 8080, True, True, False), ("10.9.2.2", 8080, True, True, False)
        )
        # labels of the node, and other labels of the pod, come after the endpoint
        admin.patch("Node", node, "", {"metadata": {"labels": {REGION: "eu-west", ZONE: "eu-west-b"}}})

        def zones() -> list[str]:
            found = told.service("shop")
            return [e.locality.zone for e in found.endpoints[80]] if found is not None else []

        await until(lambda: zones() == ["eu-west-b", "eu-west-a"], 20, zones)
        admin.patch("Node", node, "", {"metadata": {"labels": {ZONE: "eu-west-c"}}})
        await until(lambda: zones() == ["eu-west-c", "eu-west-a"], 20, zones)
        said = {"tideover.dev/weight": "4", "tideover.dev/capacity": "12.5", "noise": "x"}
        marks = {"labels": {"version": "v2"}, "annotations": said}
        admin.patch("Pod", "shop-1", namespace, {"metadata": marks})

        def first() -> tuple[Any, ...]:
            found = told.service("shop")
            assert found is not None
            end = found.endpoints[80][0]
            return end.labels["version"], end.weight, end.capacity

        await until(lambda: first() == ("v2", 4, 12.5), 20, first)
        # deleted gracefully: it drains, and still serves
        admin.request("DELETE", admin.path("Pod", namespace, "shop-1"))
        await told.has(
            "shop", 80, ("10.9.2.1", 8080, False, True, True), ("10.9.2.2", 8080, True, True, False)
        )
        await equals_files(paris, told, tmp_path / "two")
        admin.delete("Node", node)
        admin.delete("Node", f"{node}-b")
