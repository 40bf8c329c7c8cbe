"""A ServiceExport with the Service of its name, into what is exported."""

from __future__ import annotations

from tideover_core.exports import INVALID_TYPE, NO_SERVICE, Export, ExportedPort, Offered

from .objects import PortSpec, Service, ServiceExport

_DEFAULT_TIMEOUT_S = 10800  # Kubernetes' own, where a manifest does not say


def export(said: ServiceExport, service: Service | None) -> Export:
    """What a ServiceExport comes to; of labels and annotations only those in its spec are handed on."""
    created, spec = said.metadata.creation_timestamp or "", said.spec
    labels, annotations = spec.exported_labels or {}, spec.exported_annotations or {}
    if service is None:
        return Export(created, None, NO_SERVICE, labels, annotations)
    if service.spec.type == "ExternalName":
        return Export(created, None, INVALID_TYPE, labels, annotations)
    return Export(created, offered(service), "", labels, annotations)


def offered(service: Service) -> Offered:
    """What a Service says that counts for the service over all clusters, with Kubernetes' defaults."""
    spec = service.spec
    headless, affinity = spec.cluster_ip == "None", spec.session_affinity or "None"
    return Offered(
        ports=tuple(_port(port) for port in spec.ports or () if 1 <= port.port <= 65535),
        headless=headless,
        session_affinity=affinity,
        affinity_timeout_s=_timeout_s(spec.session_affinity_config) if affinity == "ClientIP" else None,
        internal_traffic_policy=spec.internal_traffic_policy or "Cluster",
        traffic_distribution=spec.traffic_distribution or "",
        families=tuple(spec.ip_families or ()),
    )


def _port(said: PortSpec) -> ExportedPort:
    return ExportedPort(said.port, said.name or "", said.protocol or "TCP", said.app_protocol or "")


def _timeout_s(config: object) -> int:
    """Of a sessionAffinityConfig; the default for what is none."""
    client = config.get("clientIP") if isinstance(config, dict) else None
    seconds = client.get("timeoutSeconds") if isinstance(client, dict) else None
    known = isinstance(seconds, int) and not isinstance(seconds, bool) and 0 < seconds <= 86400
    return seconds if known and isinstance(seconds, int) else _DEFAULT_TIMEOUT_S
