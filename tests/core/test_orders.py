"""Orders over time, as tables and as stories: up in steps, in force, drained, back in steps, over."""

from __future__ import annotations

from collections.abc import ItemsView
from dataclasses import replace

import pytest

from core.order_worlds import NOW_S, ORDER, drain, two_clusters
from tideover_core import order_book as books
from tideover_core import order_course as courses
from tideover_core import order_rules as rules
from tideover_core.model import ServiceKey
from tideover_core.order_book import Book, Objects
from tideover_core.order_course import Cue, Pace, Stage
from tideover_core.orders import Action, ActiveOrder, TrafficOrder
from tideover_core.policy import Failback
from tideover_core.ramp import Outcome
from tideover_core.target import Aim
from tideover_core.world import Service

FAST = Pace(Failback(steps=(5.0, 25.0, 50.0, 100.0), step_every_s=10.0))


def course_at(order: TrafficOrder, *seconds: float) -> list[tuple[str, float]]:
    """State and percent at each of these times after it was accepted; looked at once a second."""
    course, told, now = courses.begun(order, NOW_S), [], 0.0
    for moment in seconds:
        while now < moment:
            now = min(moment, now + 1.0)
            course = courses.advanced(order, course, NOW_S + now, FAST)
        told.append((str(course.stage), round(course.percent, 3)))
    return told


def test_at_once_then_drained_after_the_drain_time() -> None:
    assert course_at(ORDER, 0, 29, 30, 100) == [
        ("Draining", 100), ("Draining", 100), ("Drained", 100), ("Drained", 100)
    ]  # fmt: skip


def test_over_a_minute_it_rises_in_ten_steps() -> None:
    order = replace(ORDER, over_s=60.0)
    assert course_at(order, 0, 5, 6, 12, 53, 54, 84) == [
        ("Rising", 10), ("Rising", 10), ("Rising", 20), ("Rising", 30), ("Rising", 90), ("Draining", 100),
        ("Drained", 100),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "order",
    [replace(ORDER, percent=30.0), replace(ORDER, action=Action.SHIFT, to=Aim(cluster="dublin"))],
)
def test_what_does_not_take_all_away_empties_nothing(order: TrafficOrder) -> None:
    assert course_at(order, 0, 100) == [("InForce", order.percent)] * 2


def test_an_expired_drain_comes_back_as_a_place_that_recovers() -> None:
    order = replace(ORDER, expires_at_s=NOW_S + 60)
    assert course_at(order, 59, 60, 69, 70, 80, 90) == [
        ("Drained", 100), ("Returning", 95), ("Returning", 95), ("Returning", 75), ("Returning", 50),
        ("Over", 0),
    ]  # fmt: skip


def test_half_a_drain_gives_half_of_each_step_back() -> None:
    order = replace(ORDER, percent=50.0, expires_at_s=NOW_S + 1)
    assert course_at(order, 1, 11, 21, 31) == [
        ("Returning", 47.5), ("Returning", 37.5), ("Returning", 25), ("Over", 0)
    ]  # fmt: skip


def test_a_freeze_is_simply_over() -> None:
    order = replace(ORDER, action=Action.FREEZE, expires_at_s=NOW_S + 5)
    assert course_at(order, 0, 5) == [("InForce", 100), ("Over", 0)]


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0, 9e9, -9e9])
def test_a_clock_that_jumps_neither_skips_nor_prolongs_a_stage(jump_s: float) -> None:
    order = replace(ORDER, over_s=60.0)
    course = courses.begun(order, NOW_S)
    course = courses.advanced(order, course, NOW_S + 1 + jump_s)
    assert course.percent <= 20  # one step of ten at most
    for second in range(1, 100):
        course = courses.advanced(order, course, NOW_S + 1 + jump_s + second)
    assert course.stage is Stage.DRAINED


def test_a_percent_that_is_edited_is_reached_in_steps_up_and_down() -> None:
    before = replace(ORDER, percent=100.0)
    course = courses.advanced(before, courses.begun(before, NOW_S), NOW_S + 1)
    after = replace(before, percent=40.0, over_s=3.0)
    course = courses.edited(after, course, before)
    told = []
    for second in range(2, 6):
        course = courses.advanced(after, course, NOW_S + second)
        told.append((str(course.stage), round(course.percent)))
    assert told == [("Rising", 80), ("Rising", 60), ("InForce", 40), ("InForce", 40)]


