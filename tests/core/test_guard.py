"""The guard against mass removal: what is held, what is not, and how a hold ends."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tideover_core.guard import Guard, Held, accepted, confirmed, guarded, held, next_look_s
from tideover_core.model import (
    ClusterFacts,
    Endpoint,
    Locality,
    Protocol,
    ServiceFacts,
    ServiceKey,
    ServicePort,
)
from tideover_core.policy import FailoverPolicy

HERE = Locality("eu-west", "a")
PORT = (ServicePort(80, "http", Protocol.HTTP),)
POLICY = FailoverPolicy("bookinfo", "stay")


def end(word: str) -> Endpoint:
    """`3` is ready, `3-` is not, `3~` terminates; `3:x` is of pod x."""
    name, _, pod = word.partition(":")
    number = name.rstrip("-~")
    leaving = name.endswith("~")
    ready = name == number
    return Endpoint(
        f"10.0.0.{number}", 80, "paris", "default", HERE, ready, ready or leaving, leaving, pod=pod
    )


def facts(generation: int = 1, policies: tuple[FailoverPolicy, ...] = (), **services: str) -> ClusterFacts:
    """`a="1 2- 3~"`: service a with these endpoints."""
    keys = {ServiceKey("bookinfo", name): words.split() for name, words in services.items()}
    found = {key: ServiceFacts(key, PORT, {80: tuple(map(end, words))}) for key, words in keys.items()}
    return ClusterFacts("paris", "default", HERE, found, failover_policies=policies, generation=generation)


def shown(published: ClusterFacts) -> str:
    """`a=1,2 b=`"""
    parts = []
    for key, service in sorted(published.services.items()):
        numbers = sorted(int(e.address.rpartition(".")[2]) for e in service.endpoints.get(80, ()))
        parts.append(f"{key.name}={','.join(map(str, numbers))}")
    return " ".join(parts)


class Story:
    """A cluster that says one thing after the other."""

    def __init__(self, before: ClusterFacts | None = None, hold_s: float = 30) -> None:
        self.guard, self.published, self.said = Guard(hold_s=hold_s), before, before
        self.now_s = 100.0

    def says(self, said: ClusterFacts, after_s: float = 1, slices: Collection[str] | None = None) -> str:
        self.now_s += after_s
        self.said = replace(said, generation=(self.said.generation if self.said else 0) + 1)
        present = said.services if slices is None else {ServiceKey("bookinfo", name) for name in slices}
        self.guard, self.published = guarded(
            self.guard, self.published, self.said, frozenset(present), self.now_s
        )
        return shown(self.published)

    def again(self) -> str:
        """The same once more: what the guard makes of it now."""
        assert self.said is not None
        before = self.published
        present = frozenset(self.said.services)
        self.guard, self.published = guarded(self.guard, before, self.said, present, self.now_s)
        assert before is not None
        assert self.published is before or self.published.generation > before.generation
        return shown(self.published)

    def held(self) -> int:
        found = held(self.guard)
        return found.addresses if found is not None else 0


ALL = facts(a="1 2 3 4", b="5 6 7 8")

REMOVALS = [
    # what is said now, who has slices, what is published, how many are held
    ("nothing at all", facts(), "", "a=1,2,3,4 b=5,6,7,8", 8),
    ("services without endpoints", facts(a="", b=""), "", "a=1,2,3,4 b=5,6,7,8", 8),
    ("empty slices", facts(a="", b=""), "ab", "a=1,2,3,4 b=5,6,7,8", 8),
    ("more than half, of two", facts(a="1", b="5 6"), "ab", "a=1,2,3,4 b=5,6,7,8", 5),
    ("half", facts(a="1 2", b="5 6"), "ab", "a=1,2 b=5,6", 0),
    ("one whole service", facts(b="5 6 7 8"), "b", "b=5,6,7,8", 0),
    ("scaled to zero", facts(a="", b="5 6 7 8"), "ab", "a= b=5,6,7,8", 0),
    ("unready all", facts(a="1- 2- 3- 4-", b="5- 6- 7- 8-"), "ab", "a=1,2,3,4 b=5,6,7,8", 0),
    ("moved to another service", facts(c="1 2 3 4 5 6 7 8"), "c", "c=1,2,3,4,5,6,7,8", 0),
]


@pytest.mark.parametrize(("_", "said", "slices", "expected", "count"), REMOVALS, ids=lambda v: str(v)[:30])
def test_what_is_held(_: str, said: ClusterFacts, slices: str, expected: str, count: int) -> None:
    story = Story()
    story.says(ALL)
    assert (story.says(said, slices=slices), story.held()) == (expected, count)


def test_a_large_service_scaled_to_zero_passes_unless_its_slices_or_the_service_are_gone_too() -> None:
    for said, slices, expected in (
        (facts(a="", b="9"), "ab", "a= b=9"),
        (facts(a="", b="9"), "b", "a=1,2,3 b=9"),
        (facts(b="9"), "b", "a=1,2,3 b=9"),
    ):
        story = Story(facts(a="1 2 3", b="9"))
        assert story.says(said, slices=slices) == expected


def test_pods_with_two_services_scaled_to_zero_pass() -> None:
    story = Story(facts(a="1 2 3", headless="1 2 3", b="9"))
    assert story.says(facts(a="", headless="", b="9")) == "a= b=9 headless="


def test_what_terminates_first_passes() -> None:
    story = Story(ALL)
    assert story.says(facts(a="1~ 2~ 3~ 4~", b="5~ 6~ 7~ 8")) == "a=1,2,3,4 b=5,6,7,8"
    assert (story.says(facts(a="", b="8")), story.held()) == ("a= b=8", 0)


def test_terminating_ones_do_not_count_as_staying() -> None:
    story = Story(facts(a="1~ 2~ 3~ 4~", b="5 6", c="7"))
    assert (story.says(facts(a="1~ 2~ 3~ 4~", b="", c="")), story.held()) == ("a=1,2,3,4 b=5,6 c=7", 3)


def test_small_numbers_are_no_mass() -> None:
    assert Story(facts(a="1")).says(facts()) == ""
    story = Story(facts(a="1", b="2"))
    assert story.says(facts(a="1")) == "a=1"


def test_two_services_of_one_endpoint_each_that_vanish_together_are_held() -> None:
    assert Story(facts(a="1", b="2")).says(facts()) == "a=1 b=2"


def test_trickling_removals_are_caught_and_those_before_come_back() -> None:
    story = Story(ALL)
    for n, expected in (("2 3 4", "2,3,4"), ("3 4", "3,4")):
        assert story.says(facts(a=n, b="5 6 7 8"), 2) == f"a={expected} b=5,6,7,8"
    assert story.says(facts(a="3 4", b="7 8"), 2) == "a=3,4 b=7,8"
    assert story.says(facts(a="3 4", b="8"), 2) == "a=1,2,3,4 b=5,6,7,8"


def test_removals_slower_than_the_window_pass() -> None:
    story = Story(ALL)
    for left in ("2 3 4", "3 4", "4", ""):
        assert story.says(facts(a=left, b="5 6 7 8"), 6).startswith(f"a={left.replace(' ', ',')} ")
    for left in ("6 7 8", "7 8", "8"):
        assert story.says(facts(a="", b=left), 6) == f"a= b={left.replace(' ', ',')}"
    assert story.held() == 0


def test_what_terminates_and_has_no_endpoints_is_held_with_the_rest_of_its_stroke() -> None:
    story = Story(facts(a="1 2 3~", b="4", c=""))
    assert (story.says(facts()), story.held()) == ("a=1,2,3 b=4 c=", 4)
    story.guard = confirmed(story.guard, story.now_s + 29)
    assert story.again() == "a=1,2,3 b=4 c="


def test_what_is_held_of_a_service_that_is_still_there_keeps_its_identity_too() -> None:
    story = Story(ALL)
    story.says(facts(a="1", b=""))
    before = story.published
    story.says(facts(a="2 1", b="8"))
    assert before is not None
    assert story.published is not None
    for key, service in before.services.items():
        assert story.published.services[key] is service


def test_what_has_a_pod_that_is_there_under_another_address_has_moved() -> None:
    story = Story(facts(a="1:x 2:y", b="3:z"))
    assert story.says(facts(a="4:x 5:y", b="6:z")) == "a=4,5 b=6"


def test_policies_that_vanish_in_the_same_stroke_are_held_and_alone_are_not() -> None:
    before = replace(ALL, failover_policies=(POLICY,))
    story = Story(before)
    story.says(facts())
    assert story.published is not None
    assert story.published.failover_policies == (POLICY,)
    story = Story(before)
    story.says(ALL)
    assert story.published is not None
    assert story.published.failover_policies == ()


def test_policies_that_vanish_while_something_is_held_are_held_too() -> None:
    story = Story(replace(ALL, failover_policies=(POLICY,)))
    story.says(replace(facts(), failover_policies=(POLICY,)))
    story.says(facts(), 15)
    assert story.published is not None
    assert story.published.failover_policies == (POLICY,)


def test_what_is_held_keeps_its_identity() -> None:
    story = Story()
    story.says(ALL)
    before = story.published
    story.says(facts())
    assert story.published is before
    story.says(facts(a="1 2 3 4", b="5 6 7 8"))  # equal, but made anew
    assert story.published is before
    assert (story.held(), next_look_s(story.guard)) == (0, None)


def test_a_hold_ends_when_a_second_look_says_the_same() -> None:
    story = Story()
    story.says(ALL)
    story.says(facts())
    assert next_look_s(story.guard) == story.now_s + 30
    story.guard = confirmed(story.guard, story.now_s + 29)
    assert story.again() == "a=1,2,3,4 b=5,6,7,8"
    story.guard = confirmed(story.guard, story.now_s + 30)
    assert (story.again(), story.held(), next_look_s(story.guard)) == ("", 0, None)


def test_an_operator_accepts_at_once_and_what_comes_counts_anew() -> None:
    story = Story(ALL)
    story.says(facts(a="1 2 3"))
    story.guard = accepted(story.guard)
    assert (story.again(), story.held()) == ("a=1,2,3", 0)
    assert story.says(facts(a="1 2")) == "a=1,2"
    assert story.says(facts(c="9")) == "a=1,2,3 c=9"


def test_after_a_confirmed_hold_what_comes_counts_anew() -> None:
    story = Story(ALL, hold_s=3)
    story.says(facts(a="1 2 3 4"), 1, "")
    story.says(facts(a="1 2 3"), 1)
    assert story.held() == 5
    story.guard = confirmed(story.guard, story.now_s + 3)
    story.now_s += 3
    assert story.again() == "a=1,2,3"
    assert (story.says(facts(a="1 2")), story.held()) == ("a=1,2", 0)


def test_what_comes_back_is_held_no_longer_and_the_rest_is() -> None:
    story = Story(ALL)
    story.says(facts())
    assert story.says(facts(b="5- 6 7")) == "a=1,2,3,4 b=5,6,7,8"
    assert story.held() == 5
    assert story.published is not None
    b = story.published.services[ServiceKey("bookinfo", "b")]
    assert [e.ready for e in b.endpoints[80]] == [False, True, True, True]


def test_an_address_that_another_pod_has_now_is_not_given_to_the_service_that_had_it() -> None:
    story = Story(facts(a="1:x 2:y", b="3:z"))
    story.says(facts())
    assert story.says(facts(c="1:w")) == "a=2 b=3 c=1"
    story = Story(facts(a="1:x 2:y 4:v", b="3:z"))
    assert story.says(facts(c="1:w")) == "a=2,4 b=3 c=1"


@pytest.mark.parametrize(
    ("services", "words"), [(0, "policies that"), (1, "1 service that vanished is"), (2, "2 services that")]
)
def test_what_is_held_without_an_address_of_its_own_is_said_as_services(services: int, words: str) -> None:
    """A service was renamed: the new one has its addresses."""
    assert words in str(Held(0, 9, services, 0.0, 30.0))
    assert "3 of 9 addresses" in str(Held(3, 9, services, 0.0, 30.0))


def test_an_address_that_comes_back_in_one_of_its_services_stays_held_in_the_other() -> None:
    story = Story(facts(a="1:x 2:y", headless="1:x 2:y"))
    story.says(facts())
    assert story.says(facts(a="1:x")) == "a=1,2 headless=1,2"


def test_facts_of_an_earlier_life_are_guarded_and_additions_pass_meanwhile() -> None:
    story = Story(ALL)
    assert story.says(facts(c="9 10")) == "a=1,2,3,4 b=5,6,7,8 c=9,10"
    assert str(held(story.guard)) == "8 of 10 addresses vanished at once and are held"


def test_generations_only_rise() -> None:
    story, seen = Story(), []
    for said in (ALL, facts(), facts(c="9"), ALL, facts(a="1 2 3 4")):
        story.says(said)
        assert story.published is not None
        seen.append(story.published.generation)
    story.guard = accepted(story.guard)
    story.again()
    assert story.published is not None
    assert [*seen, story.published.generation] == sorted([*seen, story.published.generation])


# --- invariants ---

ADDRESSES = [str(n) for n in range(1, 13)]
states = st.dictionaries(
    st.sampled_from(ADDRESSES), st.tuples(st.sampled_from("abc"), st.sampled_from(("", "", "-", "~")))
)
steps = st.lists(
    st.tuples(
        states, st.sampled_from((0.5, 3.0, 6.0, 11.0)), st.sampled_from(("", "", "", "accept", "look"))
    ),
    max_size=8,
)


def world(state: dict[str, tuple[str, str]]) -> ClusterFacts:
    services: dict[str, list[str]] = {}
    for number, (service, mark) in sorted(state.items()):
        services.setdefault(service, []).append(number + mark)
    return facts(**{name: " ".join(words) for name, words in services.items()})


def counted(published: ClusterFacts) -> frozenset[str]:
    ends = [e for service in published.services.values() for e in service.endpoints[80]]
    return frozenset(e.address for e in ends if not e.terminating)


def all_addresses(published: ClusterFacts) -> frozenset[str]:
    return frozenset(e.address for service in published.services.values() for e in service.endpoints[80])


@settings(max_examples=300, deadline=None)
@given(states, steps)
def test_more_than_half_never_vanishes_unasked(
    first: dict[str, tuple[str, str]], changes: list[tuple[dict[str, tuple[str, str]], float, str]]
) -> None:
    story = Story()
    story.says(world(first))
    assert story.published is not None
    seen, ever = [(story.now_s, story.published)], all_addresses(story.published)
    for state, after_s, act in changes:
        if act == "accept":
            story.guard = accepted(story.guard)
        elif act == "look":
            story.guard = confirmed(story.guard, story.now_s)
        if act:
            story.again()
            seen = [(story.now_s, story.published)]
        said = world(state)
        story.says(said, after_s, "")
        assert story.published is not None
        for key, service in said.services.items():
            published = story.published.services[key].endpoints[80]
            assert all(one in published for one in service.endpoints[80])
            assert len({e.key for e in published}) == len(published)
        ever |= all_addresses(said)
        assert all_addresses(story.published) <= ever
        seen.append((story.now_s, story.published))
        seen = [(at_s, one) for at_s, one in seen if at_s > story.now_s - 10]
        for n, (_, then) in enumerate(seen):
            left = counted(then) - all_addresses(story.published)
            left = frozenset(
                a
                for a in left
                if all(a in counted(one) or a not in all_addresses(one) for _, one in seen[n:])
            )
            assert len(left) < 2 or 2 * len(left) <= len(counted(then))


@settings(max_examples=100, deadline=None)
@given(states, steps)
def test_a_hold_always_ends(
    first: dict[str, tuple[str, str]], changes: list[tuple[dict[str, tuple[str, str]], float, str]]
) -> None:
    story = Story()
    story.says(world(first))
    for state, after_s, _ in changes:
        story.says(world(state), after_s, "")
    looks = 0
    while (look_s := next_look_s(story.guard)) is not None:
        story.now_s, looks = max(look_s, story.now_s), looks + 1
        story.guard = confirmed(story.guard, story.now_s)
        story.again()
        assert looks <= len(changes) + 1
    assert story.published is not None
    assert story.said is not None
    assert story.published.services == story.said.services


@settings(max_examples=100, deadline=None)
@given(states, states, st.data())
def test_readiness_and_additions_always_pass(
    first: dict[str, tuple[str, str]], more: dict[str, tuple[str, str]], data: st.DataObject
) -> None:
    story = Story(world(first))
    marks = {n: data.draw(st.sampled_from(("", "-", "~"))) for n in first}
    said = world(more | {n: (service, marks[n]) for n, (service, _) in first.items()})
    story.says(said, slices="")
    assert story.published is not None
    assert story.published.services == said.services
    assert story.held() == 0
