"""RDS, read by an independent decoder: hosts as interfaces.md names them, retries as its table says."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration
from envoy_data_plane.envoy.extensions.retry.priority.previous_priorities.v3 import PreviousPrioritiesConfig
from hypothesis import given, settings
from hypothesis import strategies as st

from support.xds_worlds import client, cluster, service, world
from tideover_core.model import Protocol, ServiceFacts
from tideover_core.policy import FailoverPolicy, Retry, Settings
from tideover_core.world import Mesh
from tideover_wire.resource import TypeUrl
from tideover_xds.cache import Cache

HTTP, TCP = Protocol.HTTP, Protocol.TCP
SAFE = {"connect-failure", "refused-stream", "reset-before-request"}
MORE = {"reset", "gateway-error"}


def table(*services: ServiceFacts, namespace: str = "bookinfo", retry: Retry | None = None) -> Any:
    mesh = Mesh()
    if retry is not None:
        mesh = Mesh(failover_policies=(FailoverPolicy("tideover-system", "all", (), Settings(retry=retry)),))
    cache = Cache(world(cluster("paris", *services), mesh=mesh))
    resource = cache.view(client(namespace=namespace)).get(TypeUrl.ROUTE, "outbound/http")
    assert resource is not None
    return RouteConfiguration.parse(resource.body)


def hosts(message: Any) -> dict[str, set[str]]:
    """Virtual host -> its domains, without the one for unknown hosts."""
    return {one.name: set(one.domains) for one in message.virtual_hosts if one.domains != ["*"]}


def qualified(end: str = "") -> set[str]:
    suffixes = ("", ".svc", ".svc.cluster.local", ".svc.clusterset.local")
    return {f"ratings.bookinfo{suffix}{end}" for suffix in suffixes}


def test_one_port_is_meant_with_and_without_its_number() -> None:
    assert hosts(table(service("ratings"), namespace="elsewhere")) == {
        "bookinfo/ratings:9080": qualified() | qualified(":9080")
    }


def test_the_short_name_is_for_the_own_namespace_only() -> None:
    own = hosts(table(service("ratings")))["bookinfo/ratings:9080"]
    other = hosts(table(service("ratings"), namespace="elsewhere"))["bookinfo/ratings:9080"]
    assert own - other == {"ratings", "ratings:9080"}
    assert other <= own


def test_two_namespaces_with_a_service_of_one_name_keep_apart() -> None:
    both = (service("ratings"), service("ratings", namespace="shop"))
    found = hosts(table(*both, namespace="shop"))
    assert "ratings" in found["shop/ratings:9080"]
    assert "ratings" not in found["bookinfo/ratings:9080"]


@pytest.mark.parametrize(
    ("ports", "usual"),
    [
        ({80: HTTP, 8080: HTTP}, 80),
        ({8080: HTTP, 80: TCP}, 8080),
        ({9090: TCP, 9091: HTTP}, 9091),
        ({9443: HTTP, 8080: Protocol.GRPC, 8081: Protocol.HTTP2}, 8080),
    ],
)
def test_without_a_port_it_is_80_else_the_only_http_port_else_the_lowest(
    ports: dict[int, Protocol], usual: int
) -> None:
    found = hosts(table(service("ratings", ports=ports)))
    assert [name for name, domains in found.items() if "ratings.bookinfo" in domains] == [
        f"bookinfo/ratings:{usual}"
    ]
    for number, protocol in ports.items():
        assert (f"bookinfo/ratings:{number}" in found) == protocol.is_http


def test_a_service_without_http_ports_has_no_hosts() -> None:
    assert hosts(table(service("pg", ports={5432: TCP}))) == {}


def test_unknown_hosts_are_told_so() -> None:
    (unknown,) = [one for one in table(service("ratings")).virtual_hosts if one.domains == ["*"]]
    (route,) = unknown.routes
    assert route.direct_response.status == 404
    assert "%REQ(:AUTHORITY)%" in route.direct_response.body_format.text_format_source.inline_string


names = st.from_regex(r"[a-z0-9A-Z._*-]{1,8}", fullmatch=True)
service_facts = st.builds(
    lambda name, namespace, ports, pods: service(
        name, namespace=namespace, ports=ports, headless=True, hostnames=tuple(sorted(pods))
    ),
    names | st.sampled_from("ab"),
    names | st.sampled_from(["a", "b", "svc"]),
    st.dictionaries(st.sampled_from([80, 443, 8080, 9090]), st.sampled_from(list(Protocol)), min_size=1),
    st.sets(st.sampled_from("ab")),
)


@settings(deadline=None)
@given(st.lists(service_facts, max_size=8), names)
def test_no_domain_occurs_twice_whatever_services_are_called(
    services: list[ServiceFacts], namespace: str
) -> None:
    message = table(*services, namespace=namespace)
    domains = Counter(domain.lower() for one in message.virtual_hosts for domain in one.domains)
    assert [domain for domain, times in domains.items() if times > 1] == []
    assert len({one.name for one in message.virtual_hosts}) == len(message.virtual_hosts)
    assert domains["*"] == 1


def routes(retry: Retry | None = None) -> Any:
    """(gRPC, idempotent methods, everything else) of one service."""
    message = table(service("ratings"), retry=retry)
    (host,) = [one for one in message.virtual_hosts if one.domains != ["*"]]
    return host.routes


def retry_on(route: Any) -> set[str]:
    return set(route.route.retry_policy.retry_on.split(","))


def test_every_kind_of_call_goes_to_the_cluster_without_a_timeout() -> None:
    for route in routes():
        assert (route.match.prefix, route.route.cluster) == ("/", "bookinfo/ratings:9080")
        assert route.route.timeout == timedelta(0)


def test_safe_conditions_for_all_more_for_idempotent_methods_and_unavailable_for_grpc() -> None:
    grpc, idempotent, other = routes()
    assert grpc.match.grpc is not None
    assert retry_on(grpc) == SAFE | {"unavailable"}
    (header,) = idempotent.match.headers
    assert (header.name, header.string_match.safe_regex.regex) == (":method", "GET|HEAD|OPTIONS")
    assert retry_on(idempotent) == SAFE | MORE
    assert other.match.headers == []
    assert retry_on(other) == SAFE


def test_a_policy_that_calls_a_service_idempotent_retries_all_its_methods() -> None:
    grpc, idempotent, other = routes(Retry(idempotent=True))
    assert retry_on(other) == retry_on(idempotent) == SAFE | MORE
    assert retry_on(grpc) == SAFE | MORE | {"unavailable"}


def test_two_retries_on_hosts_and_priorities_that_were_not_tried() -> None:
    for route in routes():
        policy = route.route.retry_policy
        assert policy.num_retries == 2
        assert policy.per_try_timeout is None
        assert [one.name for one in policy.retry_host_predicate] == [
            "envoy.retry_host_predicates.previous_hosts",
            "envoy.retry_host_predicates.omit_host_metadata",
        ]
        assert policy.host_selection_retry_max_attempts == 5
        packed = policy.retry_priority.typed_config
        assert PreviousPrioritiesConfig.parse(packed.value).update_frequency == 1


def test_a_policy_sets_attempts_and_the_time_of_one_try() -> None:
    for route in routes(Retry(attempts=4, per_try_timeout_s=0.25)):
        assert route.route.retry_policy.num_retries == 4
        assert route.route.retry_policy.per_try_timeout == timedelta(milliseconds=250)


def test_no_attempts_no_retry_policy() -> None:
    assert [route.route.retry_policy for route in routes(Retry(attempts=0))] == [None] * 3
    assert {route.route.timeout for route in routes(Retry(attempts=0))} == {timedelta(0)}


def test_the_time_of_the_only_try_is_the_time_of_the_call() -> None:
    for route in routes(Retry(attempts=0, per_try_timeout_s=0.25)):
        assert route.route.retry_policy is None
        assert route.route.timeout == timedelta(milliseconds=250)
