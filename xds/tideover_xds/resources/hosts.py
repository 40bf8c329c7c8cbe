"""How clients write a service: `ratings`, `ratings.bookinfo`, `ratings.bookinfo.svc.cluster.local:9080`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from tideover_core.model import ServiceKey, ServicePort
from tideover_core.world import Service

_CLUSTER_SET = ".svc.clusterset.local"
_SUFFIXES = ("", ".svc", ".svc.cluster.local", _CLUSTER_SET)
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_PLAIN_HTTP_PORT = 80


class Written(NamedTuple):
    """What a host says; a port of None means "the usual one"."""

    service: ServiceKey
    port: int | None
    hostname: str = ""  # of one pod of a headless service


def qualified(service: ServiceKey) -> tuple[str, ...]:
    """The hosts of a service that mean the same from every namespace; none for a name no host can have.

    Two services never share one: their labels are plain DNS labels, which have no dots.
    """
    if not (_DNS_LABEL.fullmatch(service.name) and _DNS_LABEL.fullmatch(service.namespace)):
        return ()
    return tuple(f"{service.name}.{service.namespace}{suffix}" for suffix in _SUFFIXES)


def pod_hosts(hostname: str, service: ServiceKey) -> tuple[str, ...]:
    """The hosts of one pod of a headless service.

    They have a label more than those of services; `pod.service.svc` would be a service's.
    """
    known = qualified(service)
    return tuple(f"{hostname}.{host}" for host in (known[1:] if service.namespace == "svc" else known))


def answered(service: Service, host: str) -> bool:
    """Whether a service answers to one of its hosts: those of the cluster set are for what is exported."""
    return service.exported or not host.partition(":")[0].endswith(_CLUSTER_SET)


def usual_port(ports: Sequence[ServicePort]) -> ServicePort | None:
    """What a host without port means: port 80, else the only HTTP port, else the lowest HTTP port."""
    http = {port.number: port for port in ports if port.protocol.is_http}
    return http.get(_PLAIN_HTTP_PORT) or (http[min(http)] if http else None)


def written(host: str, namespace: str) -> Written | None:
    """What a client in `namespace` means by `host`; None when it can be no service of ours."""
    name, colon, number = host.partition(":")
    port: int | None = None
    if colon:
        if not (number.isascii() and number.isdigit() and len(number) <= 5):
            return None
        port = int(number)
        if str(port) != number:
            return None  # one port has one spelling, so that `every_host` names all of them
    labels = name.split(".", 2)
    if len(labels) == 1:
        return Written(ServiceKey(namespace, name), port) if namespace and name else None
    key = ServiceKey(labels[1], labels[0])
    if name in qualified(key):
        return Written(key, port)
    hostname, _, rest = name.partition(".")
    behind = rest.split(".", 2)
    if len(behind) < 2 or not _DNS_LABEL.fullmatch(hostname):
        return None
    key = ServiceKey(behind[1], behind[0])
    return Written(key, port, hostname) if name in pod_hosts(hostname, key) else None


def port_of(service: Service, number: int | None) -> ServicePort | None:
    """The port that a written host means."""
    return usual_port(service.ports) if number is None else service.port(number)


def every_host(service: Service) -> frozenset[str]:
    """All that any client may write to mean this service."""
    pods = [host for hostname in service.hostnames for host in pod_hosts(hostname, service.key)]
    hosts = (service.key.name, *qualified(service.key), *pods)
    numbers = [f":{port.number}" for port in service.ports]
    return frozenset(host + number for host in hosts for number in ("", *numbers))
