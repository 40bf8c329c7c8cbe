"""deploy/ on a real API server: strictly validated, applied twice, and what its account may do there."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.apiserver import Refused
from support.apiserver.build import Binaries
from support.deploy import DEPLOY, SYSTEM, Audited, Objects, allowed, audited, not_allowed, refusal
from support.kustomize import render
from support.tideover import Setup, running_tideover
from support.wait import until

HUB, MEMBER = "hub", "member"
WRITES = ("create", "update", "patch", "delete", "deletecollection")
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tideover-0", "namespace": SYSTEM}}


@pytest.fixture(scope="module")
def overlays() -> dict[str, Objects]:
    return {name: render(DEPLOY / name) for name in (HUB, MEMBER)}


@pytest.fixture(scope="module")
def clusters(
    overlays: dict[str, Objects], built_servers: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Audited]]:
    """One API server with the hub's objects, one with a member's."""
    folder = tmp_path_factory.mktemp("deploy")
    with audited(folder / HUB, built_servers) as hub, audited(folder / MEMBER, built_servers) as member:
        hub.apply(overlays[HUB])
        member.apply(overlays[MEMBER])
        yield {HUB: hub, MEMBER: member}


@pytest.fixture(params=[HUB, MEMBER])
def which(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cluster(which: str, clusters: dict[str, Audited]) -> Audited:
    return clusters[which]


def test_applied_again_nothing_changes(which: str, cluster: Audited, overlays: dict[str, Objects]) -> None:
    first, second = cluster.apply(overlays[which]), cluster.apply(overlays[which])
    assert first == second


def test_validation_is_strict(clusters: dict[str, Audited], overlays: dict[str, Objects]) -> None:
    """The test before would not pass with a field that does not exist."""
    (workload,) = (copy.deepcopy(o) for o in overlays[MEMBER] if o["kind"] == "Deployment")
    workload["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(Refused, match="livenesProbe"):
        clusters[MEMBER].apply([workload])


def pod(objects: Objects) -> dict[str, Any]:
    """As a controller would make it from the template."""
    (workload,) = (o for o in objects if o["kind"] in ("StatefulSet", "Deployment"))
    spec = copy.deepcopy(workload["spec"]["template"]["spec"])
    if workload["kind"] == "StatefulSet":
        spec["volumes"].append({"name": "state", "persistentVolumeClaim": {"claimName": "state-tideover-0"}})
    return {**POD, "spec": spec}


def created(cluster: Audited, body: dict[str, Any]) -> None:
    path = cluster.admin.path("Pod", SYSTEM)
    cluster.admin.request("POST", path, body, query={"dryRun": "All", "fieldValidation": "Strict"})


def test_the_pods_are_admitted_under_the_restricted_standard(
    which: str, cluster: Audited, overlays: dict[str, Objects]
) -> None:
    body = pod(overlays[which])
    created(cluster, body)
    body["spec"]["securityContext"]["runAsNonRoot"] = False
    with pytest.raises(Refused, match="restricted"):
        created(cluster, body)


MAY = [
    *[
        (verb, resource, "shop")
        for verb in ("list", "watch")
        for resource in (
            "/services",
            "/pods",
            "discovery.k8s.io/endpointslices",
            "networking.istio.io/destinationrules",
            "tideover.dev/failoverpolicies",
            "tideover.dev/trafficorders",
            "multicluster.x-k8s.io/serviceexports",
            "multicluster.x-k8s.io/serviceimports",
        )
    ],
    *[(verb, resource, "") for verb in ("list", "watch") for resource in ("/nodes", "/namespaces")],
    ("patch", "tideover.dev/failoverpolicies/status", "shop"),
    ("patch", "tideover.dev/trafficorders/status", "shop"),
    ("patch", "multicluster.x-k8s.io/serviceexports/status", "shop"),
    ("create", "multicluster.x-k8s.io/serviceimports", "shop"),
    ("create", "events.k8s.io/events", "shop"),
    ("patch", "events.k8s.io/events", "shop"),
    ("create", "coordination.k8s.io/leases", SYSTEM),
]
MAY_NOT = [
    *[(verb, "/secrets", "shop") for verb in ("get", "list", "watch", *WRITES)],
    *[(verb, "/secrets", "kube-system") for verb in ("get", "list")],
    *[(verb, "/secrets", "") for verb in ("get", "list", "watch")],
    *[(verb, "/secrets", SYSTEM) for verb in WRITES],
    *[
        (verb, resource, "shop")
        for verb in WRITES
        for resource in (
            "/services",
            "/pods",
            "/configmaps",
            "apps/deployments",
            "discovery.k8s.io/endpointslices",
            "networking.istio.io/destinationrules",
            "tideover.dev/failoverpolicies",
            "multicluster.x-k8s.io/serviceexports",
        )
    ],
    *[(verb, "tideover.dev/trafficorders", "shop") for verb in WRITES if verb != "delete"],
    *[(verb, resource, "") for verb in WRITES for resource in ("/nodes", "/namespaces")],
    *[
        ("create", f"/pods/{sub}", "shop")
        for sub in ("exec", "portforward", "ephemeralcontainers", "eviction")
    ],
    ("get", "/pods/log", "shop"),
    ("get", "/nodes/proxy", ""),
    ("create", "/serviceaccounts/token", SYSTEM),
    ("get", "/configmaps", "shop"),
    ("get", "/configmaps", SYSTEM),
    *[(verb, "coordination.k8s.io/leases", "kube-system") for verb in ("get", "create", "update", "patch")],
    *[(verb, "coordination.k8s.io/leases", SYSTEM) for verb in ("delete", "list")],
    ("create", "rbac.authorization.k8s.io/clusterrolebindings", ""),
    ("bind", "rbac.authorization.k8s.io/clusterroles", ""),
    ("escalate", "rbac.authorization.k8s.io/clusterroles", ""),
    ("impersonate", "/users", ""),
    ("create", "admissionregistration.k8s.io/mutatingwebhookconfigurations", ""),
    ("patch", "apiextensions.k8s.io/customresourcedefinitions", ""),
]


def test_it_may_do_what_it_needs(cluster: Audited) -> None:
    account = cluster.as_account()
    assert [row for row in MAY if not allowed(account, *row)] == []
    lease = "coordination.k8s.io/leases"
    assert all(allowed(account, verb, lease, SYSTEM, "tideover-writer") for verb in ("get", "update"))
    assert not any(allowed(account, verb, lease, SYSTEM, "another") for verb in ("get", "update", "patch"))


def test_it_may_do_nothing_else(cluster: Audited) -> None:
    account = cluster.as_account()
    assert [row for row in MAY_NOT if allowed(account, *row)] == []


def test_only_the_hub_reads_secrets_and_only_of_its_namespace(which: str, cluster: Audited) -> None:
    account = cluster.as_account()
    verbs = {verb for verb in ("get", "list", "watch") if allowed(account, verb, "/secrets", SYSTEM)}
    assert verbs == ({"get", "list", "watch"} if which == HUB else set())


def test_only_the_hub_gets_copies_of_orders(which: str, cluster: Audited) -> None:
    account = cluster.as_account()
    wanted = {"create", "patch", "delete"}  # reading is for all
    verbs = {verb for verb in wanted if allowed(account, verb, "tideover.dev/trafficorders", SYSTEM)}
    assert verbs == (wanted if which == HUB else set())
    # `undo` ends those of other namespaces, which are written by their teams
    assert allowed(account, "delete", "tideover.dev/trafficorders", "shop") is (which == HUB)


def test_real_attempts_are_forbidden(cluster: Audited) -> None:
    account, admin = cluster.as_account(), cluster.admin
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other", "namespace": "default"}}
    if not any(one["metadata"]["name"] == "other" for one in admin.list("Secret", "default")):
        admin.create(secret)
    assert refusal(admin, "GET", "/api/v1/namespaces/default/secrets/other") == 200
    container = {"name": "x", "image": "x"}
    made = {**POD, "metadata": {"name": "x", "namespace": "default"}, "spec": {"containers": [container]}}
    attempts = [
        ("GET", "/api/v1/namespaces/default/secrets/other", None),
        ("GET", "/api/v1/secrets", None),
        ("POST", "/api/v1/namespaces/default/pods", made),
        ("DELETE", "/api/v1/namespaces/default/services/kubernetes", None),
        ("PATCH", "/api/v1/namespaces/default", {"metadata": {"labels": {"x": "y"}}}),
    ]
    assert [refusal(account, *attempt) for attempt in attempts] == [403] * len(attempts)


def service(namespace: str, name: str, *, ready: bool = True) -> Objects:
    about = {"name": name, "namespace": namespace}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": about,
            "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**about, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": [{"addresses": ["10.1.2.3"], "conditions": {"ready": ready}}],
        },
    ]


POLICY = {
    "apiVersion": "tideover.dev/v1alpha1",
    "kind": "FailoverPolicy",
    "metadata": {"name": "ratings", "namespace": "default"},
    "spec": {"targetRefs": [{"name": "ratings"}]},
}
READ = ("services", "endpointslices", "pods", "nodes", "namespaces", "failoverpolicies", "trafficorders")


async def test_the_program_runs_with_this_account_and_nothing_is_forbidden(
    which: str, cluster: Audited, tmp_path: Path
) -> None:
    cluster.admin.apply(*service("default", "ratings"), POLICY)
    cluster.server.kubeconfig(tmp_path / "kubeconfig", token=cluster.token())
    rows = [{"name": which, "kubeconfig": {"path": "./kubeconfig"}}]
    setup = Setup(tmp_path, {}, {"clusters": rows, **({"hub": which} if which == HUB else {})})
    async with running_tideover(setup) as tideover:
        answer = (await tideover.cli("services", "-o", "json")).json()
        assert "default/ratings" in json.dumps(answer)

        def watched() -> set[str]:
            return {r.resource for r in cluster.requests() if r.verb in ("list", "watch") and r.code == 200}

        wanted = set(READ)
        await until(lambda: wanted <= watched(), 30, lambda: f"{wanted - watched()} are read")

        def written() -> set[str]:
            return {r.resource for r in cluster.requests() if r.verb in WRITES and r.code in (200, 201)}

        await until(lambda: {"leases", "failoverpolicies/status"} <= written(), 30, written)
        cluster.admin.apply(*service("default", "ratings", ready=False))  # its failover is an Event
        await until(lambda: "events" in written(), 30, written)
        status = (await tideover.cli("status", "-o", "json")).json()
        assert status["problems"] == [], status
        assert "orbidden" not in tideover.log()
    assert not_allowed(cluster) == []
