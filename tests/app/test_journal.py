"""The journal: differences become lines, each told once, and no storm pushes out the rest."""

from __future__ import annotations

import pytest

from tideover_app import journal as journals
from tideover_app.failing import NOTHING, failing
from tideover_app.journal import Journal
from tideover_app.replica import Happening, Kind
from tideover_core.guard import Held
from tideover_core.model import (
    ClusterFacts,
    Endpoint,
    Locality,
    Problem,
    Protocol,
    ServiceFacts,
    ServiceKey,
    ServicePort,
    SourceStatus,
)
from tideover_core.world import World, merge


class Told:
    """A journal at 100 s, and what it told."""

    def __init__(self) -> None:
        self.lines: list[Happening] = []
        self.journal = Journal(lambda: 100.0, self.lines.append)

    def news(self) -> list[tuple[str, str]]:
        """Kind and object since the last time."""
        lines, self.lines[:] = [(one.kind.value, one.object) for one in self.lines], []
        return lines


@pytest.fixture
def told() -> Told:
    return Told()


def test_happenings_are_numbered_from_one(told: Told) -> None:
    for name in ("a", "b"):
        told.journal.add(Kind.CLIENT_OPENED, name, "came")
    assert [(h.number, h.object, h.at_s) for h in told.journal.happenings.value] == [
        (1, "a", 100),
        (2, "b", 100),
    ]
    assert told.lines == list(told.journal.happenings.value)


def test_a_problem_is_told_when_it_comes_and_when_it_goes(told: Told) -> None:
    one, two = Problem("Service a/b", "odd", "ignored", "a.yaml:3"), Problem("Pod x", "odd", "ignored")
    told.journal.problems([one, two])
    assert told.news() == [("ProblemFound", "Service a/b"), ("ProblemFound", "Pod x")]
    told.journal.problems([two, one])
    assert told.news() == []
    told.journal.problems([two])
    assert told.news() == [("ProblemGone", "Service a/b")]


def test_the_line_of_a_problem_says_where_and_what_happens(told: Told) -> None:
    told.journal.problems([Problem("Service a/b", "is odd", "ignored", "a.yaml:3")])
    assert told.lines[0].message == "a.yaml:3: is odd; ignored"


def test_many_problems_at_once_are_some_lines_and_a_number(told: Told) -> None:
    told.journal.problems(Problem(f"Pod {n}", "odd", "ignored") for n in range(10_000))
    lines = told.news()
    assert len(lines) == journals.TOLD_AT_ONCE + 1
    assert lines[-1] == ("ProblemFound", f"{10_000 - journals.TOLD_AT_ONCE} more problems")


def test_sources_that_become_stale_or_fresh_are_told_and_a_new_reason_too(told: Told) -> None:
    fresh, stale = SourceStatus("paris", known=True), SourceStatus("paris", True, 5.0, "vanished")
    told.journal.sources([fresh])
    assert told.news() == []
    told.journal.sources([stale])
    assert told.news() == [("SourceStale", "Cluster paris")]
    told.journal.sources([stale])
    assert told.news() == []
    told.journal.sources([SourceStatus("paris", True, 5.0, "cannot be read")])
    assert told.news() == [("SourceStale", "Cluster paris")]
    told.journal.sources([fresh])
    assert told.news() == [("SourceFresh", "Cluster paris")]


def test_what_is_held_back_is_told_when_it_begins_grows_and_ends(told: Told) -> None:
    for count in (8, 8, 5, 9):
        told.journal.held({"paris": Held(count, 10, 2, 5.0, 35.0)})
    told.journal.held({})
    assert [(h.kind, h.message.partition(" ")[0]) for h in told.lines] == [
        (Kind.REMOVALS_HELD, "8"),
        (Kind.REMOVALS_HELD, "9"),
        (Kind.REMOVALS_OVER, "nothing"),
    ]


def test_a_stale_source_that_is_no_longer_configured_is_not_called_fresh(told: Told) -> None:
    told.journal.sources([SourceStatus("paris", True, 5.0, "vanished")])
    told.news()
    told.journal.sources([])
    assert told.news() == []


def test_a_storm_of_clients_does_not_push_out_what_happened_to_services(told: Told) -> None:
    told.journal.add(Kind.SERVICE_FAILING_OVER, "Service a/b", "0 of 3 ready")
    for n in range(5000):
        told.journal.add(Kind.CLIENT_OPENED, f"Client {n}", "came")
    kept = told.journal.happenings.value
    assert len(kept) == journals.KEPT
    assert kept[0].object == "Service a/b"
    assert kept[-1].number == 5001
    assert [h.number for h in kept] == sorted(h.number for h in kept)


def test_services_do_not_grow_without_bound_either(told: Told) -> None:
    for n in range(3000):
        told.journal.add(Kind.SERVICE_FAILING_OVER, f"Service a/{n}", "")
    assert [h.number for h in told.journal.happenings.value] == list(range(2001, 3001))


# what fails over, from world to world


def world(previous: World | None = None, **ready: int) -> World:
    """Services of four endpoints in one place, of which so many are ready."""
    here = Locality("eu-west", "a")
    services = {}
    for name, count in ready.items():
        key = ServiceKey("shop", name)
        ends = tuple(Endpoint(f"10.0.0.{i}", 80, "paris", "default", here, i < count) for i in range(4))
        services[key] = ServiceFacts(key, (ServicePort(80, "http", Protocol.HTTP),), {80: ends})
    return merge([ClusterFacts("paris", "default", here, services)], previous=previous)


def test_begin_total_loss_and_end_of_a_failover_are_told_and_not_each_step(told: Told) -> None:
    state, now = NOTHING, None
    seen = []
    for count in (4, 2, 1, 0, 1, 4):
        now = world(now, cart=count)
        state = failing(now, state)
        told.journal.failing(state.places)
        seen.append([kind for kind, _ in told.news()])
    begins, ends = "ServiceFailingOver", "ServiceRecovered"
    assert seen == [[], [begins], [], [begins], [begins], [ends]]


def test_a_service_that_stayed_the_same_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    real = failing.__globals__["place_healths"]

    def spy(now: World, service: object) -> object:
        looked.append(service.key.name)  # type: ignore[attr-defined]
        return real(now, service)

    monkeypatch.setitem(failing.__globals__, "place_healths", spy)
    first = world(cart=1, pay=4)
    state = failing(first, NOTHING)
    assert sorted(looked) == ["cart", "pay"]
    looked.clear()
    state = failing(world(first, cart=1, pay=2), state)
    assert looked == ["pay"]
    assert state.service_count == 2


def test_a_service_that_is_gone_fails_over_no_more() -> None:
    first = world(cart=1)
    assert failing(world(first), failing(first, NOTHING)).places == {}
