"""TrafficOrders: read whole or refused; what a replica writes of one is the same order."""

from __future__ import annotations

from typing import Any

import pytest

from discovery.worlds import Files, dump, facts, said
from support.manifests import Object
from tideover_core.model import ServiceKey
from tideover_core.orders import Action, TrafficOrder
from tideover_core.target import Aim
from tideover_discovery.kubernetes.order_objects import order_object


def order(name: str = "kernel", **spec: Any) -> Object:
    whole = {"action": "Drain", "target": {"cluster": "paris"}, "reason": "kernel upgrade", **spec}
    return {
        "apiVersion": "tideover.dev/v1alpha1",
        "kind": "TrafficOrder",
        "metadata": {"name": name, "namespace": "ops", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {key: value for key, value in whole.items() if value is not None},
    }


def test_an_order_is_read_whole() -> None:
    found = facts(order(percent=50, expiresAt="2026-11-23T10:00:00Z", reason="kernel upgrade"))
    assert found.orders == (
        TrafficOrder(
            "ops",
            "kernel",
            Action.DRAIN,
            Aim(cluster="paris"),
            50.0,
            None,
            1_795_428_000.0,
            "kernel upgrade",
            "2026-01-01T00:00:00Z",
        ),
    )
    assert said(found) == []


@pytest.mark.parametrize(
    ("status", "accepted"),
    [
        ({"conditions": [{"type": "Accepted", "status": "True", "observedGeneration": 2}]}, True),
        (
            {"conditions": [{"type": "Accepted", "status": "True", "observedGeneration": 1}]},
            False,
        ),  # of before
        ({"conditions": [{"type": "Accepted", "status": "False", "observedGeneration": 2}]}, False),
        ({"conditions": [{"type": "Programmed", "status": "True", "observedGeneration": 2}]}, False),
        ({"conditions": ["nonsense", 7]}, False),
        ({"conditions": 7}, False),
        ("nonsense", False),
        (None, False),
    ],
)
def test_what_other_replicas_have_accepted_is_known(status: object, accepted: bool) -> None:
    made = order()
    (found,) = facts({**made, "metadata": {**made["metadata"], "generation": 2}, "status": status}).orders
    assert found.accepted is accepted
    assert found == facts(made).orders[0]  # to write a status changes no facts


@pytest.mark.parametrize(
    "order_",
    [
        TrafficOrder(
            "ops", "a", Action.DRAIN, Aim(cluster="paris", zone="x"), 12.5, None, 1_795_428_000.0, "why"
        ),
        TrafficOrder(
            "ops",
            "a",
            Action.SHIFT,
            Aim(service=ServiceKey("shop", "pay"), service_cluster="paris"),
            100.0,
            Aim(region="us", zone="b"),
            None,
            "why",
            over_s=90.0,
            author="spiffe://mesh/ada",
        ),
        TrafficOrder("ops", "a", Action.FREEZE, Aim(address="2001:db8::1", port=80, network="n"), reason="w"),
        TrafficOrder("ops", "a", Action.DRAIN, Aim(region="eu"), reason="w", force_empty=True, author="ada"),
    ],
)
def test_the_copy_in_the_hub_means_the_same(order_: TrafficOrder) -> None:
    assert facts(order_object(order_)).orders == (order_,)


@pytest.mark.parametrize(
    ("target", "aim"),
    [
        ({"service": "pay"}, Aim(service=ServiceKey("ops", "pay"))),
        (
            {"service": "shop/pay", "region": "eu-west"},
            Aim(service=ServiceKey("shop", "pay"), region="eu-west"),
        ),
        ({"endpoint": "10.0.0.1:80", "zone": "a"}, Aim(address="10.0.0.1", port=80, zone="a")),
    ],
)
def test_parts_of_a_target_mean_and(target: dict[str, str], aim: Aim) -> None:
    assert facts(order(target=target)).orders[0].target == aim


def test_shift_and_freeze() -> None:
    found = facts(order("a", action="Shift", to={"region": "us"}), order("b", action="Freeze"))
    assert [(one.action, one.to, one.percent) for one in found.orders] == [
        (Action.SHIFT, Aim(region="us"), 100.0),
        (Action.FREEZE, None, 100.0),
    ]


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"action": None}, "spec.action is None, not Drain, Shift, Freeze"),
        ({"action": "drain"}, "spec.action is 'drain'"),
        ({"action": 7}, "spec.action is 7, not text"),
        ({"target": None}, "spec.target is missing"),
        ({"target": {}}, "spec.target is empty"),
        ({"target": {"cluster": ""}}, "spec.target.cluster is ''"),
        ({"target": {"cluster": "a,b"}}, "spec.target.cluster is 'a,b'"),
        ({"target": {"planet": "mars"}}, "spec.target is empty"),
        ({"target": {"cluster": "paris", "planet": "mars"}}, "spec.target.planet is unknown"),
        ({"target": {"endpoint": "nonsense"}}, "spec.target makes no sense"),
        ({"target": {"service": "a/b/c"}}, "spec.target makes no sense"),
        ({"target": "cluster/paris"}, "spec.target is 'cluster/paris', not a mapping"),
        ({"percent": 0}, "spec.percent is 0"),
        ({"percent": 101}, "spec.percent is 101"),
        ({"percent": True}, "spec.percent is True"),
        ({"percent": "half"}, "spec.percent is 'half'"),
        ({"action": "Freeze", "percent": 5}, "spec.percent is for Drain and Shift"),
        ({"action": "Shift"}, "spec.to is for Shift"),
        ({"to": {"region": "us"}}, "spec.to is for Shift"),
        ({"expiresAt": "tomorrow"}, "spec.expiresAt is 'tomorrow'"),
        ({"expiresAt": "2026-11-23T10:00:00"}, "says no time zone"),
        ({"over": "soon"}, "spec.over 'soon' is no duration"),
        ({"over": "48h"}, "spec.over is 48h"),
        ({"action": "Freeze", "over": "60s"}, "spec.over is for Drain and Shift"),
        ({"forceEmpty": 1}, "spec.forceEmpty is 1"),
        ({"action": "Freeze", "forceEmpty": True}, "spec.forceEmpty is for Drain"),
        ({"expiresOn": "2026-11-23T10:00:00Z"}, "spec.expiresOn is unknown"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_whole(spec: dict[str, Any], word: str) -> None:
    found = facts(order(**spec))
    assert found.orders == ()
    (problem,) = said(found)
    assert problem.startswith(f"TrafficOrder ops/kernel: {word}") or word in problem


def test_the_last_good_version_stays_and_a_deleted_order_is_gone() -> None:
    files = Files()
    good = files.say(order())
    assert files.say(order(percent=900)).orders == good.orders
    assert files.say().orders == ()


def test_after_a_restart_a_broken_order_stays_as_it_was() -> None:
    files = Files(Files().say(order()))
    assert len(files.read(a=dump(order(percent=900))).orders) == 1
    assert files.read(a=dump()).orders == ()
