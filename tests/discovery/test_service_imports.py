"""ServiceImports and conditions: what is written for what is exported and what is there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from support.mcs import export as export_object
from support.mcs import service
from tideover_core.exports import INVALID_TYPE, NO_SERVICE, Export, ExportedPort, Offered
from tideover_core.model import ClusterFacts, Locality, ServiceKey
from tideover_core.world import World
from tideover_discovery.kubernetes.export_conditions import Condition, conditions, export_writes
from tideover_discovery.kubernetes.exported import export, offered
from tideover_discovery.kubernetes.multi_cluster import Found, read
from tideover_discovery.kubernetes.objects import Refusal, Service, ServiceExport
from tideover_discovery.kubernetes.service_imports import Seen, Shared, import_writes, shared
from tideover_discovery.kubernetes.writes import Write, undeclared, without

RATINGS = ServiceKey("bookinfo", "ratings")
OLD, NEW, NOW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"
OFFERED = Offered((ExportedPort(80, "http"),))
WHERE = "/apis/multicluster.x-k8s.io/v1beta1/namespaces/bookinfo"


def world(complete: bool = True, **clusters: Mapping[ServiceKey, Export]) -> World:
    facts = {
        name: ClusterFacts(name, "default", Locality(), exports=exports) for name, exports in clusters.items()
    }
    return World(clusters=facts, complete=complete)


def exports(created: str = OLD, offer: Offered | None = OFFERED, **said: Any) -> dict[ServiceKey, Export]:
    return {RATINGS: Export(created, offer, **said)}


def written(
    wanted: Shared, *imports: dict[str, Any], namespaces: tuple[str, ...] = ("bookinfo",)
) -> list[Write]:
    seen = Seen(frozenset(namespaces), _found(imports))
    keys = sorted(wanted.merged.keys() | seen.imports.keys())
    return [write for key in keys for write in import_writes(key, wanted, seen)]


def _found(objects: tuple[dict[str, Any], ...]) -> dict[ServiceKey, Found]:
    found = [msgspec.convert(one, Found) for one in objects]
    return {ServiceKey(one.metadata.namespace, one.metadata.name): one for one in found}


def kept_at(wanted: Shared) -> dict[str, Any]:
    """The import as the API server has it when all is written."""
    (made,) = written(wanted)
    there = json.loads(json.dumps(made.body)) | {"status": {}}
    there["metadata"] |= {"uid": "u1", "resourceVersion": "5"}
    for _ in range(2):
        for write in written(wanted, there):
            assert write.method == "PATCH"
            body = json.loads(json.dumps(write.body))
            assert body["metadata"].pop("uid") == "u1"
            there["metadata"] |= body.pop("metadata")
            there |= body
    return there


def test_an_export_is_imported_where_its_namespace_is() -> None:
    wanted = shared(world(paris=exports(), dublin={}))
    (made,) = written(wanted)
    assert (made.method, made.path) == ("POST", f"{WHERE}/serviceimports")
    assert made.body["metadata"] == {
        "name": "ratings",
        "namespace": "bookinfo",
        "labels": {"app.kubernetes.io/managed-by": "tideover"},
    }
    assert written(wanted, namespaces=("other",)) == []


def test_a_service_import_is_complete_after_the_next_look_and_then_nothing_is_written() -> None:
    offer = replace(OFFERED, session_affinity="ClientIP", affinity_timeout_s=60, families=("IPv4",))
    said = exports(OLD, offer, labels={"team": "a"}, annotations={"note": "x"})
    wanted = shared(world(paris=said, dublin=exports(NEW)))
    there = kept_at(wanted)
    assert written(wanted, there) == []
    assert there["spec"] == {
        "type": "ClusterSetIP",
        "ports": [{"port": 80, "protocol": "TCP", "name": "http"}],
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
        "ipFamilies": ["IPv4"],
    }
    assert there["metadata"]["labels"]["team"] == "a"
    assert there["metadata"]["annotations"]["note"] == "x"
    assert there["status"]["clusters"] == [{"cluster": "dublin"}, {"cluster": "paris"}]


def test_a_headless_one_has_no_session_affinity() -> None:
    there = kept_at(shared(world(paris=exports(OLD, replace(OFFERED, headless=True)))))
    assert there["spec"]["type"] == "Headless"
    assert "sessionAffinity" not in there["spec"]
    assert "ips" not in there["spec"]


def test_what_an_older_crd_dropped_is_not_written_for_ever() -> None:
    wanted = shared(world(paris=exports(OLD, replace(OFFERED, traffic_distribution="PreferClose"))))
    there = kept_at(wanted)
    del there["spec"]["trafficDistribution"]
    del there["status"]["endpointSliceObjects"]
    assert written(wanted, there) == []
    other = shared(world(paris=exports(OLD, replace(OFFERED, traffic_distribution="PreferSameNode"))))
    assert [write.path for write in written(other, there)] == [f"{WHERE}/serviceimports/ratings"]


def test_a_change_by_hand_is_undone_and_others_fields_stay() -> None:
    wanted = shared(world(paris=exports()))
    there = kept_at(wanted)
    there["spec"]["ips"] = ["10.96.0.9"]
    there["metadata"]["labels"]["other"] = "x"
    assert written(wanted, there) == []
    there["spec"]["type"] = "Headless"
    (write,) = written(wanted, there)
    assert write.body["spec"]["type"] == "ClusterSetIP"
    assert "ips" not in write.body["spec"]


def test_the_last_export_takes_the_import_with_it_just_as_it_was_seen() -> None:
    there = kept_at(shared(world(paris=exports())))
    for gone in (world(paris={}), world(paris=exports(OLD, None, fault=NO_SERVICE))):
        (write,) = written(shared(gone), there)
        assert (write.method, write.path) == ("DELETE", f"{WHERE}/serviceimports/ratings")
        assert write.body["preconditions"] == {"uid": "u1", "resourceVersion": "5"}
    there["metadata"]["deletionTimestamp"] = NOW
    assert written(shared(world(paris={})), there) == []


def test_an_import_of_someone_else_is_left_alone() -> None:
    there = kept_at(shared(world(paris=exports())))
    there["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "another"}
    there["spec"]["ports"] = []
    assert written(shared(world(paris=exports())), there) == []
    assert written(shared(world(paris={})), there) == []


def test_what_names_a_cluster_that_is_not_known_yet_stays_as_it_is() -> None:
    there = kept_at(shared(world(paris=exports(), dublin=exports(NEW))))
    assert written(shared(world(complete=False, paris=exports())), there) == []
    assert written(shared(world(complete=False, paris={})), there) == []
    assert [write.method for write in written(shared(world(paris=exports())), there)] == ["PATCH"]
    assert [write.method for write in written(shared(world(paris={})), there)] == ["DELETE"]


def test_what_is_shared_keeps_what_did_not_change() -> None:
    before = shared(world(paris=exports(), dublin=exports(NEW)))
    assert (
        shared(world(paris=exports(), dublin=exports(NEW)), before).merged[RATINGS] is before.merged[RATINGS]
    )
    assert shared(world(paris=exports()), before).merged[RATINGS] != before.merged[RATINGS]


def test_a_world_of_which_only_endpoints_changed_shares_what_it_shared() -> None:
    same = exports()
    before = shared(world(paris=same))
    assert shared(world(paris=same), before) is before
    assert shared(world(False, paris=same), before) == replace(before, complete=False)
    assert shared(world(dublin=same), before) != before


def test_labels_and_annotations_that_cannot_be_handed_on_are_left_out_and_told() -> None:
    bad = {
        "ok": "x",
        "b@d": "x",
        "long": "x" * 64,
        "app.kubernetes.io/managed-by": "me",
        "tideover.dev/x": "y",
    }
    notes = {"ok": "any thing", "sp ace": "x", "huge": "x" * 200_000}
    said = exports(OLD, labels=bad, annotations=notes)
    wanted = shared(world(paris=said))
    there = kept_at(wanted)
    assert there["metadata"]["labels"] == {"ok": "x", "app.kubernetes.io/managed-by": "tideover"}
    assert there["metadata"]["annotations"].keys() == {"ok", "tideover.dev/applied"}
    valid, *_ = conditions(said[RATINGS], wanted.merged[RATINGS])
    assert valid.status == "True"
    assert valid.message == (
        "Not handed on, as Kubernetes or Tideover does not take them: "
        "app.kubernetes.io/managed-by, b@d, huge, long, sp ace, tideover.dev/x."
    )


# fields of the Service's spec (None: no Service) -> the Valid condition
VALID = {
    "a service": ({}, ("True", "Valid")),
    "headless": ({"clusterIP": "None"}, ("True", "Valid")),
    "NodePort": ({"type": "NodePort"}, ("True", "Valid")),
    "only UDP, which Tideover does not serve": (
        {"ports": [{"port": 53, "protocol": "UDP"}]},
        ("True", "Valid"),
    ),
    "without ports": ({"ports": None}, ("True", "Valid")),
    "none": (None, ("False", "NoService")),
    "ExternalName": (
        {"type": "ExternalName", "externalName": "example.com"},
        ("False", "InvalidServiceType"),
    ),
}


@pytest.mark.parametrize("case", VALID)
def test_validity(case: str) -> None:
    spec, (status, reason) = VALID[case]
    about = msgspec.convert(export_object("bookinfo"), ServiceExport)
    said = export(about, None if spec is None else msgspec.convert(service("bookinfo", **spec), Service))
    wanted = shared(world(paris={RATINGS: said}))
    valid, ready, conflict = conditions(said, wanted.merged[RATINGS])
    assert (valid.type, valid.status, valid.reason) == ("Valid", status, reason)
    assert (ready.type, ready.status) == ("Ready", status)
    assert conflict == Condition("Conflict", "False", "NoConflicts", "")


def test_a_conflict_names_the_fields_how_many_disagree_and_who_decides() -> None:
    other = replace(OFFERED, headless=True, ports=(ExportedPort(81, "http"),))
    wanted = shared(world(paris=exports(NEW), dublin=exports(OLD, other), lyon=exports(NEW)))
    for cluster in ("paris", "dublin", "lyon"):
        *_, conflict = conditions(wanted.exports[RATINGS][cluster], wanted.merged[RATINGS])
        assert conflict == Condition(
            "Conflict",
            "True",
            "PortConflict,TypeConflict",
            "Conflicting ports (2/3 clusters disagree), type (2/3 clusters disagree). "
            "The oldest ServiceExport decides, in cluster dublin; "
            "of ports the union counts, and of two with one name or number the older.",
        )


def told(wanted: Shared, there: dict[str, Any], *imports: dict[str, Any]) -> list[Write]:
    seen = Seen(frozenset({"bookinfo"}), _found(imports), _found((there,)))
    return list(export_writes(RATINGS, "paris", wanted, seen, NOW))


def test_conditions_are_written_once_with_the_generation_and_the_time_of_the_change() -> None:
    wanted = shared(world(paris=exports()))
    there = export_object("bookinfo")
    there["metadata"] |= {"uid": "u2", "generation": 3}
    (write,) = told(wanted, there)
    assert (write.path, write.body["metadata"]["uid"]) == (f"{WHERE}/serviceexports/ratings/status", "u2")
    there["status"] = json.loads(json.dumps(write.body["status"]))
    assert {
        (one["lastTransitionTime"], one["observedGeneration"]) for one in there["status"]["conditions"]
    } == {(NOW, 3)}
    assert told(wanted, there) == []

    there["metadata"]["generation"] = 4
    for one in there["status"]["conditions"]:
        one["lastTransitionTime"] = OLD
    (write,) = told(wanted, there)
    assert {
        (one["lastTransitionTime"], one["observedGeneration"]) for one in write.body["status"]["conditions"]
    } == {(OLD, 4)}
    for one in there["status"]["conditions"]:
        del one["observedGeneration"]  # as an older CRD does
    assert told(wanted, there) == []


def test_conditions_of_others_are_not_ours_to_write() -> None:
    there = export_object("bookinfo")
    there["status"] = {"conditions": [{"type": "Other", "status": "Unknown", "reason": "R", "message": ""}]}
    (write,) = told(shared(world(paris=exports())), there)
    assert [one["type"] for one in write.body["status"]["conditions"]] == ["Valid", "Ready", "Conflict"]


def test_an_export_that_our_facts_do_not_have_yet_is_left_for_later() -> None:
    assert told(shared(world(paris={})), export_object("bookinfo")) == []


def test_no_conflict_is_taken_back_for_a_cluster_that_is_not_known_yet() -> None:
    imported = kept_at(shared(world(paris=exports(), dublin=exports(NEW))))
    unsure = shared(world(complete=False, paris=exports()))
    assert told(unsure, export_object("bookinfo"), imported) == []
    assert told(unsure, export_object("bookinfo")) != []


# a Service's spec -> what differs from the plain offer
OFFERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "affinity": (
        {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 7}}},
        {"session_affinity": "ClientIP", "affinity_timeout_s": 7},
    ),
    "affinity with Kubernetes' timeout": (
        {"sessionAffinity": "ClientIP"},
        {"session_affinity": "ClientIP", "affinity_timeout_s": 10800},
    ),
    "an absurd timeout": (
        {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": "ever"}}},
        {"session_affinity": "ClientIP", "affinity_timeout_s": 10800},
    ),
    "an absurd config": (
        {"sessionAffinity": "ClientIP", "sessionAffinityConfig": [1]},
        {"session_affinity": "ClientIP", "affinity_timeout_s": 10800},
    ),
    "a port out of range": ({"ports": [{"port": 80, "name": "http"}, {"port": 70000, "name": "x"}]}, {}),
    "traffic": (
        {"trafficDistribution": "PreferClose", "internalTrafficPolicy": "Local"},
        {"traffic_distribution": "PreferClose", "internal_traffic_policy": "Local"},
    ),
}


@pytest.mark.parametrize("case", OFFERS)
def test_what_a_service_offers(case: str) -> None:
    spec, differs = OFFERS[case]
    plain = replace(OFFERED, internal_traffic_policy="Cluster")
    assert offered(msgspec.convert(service("bookinfo", **spec), Service)) == replace(plain, **differs)


def test_ten_thousand_exports_are_each_compared_once_and_written_once() -> None:
    many = {ServiceKey("bookinfo", f"s{n}"): Export(OLD, OFFERED) for n in range(10_000)}
    wanted = shared(world(paris=many, dublin=many))
    writes = written(wanted)
    assert len({write.object for write in writes}) == len(writes) == 10_000
    assert shared(world(paris=many, dublin=many), wanted).merged == wanted.merged


def test_an_import_that_cannot_be_read_is_nobodys() -> None:
    for text in (
        b'{"metadata": 5}',
        b'{"metadata": {"labels": [1]}}',
        b"[",
        b'{"metadata": {}, "status": 1}',
    ):
        with pytest.raises(Refusal):
            read(text)


def test_invalid_type_is_told_as_such() -> None:
    valid, *_ = conditions(Export(OLD, None, INVALID_TYPE), None)
    assert valid.message == "A Service of type ExternalName has no endpoints, and cannot be exported."


def test_fields_that_an_older_crd_does_not_have_are_left_out() -> None:
    refusal = """failed to create typed patch object (a/b; multicluster.x-k8s.io/v1alpha1): errors:
      .spec.trafficDistribution: field not declared in schema
      .status.conditions[type="Valid"].observedGeneration: field not declared in schema"""
    fields = undeclared(refusal)
    assert fields == {("spec", "trafficDistribution"), ("status", "conditions", "observedGeneration")}
    conditions = [{"type": "Valid", "observedGeneration": 1}]
    body = {"spec": {"type": "Headless", "trafficDistribution": "x"}, "status": {"conditions": conditions}}
    write = Write("ServiceExport a/b", "changed", "PATCH", "/", body)
    assert without(write, fields).body == {
        "spec": {"type": "Headless"},
        "status": {"conditions": [{"type": "Valid"}]},
    }
    assert without(write, [("spec", "other"), ("spec", "type", "deeper")]).body == body
    assert undeclared("something else is wrong") == frozenset()
