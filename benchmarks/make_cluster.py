"""Make a dump as `kubectl get services,endpointslices,pods,nodes,namespaces -A -o json|yaml` prints it.

python benchmarks/make_cluster.py --services 2000 --endpoints 20000 --format json clusters/paris/dump.json

Always the same for the same arguments. Pods and nodes look as `kubectl` shows them (without
managedFields, which it hides), so that reading costs what it costs with a real cluster.
"""

from __future__ import annotations

import argparse
import json
import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Object = dict[str, Any]
PODS_PER_NODE = 100
ENDPOINTS_PER_SLICE = 100
CREATED = "2026-03-14T09:26:53Z"
LANGUAGES = ("java", "go", "python", "node", "rust")
WORDS = ("cart", "order", "price", "stock", "user", "mail", "search", "image", "audit", "media")


class Cluster:
    """Names, addresses and identifiers of one made-up cluster; random, but the same every time."""

    def __init__(self, region: str, zones: list[str], seed: int) -> None:
        self.region, self.zones = region, zones
        self.random = random.Random(seed)
        self.version = 1_000_000

    def metadata(self, name: str, namespace: str = "", **more: Any) -> Object:
        self.version += self.random.randint(1, 50)
        identity = {
            "name": name,
            "uid": str(uuid.UUID(int=self.random.getrandbits(128), version=4)),
            "resourceVersion": str(self.version),
            "creationTimestamp": CREATED,
        }
        return {**identity, **({"namespace": namespace} if namespace else {}), **more}

    def suffix(self, length: int = 5) -> str:
        return "".join(self.random.choices("bcdfghjklmnpqrstvwxz2456789", k=length))


def objects(cluster: Cluster, services: int, endpoints: int) -> Iterator[Object]:
    """Everything, in the order in which `kubectl` prints kinds that were asked for together."""
    spread = _spread(cluster, services, endpoints)
    names = [(f"team-{i % 40:02d}", f"{WORDS[i % len(WORDS)]}-{i}") for i in range(services)]
    nodes = [f"node-{i}" for i in range(max(len(cluster.zones), -(-endpoints // PODS_PER_NODE)))]
    for index, (namespace, name) in enumerate(names):
        yield _service(cluster, (namespace, name), index, _ports(index))
    pods: list[Object] = []
    for index, (namespace, name) in enumerate(names):
        mine = [_pod(cluster, (namespace, name), len(pods) + i, nodes) for i in range(spread[index])]
        pods += mine
        for start in range(0, max(len(mine), 1), ENDPOINTS_PER_SLICE):
            part = mine[start : start + ENDPOINTS_PER_SLICE]
            yield _slice(cluster, (namespace, name), part, _ports(index))
    yield from pods
    for index, name in enumerate(nodes):
        yield _node(cluster, name, cluster.zones[index % len(cluster.zones)])
    for namespace in sorted({namespace for namespace, _ in names}):
        metadata = cluster.metadata(namespace, labels={"kubernetes.io/metadata.name": namespace})
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata, "status": {"phase": "Active"}}


def _spread(cluster: Cluster, services: int, endpoints: int) -> list[int]:
    """How many endpoints each service has: a few have many, as in life; they sum to `endpoints`."""
    weights = [cluster.random.paretovariate(1.3) for _ in range(services)]
    counts = [int(endpoints * w / sum(weights)) for w in weights]
    for index in range(endpoints - sum(counts)):
        counts[index % services] += 1
    return counts


def _ports(index: int) -> dict[str, int]:
    """Every fifth service has a second port."""
    return {"http": 8080, "grpc": 9090} if index % 5 == 0 else {"http": 8080}


def _service(cluster: Cluster, owner: tuple[str, str], index: int, ports: dict[str, int]) -> Object:
    namespace, name = owner
    rows = [{"name": n, "port": p, "protocol": "TCP", "targetPort": p} for n, p in ports.items()]
    address = f"10.{96 + index // 65536}.{index // 256 % 256}.{index % 256}"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": cluster.metadata(name, namespace, labels={"app": name, "team": namespace}),
        "spec": {
            "clusterIP": address,
            "clusterIPs": [address],
            "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": rows,
            "selector": {"app": name},
            "sessionAffinity": "None",
            "type": "ClusterIP",
        },
        "status": {"loadBalancer": {}},
    }


def _slice(cluster: Cluster, service: tuple[str, str], pods: list[Object], ports: dict[str, int]) -> Object:
    namespace, name = service
    owner = {
        "apiVersion": "v1",
        "blockOwnerDeletion": True,
        "controller": True,
        "kind": "Service",
        "name": name,
        "uid": str(uuid.UUID(int=cluster.random.getrandbits(128), version=4)),
    }
    labels = {
        "app": name,
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "kubernetes.io/service-name": name,
    }
    return {
        "addressType": "IPv4",
        "apiVersion": "discovery.k8s.io/v1",
        "endpoints": [_endpoint(cluster, namespace, pod) for pod in pods],
        "kind": "EndpointSlice",
        "metadata": cluster.metadata(
            f"{name}-{cluster.suffix()}",
            namespace,
            annotations={"endpoints.kubernetes.io/last-change-trigger-time": CREATED},
            generateName=f"{name}-",
            generation=7,
            labels=labels,
            ownerReferences=[owner],
        ),
        "ports": [{"name": n, "port": p, "protocol": "TCP"} for n, p in ports.items()],
    }


def _endpoint(cluster: Cluster, namespace: str, pod: Object) -> Object:
    ready = cluster.random.random() > 0.01
    metadata = pod["metadata"]
    node = pod["spec"]["nodeName"]
    zone = cluster.zones[int(node.rsplit("-", 1)[1]) % len(cluster.zones)]
    reference = {"kind": "Pod", "name": metadata["name"], "namespace": namespace, "uid": metadata["uid"]}
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": ready, "terminating": False},
        "nodeName": node,
        "targetRef": reference,
        "zone": zone,
    }


def _pod(cluster: Cluster, owner: tuple[str, str], index: int, nodes: list[str]) -> Object:
    namespace, name = owner
    revision = f"{hash_of(name):010x}"[:9]
    address = f"10.{200 + index // 62500}.{index // 250 % 250}.{index % 250 + 1}"
    labels = {"app": name, "pod-template-hash": revision, "team": namespace, "version": "v1"}
    language = LANGUAGES[index % len(LANGUAGES)]
    reference = {
        "apiVersion": "apps/v1",
        "blockOwnerDeletion": True,
        "controller": True,
        "kind": "ReplicaSet",
        "name": f"{name}-{revision}",
        "uid": str(uuid.UUID(int=cluster.random.getrandbits(128), version=4)),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": cluster.metadata(
            f"{name}-{revision}-{cluster.suffix()}",
            namespace,
            generateName=f"{name}-{revision}-",
            labels=labels,
            ownerReferences=[reference],
        ),
        "spec": _pod_spec(name, language, nodes[index % len(nodes)]),
        "status": _pod_status(cluster, language, address),
    }


