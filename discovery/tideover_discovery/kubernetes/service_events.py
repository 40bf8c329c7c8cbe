"""Kubernetes Events about a Service: the requests that make one, or count it once more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from tideover_core.model import ServiceKey

from .writes import Write
from .writing import MERGE

CONTROLLER = "tideover.dev/tideover"
# Alike within this time they are one Event, whose series counts
SERIES_S = 600
_LONGEST_NOTE = 1000  # bytes; Kubernetes takes 1,024
_LONGEST_INSTANCE = 128


@dataclass(frozen=True, slots=True)
class ServiceEvent:
    """What happened to a service in this cluster. `warning`: trouble, else back to normal."""

    service: ServiceKey
    reason: str
    note: str
    at_s: float  # Unix time
    warning: bool

    @property
    def name(self) -> str:
        """The same for all that are one Event, whichever replica writes it."""
        part = sha256(f"{self.reason} {int(self.at_s // SERIES_S)}".encode()).hexdigest()[:16]
        return f"{self.service.name[:200]}.{part}"


def service_path(service: ServiceKey) -> str:
    """Where the Service is."""
    return f"/api/v1/namespaces/{service.namespace}/services/{service.name}"


def made(event: ServiceEvent, instance: str, uid: str) -> Write:
    """Makes the Event; it is refused as a conflict when it exists. `uid` is the Service's, or ""."""
    regarding = {
        "apiVersion": "v1",
        "kind": "Service",
        "namespace": event.service.namespace,
        "name": event.service.name,
    }
    body = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": event.name, "namespace": event.service.namespace},
        "eventTime": _micro_time(event.at_s),
        "reportingController": CONTROLLER,
        "reportingInstance": instance[:_LONGEST_INSTANCE],
        "action": "Failover" if event.warning else "Failback",
        "reason": event.reason,
        "regarding": regarding | ({"uid": uid} if uid else {}),
        "note": event.note.encode()[:_LONGEST_NOTE].decode(errors="ignore"),
        "type": "Warning" if event.warning else "Normal",
    }
    return Write(f"Service {event.service}", f"event {event.reason}", "POST", _collection(event), body)


def counted(event: ServiceEvent, count: int) -> Write:
    """Counts the Event once more: it was seen `count` times, the last time then."""
    body = {"series": {"count": max(2, count), "lastObservedTime": _micro_time(event.at_s)}}
    path = f"{_collection(event)}/{event.name}"
    return Write(f"Service {event.service}", f"event {event.reason} again", "PATCH", path, body, MERGE)


def _collection(event: ServiceEvent) -> str:
    return f"/apis/events.k8s.io/v1/namespaces/{event.service.namespace}/events"


def _micro_time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
