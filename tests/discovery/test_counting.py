"""Clients are counted at once for a new version of a policy, and else within a part of the time."""

from __future__ import annotations

from tideover_core.policy import FailoverPolicy, Scope, Settings
from tideover_discovery.kubernetes.watch.counting import PART, Counting

NAMES = frozenset({"bookinfo/ratings:9080"})
POLICY = FailoverPolicy("bookinfo", "a")
OTHER = FailoverPolicy("bookinfo", "a", (), Settings(scope=Scope.REGION))


class Fleet:
    """Counting it takes 10 ms."""

    def __init__(self) -> None:
        self.now_s, self.acknowledged, self.counts = 0.0, 0, 0

    def __call__(self, names: frozenset[str] | None) -> tuple[int, int]:
        self.counts += 1
        self.now_s += 0.01
        return self.acknowledged, 12


def test_a_new_version_is_counted_at_once_and_one_that_is_known_when_there_is_time() -> None:
    fleet = Fleet()
    count = Counting(fleet, lambda: fleet.now_s)
    assert count(NAMES, POLICY) == (0, 12)
    fleet.acknowledged = 5
    assert count(NAMES, POLICY) == (0, 12)
    assert count(NAMES, OTHER) == (5, 12), "what was counted of the version before says nothing of this one"
    fleet.acknowledged = 12
    fleet.now_s += 0.02 / PART
    assert count(NAMES, OTHER) == (12, 12)


def test_it_takes_no_more_than_its_part_of_the_time() -> None:
    fleet = Fleet()
    count = Counting(fleet, lambda: fleet.now_s)
    while fleet.now_s < 100:
        count(NAMES, POLICY)
        fleet.now_s += 0.001
    assert fleet.counts * 0.01 <= 100 * PART * 1.1
