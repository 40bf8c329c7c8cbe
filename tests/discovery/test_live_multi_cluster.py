"""Multi-Cluster Services on real API servers: the published conformance rules (docs/conformance/mcs.md).

paris serves both versions of the API, dublin only v1alpha1, virginia only v1beta1.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from discovery.multi_cluster import cluster_set, conditions, imported
from support.apiserver import ApiServer, Refused
from support.mcs import crds, export, install, service
from support.wait import holds, until
from tideover_core.world import Sameness
from tideover_discovery.kubernetes.watch import multi_cluster, reflect

Three = tuple[ApiServer, ApiServer, ApiServer]
VERSION = {"paris": "v1beta1", "dublin": "v1alpha1", "virginia": "v1beta1", "own": "v1alpha1"}
MANY = 100


@pytest.fixture(scope="module")
def with_crds(paris: ApiServer, dublin: ApiServer, virginia: ApiServer) -> Three:
    install(paris, dublin, virginia)
    return paris, dublin, virginia


@pytest.fixture
def three(
    with_crds: Three, namespace: str, paris: ApiServer, dublin: ApiServer, virginia: ApiServer
) -> Three:
    """The servers, with this test's namespace in each."""
    return with_crds


def there(server: ApiServer, namespace: str, name: str = "ratings") -> Any:
    return imported(server, namespace, name, VERSION[server.name])


def said(server: ApiServer, namespace: str) -> dict[str, str]:
    return conditions(server, namespace, VERSION[server.name])


def offer(server: ApiServer, namespace: str, name: str = "ratings", /, **spec: Any) -> None:
    """A Service and its export."""
    handed_on = {field: spec.pop(field) for field in list(spec) if field.startswith("exported")}
    server.admin.create(service(namespace, name, **spec))
    server.admin.create(export(namespace, name, VERSION[server.name], **handed_on))


def retract(server: ApiServer, namespace: str) -> None:
    server.admin.delete(f"multicluster.x-k8s.io/{VERSION[server.name]}/ServiceExport", "ratings", namespace)


def clusters(server: ApiServer, namespace: str) -> list[str]:
    found = there(server, namespace) or {}
    return [one["cluster"] for one in found.get("status", {}).get("clusters", [])]


async def complete(server: ApiServer, namespace: str, *wanted: str) -> dict[str, Any]:
    """The import when it is all written, made of these clusters."""
    await until(
        lambda: (
            clusters(server, namespace) == sorted(wanted)
            and "tideover.dev/applied" in there(server, namespace)["metadata"].get("annotations", {})
        ),
        30,
        lambda: there(server, namespace),
    )
    found: dict[str, Any] = there(server, namespace)
    return found


async def test_an_import_lives_in_each_cluster_as_long_as_one_cluster_exports(
    three: Three, namespace: str, tmp_path: Path
) -> None:
    paris, dublin, virginia = three
    async with cluster_set(tmp_path, *three) as running:
        offer(paris, namespace)
        for server in three:
            found = await complete(server, namespace, "paris")
            assert found["spec"]["type"] == "ClusterSetIP"
            assert found["spec"]["ports"] == [{"name": "http", "port": 80, "protocol": "TCP"}]
        await until(lambda: said(paris, namespace).get("Valid") == "True Valid")
        assert said(paris, namespace) == {
            "Valid": "True Valid",
            "Ready": "True Exported",
            "Conflict": "False NoConflicts",
        }
        offer(dublin, namespace)
        await complete(virginia, namespace, "paris", "dublin")
        first = there(virginia, namespace)["metadata"]["uid"]
        retract(paris, namespace)
        assert (await complete(virginia, namespace, "dublin"))["metadata"]["uid"] == first
        retract(dublin, namespace)
        for server in three:
            await until(lambda server=server: there(server, namespace) is None)
        assert not [failure for _, _, failure in running.writes if failure]


