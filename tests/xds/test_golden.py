"""Every golden world as it is served: an independent decoder reads what core decided, and real Envoys
take every resource of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration

from support.envoy import ads_bootstrap, running_envoy
from support.golden import Case, load_cases
from support.ports import free_port
from support.wait import until
from support.xds_serving import Serving, serving_xds
from tideover_core.assignment import Assignment
from tideover_core.names import parse_wire_name
from tideover_core.plan import plan
from tideover_wire.node import Client
from tideover_wire.resource import TypeUrl
from tideover_xds.cache import Cache

CASES = load_cases()
READ: dict[TypeUrl, Any] = {
    TypeUrl.CLUSTER: Cluster,
    TypeUrl.ENDPOINT: ClusterLoadAssignment,
    TypeUrl.LISTENER: Listener,
    TypeUrl.ROUTE: RouteConfiguration,
}
HTTP = "outbound/http"

Row = tuple[int, str, int, tuple[tuple[str, int, str, int], ...]]


def asks(case: Case, **fields: Any) -> Client:
    return Client("golden", case.vantage, **fields)


def decided(answer: Assignment) -> list[Row]:
    return [
        (
            number,
            str(place.locality),
            place.weight,
            tuple((p.endpoint.address, p.endpoint.port, p.health.value, p.weight) for p in place.endpoints),
        )
        for number, priority in enumerate(answer.priorities)
        for place in priority.localities
    ]


def written(message: Any) -> list[Row]:
    return [
        (
            group.priority,
            "/".join((group.locality.region, group.locality.zone, group.locality.sub_zone)),
            group.load_balancing_weight,
            tuple(
                (
                    one.endpoint.address.socket_address.address,
                    one.endpoint.address.socket_address.port_value,
                    one.health_status.name,
                    one.load_balancing_weight,
                )
                for one in group.lb_endpoints
            ),
        )
        for group in message.endpoints
    ]


def test_there_are_golden_worlds() -> None:
    assert len(CASES) >= 20


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_second_decoder_reads_what_core_decided(case: Case) -> None:
    view = Cache(case.world).view(asks(case))
    for name in view.names(TypeUrl.CLUSTER):
        target = parse_wire_name(name)
        assert target is not None
        answer = plan(case.world, target, case.located)
        resource = view.get(TypeUrl.ENDPOINT, name)
        assert answer is not None
        assert resource is not None
        message = ClusterLoadAssignment.parse(resource.body)
        assert written(message) == decided(answer)
        assert message.policy.overprovisioning_factor == answer.overprovisioning_percent
    asked = "/".join(str(part) for part in case.target)
    existing = view.get(TypeUrl.ENDPOINT, _name(case)) is not None
    assert existing == (case.expected is not None), asked


def _name(case: Case) -> str:
    service, port, subset = case.target
    return f"{service}:{port}" + (f"#{subset}" if subset else "")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_e4_what_grpc_refuses_is_never_sent(case: Case) -> None:
    cache = Cache(case.world)
    for proxyless in (False, True):
        view = cache.view(asks(case, proxyless=proxyless))
        for name in view.names(TypeUrl.CLUSTER):
            resource = view.get(TypeUrl.ENDPOINT, name)
            assert resource is not None
            groups = ClusterLoadAssignment.parse(resource.body).endpoints
            priorities = {group.priority for group in groups}
            assert priorities == set(range(len(priorities)))
            places = [(group.priority, str(group.locality)) for group in groups]
            assert len(places) == len(set(places))
            addresses = [str(one.endpoint.address) for group in groups for one in group.lb_endpoints]
            assert len(addresses) == len(set(addresses))
            assert all(group.load_balancing_weight >= 1 and group.lb_endpoints for group in groups)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_names_and_types_agree_with_the_bodies(case: Case) -> None:
    view = Cache(case.world).view(asks(case))
    names = {url: list(view.names(TypeUrl.CLUSTER)) for url in (TypeUrl.CLUSTER, TypeUrl.ENDPOINT)}
    names |= {TypeUrl.LISTENER: list(view.names(TypeUrl.LISTENER)), TypeUrl.ROUTE: [HTTP]}
    for url, wanted in names.items():
        for name in wanted:
            resource = view.get(url, name)
            assert resource is not None
            message = READ[url].parse(resource.body)
            said = message.cluster_name if url is TypeUrl.ENDPOINT else message.name
            assert said == resource.name == name


def test_same_world_same_bytes_same_version_in_another_process_state() -> None:
    for case in CASES:
        one, other = (Cache(case.world).view(asks(case)) for _ in range(2))
        for name in one.names(TypeUrl.CLUSTER):
            for url in (TypeUrl.CLUSTER, TypeUrl.ENDPOINT):
                first, second = one.get(url, name), other.get(url, name)
                assert first is not None
                assert second is not None
                assert (first.body, first.version) == (second.body, second.version)


@pytest.mark.envoy
@pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])
async def test_a_real_envoy_takes_every_resource_of_every_golden_world(tmp_path: Path, delta: bool) -> None:
    """One Envoy per vantage lives through all the worlds in which somebody stands there."""
    vantages: dict[str, list[Case]] = {}
    for case in CASES:
        vantages.setdefault(repr(case.vantage), []).append(case)
    for number, cases in enumerate(vantages.values()):
        async with serving_xds(cases[0].world) as xds:
            bootstrap = _bootstrap(cases[0], xds.port, delta=delta)
            async with running_envoy(bootstrap, tmp_path / str(number)) as envoy:
                for case in cases:
                    xds.replace(case.world)
                    await until(
                        lambda: _settled(xds), what=lambda case=case: f"{case}: {envoy.log()[-2000:]}"
                    )
                    assert xds.heard.nacks() == [], str(case)
                    assert await envoy.rejected() == {}, str(case)
                    view = xds.cache.view(next(iter(xds.heard.clients.values())))
                    taken = set(await envoy.clusters()) - {"xds"}
                    assert taken == set(view.names(TypeUrl.CLUSTER)), str(case)


def _settled(xds: Serving) -> bool:
    """Whether everything that the client subscribes to was sent as it is now, and acknowledged."""
    for stream in xds.heard.streams.values():
        view = xds.cache.view(next(iter(xds.heard.clients.values())))
        for sent in stream.sent():
            names = set(sent.subscribed) | set(view.names(sent.type_url) if sent.wildcard else ())
            now = {name: one.version for name in names if (one := view.get(sent.type_url, name)) is not None}
            if sent.versions != now or sent.last_nonce != sent.acked_nonce:
                return False
    return bool(xds.heard.streams)


def _bootstrap(case: Case, port: int, *, delta: bool) -> dict[str, Any]:
    vantage = case.vantage
    metadata = {
        "CLUSTER_ID": vantage.cluster, "NAMESPACE": vantage.namespace, "NETWORK": vantage.network,
        "NODE_NAME": vantage.node, "LABELS": dict(vantage.labels), "HTTP_PORT": free_port(),
    }  # fmt: skip
    locality = (vantage.locality.region, vantage.locality.zone)
    bootstrap = ads_bootstrap(port, metadata=metadata, locality=locality, delta=delta)
    bootstrap["node"]["locality"]["sub_zone"] = vantage.locality.subzone
    return bootstrap
