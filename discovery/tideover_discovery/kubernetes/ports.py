"""What a service port speaks, and which ports cannot be served."""

from __future__ import annotations

from tideover_core.model import Protocol, ServicePort

from .objects import PortSpec, Refusal

_APP_PROTOCOLS = {
    "kubernetes.io/h2c": Protocol.HTTP2,
    "kubernetes.io/ws": Protocol.HTTP,
    "kubernetes.io/wss": Protocol.TLS,
}
_NAMES = {
    "http": Protocol.HTTP,
    "http2": Protocol.HTTP2,
    "grpc": Protocol.GRPC,
    "grpc-web": Protocol.HTTP,
    "https": Protocol.TLS,
    "tls": Protocol.TLS,
    "tcp": Protocol.TCP,
    "mongo": Protocol.TCP,
    "mysql": Protocol.TCP,
    "redis": Protocol.TCP,
}


def service_port(spec: PortSpec) -> ServicePort:
    """A port of a Service. Refusal when it is not TCP, or out of range."""
    if not 1 <= spec.port <= 65535:
        raise Refusal(f"port {spec.port} is not between 1 and 65535")
    transport = spec.protocol or "TCP"
    if transport != "TCP":
        raise Refusal(f"port {spec.port}{f' ({spec.name})' if spec.name else ''} speaks {transport}")
    return ServicePort(spec.port, spec.name or "", application(spec.app_protocol or "", spec.name or ""))


def application(app_protocol: str, name: str) -> Protocol:
    """`appProtocol`, else the port name up to its first dash, else TCP."""
    said = app_protocol.lower()
    known = _APP_PROTOCOLS.get(said) or _NAMES.get(said)
    if known:
        return known
    name = name.lower()
    if name == "grpc-web" or name.startswith("grpc-web-"):
        return Protocol.HTTP
    return _NAMES.get(name.partition("-")[0], Protocol.TCP)