CART, PAY = ServiceKey("shop", "cart"), ServiceKey("shop", "pay")
Seen = dict[ServiceKey, Outcome]
WELL, NOTHING, POOR, BAD = Outcome.WELL, Outcome.NOTHING, Outcome.POOR, Outcome.BAD


def returning(order: TrafficOrder, *story: tuple[int, Seen]) -> list[tuple[float, float]]:
    """At each time since it was undone, with what was seen: what is still taken from cart and pay."""
    course, told, now = courses.advanced(order, courses.begun(order, NOW_S), NOW_S), [], 0
    course = courses.ended(order, course, "undone", FAST)
    for until, outcomes in story:
        while now < until:
            now += 1
            course = courses.advanced(order, course, NOW_S + now, replace(FAST, outcomes=outcomes))
        active = courses.in_force(order, course)
        assert course.percent == max(active.percent_for(CART), active.percent_for(PAY)) if active else True
        told.append((active.percent_for(CART), active.percent_for(PAY)) if active else (0.0, 0.0))
    return told


def test_the_way_back_is_watched_and_a_relapse_steps_back_and_waits_longer() -> None:
    well = {CART: WELL, PAY: WELL}
    told = returning(
        ORDER, (10, well), (11, {**well, CART: POOR}), (40, well), (130, well), (131, well),
        (142, {**well, CART: BAD}), (381, well), (382, well), (412, well),
    )  # fmt: skip
    assert told == [
        (75, 75), (95, 75), (95, 0), (95, 0), (75, 0),  # a step back, and four hold-downs there
        (100, 0), (100, 0), (95, 0), (0, 0),  # broken: nothing, for half of the next hold: all is well
    ]  # fmt: skip


def test_without_calls_each_step_takes_twice_as_long_and_one_that_is_called_counts_for_all() -> None:
    idle = {CART: NOTHING}
    assert returning(ORDER, (19, idle), (20, idle), (30, {**idle, PAY: WELL})) == [
        (95, 95),
        (75, 75),
        (50, 50),
    ]


def test_whatever_is_seen_every_order_ends() -> None:
    story = [(899, {CART: BAD}), (1500, {CART: BAD})]
    assert returning(drain(service=CART), *story)[0][0] == 100
    assert returning(drain(service=CART), *story)[1][0] == 0
    assert returning(ORDER, (1500, {CART: Outcome.UNCLEAR, PAY: Outcome.FAILING})) == [(0, 0)]


def test_what_is_told_of_who_is_held_back() -> None:
    course = courses.ended(ORDER, courses.begun(ORDER, NOW_S), "undone", FAST)
    for second, one in ((10, WELL), (11, POOR)):
        course = courses.advanced(ORDER, course, NOW_S + second, replace(FAST, outcomes={CART: one}))
    assert courses.held_back(course) == "shop/cart, which was not well there, is given 5 % of its share"


def test_every_stage_has_a_way_on() -> None:
    reached = {stage for stage, _ in courses.NEXT}
    assert reached == set(Stage) - {Stage.OVER}
    assert {stage for (stage, cue) in courses.NEXT if cue is Cue.ENDED} == courses.GIVES


def test_an_object_that_another_replica_acts_on_begins_where_that_one_is() -> None:
    order = replace(ORDER, over_s=60.0)
    assert courses.begun(order, NOW_S, 31.0).percent == 60
    old = courses.begun(order, NOW_S, 3600.0)
    assert courses.advanced(order, old, NOW_S).stage is Stage.DRAINED


# the book


def compared(book: Book, *orders: TrafficOrder, current: bool = True, now_s: float = NOW_S) -> Book:
    world = two_clusters()
    return books.compared(
        book,
        Objects(orders, current),
        now_s,
        lambda order: rules.refusal(order, world, now_s),
        lambda order: FAST,
    )


def stage(book: Book, order: TrafficOrder = ORDER) -> str:
    entry = book.entries.get(books.name_of(order))
    return str(entry.course.stage) if entry is not None else ""


def test_an_object_counts_and_its_deletion_ends_it() -> None:
    book = compared(Book(), ORDER)
    assert stage(book) == "Draining"
    assert stage(compared(book, current=False)) == "Draining"  # the hub is not heard: it stays
    gone = compared(book)
    assert stage(gone) == "Returning"
    assert gone.entries[books.name_of(ORDER)].course.why == books.DELETED


def test_an_order_given_here_does_not_need_the_hub_and_follows_its_copy() -> None:
    book = books.placed(Book(), ORDER, NOW_S)
    name = books.name_of(ORDER)
    assert book.entries[name].to_copy
    assert stage(compared(book)) == "Draining"  # not yet there: not deleted
    book = compared(books.copied(book, name, there=True), ORDER)
    assert not book.entries[name].to_copy
    assert stage(compared(book)) == "Returning"  # somebody deleted the copy


