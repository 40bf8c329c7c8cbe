"""Which endpoints are checked and how, and which results are worth telling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from zlib import crc32

from tideover_core.addresses import usable_address
from tideover_core.model import Endpoint, Locality, Protocol, ServiceKey, Vantage
from tideover_core.names import Target as WireTarget
from tideover_core.names import parse_wire_name, wire_name
from tideover_core.policy import ActiveCheck, CheckKind, FailoverPolicy
from tideover_core.resolve import resolve
from tideover_core.world import Part, Service, World

# of one service port in one place, when only the judge's doubts ask for checks; the others are like them
MOST_IN_DOUBT = 16
# without a policy nothing is known of paths or of health services: only whether somebody listens
_IN_DOUBT = ActiveCheck(kind=CheckKind.TCP)

Key = tuple[str, str, str, int]  # wire name, network, address, port


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint to ask, and how. `in_doubt`: no policy asks for it, only the judge's doubts do."""

    name: str  # wire name
    network: str
    address: str
    port: int
    check: ActiveCheck
    protocol: Protocol = Protocol.HTTP
    locality: Locality = field(default_factory=Locality)
    host: str = ""  # as callers name it
    in_doubt: bool = False

    @property
    def key(self) -> Key:
        """What stays while the check changes."""
        return (self.name, self.network, self.address, self.port)

    @property
    def namespace(self) -> str:
        """Whose it is."""
        return self.name.partition("/")[0]

    @property
    def tls(self) -> bool:
        """Whether the port speaks TLS."""
        return self.protocol is Protocol.TLS


class Targets:
    """All targets of a world; a service that did not change is not looked at again."""

    def __init__(self, *, allow_loopback: bool = False) -> None:
        self._allow_loopback = allow_loopback
        self._policies: tuple[FailoverPolicy, ...] = ()
        self._known: dict[ServiceKey, tuple[Service, frozenset[int], tuple[Target, ...]]] = {}
        self._before: tuple[Target, ...] = ()

    def of(self, world: World, doubted: frozenset[str] = frozenset()) -> tuple[Target, ...]:
        """Endpoints whose policy has `activeCheck`, and those of services in doubt (wire names)."""
        if world.failover_policies is not self._policies:
            self._policies, self._known = world.failover_policies, {}
        by_policy = any(policy.settings.active_check is not None for policy in self._policies)
        ports = _ports(doubted)
        # most meshes check little: services that nobody asks about cost nothing
        keys = world.services if by_policy else [key for key in ports if key in world.services]
        found: list[Target] = []
        known: dict[ServiceKey, tuple[Service, frozenset[int], tuple[Target, ...]]] = {}
        for key in keys:
            service, doubts = world.services[key], ports.get(key, frozenset())
            before = self._known.get(key)
            if before is None or before[0] is not service or before[1] != doubts:
                before = service, doubts, tuple(self._of_service(world, service, doubts))
            known[key] = before
            found += before[2]
        self._known = known
        if self._before != tuple(found):
            self._before = tuple(found)
        return self._before

    def _of_service(self, world: World, service: Service, doubts: frozenset[int]) -> Iterator[Target]:
        for port in service.ports:
            check = resolve(world, WireTarget(service.key, port.number), Vantage()).settings.active_check
            if check is None and port.number not in doubts:
                continue
            template = Target(
                name=wire_name(service.key, port.number),
                network="",
                address="",
                port=0,
                check=check or _IN_DOUBT,
                protocol=port.protocol,
                host=f"{service.key.name}.{service.key.namespace}:{port.number}",
                in_doubt=check is None,
            )
            yield from self._of_port(service.parts, template, port.number)

    def _of_port(self, parts: Iterable[Part], template: Target, port: int) -> Iterator[Target]:
        seen: set[tuple[str, str, int]] = set()
        for part in parts:
            endpoints = [one for one in part.facts.endpoints.get(port, ()) if self._may_check(one, part)]
            for endpoint in _some(endpoints) if template.in_doubt else endpoints:
                if endpoint.key not in seen:
                    seen.add(endpoint.key)
                    yield replace(
                        template,
                        network=endpoint.network,
                        address=endpoint.address,
                        port=endpoint.port,
                        locality=endpoint.locality,
                    )

    def _may_check(self, endpoint: Endpoint, part: Part) -> bool:
        # one that is unready or leaves is a fact already; an address that two claim may be anybody's
        if not endpoint.ready or endpoint.terminating or endpoint.key in part.contested:
            return False
        try:
            usable_address(endpoint.address, allow_loopback=self._allow_loopback)
        except ValueError:
            return False
        return True


def unasked(target: Target) -> str:
    """Why our own prober does not ask this one (Envoys do); "" when it does."""
    check = target.check
    if check.kind is CheckKind.GRPC and target.tls:
        return "gRPC checks over TLS are made by Envoys only"
    if check.kind is CheckKind.HTTP and target.protocol in (Protocol.HTTP2, Protocol.GRPC):
        return "HTTP checks of HTTP/2 ports are made by Envoys only"
    return ""


def signals(target: Target, passed: bool, left: int) -> tuple[bool, int]:
    """Whether a result is a signal, and how many successes after it are. The judge counts thresholds.

    That somebody listens says nothing of a service in doubt that answers 503: only that nobody does, and
    the end of that.
    """
    if not passed:
        return True, target.check.healthy_threshold
    return not target.in_doubt or left > 0, max(0, left - 1)


def _ports(doubted: Iterable[str]) -> dict[ServiceKey, frozenset[int]]:
    ports: dict[ServiceKey, frozenset[int]] = {}
    for name in doubted:
        if (target := parse_wire_name(name)) is not None:
            ports[target.service] = ports.get(target.service, frozenset()) | {target.port}
    return ports


def _some(endpoints: list[Endpoint]) -> list[Endpoint]:
    """At most `MOST_IN_DOUBT` of each place; always the same ones."""
    places: dict[Locality, list[Endpoint]] = {}
    for endpoint in endpoints:
        places.setdefault(endpoint.locality, []).append(endpoint)
    return [
        one
        for place in places.values()
        for one in sorted(place, key=lambda one: crc32(f"{one.address}:{one.port}".encode()))[:MOST_IN_DOUBT]
    ]
