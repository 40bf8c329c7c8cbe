"""The dry run: what moves, from where to where, to what load, and whom it leaves with nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.order_worlds import CART, ONLY, ORDER, PLACES, drain, two_clusters
from tideover_core.dry_run import Known, Outlook, bereft, outlook
from tideover_core.model import Locality, ServiceKey, Vantage
from tideover_core.names import Target
from tideover_core.orders import Action, ActiveOrder
from tideover_core.steering import Site
from tideover_core.target import Aim

A, B = PLACES["paris"]
(NORTH,) = PLACES["dublin"]
PARIS_A, PARIS_B, DUBLIN = Site("paris", A), Site("paris", B), Site("dublin", NORTH)


def moves(seen: Outlook) -> dict[tuple[str, Site, Site], float]:
    return {(one.service.name, one.origin, one.to): round(one.percent, 1) for one in seen.moves}


def test_without_loads_each_place_counts_alike() -> None:
    seen = outlook(two_clusters(), ORDER)
    assert (seen.endpoints, seen.loads_known, seen.bereft) == (8, False, ())
    assert moves(seen) == {
        (name, site, DUBLIN): 33.3 for name in ("cart", "pay") for site in (PARIS_A, PARIS_B)
    }
    assert {one.per_s for one in seen.moves} == {None}


def test_with_loads_it_is_requests_per_second_against_capacity() -> None:
    loads = {(CART, 80, A, PARIS_A): 90.0, (CART, 80, B, PARIS_B): 30.0, (CART, 80, NORTH, DUBLIN): 80.0}
    seen = outlook(two_clusters(capacity=50.0), drain(service=CART, cluster="paris"), Known(loads=loads))
    assert [(one.origin, one.to, one.per_s) for one in seen.moves] == [
        (PARIS_A, DUBLIN, pytest.approx(90.0)),
        (PARIS_B, DUBLIN, pytest.approx(30.0)),
    ]
    (filled,) = seen.filled
    assert (filled.per_s, filled.capacity_per_s, filled.too_much) == (pytest.approx(200.0), 100.0, True)
    assert (filled.endpoints, round(filled.before_percent), round(filled.after_percent)) == (2, 40, 100)


def test_a_half_drain_moves_half() -> None:
    seen = outlook(two_clusters(), replace(drain(cluster="paris", service=CART), percent=50.0))
    assert moves(seen)["cart", PARIS_A, DUBLIN] == pytest.approx(16.7, abs=0.1)


def test_a_zone_goes_to_its_neighbour_first() -> None:
    seen = outlook(two_clusters(), drain(zone="eu-west-a"))
    assert moves(seen) == {("cart", PARIS_A, PARIS_B): 33.3, ("pay", PARIS_A, PARIS_B): 33.3}


def test_a_shift_moves_its_percent() -> None:
    order = replace(
        drain(service=CART, cluster="paris"), action=Action.SHIFT, to=Aim(cluster="dublin"), percent=25.0
    )
    seen = outlook(two_clusters(), order)
    assert sum(one.percent for one in seen.moves) == pytest.approx(100 * 2 / 3 * 0.25, abs=0.1)


def test_what_lives_there_alone_is_left_without_a_healthy_place() -> None:
    seen = outlook(two_clusters(only=True), ORDER)
    assert {(one.service, one.locality, one.cluster) for one in seen.bereft} == {
        (ONLY, A, "paris"),
        (ONLY, B, "paris"),
        (ONLY, NORTH, "dublin"),
    }
    assert outlook(two_clusters(only=True), replace(ORDER, percent=90.0)).bereft == ()


def test_who_would_have_nothing_is_the_same_by_itself() -> None:
    world = two_clusters(only=True)
    for order in (ORDER, drain(zone="eu-west-a"), replace(ORDER, percent=90.0), drain(service=ONLY)):
        assert bereft(world, order, {}) == outlook(world, order).bereft
    edited = ActiveOrder(replace(ORDER, percent=20.0), 20.0)  # what it asked for before does not count
    assert bereft(two_clusters(edited, only=True), ORDER, {}) == outlook(world, ORDER).bereft


def test_capacity_that_was_learned_counts_where_nobody_says_any() -> None:
    target = Target(CART, 80)
    known = Known(loads={(CART, 80, A, PARIS_A): 90.0}, learned={target: {DUBLIN: 30.0}})
    (filled,) = outlook(two_clusters(), drain(service=CART, cluster="paris"), known).filled
    assert (filled.capacity_per_s, filled.too_much) == (60.0, True)
    (filled,) = outlook(two_clusters(capacity=50.0), drain(service=CART, cluster="paris"), known).filled
    assert (filled.capacity_per_s, filled.too_much) == (100.0, False)


def test_two_drains_together_leave_nothing() -> None:
    away = drain(cluster="dublin")
    world = two_clusters(ActiveOrder(replace(away, name="first"), 100.0, emptied=True))
    assert {one.service.name for one in outlook(world, ORDER).bereft} == {"cart", "pay"}


def test_clients_that_see_more_than_their_place_count_too_and_only_so_many() -> None:
    world = two_clusters()
    askers = [Vantage(Locality("eu-west", f"z{n}"), "lyon", namespace="shop") for n in range(1000)]
    seen = outlook(world, drain(service=CART, cluster="paris"), Known({(CART, 80): askers}))
    assert moves(seen)["cart", PARIS_A, DUBLIN] != 33.3
    assert moves(
        outlook(world, drain(service=CART, cluster="paris"), Known({(CART, 80): askers[:32]}))
    ) == moves(seen)


def test_each_clusters_own_service_refuses_no_evacuation() -> None:
    world = two_clusters(only=True)
    dns = ServiceKey("kube-system", "dns")
    part = replace(world.services[ONLY].parts[0].facts, key=dns)
    facts = replace(world.clusters["paris"], services={dns: part})
    from tideover_core.world import merge

    assert outlook(merge([facts]), ORDER).bereft == ()
    assert outlook(merge([facts]), drain(service=dns)).bereft != ()
