"""The facts of a real API server that is well."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from discovery.live import access_to, addresses, fresh, has, running, service, slice_of
from support.apiserver import ApiServer
from support.apiserver.bending import bending
from support.wait import until
from tideover_core.model import ServiceKey
from tideover_discovery.kubernetes.client import KubeconfigFile


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


async def test_of_pods_nodes_and_namespaces_only_the_metadata_is_asked_for(
    paris: ApiServer, tmp_path: Path
) -> None:
    asked: dict[str, set[str]] = {}

    def note(request: web.Request) -> None:
        asked.setdefault(request.path.rpartition("/")[2], set()).add(request.headers["Accept"])

    async with bending(paris, tmp_path) as proxy:
        proxy.bend = note
        proxy.kubeconfig(tmp_path / "kubeconfig")
        async with running(KubeconfigFile(tmp_path / "kubeconfig")) as source:
            await fresh(source)
    for plural in ("pods", "nodes", "namespaces"):
        assert all(";as=PartialObjectMetadata" in accepts for accepts in asked[plural]), plural
    for plural in ("services", "endpointslices"):
        assert asked[plural] == {"application/json"}
