"""What backends say of themselves (ORCA): the middle of what their callers report, and only for a while."""

from __future__ import annotations

from health.fleet import DUBLIN, NAME, PARIS, PORT, SERVICE, Fleet, callers, site
from tideover_health.backends import FRESH_S, Said, fullnesses, in_words
from tideover_health.signals import Report, Row, Voter

HALF = (("cpu_utilization", 1.5, 2), ("cpu_utilization", 0.5, 2), ("named_metrics.latency_ms", 80.0, 10))


def fleet_with(*said: tuple[tuple[str, float, int], ...]) -> Fleet:
    """One voter for each, who reports that of paris."""
    fleet = Fleet(callers(1, silent=True, per_second=0))
    for number, metrics in enumerate(said):
        rows = (Row(NAME, PARIS, 4, 0, metrics=metrics), Row(NAME, DUBLIN, 4, 0))
        fleet.judge.take(Report(Voter(f"v{number}", locality=PARIS), 1.0, rows), fleet.now_s)
    return fleet


def test_means_by_the_middle_voter() -> None:
    fleet = fleet_with(HALF, (("cpu_utilization", 0.3, 1),), (("cpu_utilization", 99.0, 1),))
    found = fleet.judge.backends(fleet.now_s)
    assert found == {
        (SERVICE, PORT, site("paris")): {
            "cpu_utilization": Said(0.5, 3),
            "named_metrics.latency_ms": Said(8.0, 1),
        }
    }
    assert fullnesses(found) == {(SERVICE, PORT, site("paris")): 0.5}
    (said,) = found.values()
    assert in_words(said) == "cpu_utilization 0.5, named_metrics.latency_ms 8 (3 callers)"
    assert fleet.judge.backends(fleet.now_s + FRESH_S + 1) == {}


def test_one_voter_is_shown_and_changes_nothing_and_of_two_the_lower_counts() -> None:
    alone = fleet_with(HALF)
    assert in_words(next(iter(alone.judge.backends(alone.now_s).values()))).endswith("(1 caller)")
    assert fullnesses(alone.judge.backends(alone.now_s)) == {}
    two = fleet_with(HALF, (("cpu_utilization", 99.0, 1),))
    assert list(fullnesses(two.judge.backends(two.now_s)).values()) == [0.5]


def test_how_full_the_application_says_it_is_beats_its_processor_and_other_names_are_no_measure() -> None:
    both = (("application_utilization", 0.9, 1), ("cpu_utilization", 0.2, 1))
    fleet = fleet_with(both, both)
    assert list(fullnesses(fleet.judge.backends(fleet.now_s)).values()) == [0.9]
    named = fleet_with(*[(("named_metrics.fullness", 0.9, 1),)] * 2)
    assert fullnesses(named.judge.backends(named.now_s)) == {}


def test_a_thousand_names_are_bounded() -> None:
    fleet = fleet_with(tuple((f"named_metrics.{n}", 1.0, 1) for n in range(1000)))
    assert len(next(iter(fleet.judge.backends(fleet.now_s).values()))) == 8