def test_an_undone_order_does_not_come_back_with_its_object() -> None:
    name = books.name_of(ORDER)
    book = books.undone(compared(Book(), ORDER), name, "undone by ada", FAST)
    for second in range(1, 60):
        book = books.advanced(book, NOW_S + second, lambda order: FAST)
        book = compared(book, ORDER, now_s=NOW_S + second)
    assert (stage(book), book.entries[name].to_delete) == ("Over", True)  # the hub was not there to delete it
    assert book.in_force() == ()
    assert compared(book).entries == {}  # now it is gone


def test_a_copy_that_expires_is_deleted_and_an_object_of_the_hub_stays_as_refused() -> None:
    order = replace(ORDER, expires_at_s=NOW_S + 1)
    mine = compared(books.placed(Book(), order, NOW_S), order)
    theirs = compared(Book(), order)
    for second in range(1, 60):
        mine, theirs = (
            compared(books.advanced(one, NOW_S + second, lambda _: FAST), order, now_s=NOW_S + second)
            for one in (mine, theirs)
        )
    assert mine.entries[books.name_of(order)].to_delete
    assert theirs.entries == {}
    assert "expired at" in theirs.refused[books.name_of(order)][1]


def test_an_object_that_is_edited_to_be_about_something_else_is_a_new_order() -> None:
    book = compared(Book(), ORDER)
    book = compared(book, replace(ORDER, target=Aim(cluster="dublin")))
    before, now = book.entries["tideover-system", "kernel-before"], book.entries[books.name_of(ORDER)]
    assert (before.course.stage, before.course.percent, before.course.why) == ("Returning", 95, books.ANOTHER)
    assert (now.order.target, now.course.stage) == (Aim(cluster="dublin"), "Draining")
    assert (before.to_copy, before.to_delete) == (False, False)
    again = compared(book, replace(ORDER, target=Aim(cluster="rome")))  # what makes no sense is refused
    assert {name[1]: str(one.course.stage) for name, one in again.entries.items()} == {
        "kernel-before": "Returning", "kernel-before2": "Returning"
    }  # fmt: skip
    assert "there is no cluster rome" in again.refused[books.name_of(ORDER)][1]


def asked(book: Book, order: TrafficOrder, refusal: str | None) -> Book:
    return books.compared(book, Objects((order,), True), NOW_S, lambda order: refusal, lambda order: FAST)


def test_an_object_waits_until_it_is_known_whom_it_would_empty() -> None:
    assert asked(Book(), ORDER, None) == Book()
    refused = asked(Book(), ORDER, "it would empty shop/only")
    assert refused.refused[books.name_of(ORDER)][1] == "it would empty shop/only"
    assert asked(refused, ORDER, None) == refused  # looked at again: it stays as it was
    assert stage(asked(refused, ORDER, "")) == "Draining"


def test_an_edit_that_would_empty_somebody_leaves_what_was_asked_for_before() -> None:
    half = replace(ORDER, percent=50.0)
    book = asked(asked(Book(), half, ""), ORDER, "it would empty shop/only")
    assert book.entries[books.name_of(ORDER)].order.percent == 50
    assert book.refused[books.name_of(ORDER)][1] == "it would empty shop/only" + books.STAYS
    assert books.standing(book, books.name_of(ORDER)) == books.Standing(
        False, "Refused", "it would empty shop/only" + books.STAYS
    )
    assert asked(book, ORDER, "").entries[books.name_of(ORDER)].order.percent == 100


def test_there_is_a_limit_to_orders() -> None:
    many = [replace(ORDER, name=f"o{n}") for n in range(books.MOST + 3)]
    book = compared(Book(), *many)
    assert (len(book.entries), len(book.refused)) == (books.MOST, 3)


# what is refused, and who wins


