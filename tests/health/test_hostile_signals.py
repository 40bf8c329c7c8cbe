"""Whoever may report tries to be heard more than others, to silence them, or to cost more than its vote."""

from __future__ import annotations

from health.fleet import (
    DUBLIN,
    NAME,
    PARIS,
    PORT,
    SERVICE,
    Caller,
    Fleet,
    callers,
    facts,
    no_fault,
    site,
    world,
)
from tideover_core.model import Locality
from tideover_core.policy import DestinationRule, Subset
from tideover_core.world import Mesh, World, merge
from tideover_health.bounds import MAX_PLACES
from tideover_health.judge import Judge
from tideover_health.ledger import MAX_REPORTERS
from tideover_health.signals import Checked, Report, Row, Voter
from tideover_health.verdict import State

HONEST = Voter("spiffe://honest", locality=PARIS)
WELL = Row(NAME, PARIS, 10, 0)


def judge(now: World | None = None) -> Judge:
    found = Judge()
    found.judge(now or world({"paris": 4, "dublin": 4}), 0.0)
    return found


def test_one_certificate_that_invents_places_leaves_room_for_everybody_else() -> None:
    found = judge()
    for number in range(MAX_REPORTERS + 1):
        liar = Voter("spiffe://liar", locality=Locality("r", f"z{number}"))
        found.take(Report(liar, 1.0, (WELL,)), 1.0)
    found.take(Report(HONEST, 1.0, (WELL,)), 1.0)
    assert found.heard().reporters == MAX_PLACES + 1
    assert (SERVICE, PORT, PARIS, site("paris")) in found.loads(1.0)


def test_places_are_free_again_once_nobody_speaks_from_them() -> None:
    found = judge()
    for number in range(2 * MAX_PLACES):
        found.take(Report(Voter("", locality=Locality("r", f"z{number}")), 1.0, (WELL,)), 10.0 * number)
    assert found.heard().dropped == {}


def test_one_that_speaks_of_hours_does_not_keep_those_after_it_from_being_forgotten() -> None:
    found = judge()
    found.take(Report(Voter("spiffe://slow"), 3600.0, (WELL,)), 1.0)
    for number in range(100):
        found.take(Report(Voter(f"spiffe://{number}"), 1.0, (WELL,)), 2.0)
    found.take(Report(HONEST, 1.0, (WELL,)), 1000.0)
    assert found.heard().reporters == 1


def test_subsets_that_nobody_has_defined_are_no_destinations() -> None:
    rule = DestinationRule(
        "bookinfo", "r", "ratings.bookinfo.svc.cluster.local", subsets=(Subset("v1", {"version": "v1"}),)
    )
    found = judge(merge([facts("paris", 4)], Mesh(destination_rules=(rule,))))
    rows = [Row(f"{NAME}#v{number}", PARIS, 10, 10) for number in range(1000)]
    found.take(Report(Voter("", locality=PARIS), 1.0, tuple(rows)), 1.0)
    assert found.heard().dropped == {"name": 999}
    assert found._names[NAME].cells == 1


def lie(fleet: Fleet, liar: Voter) -> None:
    """For 20 s: all calls to paris fail, there are many, and so do checks of all that is there."""
    for _ in range(200):
        fleet.step()
        if fleet.steps % 10 == 0:
            fleet.judge.take(Report(liar, 1.0, (Row(NAME, PARIS, 0, 100_000),)), fleet.now_s)
            for number in range(10):
                where = (f"10.0.0.{number}", PORT)
                fleet.judge.take(Checked(liar, NAME, where, False, "a lie"), fleet.now_s)


def test_a_stranger_is_no_check_that_agrees_with_itself() -> None:
    """Where nobody proves anything it has all the calls of the shared vote, and offers to check, too."""
    fleet = Fleet(callers(5, prefix=""), fault=no_fault)
    fleet.run(5)
    lie(fleet, Voter("", locality=PARIS))
    (found,) = [one for one in fleet.judge.verdicts(fleet.now_s) if one.subject.site.locality == PARIS]
    assert found.state is State.SUSPECT
    assert fleet.changes == []


def test_a_stranger_who_sees_all_checks_pass_does_not_hold_back_a_verdict() -> None:
    fleet = Fleet([Caller("spiffe://only")], fault=lambda _t, _at, cluster, _end: float(cluster == "paris"))
    for _ in range(100):
        fleet.step()
        for number in range(10):
            where = (f"10.0.0.{number}", PORT)
            fleet.judge.take(Checked(Voter("replica"), NAME, where, False, "HTTP 503"), fleet.now_s)
            fleet.judge.take(Checked(Voter("", locality=DUBLIN), NAME, where, True), fleet.now_s)
    assert fleet.changes
