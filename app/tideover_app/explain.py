"""What `explain` (asked of a running replica) and `simulate` (asked of files) have in common: a question
about one service from one vantage, and its answer in the shape of interfaces.md."""

from __future__ import annotations

from dataclasses import dataclass

from tideover_core.alike import like
from tideover_core.explain import explained
from tideover_core.model import ServiceKey, Vantage
from tideover_core.names import Target, wire_name
from tideover_core.plan import plan
from tideover_core.world import Service, World, located
from tideover_wire.node import Client
from tideover_wire.resource import TypeUrl
from tideover_xds.cache import Cache
from tideover_xds.resources.hosts import usual_port

__all__ = ["Asked", "UnknownError", "answer", "endpoints_version", "found", "like"]


class UnknownError(LookupError):
    """There is no such thing; the text says which, and what has a name like it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A service as typed: `NAMESPACE/NAME[:PORT][#SUBSET]`. Port 0: not said."""

    service: ServiceKey
    port: int = 0
    subset: str = ""

    @classmethod
    def parse(cls, text: str) -> Asked:
        """Read it. ValueError says what is wrong."""
        rest, _, subset = text.partition("#")
        name, colon, port = rest.partition(":")
        if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise ValueError(f"{port!r} in {text!r} is no port; write NAMESPACE/NAME:PORT")
        return cls(ServiceKey.parse(name), int(port) if colon else 0, subset)


def answer(world: World, asked: Asked, vantage: Vantage) -> dict[str, object]:
    """What that vantage is sent, in the shared JSON shape. UnknownError when there is no such thing."""
    service = found(world, asked.service)
    if vantage.cluster and vantage.cluster not in world.clusters:
        raise UnknownError(
            f"no cluster {vantage.cluster!r} is configured{like(vantage.cluster, world.clusters)}"
        )
    target = Target(asked.service, asked.port or _port_meant(service), asked.subset)
    complete = located(world, vantage)
    assignment = plan(world, target, complete)
    if assignment is None:
        raise UnknownError(_missing_part(service, target))
    return explained(assignment, complete, endpoints_version(world, target, complete))


def found(world: World, key: ServiceKey) -> Service:
    """The service; UnknownError with near matches when there is none."""
    service = world.services.get(key)
    if service is None:
        near = like(str(key), (str(one) for one in world.services))
        raise UnknownError(f"no cluster has a service {key}{near}")
    return service


def _port_meant(service: Service) -> int:
    """The port when none is said: that of a host without one, else the lowest."""
    if not service.ports:
        raise UnknownError(f"service {service.key} has no port that can be served")
    usual = usual_port(service.ports)
    return usual.number if usual is not None else min(port.number for port in service.ports)


def endpoints_version(world: World, target: Target, vantage: Vantage) -> str:
    """The version of the EDS resource that an Envoy there is sent, "" when it is sent none."""
    view = Cache(world).view(Client("explain", vantage))
    resource = view.get(TypeUrl.ENDPOINT, wire_name(*target))
    return resource.version if resource is not None else ""


def _missing_part(service: Service, target: Target) -> str:
    if service.port(target.port) is None:
        ports = ", ".join(str(port.number) for port in service.ports) or "none"
        return f"service {service.key} has no port {target.port}; it has {ports}"
    if target.hostname:
        return f"service {service.key} has no pod of the hostname {target.hostname!r}"
    return f"service {service.key} has no subset {target.subset!r} at port {target.port}"