async def test_an_import_says_what_the_exported_service_says(
    three: Three, namespace: str, tmp_path: Path
) -> None:
    paris, dublin, _ = three
    async with cluster_set(tmp_path, *three):
        offer(
            paris,
            namespace,
            sessionAffinity="ClientIP",
            sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}},
            internalTrafficPolicy="Cluster",
            trafficDistribution="PreferClose",
            ports=[{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}],
            exportedLabels={"dummy-label": "true"},
            exportedAnnotations={"dummy-annotation": "true"},
        )
        found = await complete(dublin, namespace, "paris")
        spec, about = found["spec"], found["metadata"]
        assert (spec["sessionAffinity"], spec["sessionAffinityConfig"]) == (
            "ClientIP",
            {"clientIP": {"timeoutSeconds": 60}},
        )
        assert (spec["internalTrafficPolicy"], spec["trafficDistribution"]) == ("Cluster", "PreferClose")
        assert {(port["name"], port["protocol"]) for port in spec["ports"]} == {
            ("http", "TCP"),
            ("dns", "UDP"),
        }
        assert about["labels"]["dummy-label"] == "true"
        assert about["annotations"]["dummy-annotation"] == "true"
        assert "secret" not in about["labels"]

        paris.admin.patch(
            "multicluster.x-k8s.io/v1beta1/ServiceExport",
            "ratings",
            namespace,
            {"spec": {"exportedLabels": {"dummy-label": None, "other": "x"}}},
        )
        await until(lambda: "other" in there(dublin, namespace)["metadata"]["labels"])
        assert "dummy-label" not in there(dublin, namespace)["metadata"]["labels"]


async def test_a_headless_service_is_imported_as_such_and_without_an_ip(
    three: Three, namespace: str, tmp_path: Path
) -> None:
    async with cluster_set(tmp_path, *three):
        offer(three[0], namespace, clusterIP="None")
        for server in three:
            found = await complete(server, namespace, "paris")
            assert found["spec"]["type"] == "Headless"
            assert "ips" not in found["spec"]


async def test_what_cannot_be_exported_is_invalid_and_not_imported(
    three: Three, namespace: str, tmp_path: Path
) -> None:
    paris, dublin, virginia = three
    async with cluster_set(tmp_path, *three):
        offer(paris, namespace, type="ExternalName", externalName="example.com")
        dublin.admin.create(export(namespace))
        await until(lambda: said(paris, namespace).get("Valid") == "False InvalidServiceType")
        await until(lambda: said(dublin, namespace).get("Valid") == "False NoService")
        await holds(lambda: all(there(server, namespace) is None for server in three), 0.3)
        dublin.admin.create(service(namespace))
        await complete(virginia, namespace, "dublin")
        await until(lambda: said(dublin, namespace)["Valid"] == "True Valid")
        assert said(paris, namespace)["Valid"] == "False InvalidServiceType"
        dublin.admin.delete("Service", "ratings", namespace)
        await until(lambda: there(virginia, namespace) is None)


# what differs in the younger export's Service or export, the reason, what the import still says
CONFLICTS: dict[str, tuple[dict[str, Any], str, Any]] = {
    "ports": (
        {"ports": [{"name": "http", "port": 81}]},
        "PortConflict",
        lambda found: found["spec"]["ports"] == [{"name": "http", "port": 80, "protocol": "TCP"}],
    ),
    "the union of ports": (
        {"ports": [{"name": "http", "port": 80}, {"name": "stcp", "port": 142, "protocol": "SCTP"}]},
        "PortConflict",
        lambda found: [port["port"] for port in found["spec"]["ports"]] == [80, 142],
    ),
    "headlessness": (
        {"clusterIP": "None"},
        "TypeConflict",
        lambda found: found["spec"]["type"] == "ClusterSetIP",
    ),
    "session affinity": (
        {"sessionAffinity": "ClientIP"},
        "SessionAffinityConflict,SessionAffinityConfigConflict",
        lambda found: found["spec"]["sessionAffinity"] == "None",
    ),
    "labels and annotations": (
        {"exportedLabels": {"dummy-label2": "true"}, "exportedAnnotations": {"dummy-annotation2": "true"}},
        "AnnotationsConflict,LabelsConflict",
        lambda found: (
            found["metadata"]["labels"].get("dummy-label") == "true"
            and "dummy-label2" not in found["metadata"]["labels"]
            and "dummy-annotation2" not in found["metadata"]["annotations"]
        ),
    ),
}


