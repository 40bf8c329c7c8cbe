"""The facts of a real API server that is well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from discovery.live import HOME, access_to, addresses, fresh, has, running, service, slice_of
from discovery.worlds import dump
from support.apiserver import ApiServer
from support.wait import until
from tideover_core.model import ServiceKey
from tideover_discovery.files import read_cluster

KINDS = ("Service", "EndpointSlice", "Pod", "Node", "Namespace", "FailoverPolicy", "ServiceExport")


async def test_what_is_there_and_what_changes(paris: ApiServer, namespace: str, tmp_path: Path) -> None:
    paris.admin.create(service(namespace), slice_of(namespace, ["10.0.0.1", "10.0.0.2"]))
    others = [f"10.0.1.{number}" for number in range(9)]  # or the last deletion were one of most addresses
    paris.admin.create(service(namespace, "others"), slice_of(namespace, others, "others"))
    async with running(access_to(paris, tmp_path)) as source:
        await fresh(source)
        assert addresses(source.facts.value, namespace) == ["10.0.0.1", "10.0.0.2"]
        paris.admin.apply(slice_of(namespace, ["10.0.0.2", "10.0.0.3"], suffix="y"))
        await has(source, namespace, ["10.0.0.1", "10.0.0.2", "10.0.0.3"])
        paris.admin.delete("EndpointSlice", "ratings-x", namespace)
        await has(source, namespace, ["10.0.0.2", "10.0.0.3"])

        paris.admin.replace(slice_of(namespace, ["10.0.0.2", "10.0.0.3"], suffix="y", ready=False))
        key = ServiceKey(namespace, "ratings")

        def none_ready() -> bool:
            facts = source.facts.value
            assert facts is not None
            return not any(e.ready for e in facts.services[key].endpoints[9080])

        await until(none_ready)
        paris.admin.delete("Service", "ratings", namespace)
        await until(lambda: source.facts.value and key not in source.facts.value.services)


async def test_equal_objects_give_the_facts_that_files_give(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    """Pods, nodes and namespaces come as metadata only, and mean the same."""
    zone = {"topology.kubernetes.io/region": "eu-west", "topology.kubernetes.io/zone": "eu-west-b"}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"n-{namespace}", "labels": zone}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "ratings-1",
            "namespace": namespace,
            "labels": {"app": "ratings", "version": "v1"},
            "annotations": {"tideover.dev/weight": "3", "unread": "x"},
        },
        "spec": {"containers": [{"name": "c", "image": "none"}]},
    }
    rated = slice_of(namespace, ["10.0.0.1"])
    rated["endpoints"][0] |= {
        "nodeName": f"n-{namespace}",
        "targetRef": {"kind": "Pod", "name": "ratings-1", "namespace": namespace},
    }
    policy = {
        "apiVersion": "tideover.dev/v1alpha1",
        "kind": "FailoverPolicy",
        "metadata": {"name": "ratings", "namespace": namespace},
        "spec": {"targetRefs": [{"kind": "Service", "name": "ratings"}], "scope": "Region"},
    }
    paris.admin.create(node, pod, service(namespace), rated, policy)
    async with running(access_to(paris, tmp_path)) as source:
        await fresh(source)
        (tmp_path / "paris.json").write_bytes(dump(*(o for kind in KINDS for o in _whole(paris, kind))))
        live = source.facts.value
    assert live is not None
    endpoint = live.services[ServiceKey(namespace, "ratings")].endpoints[9080][0]
    assert (endpoint.weight, endpoint.locality.zone, endpoint.labels["version"]) == (3, "eu-west-b", "v1")
    assert any(p.namespace == namespace for p in live.failover_policies)
    files = read_cluster("paris", "default", HOME, tmp_path / "paris.json")
    same = {"problems": (), "generation": 0}
    assert replace(live, **same) == replace(files, **same)  # type: ignore[arg-type]
    assert {(p.object, p.message) for p in live.problems} == {(p.object, p.message) for p in files.problems}


def _whole(server: ApiServer, kind: str) -> list[dict[str, object]]:
    version = {"EndpointSlice": "discovery.k8s.io/v1", "FailoverPolicy": "tideover.dev/v1alpha1"}.get(
        kind, "v1"
    )
    return [{"apiVersion": version, "kind": kind, **one} for one in server.admin.list(kind)]