@pytest.mark.parametrize(
    ("order", "word"),
    [
        (drain(cluster="pariss"), "there is no cluster pariss; did you mean paris?"),
        (drain(region="eu-wst"), "there is no region eu-wst; did you mean eu-west?"),
        (drain(zone="mars"), "there is no zone mars"),
        (
            drain(service=ServiceKey("shop", "cartt")),
            "there is no service shop/cartt; did you mean shop/cart?",
        ),
        (drain(service=ServiceKey("shop", "cart"), service_cluster="rome"), "there is no cluster rome"),
        (drain(cluster="paris", region="eu-north"), "cluster/paris,region/eu-north holds no endpoint"),
        (drain(address="10.1.0.1", port=9999), "holds no endpoint; 10.1.0.1 has 10.1.0.1:80"),
        (drain(address="10.1.0.77", port=80), "holds no endpoint; did you mean 10.1.0."),
        (replace(ORDER, expires_at_s=NOW_S), "it expired at 2025-11-24T16:00:00Z, before it came"),
        (replace(ORDER, expires_at_s=-1e12), "it expired at 1970-01-01T00:00:00Z, before it came"),
        (
            replace(ORDER, action=Action.SHIFT, to=Aim(cluster="roma")),
            "there is no cluster roma",
        ),
        (replace(ORDER, action=Action.SHIFT, to=Aim(cluster="paris")), "are the same place"),
        (
            replace(ORDER, namespace="shop"),
            "outside of tideover-system an order is about a service of its own",
        ),
        (replace(drain(service=ServiceKey("shop", "cart")), namespace="bank"), "outside of tideover-system"),
    ],
)
def test_refused(order: TrafficOrder, word: str) -> None:
    assert word in rules.refusal(order, two_clusters(), NOW_S)


@pytest.mark.parametrize(
    "order",
    [
        ORDER,
        replace(drain(service=ServiceKey("shop", "cart")), namespace="shop"),
        replace(ORDER, action=Action.SHIFT, to=Aim(region="eu-north")),
        replace(drain(zone="eu-west-a"), action=Action.SHIFT, to=Aim(region="eu-west")),
        drain(address="10.1.0.1", port=80),
    ],
)
def test_taken(order: TrafficOrder) -> None:
    assert rules.refusal(order, two_clusters(), NOW_S) == ""


def active(name: str, percent: float = 100.0, action: Action = Action.DRAIN, **aim: str) -> ActiveOrder:
    order = replace(drain(**aim), name=name, action=action, percent=percent)
    return ActiveOrder(replace(order, to=Aim(cluster="dublin") if action is Action.SHIFT else None), percent)


def test_contradicting_orders_are_both_shown_with_the_stricter_as_winner() -> None:
    half, whole = active("half", 50.0, cluster="paris"), active("whole", region="eu-west")
    shift = active("shift", 20.0, Action.SHIFT, zone="eu-west-a")
    away = active("away", cluster="dublin")
    told = rules.overlaps([half, shift, whole, away], two_clusters())
    assert told["tideover-system", "half"][0] == "whole is about 8 of the same endpoints; whole wins"
    assert told["tideover-system", "whole"][0] == "half is about 8 of the same endpoints; whole wins"
    assert "whole is about 4 of the same endpoints; whole wins" in told["tideover-system", "shift"]
    assert "shift sends to what away drains, which wins" in told["tideover-system", "shift"]
    assert told["tideover-system", "away"] == ("shift sends to what away drains, which wins",)
    assert books.strictness(whole) < books.strictness(half) < books.strictness(shift)


def test_a_freeze_stands_beside_a_drain_and_before_a_shift() -> None:
    drained, frozen = active("out", cluster="paris"), active("stop", 100.0, Action.FREEZE, cluster="paris")
    shift = active("shift", 20.0, Action.SHIFT, cluster="paris")
    told = rules.overlaps([shift, frozen, drained], two_clusters())["tideover-system", "stop"]
    assert told == (
        "out is about 8 of the same endpoints; both apply: "
        "a freeze holds back judgements and shifts, not drains",
        "shift is about 8 of the same endpoints; stop wins",
    )


def test_many_orders_that_meet_cost_one_look_at_the_world() -> None:
    """Whoever may read may ask for the list: 200 orders times 60,000 endpoints would hang the event loop."""

    class Counted(dict[ServiceKey, Service]):
        looks = 0

        def items(self) -> ItemsView[ServiceKey, Service]:
            Counted.looks += 1
            return super().items()

        __iter__ = None  # type: ignore[assignment]

    now = two_clusters()
    aims = [
        Aim(cluster="paris"),
        Aim(region="eu-west"),
        Aim(zone="eu-west-a"),
        Aim(service=ORDER.target.service),
    ]
    many = [ActiveOrder(replace(drain(), name=f"o{n}", target=aims[n % 4]), float(n + 1)) for n in range(40)]
    told = rules.overlaps(many, replace(now, services=Counted(now.services)))
    assert Counted.looks == 1
    assert len(told["tideover-system", "o0"]) == 39
