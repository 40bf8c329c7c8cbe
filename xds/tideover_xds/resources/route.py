"""RDS: the hosts that a sidecar answers to, and how each is called.

A table is joined from parts: every service gives the bytes of its virtual hosts once, and the
namespace's own services add their short names. One domain that occurs twice makes Envoy refuse the
whole table, so a domain is made of DNS labels only and belongs to one service port.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.type.matcher.v3 import regex_pb2, string_pb2

from tideover_core.names import POD, wire_name
from tideover_core.policy import Retry
from tideover_core.world import Service
from tideover_wire.resource import Resource, TypeUrl

from .fields import block, dump, resource, text
from .hosts import answered, pod_hosts, qualified, usual_port
from .messages import seconds
from .retry import IDEMPOTENT_METHODS, conditions, retry_policy

HTTP_ROUTES = "outbound/http"
_UNKNOWN_HOST = "Tideover knows no HTTP service port of the name %REQ(:AUTHORITY)%\n"


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """One service port as serialised fields of a VirtualHost: shared by all namespaces but for `short`."""

    body: bytes
    short: bytes  # further domains, for clients of the service's own namespace


@dataclass(frozen=True, slots=True)
class ServiceHosts:
    """All virtual hosts of one service, as fields of a RouteConfiguration."""

    everywhere: bytes  # for other namespaces
    at_home: bytes  # with the short names


def service_hosts(service: Service, retries: Mapping[int, Retry]) -> ServiceHosts:
    """The virtual hosts of a service's HTTP ports; `retries` by port number."""
    if not qualified(service.key):
        return ServiceHosts(b"", b"")
    http = [
        (port.number, retries.get(port.number, Retry())) for port in service.ports if port.protocol.is_http
    ]
    hosts = [
        *(_virtual_host(service, number, retry) for number, retry in http),
        *(
            _pod_host(service, hostname, number, retry)
            for number, retry in http
            for hostname in service.hostnames
        ),
    ]
    return ServiceHosts(
        b"".join(block(2, host.body) for host in hosts),
        b"".join(block(2, host.body + host.short) for host in hosts),
    )


def route_table(namespace: str, services: Iterable[tuple[str, ServiceHosts]]) -> Resource:
    """The RDS resource for clients of `namespace`; `services` are (namespace, hosts), sorted."""
    hosts = [own.at_home if home == namespace else own.everywhere for home, own in services]
    body = b"".join([text(1, HTTP_ROUTES), *hosts, _unknown_host()])
    return resource(TypeUrl.ROUTE, HTTP_ROUTES, body)


def _virtual_host(service: Service, number: int, retry: Retry) -> VirtualHost:
    ends = _ends(service, number)
    hosts = [host for host in qualified(service.key) if answered(service, host)]
    body = _body(wire_name(service.key, number), hosts, ends, retry)
    return VirtualHost(body, b"".join(text(2, service.key.name + end) for end in ends))


def _pod_host(service: Service, hostname: str, number: int, retry: Retry) -> VirtualHost:
    name = wire_name(service.key, number, POD + hostname)
    hosts = [host for host in pod_hosts(hostname, service.key) if answered(service, host)]
    return VirtualHost(_body(name, hosts, _ends(service, number), retry), b"")


def _ends(service: Service, number: int) -> tuple[str, ...]:
    usual = usual_port(service.ports)
    return (f":{number}", "") if usual is not None and usual.number == number else (f":{number}",)


def _body(name: str, hosts: Iterable[str], ends: Sequence[str], retry: Retry) -> bytes:
    """VirtualHost: name = 1, domains = 2, routes = 3."""
    domains = [text(2, host + end) for host in hosts for end in ends]
    action = text(1, name)  # RouteAction.cluster = 1
    routes = [block(3, match + block(2, action + how)) for match, how in _routes(retry)]
    return b"".join([text(1, name), *domains, *routes])


@lru_cache(maxsize=1024)
def _routes(retry: Retry) -> tuple[tuple[bytes, bytes], ...]:
    """(Route.match = 1, the rest of a RouteAction) for each kind of call, the most special first."""
    match = route_components_pb2.RouteMatch
    grpc = match(prefix="/", grpc=match.GrpcRouteMatchOptions())
    method = route_components_pb2.HeaderMatcher(
        name=":method",
        string_match=string_pb2.StringMatcher(
            safe_regex=regex_pb2.RegexMatcher(regex="|".join(IDEMPOTENT_METHODS))
        ),
    )
    idempotent = match(prefix="/", headers=[method])
    return (
        (block(1, dump(grpc)), _action(retry, conditions(retry, idempotent=False, grpc=True))),
        (block(1, dump(idempotent)), _action(retry, conditions(retry, idempotent=True, grpc=False))),
        (block(1, dump(match(prefix="/"))), _action(retry, conditions(retry, idempotent=False, grpc=False))),
    )


def _action(retry: Retry, retry_on: str) -> bytes:
    """A RouteAction without its cluster. A timeout of 0 is none; Envoy's own default cuts after 15 s.

    Where nothing is tried again, the time that a try may take is the call's.
    """
    only_try_s = retry.per_try_timeout_s if retry.attempts <= 0 else None
    return dump(
        route_components_pb2.RouteAction(
            timeout=seconds(only_try_s or 0), retry_policy=retry_policy(retry, retry_on)
        )
    )


@lru_cache(maxsize=1)
def _unknown_host() -> bytes:
    host = route_components_pb2.VirtualHost(name="unknown-host", domains=["*"])
    route = host.routes.add()
    route.match.prefix = "/"
    route.direct_response.status = 404
    route.direct_response.body_format.CopyFrom(
        substitution_format_string_pb2.SubstitutionFormatString(
            text_format_source=base_pb2.DataSource(inline_string=_UNKNOWN_HOST)
        )
    )
    return block(2, dump(host))
