"""What a load report says: every quirk of Envoy's counts, and nonsense that costs its own row only."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from envoy.config.core.v3.address_pb2 import Address
from envoy.config.core.v3.base_pb2 import Locality as LocalityMessage
from envoy.config.core.v3.base_pb2 import Node
from envoy.config.endpoint.v3.load_report_pb2 import (
    ClusterStats,
    EndpointLoadMetricStats,
    UpstreamEndpointStats,
    UpstreamLocalityStats,
)
from envoy.service.load_stats.v3.lrs_pb2 import LoadStatsRequest, LoadStatsResponse
from hypothesis import given
from hypothesis import strategies as st

from health.load_reports import stats
from tideover_core.model import Locality
from tideover_health.codecs import load_report
from tideover_health.codecs.load_report import MOST_ROWS, counted, hello, question, without_node
from tideover_health.signals import Row

RATINGS = "bookinfo/ratings:9080"
PARIS = Locality("eu-west", "eu-west-a")
PLACE = LocalityMessage(region="eu-west", zone="eu-west-a")


def place(succeeded: int = 0, failed: int = 0, **fields: Any) -> UpstreamLocalityStats:
    issued = fields.pop("issued", succeeded + failed)
    return UpstreamLocalityStats(
        locality=fields.pop("locality", PLACE),
        total_successful_requests=succeeded,
        total_error_requests=failed,
        total_issued_requests=issued,
        **fields,
    )


def at(host: str, port: int = 9080) -> Address:
    address = Address()
    address.socket_address.address, address.socket_address.port_value = host, port
    return address


def tunnelled(endpoint_id: str) -> Address:
    address = Address()
    address.envoy_internal_address.server_listener_name = "tunnel"
    address.envoy_internal_address.endpoint_id = endpoint_id
    return address


def endpoint(address: Address, succeeded: int = 0, failed: int = 0, **fields: Any) -> UpstreamEndpointStats:
    return UpstreamEndpointStats(
        address=address, total_successful_requests=succeeded, total_error_requests=failed, **fields
    )


def raw(*clusters: ClusterStats, node: Node | None = None) -> bytes:
    return LoadStatsRequest(node=node, cluster_stats=clusters).SerializeToString()


def rows(*clusters: ClusterStats) -> list[Row]:
    """The rows of a report of which nothing was refused."""
    found = counted(raw(*clusters))
    assert (found.refused, found.reasons) == (0, ())
    return [row for rows in found.periods.values() for row in rows]


# issued, success, error, dropped -> succeeded, failed (facts/envoy-health-signals.md)
QUIRKS = [
    pytest.param((20, 0, 20, 0), (0, 20), id="503"),
    pytest.param((60, 0, 60, 0), (0, 60), id="503 with two retries counts attempts"),
    pytest.param((20, 20, 0, 0), (20, 0), id="404"),
    pytest.param((0, 0, 20, 0), (0, 20), id="refused connections were never issued"),
    pytest.param((2, 2, 18, 18), (2, 0), id="breaker max_requests"),
    pytest.param((2, 2, 0, 18), (2, 0), id="breaker connections"),
    pytest.param((30, 10, 20, 5), (10, 15), id="breaker and real failures"),
    pytest.param((20, 0, 0, 0), None, id="client aborts all"),
    pytest.param((0, 0, 0, 0), None, id="nothing"),
]


@pytest.mark.parametrize(("said", "expected"), QUIRKS)
def test_counts_as_envoy_means_them(
    said: tuple[int, int, int, int], expected: tuple[int, int] | None
) -> None:
    issued, succeeded, failed, dropped = said
    found = rows(stats(RATINGS, place(succeeded, failed, issued=issued), dropped=dropped))
    assert [(row.succeeded, row.failed) for row in found] == ([] if expected is None else [expected])


def test_calls_dropped_by_a_breaker_are_taken_from_the_failures_of_all_places_alike() -> None:
    other = LocalityMessage(region="eu-north")
    by_endpoint = place(0, 30, upstream_endpoint_stats=[endpoint(at("10.0.0.1"), 0, 30)])
    found = rows(stats(RATINGS, by_endpoint, place(5, 10, locality=other), dropped=20))
    assert [(row.address, row.succeeded, row.failed) for row in found] == [
        (None, 0, 15), (("10.0.0.1", 9080), 0, 15), (None, 5, 5),
    ]  # fmt: skip


def test_rows_by_place_and_by_endpoint_stand_beside_each_other() -> None:
    endpoints = [
        endpoint(at("10.0.0.1"), 3, total_requests_in_progress=2),
        endpoint(at("fd00::1"), 0, 4),
        endpoint(tunnelled("10.4.0.1:8080"), 1),
        endpoint(tunnelled("[fd00::2]:8080"), 2),
    ]
    found = rows(stats(RATINGS, place(6, 4, total_requests_in_progress=2, upstream_endpoint_stats=endpoints)))
    assert found == [
        Row(RATINGS, PARIS, 6, 4, 2),
        Row(RATINGS, PARIS, 3, 0, 2, ("10.0.0.1", 9080)),
        Row(RATINGS, PARIS, 0, 4, 0, ("fd00::1", 9080)),
        Row(RATINGS, PARIS, 1, 0, 0, ("10.4.0.1", 8080)),
        Row(RATINGS, PARIS, 2, 0, 0, ("fd00::2", 8080)),
    ]


def test_only_calls_still_running_are_said_too() -> None:
    assert rows(stats(RATINGS, place(total_requests_in_progress=7))) == [Row(RATINGS, PARIS, 0, 0, 7)]


def test_what_backends_say_of_themselves_comes_along_and_what_they_do_not_say_does_not() -> None:
    metrics = [
        EndpointLoadMetricStats(
            metric_name="cpu_utilization", num_requests_finished_with_metric=4, total_metric_value=2.0
        ),
        EndpointLoadMetricStats(
            metric_name="named_metrics.ms", num_requests_finished_with_metric=1, total_metric_value=-3.5
        ),
    ]
    unsaid = EndpointLoadMetricStats(metric_name="mem_utilization", num_requests_finished_with_metric=4)
    (row,) = rows(stats(RATINGS, place(4, load_metric_stats=[*metrics, unsaid])))
    assert row.metrics == (("cpu_utilization", 2.0, 4), ("named_metrics.ms", -3.5, 1))


def test_tcp_services_idle_clusters_and_those_of_others_say_nothing() -> None:
    connections = UpstreamLocalityStats(locality=PLACE, total_active_connections=3, total_fail_connections=9)
    found = counted(raw(stats(RATINGS), stats("db/pg:5432", connections), stats("tideover-xds", place(9, 9))))
    assert (found.periods, found.names, found.refused) == ({1.0: []}, frozenset(), 0)


def test_parts_of_a_place_are_counted_together() -> None:
    """gRPC clients are sent endpoints of different weight as places of their own."""
    part = UpstreamLocalityStats()
    part.CopyFrom(place(3, 1))
    part.locality.sub_zone = "~1"
    (row,) = rows(stats(RATINGS, place(4, 2), part))
    (whole,) = rows(stats(RATINGS, place(4, 2)))
    assert (row.locality, row.succeeded, row.failed) == (whole.locality, 7, 3)


def test_the_interval_is_what_the_client_says_and_clusters_of_other_intervals_stand_apart() -> None:
    found = counted(
        raw(
            stats(RATINGS, place(1), interval_s=5.002),
            stats("a/b:80", place(2), interval_s=5.0),
            stats("a/new:80", place(3), interval_s=0.4),
        )
    )
    assert {interval_s: [row.name for row in rows] for interval_s, rows in found.periods.items()} == {
        5.002: [RATINGS, "a/b:80"],
        0.4: ["a/new:80"],
    }
    assert found.names == {RATINGS, "a/b:80", "a/new:80"}


def test_an_idle_client_says_that_it_listens() -> None:
    assert counted(raw(stats(RATINGS), stats("a/b:80"))).periods == {1.0: []}
    assert counted(raw()).periods == {}


def duration(seconds: int, nanos: int = 0) -> Any:
    message = stats(RATINGS, place(1))
    message.load_report_interval.seconds, message.load_report_interval.nanos = seconds, nanos
    return message


def without_interval() -> ClusterStats:
    return ClusterStats(cluster_name=RATINGS, upstream_locality_stats=[place(1)])


NAN = EndpointLoadMetricStats(
    metric_name="x", num_requests_finished_with_metric=1, total_metric_value=float("nan")
)
# what one cluster says, and the reason that is told
ABSURD = [
    pytest.param(without_interval(), "an interval of 0 s", id="no interval"),
    pytest.param(duration(9_000_000_000), "an interval of 9e+09 s", id="9e9 s"),
    pytest.param(duration(-5), "an interval of -5 s", id="negative interval"),
    pytest.param(duration(2**63 - 1, 999_999_999), "an interval of", id="interval overflows"),
    pytest.param(stats(RATINGS, place(2**64 - 1, 0, issued=0)), "18446744073709551615 calls", id="-1 calls"),
    pytest.param(stats(RATINGS, place(0, 10**9)), "1000000000 calls", id="a billion failures a second"),
    pytest.param(
        stats(RATINGS, place(0, 0, total_requests_in_progress=2**63)), "calls", id="overflow in progress"
    ),
    pytest.param(
        stats(RATINGS, place(0, 0, upstream_endpoint_stats=[endpoint(at("10.0.0.1"), 2**40)])),
        "calls", id="absurd endpoint",
    ),
    pytest.param(
        stats(RATINGS, place(0, 0, upstream_endpoint_stats=[endpoint(Address(), 1)])),
        "an endpoint without an address", id="no address",
    ),
    pytest.param(
        stats(RATINGS, place(0, 0, upstream_endpoint_stats=[endpoint(at("10.0.0.1", 99999), 1)])),
        "an endpoint without an address", id="port 99999",
    ),
    pytest.param(
        stats(RATINGS, place(0, 0, upstream_endpoint_stats=[endpoint(tunnelled("10.0.0.1"), 1)])),
        "an endpoint without an address", id="tunnel without port",
    ),
    pytest.param(
        stats(RATINGS, place(1, locality=LocalityMessage(region="x" * 1000))), "a locality", id="long region"
    ),
    pytest.param(stats(RATINGS, place(0, load_metric_stats=[NAN])), "a metric of nan", id="metric NaN"),
]  # fmt: skip


@pytest.mark.parametrize(("absurd", "reason"), ABSURD)
def test_absurd_counts_are_refused_with_a_reason_and_the_rest_counts(
    absurd: ClusterStats, reason: str
) -> None:
    found = counted(raw(stats("a/before:80", place(1)), absurd, stats("a/after:80", place(2))))
    names = [row.name for rows in found.periods.values() for row in rows if row.succeeded or row.failed]
    assert names == ["a/before:80", "a/after:80"]
    assert found.refused == 1
    assert reason in found.reasons[0]
    assert found.reasons[0].startswith(f"{RATINGS}: ")


def test_a_million_endpoints_are_read_up_to_a_bound_and_places_before_them_count() -> None:
    one = endpoint(at("10.0.0.1"), 1)
    many = place(1, upstream_endpoint_stats=[one] * 50_000)
    empty = UpstreamLocalityStats.FromString(place(1).SerializeToString() + b"\x3a\x00" * 1_000_000)
    found = counted(raw(stats(RATINGS, place(5)), stats("a/many:80", many), stats("a/empty:80", empty)))
    taken = found.periods[1.0]
    assert len(taken) <= MOST_ROWS
    assert taken[0] == Row(RATINGS, PARIS, 5, 0)
    assert found.refused < MOST_ROWS
    assert "a/many:80: 50000 rows" in found.reasons[0]


def test_a_million_clusters_are_read_up_to_a_bound() -> None:
    found = counted(raw(stats(RATINGS, place(5))) + b"\x12\x00" * 1_000_000)
    assert found.periods[1.0] == [Row(RATINGS, PARIS, 5, 0)]


def test_as_many_intervals_as_clusters_are_bounded() -> None:
    clusters = [stats(f"a/s-{i}:80", place(1), interval_s=1.2**i) for i in range(1, 40)]
    found = counted(raw(*clusters))
    assert len(found.periods) == 16
    assert "an interval unlike those of all other clusters" in found.reasons[0]


def test_a_name_that_is_no_text_costs_itself_only() -> None:
    spoiled = raw(stats("a/xxxx:80", place(9))).replace(b"a/xxxx:80", b"a/\xff\xfe\xfd\xfc:80")
    found = counted(spoiled + raw(stats(RATINGS, place(5))))
    assert found.periods[1.0] == [Row(RATINGS, PARIS, 5, 0)]


def test_the_node_says_who_reports_and_is_cut_from_every_report() -> None:
    node = Node(id="envoy-1", user_agent_name="envoy")
    node.extensions.add(name="x" * 60_000)
    message = raw(stats(RATINGS, place(5)), node=node)
    client = hello(message)
    assert client is not None
    assert client.id == "envoy-1"
    assert without_node(message) == raw(stats(RATINGS, place(5)))
    assert counted(message) == counted(raw(stats(RATINGS, place(5))))
    assert hello(raw(stats(RATINGS, place(5)))) is None


@pytest.mark.parametrize("spoiled", [b"\x0a", b"\x0a\xff\xff\xff\xff\xff\xff", b"\x0a\x05ab", b"\x12\x7f"])
def test_what_is_no_message_is_an_error(spoiled: bytes) -> None:
    with pytest.raises(ValueError, match="not a Request"):
        counted(spoiled)


@given(st.binary(max_size=200))
def test_garbage_is_read_or_refused_and_nothing_else(garbage: bytes) -> None:
    for message in (garbage, raw(stats(RATINGS, place(5))) + garbage):
        try:
            found = counted(message)
        except ValueError:
            continue
        for interval_s, taken in found.periods.items():
            assert 0 < interval_s <= load_report.LONGEST_INTERVAL_S
            assert all(row.succeeded >= 0 and row.failed >= 0 for row in taken)
    with suppress(ValueError):
        hello(garbage)


NUMBERS = st.integers(0, 2**64 - 1) | st.integers(0, 100)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), max_size=4), NUMBERS, st.integers(-(2**62), 2**62))
def test_failures_never_grow_and_nothing_absurd_gets_through(
    places: list[tuple[int, int, int]], dropped: int, seconds: int
) -> None:
    said = [place(ok, bad, issued=0, total_requests_in_progress=running) for ok, bad, running in places]
    cluster = stats(RATINGS, *said, dropped=dropped)
    cluster.load_report_interval.seconds = seconds % 7
    cluster.load_report_interval.nanos = seconds % 10**9
    found = [row for taken in counted(raw(cluster)).periods.values() for row in taken]
    assert sum(row.failed for row in found) <= sum(bad for _, bad, _ in places)
    assert all(row.succeeded + row.failed < 2 * 10**8 and row.in_progress <= 10**7 for row in found)


@pytest.mark.parametrize(
    ("wanted_s", "asked_s"), [(1.0, 1.0), (1.5, 1.5), (0.0, 0.1), (-3.0, 0.1), (1e12, 3600.0)]
)
def test_clients_are_never_asked_to_report_without_a_pause(wanted_s: float, asked_s: float) -> None:
    """At 0 Envoy sends 1,631 reports a second."""
    message = LoadStatsResponse.FromString(question(wanted_s, by_endpoint=True))
    assert message.load_reporting_interval.ToTimedelta().total_seconds() == asked_s
    assert (message.send_all_clusters, message.report_endpoint_granularity) == (True, True)
