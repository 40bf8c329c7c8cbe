"""Status conditions: what is said of policies and orders, and nothing when nothing changed."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from tideover_core.model import ClusterFacts, Locality, Protocol, ServiceFacts, ServiceKey, ServicePort
from tideover_core.order_book import Standing
from tideover_core.policy import FailoverPolicy, Scope, Settings
from tideover_core.world import Mesh, World, merge
from tideover_discovery.kubernetes.conditions import Condition, conditions
from tideover_discovery.kubernetes.objects import Key
from tideover_discovery.kubernetes.policy_status import OrderStatus, PolicyStatus, names_of
from tideover_discovery.kubernetes.writes import Write
from tideover_discovery.kubernetes.writing import Object, Scene

NOW, LATER = "2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z"
RATINGS = ServiceKey("bookinfo", "ratings")
OLD, YOUNG = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


def policy(name: str, created: str = OLD, **spec: Any) -> Object:
    return {
        "apiVersion": "tideover.dev/v1alpha1",
        "kind": "FailoverPolicy",
        "metadata": {
            "name": name,
            "namespace": "bookinfo",
            "creationTimestamp": created,
            "generation": 3,
            "resourceVersion": "77",
        },
        "spec": {"targetRefs": [{"name": "ratings"}], **spec},
    }


def world(*policies: FailoverPolicy, cluster: str = "paris", others: tuple[ClusterFacts, ...] = ()) -> World:
    service = ServiceFacts(RATINGS, (ServicePort(9080, "http", Protocol.HTTP),), {})
    facts = ClusterFacts(
        cluster, "default", Locality(), services={RATINGS: service}, failover_policies=policies
    )
    return merge([facts, *others])


def scoped(name: str, scope: Scope, created: str = OLD) -> FailoverPolicy:
    return FailoverPolicy("bookinfo", name, (RATINGS,), Settings(scope=scope), created)


def scene(now: World, *objects: Object, at: str = NOW) -> Scene:
    seen: dict[str, dict[Key, Object]] = {}
    for one in objects:
        about = one["metadata"]
        key = Key(one["kind"], about["namespace"], about["name"])
        seen.setdefault(one["kind"], {})[key] = one
    return Scene("paris", now, seen, {"FailoverPolicy": "v1alpha1"}, at)


def writes(writer: PolicyStatus | OrderStatus, now: Scene) -> list[Write]:
    return [write for write in writer.writes(now) if write is not None]


def said(write: Write) -> dict[str, tuple[str, str, str]]:
    found = write.body["status"]["conditions"]
    return {one["type"]: (one["status"], one["reason"], one["message"]) for one in found}


def after(one: Object, write: Write) -> Object:
    """The object when it is written."""
    return {**one, "status": write.body["status"]}


def test_a_policy_in_use_is_accepted_and_programmed_and_written_once() -> None:
    status = PolicyStatus("replica-0", lambda *_: (12, 12))
    seen, now = policy("a", scope="Region"), world(scoped("a", Scope.REGION))
    (write,) = writes(status, scene(now, seen))
    assert write.path == "/apis/tideover.dev/v1alpha1/namespaces/bookinfo/failoverpolicies/a/status"
    assert write.body["metadata"] == {"resourceVersion": "77"}
    assert said(write) == {
        "Accepted": ("True", "Accepted", ""),
        "Conflicted": ("False", "NoConflict", ""),
        "Programmed": ("True", "Acknowledged", "12 of 12 clients of replica-0"),
    }
    assert not write.leisurely
    assert {one["observedGeneration"] for one in write.body["status"]["conditions"]} == {3}
    assert writes(status, scene(now, after(seen, write), at=LATER)) == []


@pytest.mark.parametrize(
    ("clients", "status", "reason", "message"),
    [
        ((11, 12), "False", "NotAcknowledged", "11 of 12 clients of replica-0"),
        ((0, 0), "Unknown", "NoClients", "no client of replica-0 is subscribed to what it is about"),
    ],
)
def test_a_change_of_numbers_is_written_at_leisure(
    clients: tuple[int, int], status: str, reason: str, message: str
) -> None:
    seen, now = policy("a", scope="Region"), world(scoped("a", Scope.REGION))
    (first,) = writes(PolicyStatus("replica-0", lambda *_: (12, 12)), scene(now, seen))
    of_now = PolicyStatus("replica-0", lambda *_: clients)
    (write,) = writes(of_now, scene(now, after(seen, first), at=LATER))
    assert write.leisurely
    assert said(write)["Programmed"] == (status, reason, message)
    times = {one["type"]: one["lastTransitionTime"] for one in write.body["status"]["conditions"]}
    assert times == {"Accepted": NOW, "Conflicted": NOW, "Programmed": LATER}


def test_programmed_is_not_said_of_a_version_that_the_world_has_not_got() -> None:
    status = PolicyStatus("replica-0", lambda *_: (12, 12))
    (write,) = writes(status, scene(world(scoped("a", Scope.REGION)), policy("a", scope="Cluster")))
    assert said(write) == {"Accepted": ("True", "Accepted", "")}


def test_an_older_policy_wins_and_the_younger_says_which_and_where() -> None:
    now = world(scoped("a", Scope.REGION), scoped("b", Scope.CLUSTER, YOUNG))
    status = PolicyStatus("replica-0", lambda *_: (0, 0))
    found = writes(status, scene(now, policy("a", scope="Region"), policy("b", YOUNG, scope="Cluster")))
    told = {write.object: said(write)["Conflicted"] for write in found}
    assert told["FailoverPolicy bookinfo/a"][0] == "False"
    true, reason, message = told["FailoverPolicy bookinfo/b"]
    assert (true, reason) == ("True", "OlderPolicyWins")
    assert re.match(
        "says scope otherwise than FailoverPolicy bookinfo/a for the same services; the older", message
    )


def test_one_that_another_cluster_has_in_another_form_is_conflicted() -> None:
    other = ClusterFacts(
        "dublin", "default", Locality(), failover_policies=(scoped("a", Scope.CLUSTER, YOUNG),)
    )
    now = world(scoped("a", Scope.REGION), others=(other,))
    (write,) = writes(PolicyStatus("r", lambda *_: (0, 0)), scene(now, policy("a", scope="Region")))
    assert said(write)["Conflicted"][:2] == ("True", "DiffersBetweenClusters")


def test_one_that_cannot_be_read_says_why_and_what_stays() -> None:
    now = world(scoped("a", Scope.REGION))
    seen = policy("a", distribute=[{"to": [{"region": "x", "percent": 90}]}])
    (write,) = writes(PolicyStatus("r", lambda *_: (1, 1)), scene(now, seen))
    status, reason, message = said(write)["Accepted"]
    assert (status, reason) == ("False", "Invalid")
    assert message.startswith("spec.distribute[0].to: adds up to 90 %, not 100 %; what was last good")
    assert said(write)["Programmed"][0] == "False"


def test_a_policy_of_services_that_nobody_knows_says_so() -> None:
    gone = FailoverPolicy("bookinfo", "a", (ServiceKey("bookinfo", "gone"),), Settings(), OLD)
    seen = {**policy("a"), "spec": {"targetRefs": [{"name": "gone"}]}}
    (write,) = writes(PolicyStatus("r", lambda *_: (1, 1)), scene(world(gone), seen))
    assert said(write)["Programmed"][:2] == ("Unknown", "NoServices")


ORDER_STANDINGS = [
    (
        Standing(True, "Accepted", "", False, "Rising", "40 of 100 %"),
        {"Accepted": ("True", "Accepted", ""), "Programmed": ("False", "Rising", "40 of 100 %")},
    ),
    (
        Standing(True, "Accepted", "", True, "Drained", "100 of 100 %"),
        {"Accepted": ("True", "Accepted", ""), "Programmed": ("True", "Drained", "100 of 100 %")},
    ),
    (
        Standing(False, "Refused", "there is no cluster pari"),
        {
            "Accepted": ("False", "Refused", "there is no cluster pari"),
            "Programmed": ("False", "NotInForce", ""),
        },
    ),
]


@pytest.mark.parametrize(("standing", "told"), ORDER_STANDINGS)
def test_what_became_of_an_order(standing: Standing, told: dict[str, tuple[str, str, str]]) -> None:
    spec = {"action": "Drain", "target": {"cluster": "paris"}, "reason": "kernel"}
    order = {**policy("a"), "kind": "TrafficOrder", "spec": spec}
    status = OrderStatus(lambda namespace, name: standing if name == "a" else None)
    (write,) = writes(status, scene(world(), order))
    assert said(write) == told
    assert writes(status, scene(world(), after(order, write))) == []
    (write,) = writes(status, scene(world(), {**order, "spec": {}}))
    assert said(write)["Accepted"][1] == "Invalid"
    assert writes(OrderStatus(lambda *_: None), scene(world(), order)) == []


def test_what_a_policy_is_about() -> None:
    now = world()
    named = scoped("a", Scope.REGION)
    assert names_of(now, named) == frozenset({"bookinfo/ratings:9080"})
    assert names_of(now, replace(named, targets=())) == frozenset({"bookinfo/ratings:9080"})
    assert names_of(now, replace(named, targets=(), namespace="other")) == frozenset()
    assert names_of(now, replace(named, targets=(), namespace=Mesh().root_namespace)) is None


def test_conditions_of_others_stay_and_nonsense_is_replaced() -> None:
    other = {"type": "Theirs", "status": "True"}
    wanted = [Condition("Accepted", "True", "Accepted")]
    written = conditions([other, "nonsense", {"type": "Accepted"}], wanted, 1, NOW)
    assert written is not None
    assert written[0] == other
    assert written[1]["lastTransitionTime"] == NOW
    assert conditions(written, wanted, 1, LATER) is None
    assert conditions([written[1], other], wanted, 1, LATER) is None, "in whatever order they stand"
    assert conditions({"a": 1}, wanted, 1, NOW) == [written[1]]
