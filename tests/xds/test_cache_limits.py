"""What a cache does after a mistake of ours; what it keeps, and what it forgets."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from support.xds_worlds import RATINGS, changed, client, cluster, endpoint, got, service, two_clusters, world
from tideover_core.policy import DestinationRule, LoadBalancing, Settings
from tideover_core.world import Mesh, World
from tideover_wire.resource import TypeUrl
from tideover_xds import cache as cache_module
from tideover_xds.cache import Cache
from tideover_xds.resources import types

CDS, EDS, LDS, RDS = TypeUrl.CLUSTER, TypeUrl.ENDPOINT, TypeUrl.LISTENER, TypeUrl.ROUTE
HTTP = "outbound/http"
RANDOM = Settings(load_balancing=LoadBalancing.RANDOM)


# --- mistakes of ours


def test_a_resource_that_cannot_be_built_stays_as_it_was_and_is_a_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = cluster("paris", *(service(name, [endpoint("10.0.0.1")]) for name in ("ratings", "reviews")))
    cache = Cache(world(one))
    view = cache.view(client())
    before = got(view, EDS, RATINGS)
    plan = types.plan

    def broken(world: World, target: Any, vantage: Any) -> Any:
        if target.service.name == "ratings":
            raise ZeroDivisionError("by design")
        return plan(world, target, vantage)

    monkeypatch.setattr(types, "plan", broken)
    turns = DestinationRule("bookinfo", "r", "*.bookinfo.svc.cluster.local", settings=RANDOM)
    cache.update(world(one, mesh=Mesh(destination_rules=(turns,)), previous=cache.world))
    assert got(view, EDS, RATINGS) is before
    assert got(view, EDS, "bookinfo/reviews:9080").name == "bookinfo/reviews:9080"
    (problem,) = cache.problems()
    assert problem.object == f"Resource {RATINGS}"
    assert "ZeroDivisionError: by design" in problem.message
    monkeypatch.undo()
    assert got(view, EDS, RATINGS).version != before.version
    assert cache.problems() == ()


def test_a_cluster_that_cannot_be_built_is_a_problem_until_its_service_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by design")

    cache = Cache(two_clusters())
    view = cache.view(client())
    before = got(view, CDS, RATINGS)
    monkeypatch.setattr(types, "cluster", broken)
    start = cache.world
    cache.update(changed(start, "paris", service("new", [endpoint("10.0.0.2")])))
    for name in view.names(CDS):
        view.get(CDS, name)
        view.get(EDS, name)  # it finds no cluster, which is no word that there is no problem
    assert [problem.object for problem in cache.problems()] == ["Resource bookinfo/new:9080"]
    cache.update(start)
    assert list(view.names(CDS)) == [RATINGS]
    assert cache.problems() == ()
    assert got(view, CDS, RATINGS) is before


def test_a_world_that_cannot_be_compared_leaves_all_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(two_clusters())
    view = cache.view(client())
    before, old = got(view, EDS, RATINGS), cache.world
    new = changed(old, "paris", service("ratings", [endpoint("10.0.0.9")]))

    def broken(*_: object) -> None:
        raise ZeroDivisionError("by design")

    monkeypatch.setattr(cache_module, "names", broken)
    with pytest.raises(ZeroDivisionError):
        cache.update(new)
    assert cache.world is old
    assert got(view, EDS, RATINGS) is before
    monkeypatch.undo()
    assert cache.update(new) == {EDS: frozenset({RATINGS})}
    assert got(view, EDS, RATINGS).version != before.version


# --- bounds


def test_nothing_is_kept_for_clients_that_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_MOST_RECENT", 1)
    cache = Cache(two_clusters())
    view = cache.view(client())
    for url, name in ((CDS, RATINGS), (EDS, RATINGS), (LDS, HTTP), (RDS, HTTP)):
        got(view, url, name)
    assert cache.sizes() == (1, 1, 4)
    other = cache.view(client(namespace="other"))
    assert cache.sizes() == (2, 2, 4)
    del view
    gc.collect()
    assert cache.sizes() == (1, 1, 0)
    assert other.complete


def test_a_client_that_comes_back_at_once_finds_what_it_had() -> None:
    cache = Cache(two_clusters())
    before = got(cache.view(client()), EDS, RATINGS)
    gc.collect()
    assert got(cache.view(client()), EDS, RATINGS) is before


def test_a_thousand_clients_that_nothing_tells_apart_are_one_group() -> None:
    cache = Cache(two_clusters())
    views = [cache.view(client(node=f"n{n}", labels={"pod": str(n)})) for n in range(1000)]
    for view in views:
        got(view, EDS, RATINGS)
    assert cache.sizes() == (1000, 1, 2)


def test_names_that_never_existed_are_not_kept() -> None:
    cache = Cache(two_clusters())
    view = cache.view(client())
    for n in range(100):
        assert view.get(EDS, f"x/y{n}:80") is None
    assert cache.sizes() == (1, 1, 0)


def test_what_a_wildcard_no_longer_covers_is_let_go() -> None:
    cache = Cache(two_clusters())
    view = cache.view(client())
    start = cache.world
    for n in range(20):
        cache.update(changed(start, "paris", service(f"s{n}", [endpoint("10.0.0.2")])))
        for name in view.names(CDS):
            got(view, CDS, name)
            got(view, EDS, name)
        cache.update(start)
    assert list(view.names(CDS)) == [RATINGS]
    assert cache.sizes() == (1, 1, 2)


def test_services_that_came_and_went_are_forgotten() -> None:
    cache = Cache(two_clusters())
    start = cache.world
    for n in range(1200):
        cache.update(changed(start, "paris", service(f"s{n}")))
        cache.update(start)
    assert cache.epochs.remembered() < 1100
    assert got(cache.view(client()), EDS, RATINGS).name == RATINGS


def test_updates_without_clients_build_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("nobody asked")

    for module, name in ((types, "plan"), (types, "resolve"), (cache_module, "resolve")):
        monkeypatch.setattr(module, name, never)
    cache = Cache(two_clusters())
    cache.update(changed(cache.world, "paris", service("ratings", [endpoint("10.0.0.9")])))
