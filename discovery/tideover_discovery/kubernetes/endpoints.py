"""The endpoints of EndpointSlices: readiness, weight, place, each address once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tideover_core.model import Endpoint, Locality, Problem, ServiceKey, ServicePort

from .manifest import Item
from .objects import CAPACITY, WEIGHT, Conditions, EndpointSlice, Key, Pod, Refusal, SliceEndpoint, is_label
from .places import POD_LOCALITY, endpoint_locality, usable_address

MAX_WEIGHT = 10_000
_RATE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?\Z")
_NO_LABELS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Ground:
    """What a cluster's endpoints stand on."""

    cluster: str
    network: str
    locality: Locality
    allow_loopback: bool = False


@dataclass(frozen=True, slots=True)
class Around:
    """What a slice is read with: where to find the pod of a key, and the place of a node, if known."""

    ground: Ground
    pod: Callable[[Key], Pod | None]
    node: Callable[[str], Locality | None]


@dataclass(frozen=True, slots=True)
class Frame:
    """What a Service says without its slices.

    `served`: it is of a kind that can have endpoints. `by_name`: port numbers. `family`: the address
    family that comes first, "" when it does not say.
    """

    key: ServiceKey
    served: bool = True
    ports: tuple[ServicePort, ...] = ()
    by_name: Mapping[str, int] = field(default_factory=dict)
    headless: bool = False
    family: str = ""
    traffic_distribution: str = ""
    internal_traffic_local: bool = False
    created: str = ""
    where: str = ""
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """What one slice adds to its service: endpoints by service port number, in order of their addresses."""

    endpoints: Mapping[int, tuple[Endpoint, ...]]
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class Refusals:
    """Problems of one object, each once: every port of a slice meets the same bad address."""

    object: str
    where: str
    found: list[Problem] = field(default_factory=list)
    told: set[tuple[str, str]] = field(default_factory=set)

    def __call__(self, message: str, consequence: str) -> None:
        """Record what is refused, and what happens instead."""
        if (message, consequence) not in self.told:
            self.told.add((message, consequence))
            self.found.append(Problem(self.object, message, consequence, self.where))


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
        raise Refusal(f"annotation {WEIGHT} is {text[:40]!a}, not a whole number from 1 to {MAX_WEIGHT}")
    return int(text)


def capacity(pod: Pod | None) -> float:
    """The pod's annotation in requests per second, 0 without one. Refusal when it is no such number."""
    text = (pod.metadata.annotations or _NO_LABELS).get(CAPACITY) if pod else None
    if text is None:
        return 0.0
    if not _RATE.match(text) or not float(text):
        raise Refusal(
            f"annotation {CAPACITY} is {text[:40]!a}, no requests per second above 0, like 100 or 0.5"
        )
    return float(text)


def pod_key(said: SliceEndpoint, namespace: str) -> Key | None:
    """The pod behind an endpoint."""
    reference = said.target_ref
    if reference is None or reference.kind != "Pod" or not reference.name:
        return None
    return Key("Pod", reference.namespace or namespace, reference.name)


def part_of(item: Item, said: Frame, around: Around) -> Part:
    """What a slice adds; its ports carry the Service port's name, and that is all that ties them together."""
    namespace = said.key.namespace
    body = item.body
    assert isinstance(body, EndpointSlice)
    refuse = Refusals(f"EndpointSlice {namespace}/{body.metadata.name}", item.where)
    found: dict[int, dict[tuple[str, int], Endpoint]] = {}
    if body.address_type == "FQDN":
        refuse("addressType FQDN is not supported", "the slice is ignored")
        return Part({}, tuple(refuse.found))
    gathering = _Gathering(around, namespace, said.headless, refuse)
    for port in body.ports or ():
        if (port.protocol or "TCP") != "TCP":
            continue  # the Service's port says so already
        number = said.by_name.get(port.name or "")
        if number is None:
            refuse(f"its port {port.name or ''!r} is no TCP port of the Service", "that port is ignored")
        elif port.port is None:
            refuse(f"its port {port.name or ''!r} has no number", "that port is ignored")
        else:
            gathering.add(body, port.port, found.setdefault(number, {}))
    return Part({number: in_order(there) for number, there in found.items()}, tuple(refuse.found))


def in_order(found: Mapping[tuple[str, int], Endpoint]) -> tuple[Endpoint, ...]:
    """Endpoints by address and port, in that order."""
    return tuple([found[address] for address in sorted(found)])


def join(endpoint: Endpoint, into: dict[tuple[str, int], Endpoint]) -> None:
    """Each address once: while slices are rebalanced it can stand in two of them."""
    key = (endpoint.address, endpoint.port)
    old = into.setdefault(key, endpoint)
    if old is not endpoint and _preference(endpoint) > _preference(old):
        into[key] = endpoint


@dataclass(slots=True)
class _Gathering:
    """Reads the endpoints of one slice."""

    around: Around
    namespace: str
    headless: bool
    refuse: Refusals

    def add(self, found: EndpointSlice, port: int, into: dict[tuple[str, int], Endpoint]) -> None:
        """The endpoints of the slice at one of its ports."""
        for said in found.endpoints or ():
            try:
                join(self._endpoint(said, port), into)
            except Refusal as error:
                self.refuse(str(error), "this endpoint is left out; the slice's others count")

    def _endpoint(self, said: SliceEndpoint, port: int) -> Endpoint:
        if not said.addresses:
            raise Refusal("an endpoint without address")
        ground = self.around.ground
        # all addresses of one endpoint are the same thing; kube-proxy takes the first too
        address = usable_address(said.addresses[0], allow_loopback=ground.allow_loopback)
        ready, serving, terminating = conditions(said.conditions)
        key = pod_key(said, self.namespace)
        pod = self.around.pod(key) if key else None
        labels = (pod.metadata.labels or _NO_LABELS) if pod else _NO_LABELS
        node = said.node_name or ""
        name = key.name if key else ""
        heavy, carries = 1, 0.0
        try:
            heavy = weight(pod)
        except Refusal as error:
            self.refuse(f"pod {name}: {error}", "weight 1 counts")
        try:
            carries = capacity(pod)
        except Refusal as error:
            self.refuse(f"pod {name}: {error}", "what the policy says counts")
        there = self.around.node(node) if node else None
        return Endpoint(
            address,
            port,
            ground.cluster,
            ground.network,
            endpoint_locality(labels.get(POD_LOCALITY, ""), there, said.zone or "", ground.locality),
            ready,
            serving,
            terminating,
            heavy,
            node,
            name,
            labels,
            self._hostname(said) if self.headless and said.hostname else "",
            carries,
        )

    def _hostname(self, said: SliceEndpoint) -> str:
        hostname = said.hostname or ""
        if is_label(hostname):
            return hostname
        self.refuse(f"hostname {hostname[:80]!a} is no DNS label", "the endpoint has no host of its own")
        return ""


def _preference(endpoint: Endpoint) -> tuple[bool, bool, bool]:
    return endpoint.ready, endpoint.serving, not endpoint.terminating
