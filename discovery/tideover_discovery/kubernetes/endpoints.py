"""The endpoints of EndpointSlices: readiness, weight, place, each address once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tideover_core.model import Endpoint, Locality

from .objects import Conditions, EndpointSlice, Pod, Refusal, SliceEndpoint, SlicePort
from .places import POD_LOCALITY, endpoint_locality, usable_address

WEIGHT = "tideover.dev/weight"
MAX_WEIGHT = 10_000
_NO_LABELS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Ground:
    """What a cluster's endpoints stand on."""

    cluster: str
    network: str
    locality: Locality
    allow_loopback: bool = False


def conditions(said: Conditions | None) -> tuple[bool, bool, bool]:
    """(ready, serving, terminating): absent ready is true, absent serving is ready."""
    if said is None:
        return True, True, False
    ready = said.ready is not False
    serving = ready if said.serving is None else said.serving
    return ready, serving, said.terminating is True


def weight(pod: Pod | None) -> int:
    """The pod's annotation, 1 without one. Refusal when it is no whole number from 1 to 10000."""
    text = (pod.metadata.annotations or _NO_LABELS).get(WEIGHT) if pod else None
    if text is None:
        return 1
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= MAX_WEIGHT):
        raise Refusal(f"annotation {WEIGHT} is {text!r}, not a whole number from 1 to {MAX_WEIGHT}")
    return int(text)


def pod_key(said: SliceEndpoint, namespace: str) -> tuple[str, str] | None:
    """(namespace, name) of the pod behind an endpoint."""
    reference = said.target_ref
    if reference is None or reference.kind != "Pod" or not reference.name:
        return None
    return reference.namespace or namespace, reference.name


@dataclass(slots=True)
class Gathering:
    """Collects the endpoints of one service, by service port number."""

    ground: Ground
    namespace: str
    pods: Mapping[tuple[str, str], Pod | None]
    nodes: Mapping[str, Locality | None]
    refuse: Callable[[str, str], None]  # message, consequence

    def add(self, found: EndpointSlice, port: SlicePort, into: dict[tuple[str, int], Endpoint]) -> None:
        """The endpoints of one slice at one of its ports."""
        number = port.port
        assert number is not None
        for said in found.endpoints or ():
            try:
                endpoint = self._endpoint(said, number)
            except Refusal as error:
                self.refuse(str(error), "this endpoint is left out; the slice's others count")
                continue
            key = (endpoint.address, number)
            old = into.get(key)
            # while slices are rebalanced an address can stand in two of them
            if old is None or _preference(endpoint) > _preference(old):
                into[key] = endpoint

    def _endpoint(self, said: SliceEndpoint, port: int) -> Endpoint:
        if not said.addresses:
            raise Refusal("an endpoint without address")
        # all addresses of one endpoint are the same thing; kube-proxy takes the first too
        address = usable_address(said.addresses[0], allow_loopback=self.ground.allow_loopback)
        ready, serving, terminating = conditions(said.conditions)
        key = pod_key(said, self.namespace)
        pod = self.pods.get(key) if key else None
        labels = (pod.metadata.labels or _NO_LABELS) if pod else _NO_LABELS
        node = said.node_name or ""
        try:
            heavy = weight(pod)
        except Refusal as error:
            self.refuse(f"pod {key[1] if key else ''}: {error}", "weight 1 counts")
            heavy = 1
        return Endpoint(
            address,
            port,
            self.ground.cluster,
            self.ground.network,
            endpoint_locality(
                labels.get(POD_LOCALITY, ""), self.nodes.get(node), said.zone or "", self.ground.locality
            ),
            ready,
            serving,
            terminating,
            heavy,
            node,
            key[1] if key else "",
            labels,
        )


def _preference(endpoint: Endpoint) -> tuple[bool, bool, bool]:
    return endpoint.ready, endpoint.serving, not endpoint.terminating
