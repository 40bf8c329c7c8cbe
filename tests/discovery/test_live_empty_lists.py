"""Lists that are empty, and complete, and answered with 200: held, looked at twice, nothing moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from discovery.live import TWO, addresses, bent, fresh, hurried, running, service, slice_of
from support.apiserver import ApiServer, Workload
from support.apiserver.bending import Bend, bending
from support.wait import holds, until
from tideover_core.model import Endpoint, ServiceKey
from tideover_discovery.kubernetes.client import KubeconfigFile
from tideover_discovery.kubernetes.watch import KubernetesSource


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch)


def emptied(server: ApiServer, plural: str = "") -> Bend:
    """Lists, or those of one kind, are answered with 200 and nothing; watches are as they are."""
    version = server.admin.request("GET", "/api/v1/namespaces")["metadata"]["resourceVersion"]

    def bend(request: web.Request) -> web.Response | None:
        if "sendInitialEvents" in request.query:
            return web.Response(status=400, text="no")
        if "watch" in request.query or "fieldSelector" in request.query:
            return None
        if plural and not request.path.endswith(f"/{plural}"):
            return None
        text = f'{{"kind":"NothingList","metadata":{{"resourceVersion":"{version}"}},"items":[]}}'
        return web.Response(text=text, content_type="application/json")

    return bend


async def test_lists_of_nothing_are_held_and_a_second_look_knows_better(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    paris.admin.create(service(namespace), slice_of(namespace, TWO))
    async with bent(paris, tmp_path, removal_hold_s=1.0) as (proxy, source):
        await fresh(source)
        proxy.bend = emptied(paris)
        for reflector in source.reflectors:
            reflector.look_again()
        await until(lambda: source.held.value, 30)
        assert addresses(source.facts.value, namespace) == TWO
        proxy.bend = lambda request: None
        lost: list[bool] = []
        facts = source.facts

        def over() -> bool:
            lost.append(addresses(facts.value, namespace) != TWO)
            return source.held.value is None

        await until(over, 30, lambda: source.status.value)
        assert not any(lost)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("plural", ["services", "endpointslices", "pods", "nodes", "failoverpolicies"])
async def test_a_list_of_nothing_of_one_kind_moves_nothing(
    paris: ApiServer, namespace: str, tmp_path: Path, plural: str, restart: bool
) -> None:
    """Weights and labels come from Pods, places from Nodes."""
    made = Workload(paris.admin, namespace, node=f"node-{namespace}").create()
    weight = {"metadata": {"annotations": {"tideover.dev/weight": "7"}}}
    paris.admin.patch("Pod", next(iter(made.pods)), namespace, weight)
    paris.admin.apply(policy(namespace))
    async with bending(paris, tmp_path) as proxy:
        proxy.kubeconfig(tmp_path / "kubeconfig")
        access = KubeconfigFile(tmp_path / "kubeconfig")
        async with running(access) as source:
            await fresh(source)
            await until(lambda: weights(source, namespace) == [1, 7])
            known = meant(source, namespace)
            if not restart:
                proxy.bend = emptied(paris, plural)
                for reflector in source.reflectors:
                    reflector.look_again()
                await until(lambda: all(r.lists > 1 or not r.lists for r in source.reflectors), 30)
                await holds(lambda: meant(source, namespace) == known, 1)
                proxy.bend = lambda request: None
            before = source.facts.value
        if restart:
            proxy.bend = emptied(paris, plural)
            async with running(KubeconfigFile(access.path), initial=before, removal_hold_s=3.0) as source:
                await until(lambda: all(r.lists or r.standing.missing for r in source.reflectors), 30)
                await holds(lambda: meant(source, namespace) == known, 1)
                proxy.bend = lambda request: None
                await fresh(source)
                assert meant(source, namespace) == known


def missing_of(source: KubernetesSource) -> list[str]:
    """Kinds of which a list is said to have fewer; other tests leave other problems in a shared server."""
    problems = source.facts.value.problems if source.facts.value else ()
    return [problem.object for problem in problems if "are missing in a list" in problem.message]


async def test_policies_that_two_lists_lack_are_gone(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    paris.admin.create(service(namespace), slice_of(namespace, TWO))
    paris.admin.apply(policy(namespace))
    async with bent(paris, tmp_path, removal_hold_s=0.5) as (proxy, source):
        await fresh(source)
        assert source.facts.value is not None
        assert source.facts.value.failover_policies
        proxy.bend = emptied(paris, "failoverpolicies")
        for reflector in source.reflectors:
            reflector.look_again()
        await until(lambda: source.facts.value and not source.facts.value.failover_policies, 30)
        await until(lambda: missing_of(source) == [])


@pytest.mark.parametrize("plural", ["pods", "nodes"])
async def test_what_endpoints_refer_to_stays_however_often_a_list_lacks_it(
    paris: ApiServer, namespace: str, tmp_path: Path, plural: str
) -> None:
    made = Workload(paris.admin, namespace, node=f"node-{namespace}").create()
    weight = {"metadata": {"annotations": {"tideover.dev/weight": "7"}}}
    paris.admin.patch("Pod", next(iter(made.pods)), namespace, weight)
    async with bent(paris, tmp_path, removal_hold_s=0.3) as (proxy, source):
        await fresh(source)
        await until(lambda: weights(source, namespace) == [1, 7])
        known = meant(source, namespace)
        proxy.bend = emptied(paris, plural)
        kind = next(r for r in source.reflectors if r.resource.plural == plural)
        before = kind.lists
        kind.look_again()
        await until(lambda: kind.lists > before + 3, 30)
        assert meant(source, namespace) == known
        source.accept_removals()  # an operator knows better
        await until(lambda: meant(source, namespace) != known)


def policy(namespace: str) -> dict[str, Any]:
    about = {"name": "ratings", "namespace": namespace}
    kind = {"apiVersion": "tideover.dev/v1alpha1", "kind": "FailoverPolicy"}
    return {**kind, "metadata": about, "spec": {"scope": "Region"}}


def ends(source: KubernetesSource, namespace: str) -> list[Endpoint]:
    assert source.facts.value is not None
    found = source.facts.value.services.get(ServiceKey(namespace, "ratings"))
    return [end for part in found.endpoints.values() for end in part] if found else []


def weights(source: KubernetesSource, namespace: str) -> list[int]:
    return sorted(end.weight for end in ends(source, namespace))


def meant(source: KubernetesSource, namespace: str) -> Any:
    """All that decides where traffic of the service goes."""
    facts = source.facts.value
    assert facts is not None
    policies = [one for one in facts.failover_policies if one.namespace == namespace]
    node = f"node-{namespace}"
    return ends(source, namespace), policies, facts.nodes.get(node), facts.node_labels.get(node)
