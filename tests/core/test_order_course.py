"""When time alone moves an order on, how long a service is watched on its way back, and what edits ask."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.order_worlds import CART, NOW_S, ORDER, PAY, drain, two_clusters
from tideover_core import order_book as books
from tideover_core import order_course as courses
from tideover_core import order_rules as rules
from tideover_core.model import ServiceKey
from tideover_core.order_book import Book, Objects
from tideover_core.order_course import Pace, Stage
from tideover_core.orders import Action, TrafficOrder
from tideover_core.policy import Failback, FailoverPolicy, Settings
from tideover_core.ramp import Outcome
from tideover_core.world import Mesh, merge

FAST = Pace(Failback(steps=(5.0, 25.0, 50.0, 100.0), step_every_s=10.0))


@pytest.mark.parametrize(
    ("order", "later_s", "next_s"),
    [
        (ORDER, 0, 30),
        (ORDER, 10, 20),
        (ORDER, 30, None),  # drained, until somebody undoes it
        (replace(ORDER, percent=50.0), 0, None),
        (replace(ORDER, over_s=60.0), 0, 6),
        (replace(ORDER, over_s=60.0), 8, 4),
        (replace(ORDER, expires_at_s=NOW_S + 25), 0, 25),
        (replace(ORDER, expires_at_s=NOW_S + 25), 10, 15),
        (replace(ORDER, expires_at_s=NOW_S + 40), 10, 20),
        (replace(ORDER, expires_at_s=NOW_S + 5), 5, 10),  # then it returns, step by step
        (replace(ORDER, expires_at_s=NOW_S + 5), 9, 6),
        (replace(ORDER, action=Action.FREEZE, expires_at_s=NOW_S + 5), 5, None),
    ],
)
def test_when_time_alone_moves_it_on(order: TrafficOrder, later_s: int, next_s: float | None) -> None:
    course = courses.begun(order, NOW_S)
    for second in range(1, later_s + 1):
        course = courses.advanced(order, course, NOW_S + second, FAST)
    assert courses.next_s(order, course, FAST) == next_s


def test_a_service_is_watched_since_its_own_step_began() -> None:
    """Drained and undone; one service is not clear, the other is well."""
    course = courses.ended(ORDER, courses.begun(ORDER, NOW_S), "undone", FAST)
    seen = replace(FAST, outcomes={CART: Outcome.UNCLEAR, PAY: Outcome.WELL})
    for second in range(1, 26):
        course = courses.advanced(ORDER, course, NOW_S + second, seen)
    assert course.stage is Stage.RETURNING
    assert course.percent == 95  # the one stays at its first step
    assert (courses.watched_s(course, PAY), courses.watched_s(course, CART)) == (5, 25)
    assert courses.next_s(ORDER, course, seen) == 5


@pytest.mark.parametrize(
    ("before", "after", "takes_more"),
    [
        (replace(ORDER, percent=50.0), ORDER, True),
        (ORDER, replace(ORDER, percent=50.0), False),
        (replace(ORDER, force_empty=True), ORDER, True),  # whom it emptied by force it must ask for again
        (ORDER, replace(ORDER, reason="another"), False),
        (replace(ORDER, force_empty=True), replace(ORDER, force_empty=True, reason="another"), False),
    ],
)
def test_only_an_edit_that_takes_more_is_asked_whom_it_would_empty(
    before: TrafficOrder, after: TrafficOrder, takes_more: bool
) -> None:
    asked: list[TrafficOrder] = []

    def refusal(order: TrafficOrder) -> str:
        asked.append(order)
        return ""

    book = Book()
    for order in (before, after):
        asked.clear()
        book = books.compared(book, Objects((order,), current=True), NOW_S, refusal, lambda _: FAST)
    assert bool(asked) is takes_more


def test_what_the_hub_has_already_is_not_copied_to_it() -> None:
    book = books.placed(Book(), ORDER, NOW_S)
    name = books.name_of(ORDER)
    assert book.entries[name].to_copy
    assert not books.copied(book, name, there=True).entries[name].to_copy
    gone = books.undone(books.copied(book, name, there=True), name, "undone", FAST)
    assert gone.entries[name].to_delete
    assert not books.copied(gone, name, there=False).entries[name].to_delete
    seen = books.compared(book, Objects((ORDER,), current=True), NOW_S, lambda _: "", lambda _: FAST)
    assert not seen.entries[name].to_copy
    assert books.standing(seen, name) == books.Standing(
        True, "Accepted", "", True, "Draining", "100 of 100 %"
    )
    assert books.standing(Book(), name) is None


@pytest.mark.parametrize("cautious", [CART, PAY])
def test_traffic_returns_as_the_most_careful_policy_of_all_services_says(cautious: ServiceKey) -> None:
    world, careful = two_clusters(), Failback(30, (1, 2, 3, 100), 60, 5)
    hasty = Failback(30, (50, 100), 1, 5)
    policies = tuple(
        FailoverPolicy("shop", key.name, (key,), Settings(failback=careful if key == cautious else hasty))
        for key in (CART, PAY)
    )
    world = merge(world.clusters.values(), Mesh(failover_policies=policies))
    assert rules.slowest(world, ORDER) == careful
    assert rules.slowest(world, drain(service=PAY)) == (careful if cautious == PAY else hasty)
    assert rules.slowest(two_clusters(), ORDER) == Failback()
    hurried = merge(world.clusters.values(), Mesh(failover_policies=policies[1:]))
    assert rules.slowest(hurried, ORDER) == (careful if cautious == PAY else Failback())  # of the other: ours


def test_an_order_is_named_by_its_name_with_or_without_its_namespace() -> None:
    book = books.placed(books.placed(Book(), ORDER, NOW_S), replace(ORDER, namespace="shop"), NOW_S)
    book = books.placed(book, replace(ORDER, name="other"), NOW_S)
    assert list(books.named(book, "kernel")) == [("tideover-system", "kernel"), ("shop", "kernel")]
    assert list(books.named(book, "shop/kernel")) == [("shop", "kernel")]
    assert list(books.named(book, "shop/other")) == []
    assert list(books.named(book, "kern")) == []