@pytest.mark.parametrize("case", CONFLICTS)
async def test_in_a_conflict_the_oldest_export_decides_and_each_export_says_so(
    case: str, three: Three, namespace: str, tmp_path: Path
) -> None:
    # creation times count seconds: made in dublin in a later one than in virginia, last by name
    differs, reason, resolved = CONFLICTS[case]
    _, dublin, virginia = three
    handed_on = {"exportedLabels": {"dummy-label": "true"}} if "exportedLabels" in differs else {}
    offer(virginia, namespace, **handed_on)
    second = int(time.time())
    await until(lambda: time.time() > second + 1.05, what="the next second")
    offer(dublin, namespace, **differs)
    async with cluster_set(tmp_path, *three):
        for server in (dublin, virginia):
            wanted = f"True {reason}"
            await until(
                lambda server=server, wanted=wanted: said(server, namespace).get("Conflict") == wanted
            )
        for server in three:
            assert resolved(await complete(server, namespace, "dublin", "virginia"))
        found = dublin.admin.get("ServiceExport", "ratings", namespace)
        (conflict,) = [one for one in found["status"]["conditions"] if one["type"] == "Conflict"]
        assert "The oldest ServiceExport decides, in cluster virginia" in conflict["message"]
        assert "1/2 clusters disagree" in conflict["message"]


async def test_only_clusters_with_the_namespace_import_it_and_one_that_comes_later_does(
    three: Three, namespace: str, tmp_path: Path
) -> None:
    paris, dublin, _ = three
    lonely = f"{namespace}-x"
    paris.admin.namespace(lonely)
    offer(paris, lonely)
    async with cluster_set(tmp_path, paris, dublin) as running:
        await complete(paris, lonely, "paris")
        assert there(dublin, lonely) is None
        assert not [line for line in running.written(lonely) if line.startswith("dublin")]
        dublin.admin.namespace(lonely)
        await complete(dublin, lonely, "paris")
    retract(paris, lonely)


async def test_imports_of_others_are_left_alone_and_our_own_are_never_read_for_exports(
    three: Three, namespace: str, tmp_path: Path
) -> None:
    paris, dublin, virginia = three
    foreign = {
        "apiVersion": "multicluster.x-k8s.io/v1alpha1",
        "kind": "ServiceImport",
        "metadata": {"name": "ratings", "namespace": namespace},
        "spec": {"type": "Headless", "ports": []},
    }
    dublin.admin.create(foreign)
    # one that says it is ours, and that nobody exports: no reason to import it anywhere
    ours = {"name": "circle", "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": "tideover"}}
    paris.admin.create({**foreign, "metadata": ours})
    before = imported(dublin, namespace)
    async with cluster_set(tmp_path, *three) as running:
        offer(paris, namespace)
        await complete(virginia, namespace, "paris")
        await until(lambda: imported(paris, namespace, "circle") is None)
        retract(paris, namespace)
        await until(lambda: there(virginia, namespace) is None)
        assert imported(dublin, namespace) == before
        assert not [line for line in running.written(namespace) if line.startswith("dublin ")]
        assert there(virginia, namespace, "circle") is None


async def test_with_sameness_all_nothing_is_written(three: Three, namespace: str, tmp_path: Path) -> None:
    paris, dublin, _ = three
    async with cluster_set(tmp_path, paris, dublin, sameness=Sameness.ALL) as running:
        offer(paris, namespace)
        await until(lambda: any(key.namespace == namespace for key in running.world.value.services))
        await holds(lambda: not running.writes, 0.3)


