"""TARGET as users type it: `zone/eu-west-a,service/bookinfo/ratings@paris`. Joined parts mean "and"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address

from .model import Endpoint, ServiceKey

GRAMMAR = (
    "cluster/NAME, region/NAME, zone/NAME, service/NAMESPACE/NAME[@CLUSTER] or "
    "endpoint/[NETWORK/]ADDRESS:PORT, several joined by commas"
)


@dataclass(frozen=True, slots=True)
class Aim:
    """What a target means; None: any. An endpoint is in it when all that is said holds."""

    cluster: str | None = None
    region: str | None = None
    zone: str | None = None
    service: ServiceKey | None = None
    service_cluster: str | None = None
    network: str | None = None
    address: str | None = None
    port: int | None = None

    def holds(self, service: ServiceKey, endpoint: Endpoint) -> bool:
        """Whether this endpoint of this service is meant."""
        pairs = (
            (self.cluster, endpoint.cluster),
            (self.region, endpoint.locality.region),
            (self.zone, endpoint.locality.zone),
            (self.service, service),
            (self.service_cluster, endpoint.cluster),
            (self.network, endpoint.network),
            (self.address, endpoint.address),
            (self.port, endpoint.port),
        )
        return all(wanted is None or wanted == value for wanted, value in pairs)

    def __str__(self) -> str:
        said = [f"{kind}/{value}" for kind in ("cluster", "region", "zone") if (value := getattr(self, kind))]
        if self.service is not None:
            at = f"@{self.service_cluster}" if self.service_cluster else ""
            said.append(f"service/{self.service}{at}")
        if self.address is not None:
            host = f"[{self.address}]" if ":" in self.address else self.address
            said.append(f"endpoint/{self.network + '/' if self.network else ''}{host}:{self.port}")
        return ",".join(said)


def parse_target(text: str) -> Aim:
    """Read a TARGET. ValueError says what is wrong and what may be written."""
    aim = Aim()
    kinds: set[str] = set()
    for part in text.split(","):
        kind, _, value = part.strip().partition("/")
        read = _KINDS.get(kind)
        if read is None or not value:
            raise ValueError(f"{part!r} is no target; write {GRAMMAR}")
        if kind in kinds:
            raise ValueError(f"{text!r} names two of {kind}, and nothing is in both")
        kinds.add(kind)
        aim = read(aim, value)
    return aim


def _place(kind: str) -> Callable[[Aim, str], Aim]:
    def read(aim: Aim, value: str) -> Aim:
        if "/" in value:
            raise ValueError(f"{kind} {value!r} has a slash; write {kind}/NAME")
        match kind:
            case "cluster":
                return replace(aim, cluster=value)
            case "region":
                return replace(aim, region=value)
            case _:
                return replace(aim, zone=value)

    return read


def _service(aim: Aim, value: str) -> Aim:
    name, at, cluster = value.partition("@")
    if at and not cluster:
        raise ValueError(f"service {value!r} names no cluster after @")
    return replace(aim, service=ServiceKey.parse(name), service_cluster=cluster or None)


def _endpoint(aim: Aim, value: str) -> Aim:
    network, _, rest = value.rpartition("/")
    host, _, port = rest.rpartition(":")
    try:
        address = str(ip_address(host.strip("[]")))
    except ValueError:
        raise ValueError(f"{rest!r} is no address and port; write endpoint/[NETWORK/]ADDRESS:PORT") from None
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{port!r} in {value!r} is no port")
    return replace(aim, network=network or None, address=address, port=int(port))


_KINDS: Mapping[str, Callable[[Aim, str], Aim]] = {
    "cluster": _place("cluster"),
    "region": _place("region"),
    "zone": _place("zone"),
    "service": _service,
    "endpoint": _endpoint,
}
