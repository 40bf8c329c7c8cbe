"""Votes: one for each voter, and the middle decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tideover_core.model import Locality
from tideover_health.votes import Quorum, Vote, tally

HERE = Locality("eu-west", "a")


def votes(*rates: float, calls: int = 100, nodes: int = 9) -> list[Vote]:
    return [Vote(f"v{i}", f"n{i % nodes}", HERE, calls, round(calls * rate)) for i, rate in enumerate(rates)]


@pytest.mark.parametrize(
    ("rates", "low", "high"),
    [
        ((0, 0, 0, 0, 0, 0, 0, 0, 0, 1), 0, 0),
        ((1, 1, 1, 0), 100, 100),  # three of four
        ((1, 1, 0, 0), 0, 100),  # neither bad nor well
        ((1, 0), 0, 100),
        ((1, 1, 0), 100, 100),
        ((0.3,), 30, 30),
    ],
)
def test_the_middle(rates: tuple[float, ...], low: float, high: float) -> None:
    found = tally(votes(*rates), 50)
    assert (found.low, found.high) == (low, high)


def test_a_liar_with_the_most_traffic_has_one_vote() -> None:
    liar = Vote("liar", "n", HERE, 10**9, 10**9)
    assert tally([*votes(*[0.01] * 9), liar], 50).high <= 1


@given(st.lists(st.floats(0, 0.04), min_size=9, max_size=9), st.floats(0, 1), st.integers(1, 10**9))
def test_one_of_ten_never_moves_the_middle_beyond_what_others_see(
    rates: list[float], lie: float, calls: int
) -> None:
    liar = Vote("liar", "n", HERE, calls, round(calls * lie))
    found = tally([*votes(*rates), liar], 50)
    truth = [100 * round(100 * rate) / 100 for rate in rates]
    assert min(truth) <= found.low <= found.high <= max(truth)


def test_who_has_few_calls_votes_together_with_others_like_him() -> None:
    # at 30 percent errors nobody with one call sees 30 percent
    some = votes(*[1.0] * 6, *[0.0] * 14, calls=1)
    mixed = [some[i * 7 % 20]._replace(id=f"v{i:02}") for i in range(20)]
    assert 0 < tally(mixed, 50).low <= 50
    assert tally(votes(*[1.0] * 12, calls=1), 50).low == 100


def test_of_those_who_vote_together_only_who_saw_calls_fail_counts_for_its_node() -> None:
    failing = [Vote(f"v{n}", "n1", HERE, 1, 1) for n in range(8)]
    well = [Vote(f"v{n}z", "n2", HERE, 1, 0) for n in range(0, 8, 3)]
    found = tally([*failing, *well], 50)
    assert (found.voters, found.nodes, found.bad_nodes) == (11, 2, 1)
    assert found.low > 50


def test_the_histogram_counts_voters() -> None:
    assert tally(votes(0, 0.05, 0.55, 1), 50).histogram == (2, 0, 0, 0, 0, 1, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("rates", "quorum", "nodes", "counts"),
    [
        ((1, 1, 1), Quorum(3, 20, 3), 9, True),
        ((1, 1), Quorum(3, 20, 2), 9, True),  # all there are
        ((1, 1), Quorum(3, 20, 5), 9, False),
        ((1,), Quorum(1, 20, 1), 9, False),  # one is never enough
        ((1, 1, 1), Quorum(3, 500, 3), 9, False),
        ((1, 1, 1), Quorum(3, 20, 3), 1, True),  # one node is all there is
        ((1, 0, 1, 0, 1), Quorum(3, 20, 5), 2, False),  # two nodes, all who say so on one
    ],
)
def test_what_it_takes(rates: tuple[float, ...], quorum: Quorum, nodes: int, counts: bool) -> None:
    assert (quorum.lacks_to_be_bad(tally(votes(*rates, nodes=nodes), 50)) == "") is counts
