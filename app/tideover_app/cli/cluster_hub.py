"""The registrations in a hub, for `cluster join`, `leave` and `list`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import cluster_server

if TYPE_CHECKING:
    from tideover_discovery.kubernetes.client import Api

NAMESPACE = "tideover-system"
FIELD = {"fieldManager": "tideover-cluster"}
HubContext = Annotated[
    str, typer.Option("--hub-context", help="The hub, in your kubeconfig: it keeps the Secrets.")
]
Kubeconfig = Annotated[
    Path | None, typer.Option("--kubeconfig", help="Default: $KUBECONFIG, else ~/.kube/config.")
]
Namespace = Annotated[str, typer.Option("--namespace", help="rootNamespace of tideover.yaml.")]


@dataclass(frozen=True, slots=True)
class Registration:
    """One cluster that a Secret registers, and its API server. `trouble`: why it is refused, or ""."""

    cluster: str
    secret: str
    uid: str
    kind: str  # tideover or istio
    network: str
    locality: str
    server: str
    created: str
    leaving: str
    trouble: str


async def registered(api: Api, namespace: str) -> list[Registration]:
    """All registrations of that namespace, by cluster."""
    from tideover_discovery.kubernetes.registration import CLUSTER, ISTIO

    found: list[Registration] = []
    for selector in (CLUSTER, f"{ISTIO}=true,!{CLUSTER}"):
        path = f"/api/v1/namespaces/{namespace}/secrets"
        listed = await cluster_server.found(api, path, {"labelSelector": selector}) or {}
        for secret in listed.get("items") or ():
            found += _of(secret, "istio" if selector.startswith(ISTIO) else "tideover")
    return sorted(found, key=lambda one: (one.cluster, one.created, one.secret))


def _of(secret: dict[str, Any], kind: str) -> list[Registration]:
    from tideover_discovery.kubernetes.client import KubeconfigText
    from tideover_discovery.kubernetes.client.kubeconfig import choose
    from tideover_discovery.kubernetes.registration import Registered, registrations

    name, uid = secret["metadata"]["name"], secret["metadata"]["uid"]
    rows = []
    for one in registrations(secret, KubeconfigText):
        known = one if isinstance(one, Registered) else None
        rows.append(
            Registration(
                one.name,
                name,
                uid,
                kind,
                known.network if known else "",
                str(known.locality).strip("/") if known else "",
                str(choose(known.kubeconfig, "").cluster["server"]) if known and known.kubeconfig else "",
                one.created,
                one.leaving,
                "" if isinstance(one, Registered) else one.reason,
            )
        )
    return rows
