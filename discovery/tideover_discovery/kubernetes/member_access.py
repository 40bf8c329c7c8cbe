"""What a cluster grants to Tideover, as objects: the same as deploy/base/rbac (a test compares them).

`tideover cluster join` makes these, a token that lasts, and the Secret that registers the cluster.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import yaml

from .registration import CLUSTER, KUBECONFIG, LEAVING, LOCALITY, NETWORK, TRUST_DOMAIN

Object = dict[str, Any]
ACCOUNT, TOKEN, LEASE = "tideover", "tideover-token", "tideover-writer"
REDACTED = "REDACTED"
_RBAC = "rbac.authorization.k8s.io"
_READ = ["get", "list", "watch"]
_PLURALS = {
    "Namespace": ("/api/v1", "namespaces"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "Secret": ("/api/v1", "secrets"),
    "ClusterRole": (f"/apis/{_RBAC}/v1", "clusterroles"),
    "ClusterRoleBinding": (f"/apis/{_RBAC}/v1", "clusterrolebindings"),
    "Role": (f"/apis/{_RBAC}/v1", "roles"),
    "RoleBinding": (f"/apis/{_RBAC}/v1", "rolebindings"),
}


def grants(namespace: str) -> list[Object]:
    """Everything that is needed in a member cluster, in the order in which it is made."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": namespace,
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": ACCOUNT, "namespace": namespace},
            "automountServiceAccountToken": False,
        },
        _role("ClusterRole", "tideover-reader", "", _reading()),
        _binding("ClusterRole", "tideover-reader", namespace),
        _role("ClusterRole", "tideover-writer", "", _writing()),
        _binding("ClusterRole", "tideover-writer", namespace),
        _role("Role", "tideover-lease", namespace, _leasing()),
        _binding("Role", "tideover-lease", namespace),
    ]


def token_secret(namespace: str) -> Object:
    """A token of the account that does not end; the token controller fills it in."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": TOKEN,
            "namespace": namespace,
            "annotations": {"kubernetes.io/service-account.name": ACCOUNT},
        },
        "type": "kubernetes.io/service-account-token",
    }


def token_of(secret: Mapping[str, Any]) -> tuple[str, str]:
    """The token in that Secret and the authority, as PEM; "" while they are not there."""
    data = secret.get("data") or {}
    return _plain(data.get("token")), _plain(data.get("ca.crt"))


def kubeconfig(name: str, cluster: Mapping[str, str], token: str) -> str:
    """A kubeconfig with one context. `cluster`: server, certificate-authority-data, tls-server-name."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": ACCOUNT}}],
        "clusters": [{"name": name, "cluster": dict(cluster)}],
        "users": [{"name": ACCOUNT, "user": {"token": token}}],
    }
    return str(yaml.safe_dump(config, sort_keys=False))


def secret_name(cluster: str) -> str:
    """The name of the Secret that registers a cluster."""
    return f"tideover-cluster-{cluster}"


def registration(cluster: str, namespace: str, text: str, annotations: Mapping[str, str]) -> Object:
    """The Secret that registers a cluster; `text` is its kubeconfig, "" for none."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": secret_name(cluster),
            "namespace": namespace,
            "labels": {CLUSTER: cluster},
            "annotations": {key: value for key, value in annotations.items() if value},
        },
        "type": "Opaque",
        "data": {KUBECONFIG: base64.b64encode(text.encode()).decode()} if text else {},
    }


def places(network: str, locality: str, trust_domain: str = "") -> dict[str, str]:
    """The annotations that say where a cluster is, and of which trust domain its workloads are."""
    return {NETWORK: network, LOCALITY: locality, TRUST_DOMAIN: trust_domain}


def leaving(since: str | None) -> Object:
    """A merge patch that marks a registration as leaving; None: as staying."""
    return {"metadata": {"annotations": {LEAVING: since}}}


def redacted(secret: Object) -> Object:
    """The same without what must not be shown."""
    return {**secret, "data": dict.fromkeys(secret.get("data") or {}, REDACTED)}


def path_of(made: Mapping[str, Any]) -> str:
    """Where one of these objects is at an API server."""
    root, plural = _PLURALS[made["kind"]]
    metadata = made["metadata"]
    inside = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{root}{inside}/{plural}/{metadata['name']}"


def called(made: Mapping[str, Any]) -> str:
    """An object's name for people."""
    metadata = made["metadata"]
    inside = f"{metadata['namespace']}/" if "namespace" in metadata else ""
    return f"{made['kind']} {inside}{metadata['name']}"


def _rule(group: str, resources: list[str], verbs: list[str], **more: list[str]) -> Object:
    return {"apiGroups": [group], "resources": resources, **more, "verbs": [*verbs]}


def _reading() -> list[Object]:
    return [
        _rule("", ["services", "pods", "nodes", "namespaces"], _READ),
        _rule("discovery.k8s.io", ["endpointslices"], _READ),
        _rule("networking.istio.io", ["destinationrules"], _READ),
        _rule("tideover.dev", ["failoverpolicies", "trafficorders"], _READ),
        _rule("multicluster.x-k8s.io", ["serviceexports", "serviceimports"], _READ),
        _rule("authentication.k8s.io", ["tokenreviews"], ["create"]),
    ]


def _writing() -> list[Object]:
    mcs = "multicluster.x-k8s.io"
    return [
        _rule("tideover.dev", ["failoverpolicies/status", "trafficorders/status"], ["patch"]),
        _rule(mcs, ["serviceexports/status", "serviceimports/status"], ["patch"]),
        _rule(mcs, ["serviceimports"], ["create", "patch", "delete"]),
        _rule("events.k8s.io", ["events"], ["create", "patch"]),
    ]


def _leasing() -> list[Object]:
    group = "coordination.k8s.io"
    return [
        _rule(group, ["leases"], ["create"]),
        _rule(group, ["leases"], ["get", "update"], resourceNames=[LEASE]),
    ]


def _role(kind: str, name: str, namespace: str, rules: list[Object]) -> Object:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": metadata, "rules": rules}


def _binding(kind: str, role: str, namespace: str) -> Object:
    inside = {"namespace": namespace} if kind == "Role" else {}
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": f"{kind}Binding",
        "metadata": {"name": role, **inside},
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
    }


def _plain(data: object) -> str:
    return base64.b64decode(data).decode() if isinstance(data, str) else ""
