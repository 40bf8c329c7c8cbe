"""A source that runs against a real API server, and objects to write there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from support.apiserver import ApiServer
from support.apiserver.bending import Bending, bending
from support.wait import until
from tideover_core.model import ClusterFacts, Locality, ServiceKey
from tideover_discovery.kubernetes import backoff, contact
from tideover_discovery.kubernetes.client import Access, KubeconfigFile, access
from tideover_discovery.kubernetes.watch import KubernetesSource, probe, reflect

TWO = ["10.0.0.1", "10.0.0.2"]
HOME = Locality("eu-west", "eu-west-a")


def service(namespace: str, name: str = "ratings", **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 9080, "targetPort": 8080}]
    about = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Service", "metadata": about, "spec": {"ports": ports, **spec}}


def slice_of(
    namespace: str, addresses: Iterable[str], name: str = "ratings", *, suffix: str = "x", ready: bool = True
) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-{suffix}",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address in addresses],
    }


def addresses(facts: ClusterFacts | None, namespace: str, name: str = "ratings") -> list[str]:
    """Of a service's endpoints, whether they are ready or not."""
    found = facts.services.get(ServiceKey(namespace, name)) if facts is not None else None
    return sorted({e.address for part in found.endpoints.values() for e in part}) if found else []


def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifths of seconds where it is seconds in earnest; what happens is the same."""
    for module, name, value in (
        (contact, "GRACE_S", 0.4),
        (contact, "STEADY_S", 0.2),
        (probe, "PROBE_EVERY_S", 0.3),
        (backoff, "CEILING_S", 0.5),
        (reflect, "ASK_AGAIN_S", 0.5),
        (access, "LOOK_EVERY_S", 0.1),
    ):
        monkeypatch.setattr(module, name, value)


@asynccontextmanager
async def running(credentials: Access, **more: Any) -> AsyncIterator[KubernetesSource]:
    """A source while it runs; an error of the program in it fails the test."""
    source = KubernetesSource("paris", "default", HOME, credentials, **more)
    task = asyncio.create_task(source.run())
    try:
        yield source
        assert not task.done(), "it ended by itself"
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


def access_to(server: ApiServer, folder: Path, /, **more: Any) -> KubeconfigFile:
    path = folder / "kubeconfig"
    server.kubeconfig(path, **more)
    return KubeconfigFile(path)


async def fresh(source: KubernetesSource, timeout_s: float = 30) -> None:
    def well() -> bool:
        status = source.status.value
        return status.known and status.stale_since_s is None

    await until(well, timeout_s, lambda: source.status.value)


async def stale(source: KubernetesSource, *words: str, timeout_s: float = 30) -> str:
    """Until it is stale for a reason that has all these words; the reason."""

    def said() -> bool:
        status = source.status.value
        return status.stale_since_s is not None and all(word in status.reason for word in words)

    await until(said, timeout_s, lambda: source.status.value)
    return source.status.value.reason


async def has(source: KubernetesSource, namespace: str, wanted: list[str], timeout_s: float = 30) -> None:
    """Until a service has exactly these endpoints."""
    await until(
        lambda: addresses(source.facts.value, namespace) == wanted,
        timeout_s,
        lambda: (addresses(source.facts.value, namespace), source.status.value),
    )


@asynccontextmanager
async def bent(
    server: ApiServer, folder: Path, **more: Any
) -> AsyncIterator[tuple[Bending, KubernetesSource]]:
    """A source that reaches the server through the proxy."""
    async with bending(server, folder) as proxy:
        proxy.kubeconfig(folder / "kubeconfig")
        async with running(KubeconfigFile(folder / "kubeconfig"), **more) as source:
            yield proxy, source
