"""What exports of one name come to: the table of KEP-1645's conflict resolution."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tideover_core.exports import NO_SERVICE, Export, ExportedPort, Offered, merged

HTTP = ExportedPort(80, "http")
OLD, NEW, NEWER = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"


def export(created: str = OLD, *ports: ExportedPort, **said: object) -> Export:
    about = {name: said.pop(name) for name in ("labels", "annotations") if name in said}
    return Export(created, replace(Offered(ports or (HTTP,)), **said), **about)  # type: ignore[arg-type]


def test_one_export_is_what_its_service_says() -> None:
    found = merged({"paris": export(session_affinity="ClientIP", affinity_timeout_s=5, labels={"a": "b"})})
    assert found is not None
    assert found.offered == Offered((HTTP,), session_affinity="ClientIP", affinity_timeout_s=5)
    assert (found.clusters, found.labels, found.conflicts) == (("paris",), {"a": "b"}, ())


# ports of the oldest export, of the younger, what they come to, whether they are told to disagree
PORTS = {
    "equal": ([HTTP], [HTTP], [HTTP], False),
    "equal in another order": (
        [HTTP, ExportedPort(90, "grpc")],
        [ExportedPort(90, "grpc"), HTTP],
        [HTTP, ExportedPort(90, "grpc")],
        False,
    ),
    "the union": (
        [HTTP],
        [HTTP, ExportedPort(142, "stcp", "SCTP")],
        [HTTP, ExportedPort(142, "stcp", "SCTP")],
        True,
    ),
    "one name, two numbers: the older": ([HTTP], [ExportedPort(81, "http")], [HTTP], True),
    "one number, two names: the older": ([HTTP], [ExportedPort(80, "web")], [HTTP], True),
    "one number of two protocols is two ports": (
        [ExportedPort(53, "dns")],
        [ExportedPort(53, "dns-udp", "UDP")],
        [ExportedPort(53, "dns"), ExportedPort(53, "dns-udp", "UDP")],
        True,
    ),
    "another appProtocol: the older": (
        [HTTP],
        [replace(HTTP, app_protocol="kubernetes.io/h2c")],
        [HTTP],
        True,
    ),
    "without names: the older": ([ExportedPort(80)], [ExportedPort(81)], [ExportedPort(80)], True),
    "first by name, then by number": (
        [HTTP, ExportedPort(90, "grpc")],
        [ExportedPort(90, "http"), ExportedPort(80, "grpc"), ExportedPort(70, "more")],
        [HTTP, ExportedPort(90, "grpc"), ExportedPort(70, "more")],
        True,
    ),
}


@pytest.mark.parametrize("case", PORTS, ids=str)
def test_ports(case: str) -> None:
    older, younger, expected, disagree = PORTS[case]
    found = merged({"a": export(NEW, *younger), "b": export(OLD, *older)})
    assert found is not None
    assert found.offered.ports == tuple(expected)
    assert [one.reason for one in found.conflicts] == (["PortConflict"] if disagree else [])


DIFFERENCES = {
    "TypeConflict": {"headless": True},
    "SessionAffinityConflict": {"session_affinity": "ClientIP"},
    "SessionAffinityConfigConflict": {"affinity_timeout_s": 60},
    "InternalTrafficPolicyConflict": {"internal_traffic_policy": "Local"},
    "TrafficDistributionConflict": {"traffic_distribution": "PreferClose"},
    "IPFamilyConflict": {"families": ("IPv6",)},
    "AnnotationsConflict": {"annotations": {"a": "b"}},
    "LabelsConflict": {"labels": {"a": "b"}},
}


@pytest.mark.parametrize("reason", DIFFERENCES)
@pytest.mark.parametrize("oldest", ["a", "b"])
def test_the_oldest_export_decides_whatever_the_cluster_is_called(reason: str, oldest: str) -> None:
    plain, other = export(OLD), export(OLD, **DIFFERENCES[reason])
    exports = {"a": plain, "b": other}
    younger = "b" if oldest == "a" else "a"
    found = merged({oldest: exports[oldest], younger: replace(exports[younger], created=NEW)})
    assert found is not None
    assert found.clusters == (oldest, younger)
    assert found.offered == exports[oldest].offered
    assert (found.labels, found.annotations) == (exports[oldest].labels, exports[oldest].annotations)
    assert [(one.reason, one.disagree) for one in found.conflicts] == [(reason, 1)]


def test_of_one_age_the_first_cluster_by_name_decides() -> None:
    found = merged({"paris": export(OLD, headless=True), "dublin": export(OLD)})
    assert found is not None
    assert found.clusters[0] == "dublin"
    assert not found.offered.headless


def test_an_export_that_does_not_say_its_age_is_the_youngest() -> None:
    found = merged({"dublin": export("", headless=True), "paris": export(NEWER)})
    assert found is not None
    assert found.clusters == ("paris", "dublin")


def test_several_conflicts_are_told_together_with_how_many_disagree() -> None:
    odd = ExportedPort(81, "http")
    found = merged({"a": export(OLD), "b": export(NEW, odd), "c": export(NEWER, odd, headless=True)})
    assert found is not None
    assert [(one.reason, one.disagree) for one in found.conflicts] == [
        ("PortConflict", 2),
        ("TypeConflict", 1),
    ]


def test_an_export_without_a_service_takes_no_part() -> None:
    nothing = Export(OLD, None, NO_SERVICE, {"a": "b"})
    found = merged({"paris": nothing, "dublin": export(NEW)})
    assert found is not None
    assert (found.clusters, found.conflicts, found.labels) == (("dublin",), (), {})
    assert merged({"paris": nothing}) is None
    assert merged({}) is None
