"""Whatever happens to orders, in whatever order, with clocks that jump: every drain ends, and the rest."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.order_worlds import NOW_S, PLACES, two_clusters
from tideover_core import order_book as books
from tideover_core import order_rules as rules
from tideover_core.assignment import Health
from tideover_core.model import Vantage
from tideover_core.names import Target
from tideover_core.order_book import Book, Objects
from tideover_core.order_course import MOST_STEPS, Pace
from tideover_core.orders import Action, TrafficOrder
from tideover_core.plan import plan
from tideover_core.policy import Failback
from tideover_core.ramp import Outcome
from tideover_core.target import Aim

PACE = Pace(Failback(steps=(10.0, 50.0, 100.0), step_every_s=5.0))
WORLD = two_clusters()
AIMS = [
    Aim(cluster="paris"),
    Aim(cluster="dublin"),
    Aim(zone="eu-west-a"),
    Aim(service=next(iter(WORLD.services))),
]
orders = st.builds(
    lambda n, action, aim, percent, over_s, lasts_s: TrafficOrder(
        "tideover-system",
        f"o{n}",
        action,
        aim,
        100.0 if action is Action.FREEZE else percent,
        Aim(cluster="dublin") if action is Action.SHIFT else None,
        lasts_s,
        "because",
        over_s=0.0 if action is Action.FREEZE else over_s,
    ),
    st.integers(0, 4),
    st.sampled_from(list(Action)),
    st.sampled_from(AIMS),
    st.sampled_from((10.0, 50.0, 100.0)),
    st.sampled_from((0.0, 3.0, 60.0)),
    st.floats(1, 100),
)


class OrdersOverTime(RuleBasedStateMachine):
    """One replica's book, a hub that comes and goes, and a clock that is set now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.book = Book()
        self.now_s = NOW_S
        self.hub: dict[books.Name, TrafficOrder] = {}
        self.reachable = True
        self.percents: dict[books.Name, float] = {}

    @rule(order=orders)
    def place(self, order: TrafficOrder) -> None:
        if books.name_of(order) not in self.book.entries:
            order = replace(order, expires_at_s=self.now_s + (order.expires_at_s or 0))
            self.book = books.placed(self.book, order, self.now_s)
            self.percents.pop(books.name_of(order), None)

    @rule(order=orders)
    def apply_by_kubectl(self, order: TrafficOrder) -> None:
        if books.name_of(order) not in self.hub:
            self.hub[books.name_of(order)] = replace(order, expires_at_s=None)

    @precondition(lambda self: self.hub)
    @rule(data=st.data())
    def delete_by_kubectl(self, data: st.DataObject) -> None:
        del self.hub[data.draw(st.sampled_from(sorted(self.hub)))]

    @precondition(lambda self: self.book.entries)
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.book.entries)))
        self.book = books.undone(self.book, name, "undone", PACE)

    @rule()
    def hub_comes_or_goes(self) -> None:
        self.reachable = not self.reachable

    @rule(jump_s=st.sampled_from((3600.0, -3600.0)))
    def clock_is_set(self, jump_s: float) -> None:
        self.now_s += jump_s

    @rule(seconds=st.sampled_from((0.1, 1.0, 5.0, 200.0)), bad=st.booleans())
    def time_passes(self, seconds: float, bad: bool) -> None:
        self.now_s += seconds
        self._look(Outcome.BAD if bad else Outcome.WELL)

    def _look(self, outcome: Outcome = Outcome.WELL) -> None:
        pace = replace(PACE, outcomes=dict.fromkeys(WORLD.services, outcome))
        before = self.book
        self.book = books.advanced(before, self.now_s, lambda order: pace)
        self._steps_are_small(before)
        if self.reachable:
            for name, entry in list(self.book.entries.items()):
                if entry.to_copy:
                    self.hub[name] = entry.order
                    self.book = books.copied(self.book, name, there=True)
                elif entry.to_delete:
                    self.hub.pop(name, None)
                    self.book = books.copied(self.book, name, there=False)
        self.book = books.compared(
            self.book,
            Objects(tuple(self.hub.values()), current=self.reachable),
            self.now_s,
            lambda order: rules.refusal(order, WORLD, self.now_s),
            lambda order: PACE,
        )

    def _steps_are_small(self, before: Book) -> None:
        """No look moves more than a step: of the rise, or of the ramp back."""
        for name, entry in self.book.entries.items():
            was = before.entries[name].course
            most = max(50.0, entry.order.percent / max(1, min(MOST_STEPS, int(entry.order.over_s)))) + 1e-3
            assert (
                entry.course.percent - was.percent <= most
                or entry.course.percent == was.percent
                or (
                    entry.course.apart  # out again: it is worse there
                )
            )

    @invariant()
    def the_stricter_wins(self) -> None:
        active = self.book.in_force()
        service = next(iter(WORLD.services))
        drained = [
            one for one in active if one.order.action is Action.DRAIN and one.percent_for(service) >= 100
        ]
        found = plan(
            two_clusters(*active),
            Target(service, 80),
            Vantage(PLACES["paris"][0], "paris", namespace="shop"),
        )
        assert found is not None
        healthy = [
            one.endpoint
            for priority in found.priorities
            for locality in priority.localities
            for one in locality.endpoints
            if one.health is Health.HEALTHY
        ]
        assert healthy  # nothing was forced, so somebody is always left
        ruled_out = [any(one.order.target.holds(found.service, e) for one in drained) for e in healthy]
        assert not any(ruled_out) or all(ruled_out)  # what is drained is the last choice, or none

    def teardown(self) -> None:
        """Everybody ends; then all orders do, and the answer is as if there never were any."""
        self.reachable = True
        for _ in range(400):
            for name, entry in self.book.entries.items():
                if not entry.undone:
                    self.book = books.undone(self.book, name, "undone", PACE)
            self.hub = {name: o for name, o in self.hub.items() if name in self.book.entries}
            self.now_s += 5.0
            self._look(Outcome.UNCLEAR)
            if not self.book.entries:
                break
        assert self.book.in_force() == ()


TestOrdersOverTime = OrdersOverTime.TestCase
TestOrdersOverTime.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
