"""Whatever worlds follow each other: a cache answers as one that was just made, and every name whose
resource changed for anyone was among the changes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from support.golden import load_cases
from tideover_core.leaving import Leaving
from tideover_core.orders import Action, ActiveOrder, TrafficOrder
from tideover_core.steering import Admission, PortSteering, Site, Steering
from tideover_core.target import Aim
from tideover_core.world import Service, World
from tideover_wire.node import Client
from tideover_wire.resource import Resource, TypeUrl
from tideover_xds.cache import Cache
from tideover_xds.resources.hosts import every_host

CASES = load_cases()
WORLDS = [case.world for case in CASES]
CLIENTS = list(
    {
        repr((case.vantage, proxyless)): Client(
            "c", case.vantage, proxyless=proxyless, tcp_ports={"bookinfo/ratings:9080": 20000}
        )
        for case in CASES
        for proxyless in (False, True)
    }.values()
)

Seen = dict[tuple[int, str, str], Resource | None]


def names(*worlds: World) -> dict[str, set[str]]:
    """Every name that anybody could ask for."""
    listeners = {"outbound/http"}
    clusters: set[str] = set()
    for world in worlds:
        listeners |= {host for service in world.services.values() for host in every_host(service)}
        for client in CLIENTS:
            clusters |= set(Cache(world).view(client).names(TypeUrl.CLUSTER))
    return {
        TypeUrl.CLUSTER: clusters,
        TypeUrl.ENDPOINT: clusters,
        TypeUrl.LISTENER: listeners | clusters,
        TypeUrl.ROUTE: {"outbound/http"},
    }


def seen(cache: Cache, clients: list[Client], asked: dict[str, set[str]]) -> Seen:
    views = [cache.view(client) for client in clients]
    return {
        (number, url, name): view.get(url, name)
        for number, view in enumerate(views)
        for url, wanted in asked.items()
        for name in wanted
    }


def version(resource: Resource | None) -> str | None:
    return None if resource is None else resource.version


aims = st.sampled_from([Aim(cluster="paris"), Aim(cluster="dublin"), Aim(region="eu-west"), Aim()])
orders = st.builds(
    ActiveOrder,
    st.builds(
        TrafficOrder, st.just("ops"), st.just("one"), st.sampled_from(list(Action)), aims, to=st.none() | aims
    ),
    st.sampled_from((25.0, 100.0)),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(WORLDS), min_size=2, max_size=4),
    st.lists(st.sampled_from(CLIENTS), min_size=1, max_size=4, unique_by=repr),
    st.booleans(),
)
def test_a_cache_answers_as_a_new_one_and_names_every_change(
    worlds: list[World], clients: list[Client], asks_in_between: bool
) -> None:
    check(worlds, clients, asks_in_between)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(WORLDS),
    st.lists(st.sampled_from(list(Leaving)), min_size=1, max_size=3),
    st.lists(st.sampled_from(CLIENTS), min_size=1, max_size=4, unique_by=repr),
)
def test_a_cluster_that_leaves_or_stays_is_a_change_like_any_other(
    world: World, stages: list[Leaving], clients: list[Client]
) -> None:
    name = min(world.clusters, default="")
    check([world, *(with_leaving(world, name, stage) for stage in stages)], clients, asks_in_between=True)


def with_leaving(world: World, cluster: str, stage: Leaving) -> World:
    services = {
        key: replace(
            service,
            parts=tuple(
                replace(part, leaving=stage) if part.cluster == cluster else part for part in service.parts
            ),
        )
        for key, service in world.services.items()
    }
    return replace(world, services=services)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(WORLDS),
    st.lists(st.lists(orders, max_size=2).map(tuple), min_size=1, max_size=3),
    st.lists(st.sampled_from(CLIENTS), min_size=1, max_size=4, unique_by=repr),
    st.data(),
)
def test_orders_and_verdicts_are_changes_like_any_other(
    world: World, steps: list[tuple[ActiveOrder, ...]], clients: list[Client], data: st.DataObject
) -> None:
    worlds = [world]
    for in_force in steps:
        last = worlds[-1].services
        found = {
            key: one if data.draw(st.booleans()) else replace(one, steering=data.draw(steered(one)))
            for key, one in last.items()
        }
        worlds.append(replace(world, services=found, orders=in_force))
    check(worlds, clients, asks_in_between=True)


def steered(service: Service) -> st.SearchStrategy[Steering]:
    """Verdicts on places that there are."""
    sites = sorted(
        {
            Site(end.cluster, end.locality)
            for part in service.parts
            for ends in part.facts.endpoints.values()
            for end in ends
        }
    )
    admitted = st.sampled_from((0.0, 25.0, 50.0)).map(lambda percent: Admission(percent, "503"))
    by_site = st.fixed_dictionaries({}, optional=dict.fromkeys(sites, admitted))
    by_pair = st.fixed_dictionaries({}, optional={(one.locality, one): admitted for one in sites})
    of_port = st.builds(lambda found, pairs: PortSteering(sites=found, pairs=pairs), by_site, by_pair)
    return st.fixed_dictionaries({}, optional={port.number: of_port for port in service.ports})


def check(worlds: list[World], clients: list[Client], asks_in_between: bool) -> None:
    cache = Cache(worlds[0])
    views = [cache.view(client) for client in clients]
    asked = names(*worlds)
    before = seen(cache, clients, asked)
    for world in worlds[1:]:
        changes = cache.update(world)
        if not asks_in_between and world is not worlds[-1]:
            continue
        fresh = seen(Cache(world), clients, asked)
        now = seen(cache, clients, asked)
        assert {key: version(one) for key, one in now.items()} == {
            key: version(one) for key, one in fresh.items()
        }
        for number, client in enumerate(clients):
            view, other = views[number], Cache(world).view(client)
            for url in (TypeUrl.CLUSTER, TypeUrl.LISTENER):
                assert list(view.names(url)) == list(other.names(url))
        if asks_in_between and changes is not None:
            different = {key for key in now if version(now[key]) != version(before[key])}
            unnamed = {key for key in different if key[2] not in changes.get(key[1], ())}
            assert unnamed == set()
            built_again = {key for key in now if now[key] is not before[key]}
            assert {key for key in built_again if key[2] not in changes.get(key[1], ())} == set()
        before = now


def test_worlds_do_follow_each_other_in_ways_that_change_something() -> None:
    cache = Cache(WORLDS[0])
    changes = [cache.update(world) for world in WORLDS[1:]]
    assert sum(bool(one) for one in changes) > len(WORLDS) // 2
    assert cache.update(replace(WORLDS[-1])) == {}
