"""Nodes, Services and Pods without a kubelet: the tests write what a kubelet would report."""

from __future__ import annotations

from dataclasses import dataclass, field

from support.apiserver.admin import Admin, Object


def node(name: str, *, region: str = "eu-west", zone: str = "eu-west-a") -> Object:
    labels = {"topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


def selecting_service(name: str, namespace: str, *, port: int = 9080, target: int = 8080) -> Object:
    """A Service of the pods labelled `app: NAME`, for HTTP."""
    ports = [{"name": "http", "port": port, "targetPort": target}]
    spec = {"selector": {"app": name}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _about(name, namespace), "spec": spec}


def pod(name: str, namespace: str, *, app: str, node: str) -> Object:
    spec = {"containers": [{"name": "c", "image": "none"}], "nodeName": node}
    about = _about(name, namespace) | {"labels": {"app": app}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec}


def _about(name: str, namespace: str) -> Object:
    return {"name": name, "namespace": namespace}


@dataclass
class Workload:
    """A Service and its Pods on one node; the controllers make the slices. `pods`: name to address."""

    admin: Admin
    namespace: str
    name: str = "ratings"
    pods: dict[str, str] = field(default_factory=lambda: {"ratings-1": "10.71.1.1", "ratings-2": "10.71.1.2"})
    node: str = "node-1"
    region: str = "eu-west"
    zone: str = "eu-west-a"
    port: int = 9080
    target: int = 8080

    def create(self) -> Workload:
        """All of it, every Pod ready."""
        self.admin.apply(
            node(self.node, region=self.region, zone=self.zone),
            selecting_service(self.name, self.namespace, port=self.port, target=self.target),
        )
        for name in self.pods:
            self.add(name)
        return self

    def add(self, name: str) -> None:
        self.admin.apply(pod(name, self.namespace, app=self.name, node=self.node))
        self.ready(name)

    def ready(self, name: str, yes: bool = True) -> None:
        """What the kubelet says of a Pod."""
        address = self.pods[name]
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": str(yes)}],
        }
        self.admin.patch("Pod", name, self.namespace, {"status": status}, "status")

    def unready(self) -> None:
        """All of them, one request each."""
        for name in self.pods:
            self.ready(name, False)

    def in_slices(self) -> dict[str, bool]:
        """Address to readiness, as the slices have it now."""
        slices = self.admin.list("EndpointSlice", self.namespace, f"kubernetes.io/service-name={self.name}")
        endpoints = [e for one in slices for e in one["endpoints"] or []]
        return {a: bool(e["conditions"].get("ready")) for e in endpoints for a in e["addresses"]}