def hash_of(text: str) -> int:
    """The same in every process, unlike `hash`."""
    return uuid.uuid5(uuid.NAMESPACE_DNS, text).int & 0xFFFFFFFFFF


def _pod_spec(name: str, language: str, node: str) -> Object:
    tolerations = [
        {
            "effect": "NoExecute",
            "key": f"node.kubernetes.io/{k}",
            "operator": "Exists",
            "tolerationSeconds": 300,
        }
        for k in ("not-ready", "unreachable")
    ]
    probe = {
        "failureThreshold": 3,
        "httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"},
        "periodSeconds": 10,
        "successThreshold": 1,
        "timeoutSeconds": 1,
    }
    container = {
        "env": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "GOMEMLIMIT", "value": "400MiB"}],
        "image": f"images.example/{language}/{name}:1.42.0",
        "imagePullPolicy": "IfNotPresent",
        "livenessProbe": probe,
        "name": "app",
        "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
        "readinessProbe": probe,
        "resources": {"limits": {"memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
        "volumeMounts": [
            {
                "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                "name": "kube-api-access",
                "readOnly": True,
            }
        ],
    }
    return {
        "containers": [container],
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": True,
        "nodeName": node,
        "priority": 0,
        "restartPolicy": "Always",
        "serviceAccountName": name,
        "terminationGracePeriodSeconds": 30,
        "tolerations": tolerations,
        "volumes": [{"name": "kube-api-access", "projected": {"defaultMode": 420, "sources": []}}],
    }


def _pod_status(cluster: Cluster, language: str, address: str) -> Object:
    conditions = [
        {"lastProbeTime": None, "lastTransitionTime": CREATED, "status": "True", "type": kind}
        for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
    ]
    container = {
        "containerID": f"containerd://{cluster.random.getrandbits(256):064x}",
        "image": f"images.example/{language}:1.42.0",
        "lastState": {},
        "name": "app",
        "ready": True,
        "restartCount": 0,
        "started": True,
        "state": {"running": {"startedAt": CREATED}},
    }
    return {
        "conditions": conditions,
        "containerStatuses": [container],
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "qosClass": "Burstable",
        "startTime": CREATED,
    }


def _node(cluster: Cluster, name: str, zone: str) -> Object:
    labels = {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/region": cluster.region,
        "topology.kubernetes.io/zone": zone,
    }
    conditions = [{"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": CREATED}]
    resources = {"cpu": "16", "memory": "64Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": cluster.metadata(name, labels=labels),
        "spec": {"podCIDR": "10.200.0.0/24"},
        "status": {"allocatable": resources, "capacity": resources, "conditions": conditions},
    }


def write(path: Path, form: str, items: list[Object]) -> None:
    """Write one List, as `kubectl -o json` or `-o yaml` does (4 and 2 spaces, keys in order)."""
    whole = {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as out:
        if form == "json":
            json.dump(whole, out, indent=4, sort_keys=True)
            out.write("\n")
        else:
            import yaml

            dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
            dumper.ignore_aliases = lambda *_: True
            yaml.dump(whole, out, Dumper=dumper, sort_keys=True, default_flow_style=False)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--services", type=int, default=2000)
    parser.add_argument("--endpoints", type=int, default=20000)
    parser.add_argument("--format", choices=["json", "yaml"], default="json")
    parser.add_argument("--region", default="eu-west")
    parser.add_argument("--zones", nargs="+", default=["eu-west-a", "eu-west-b", "eu-west-c"])
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    cluster = Cluster(args.region, args.zones, args.seed)
    items = list(objects(cluster, args.services, args.endpoints))
    write(args.output, args.format, items)
    print(f"{args.output}: {len(items)} objects, {args.output.stat().st_size / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
