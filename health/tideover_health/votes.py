"""Votes: who saw what of one destination, one vote for each voter, and what the middle of them says.

The middle, not the sum: a liar with the most traffic has one vote, and one of ten cannot move the middle at
any error rate. Bad needs more than half of the voters above the threshold, well more than half below.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tideover_core.model import Locality

_SMALL = 3  # calls; who has fewer votes together with others like him, lest one failed call be "100 %"
_GROUPS = 4  # so many groups there must be for that
BARS = 10  # of the histogram


class Vote(NamedTuple):
    """What one voter saw."""

    id: str
    node: str
    source: Locality
    calls: int
    failed: int


class Tally(NamedTuple):
    """All votes on one subject. `low` and `high` are the lower and the upper middle one's error percent."""

    voters: int = 0
    calls: int = 0
    failed: int = 0
    low: float = 0.0
    high: float = 0.0
    bad: int = 0  # voters above the threshold
    failing: int = 0  # voters who saw any call fail
    nodes: int = 0  # that voters stand on, as far as known
    bad_nodes: int = 0
    histogram: tuple[int, ...] = (0,) * BARS


NO_VOTES = Tally()


def tally(votes: Iterable[Vote], above_percent: float) -> Tally:
    """What these say together; who is above the threshold counts as a voter that it is bad."""
    counted = [vote for vote in votes if vote.calls > 0]
    if not counted:
        return NO_VOTES
    rates: list[float] = []
    histogram = [0] * BARS
    bad, nodes, bad_nodes = 0, set(), set()
    for group in _groups(counted):
        rate = 100.0 * sum(vote.failed for vote in group) / sum(vote.calls for vote in group)
        rates.append(rate)
        histogram[min(BARS - 1, int(rate / 100 * BARS))] += len(group)
        if rate > above_percent:
            bad += len(group)
            bad_nodes |= {vote.node for vote in group if vote.failed}
        nodes |= {vote.node for vote in group}
    rates.sort()
    return Tally(
        voters=len(counted),
        calls=sum(vote.calls for vote in counted),
        failed=sum(vote.failed for vote in counted),
        low=rates[(len(rates) - 1) // 2],
        high=rates[len(rates) // 2],
        bad=bad,
        failing=sum(vote.failed > 0 for vote in counted),
        nodes=len(nodes - {""}),
        bad_nodes=len(bad_nodes - {""}),
        histogram=tuple(histogram),
    )


def _groups(votes: list[Vote]) -> list[list[Vote]]:
    """Each voter alone, but those with few calls together, where that leaves enough groups."""
    small = sorted(vote for vote in votes if vote.calls < _SMALL)
    if len(small) < 2 * _GROUPS:
        return [[vote] for vote in votes]
    groups: list[list[Vote]] = [[]]
    for vote in small:
        if sum(one.calls for one in groups[-1]) >= _SMALL:
            groups.append([])
        groups[-1].append(vote)
    groups += [[vote] for vote in votes if vote.calls >= _SMALL]
    return groups if len(groups) >= _GROUPS else [[vote] for vote in votes]


class Quorum(NamedTuple):
    """How many voters and calls it takes. `callers` are all who call there."""

    min_reporters: int
    min_requests: int
    callers: int

    def lacks(self, found: Tally) -> str:
        """What is missing for these votes to count, "" for nothing."""
        wanted = max(2, min(self.min_reporters, self.callers))
        if found.voters < wanted:
            return f"{found.voters} of at least {wanted} voters"
        if found.calls < self.min_requests:
            return f"{found.calls} of at least {self.min_requests} calls"
        return ""

    def lacks_to_be_bad(self, found: Tally) -> str:
        """The same, and those who say it is bad must be on two nodes where voters are on two."""
        if missing := self.lacks(found):
            return missing
        return "all who say so are on one node" if found.nodes > 1 and found.bad_nodes < 2 else ""
