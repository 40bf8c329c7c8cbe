"""An order that a replica was given, as the TrafficOrder that the hub keeps of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tideover_core.orders import Action, TrafficOrder
from tideover_core.target import Aim

from .traffic_orders import AUTHOR
from .writes import Write, applied

ROOT = "/apis/tideover.dev/v1alpha1"
_LONGEST_AUTHOR = 1024


def path_of(namespace: str, name: str) -> str:
    """Where the object is."""
    return f"{ROOT}/namespaces/{namespace}/trafficorders/{name}"


def copy(order: TrafficOrder) -> Write:
    """The request that makes the object, or brings it up to date."""
    body = order_object(order)
    return applied((str(order), "a copy for all replicas"), path_of(order.namespace, order.name), body)


def order_object(order: TrafficOrder) -> dict[str, Any]:
    """The object; what `traffic_order` makes of it is the same order."""
    spec: dict[str, Any] = {
        "action": str(order.action),
        "target": _parts(order.target),
        "reason": order.reason,
    }
    if order.action is not Action.FREEZE:
        spec["percent"] = order.percent
    if order.to is not None:
        spec["to"] = _parts(order.to)
    if order.expires_at_s is not None:
        spec["expiresAt"] = datetime.fromtimestamp(order.expires_at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if order.over_s:
        spec["over"] = f"{round(order.over_s * 1000)}ms"
    if order.force_empty:
        spec["forceEmpty"] = True
    return {
        "apiVersion": "tideover.dev/v1alpha1",
        "kind": "TrafficOrder",
        "metadata": {
            "name": order.name,
            "namespace": order.namespace,
            "annotations": {AUTHOR: order.author[:_LONGEST_AUTHOR]},
        },
        "spec": spec,
    }


def _parts(aim: Aim) -> dict[str, str]:
    """The parts of a target, each as `TARGET` writes it."""
    words: dict[str, str] = {}
    for part in str(aim).split(","):
        kind, _, value = part.partition("/")
        words[kind] = value
    return words