async def test_many_exports_are_each_written_once(three: Three, namespace: str, tmp_path: Path) -> None:
    paris, dublin, _ = three
    names = [f"s{number}" for number in range(MANY)]
    paris.admin.create_all([service(namespace, name) for name in names])
    paris.admin.create_all([export(namespace, name, "v1beta1") for name in names])
    async with cluster_set(tmp_path, paris, dublin) as running:
        kind = "ServiceImport"

        def done() -> bool:
            all_ = dublin.admin.list(kind, namespace)
            return len(all_) == MANY and all(one.get("status", {}).get("clusters") for one in all_)

        await until(done, 60, lambda: len(dublin.admin.list(kind, namespace)))
        # made, applied, status
        await holds(lambda: sum("dublin" in line for line in running.written(namespace)) <= 3 * MANY, 0.5)
    paris.admin.delete_all("multicluster.x-k8s.io/v1beta1/ServiceExport", namespace)


async def test_crds_that_come_later_are_noticed_and_an_old_one_is_no_endless_loop(
    own_server: ApiServer, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflect, "ASK_AGAIN_S", 0.5)
    admin = own_server.admin
    admin.create(service(namespace, trafficDistribution="PreferClose"))
    async with cluster_set(tmp_path, own_server) as running:
        await until(lambda: running.world.value.complete, 30)
        assert running.writes == []
        for crd in admin.apply(*crds("v1alpha1", old=True)):
            admin.served(crd)
        admin.create(export(namespace))
        await until(
            lambda: conditions(own_server, namespace).get("Valid") == "True Valid", 40, lambda: running.writes
        )
        found = await complete(own_server, namespace, "own")
        assert "trafficDistribution" not in found["spec"]
        # made, its annotations, its status; and the export's conditions
        await until(lambda: len(running.written(namespace)) >= 4, 20, lambda: running.writes)
        await holds(lambda: len(running.written(namespace)) == 4, 1.0, lambda: running.writes)
        assert not [failure for _, _, failure in running.writes if failure]


async def test_what_may_not_be_written_is_told_tried_again_and_the_rest_goes_on(
    three: Three, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multi_cluster, "TRY_AGAIN_S", 0.5)
    paris, dublin, _ = three
    # a ServiceImport of a name that the API server refuses
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": namespace},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["multicluster.x-k8s.io"],
                        "apiVersions": ["*"],
                        "operations": ["CREATE"],
                        "resources": ["serviceimports"],
                    }
                ]
            },
            "validations": [
                {"expression": f"object.metadata.namespace != '{namespace}'", "message": "not here"}
            ],
        },
    }
    kind = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"
    binding = {**policy, "kind": "ValidatingAdmissionPolicyBinding"}
    binding["spec"] = {"policyName": namespace, "validationActions": ["Deny"]}
    dublin.admin.create(policy, binding)
    async with cluster_set(tmp_path, paris, dublin) as running:
        await until(lambda: refuses(dublin, namespace), 30)
        offer(paris, namespace)
        await complete(paris, namespace, "paris")
        trouble = running.members["dublin"].trouble
        await until(lambda: f"ServiceImport {namespace}/ratings: " in trouble.value, 30)
        assert "not here" in trouble.value
        assert running.members["paris"].trouble.value == ""
        dublin.admin.delete(f"{kind}Binding", namespace)
        dublin.admin.delete(kind, namespace)
        await complete(dublin, namespace, "paris")
        await until(lambda: trouble.value == "")


def refuses(server: ApiServer, namespace: str) -> bool:
    """Whether the admission policy is in force already."""
    name = {"name": "probe", "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": "tideover"}}
    try:
        server.admin.create(
            {
                "apiVersion": "multicluster.x-k8s.io/v1alpha1",
                "kind": "ServiceImport",
                "metadata": name,
                "spec": {"type": "Headless", "ports": []},
            }
        )
    except Refused as refusal:
        return refusal.status == 422
    return False
