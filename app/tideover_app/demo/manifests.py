"""The clusters as Kubernetes would describe them, as plain values, and the control plane's files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .layout import NAMESPACE, SERVICE_PORT, Cluster, Instance, Layout

Manifest = dict[str, Any]
JUDGED = ("reviews", "productpage")  # by what callers report


def listed(items: Iterable[Manifest]) -> Manifest:
    """What `kubectl get ... -o yaml` prints: a List of objects."""
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}


def nodes(cluster: Cluster) -> Manifest:
    """The cluster's namespace and its one node, whose labels are every pod's locality."""
    labels = {"topology.kubernetes.io/region": cluster.region, "topology.kubernetes.io/zone": cluster.zone}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node_name(cluster), "labels": labels}}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    return listed([namespace, node])


def service(cluster: Cluster, name: str, pods: Iterable[Instance], *, ready: bool) -> Manifest:
    """A Service, its EndpointSlice and its pods, all ready or none."""
    pods = list(pods)
    meta = {"name": name, "namespace": NAMESPACE, "labels": {"app": name}}
    port = {"name": "http", "port": SERVICE_PORT, "protocol": "TCP"}
    spec = {"selector": {"app": name}, "ports": [port]}
    head = {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}
    return listed([head, _slice(cluster, name, pods, ready=ready), *(_pod(cluster, pod) for pod in pods)])


def node_name(cluster: Cluster) -> str:
    """The cluster's only node."""
    return f"{cluster.name}-node-1"


def _slice(cluster: Cluster, name: str, pods: Iterable[Instance], *, ready: bool) -> Manifest:
    labels = {"kubernetes.io/service-name": name}
    conditions = {"ready": ready, "serving": ready, "terminating": False}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-x7k2p", "namespace": NAMESPACE, "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": SERVICE_PORT, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [pod.address],
                "conditions": dict(conditions),
                "nodeName": node_name(cluster),
                "zone": cluster.zone,
                "targetRef": {"kind": "Pod", "name": pod.name, "namespace": NAMESPACE},
            }
            for pod in pods
        ],
    }


def _pod(cluster: Cluster, pod: Instance) -> Manifest:
    meta = {"name": pod.name, "namespace": NAMESPACE, "labels": {"app": pod.service}}
    status = {"phase": "Running", "podIP": pod.address}
    spec = {"nodeName": node_name(cluster)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": status}


def policies() -> Manifest:
    """What the demo's user asks for beyond the defaults, because of scenes (f) to (i); docs/demo.md says why.

    The DestinationRule counts timeouts as gateway errors (Istio's way, errors not split): with split
    errors every new connection that the kernel of a stopped process accepts would reset the count.
    """
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "demo", "namespace": NAMESPACE},
        "spec": {
            "host": f"ratings.{NAMESPACE}.svc.cluster.local",
            "trafficPolicy": {
                "outlierDetection": {
                    "splitExternalLocalOriginErrors": False,
                    "consecutive5xxErrors": 0,
                    "consecutiveGatewayErrors": 5,
                    "interval": "1s",
                    "baseEjectionTime": "3s",
                    "maxEjectionPercent": 100,
                }
            },
        },
    }
    policy = {
        "apiVersion": "tideover.dev/v1alpha1",
        "kind": "FailoverPolicy",
        "metadata": {"name": "demo", "namespace": NAMESPACE},
        "spec": {
            "retry": {"attempts": 2, "perTryTimeout": "1s"},
            # in a hurry: by default half a minute, and ten seconds for each step
            "failback": {"holdDown": "500ms", "steps": [20, 60, 100], "stepEvery": "1500ms"},
        },
    }
    # one sidecar calls from each zone, which is one vote: a check has to agree with it. No sidecar ejects
    # for itself here: what moves calls is what all of them report, so that it can be seen
    judged = {
        "apiVersion": "tideover.dev/v1alpha1",
        "kind": "FailoverPolicy",
        "metadata": {"name": "judged", "namespace": NAMESPACE},
        "spec": {
            "targetRefs": [{"kind": "Service", "name": name} for name in JUDGED],
            "outlier": {"maxEjectionPercent": 0},
            "fleetHealth": {"window": "2s", "minRequests": 5, "minReporters": 1},
            "activeCheck": {"http": {"path": "/"}, "interval": "500ms", "timeout": "400ms"},
        },
    }
    return listed([rule, policy, judged])


def configuration(layout: Layout) -> Mapping[str, Any]:
    """The control plane's tideover.yaml."""
    ports = {"xds": layout.xds_port, "admin": layout.admin_port, "http": layout.http_port}
    return {
        "name": "demo",
        "region": layout.clusters[0].region,
        "listen": {what: f"127.0.0.1:{port}" for what, port in ports.items()},
        "clusters": [
            {
                "name": c.name,
                "network": "default",
                "locality": {"region": c.region, "zone": c.zone},
                "manifests": f"./clusters/{c.name}",
            }
            for c in layout.clusters
        ],
        "policies": "./policies",
        "state": "./state",
        "dangerouslyAllowLoopbackEndpoints": True,
    }
