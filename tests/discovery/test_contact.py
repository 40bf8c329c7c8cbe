from __future__ import annotations

import pytest

from tideover_discovery.kubernetes.backoff import CEILING_S, LONGEST_RETRY_AFTER_S, Backoff
from tideover_discovery.kubernetes.contact import GRACE_S, STAYS_S, STEADY_S, Contact

WELL = Contact("", said=False, well_s=0.0)
UNIX = 1_000_000.0


def after(contact: Contact, *steps: tuple[float, str]) -> Contact:
    """Each step: when, and the trouble then."""
    for at_s, trouble in steps:
        contact = contact.now(trouble, at_s, at_s, UNIX + at_s)
    return contact


def test_trouble_is_said_when_it_lasts_and_from_when_it_began() -> None:
    early = after(WELL, (10.0, "cut"), (10.0 + GRACE_S - 0.1, "refused"))
    assert (early.said, early.steady) == (False, False)
    late = after(early, (10.0 + GRACE_S, "refused"))
    assert (late.said, late.trouble, late.since_unix_s) == (True, "refused", UNIX + 10.0)


def test_trouble_that_was_noticed_late_is_said_at_once() -> None:
    found = WELL.now("no answer in time", 7.0, 10.0, UNIX + 10.0)
    assert (found.said, found.since_unix_s) == (True, UNIX + 7.0)


def test_trouble_that_is_soon_over_is_never_said() -> None:
    contact = after(WELL, (10.0, "cut"), (10.1, ""), (10.1 + STEADY_S, ""))
    assert (contact.said, contact.steady) == (False, True)


def test_ten_times_a_second_is_one_outage() -> None:
    contact, said = WELL, []
    for tenth in range(100):
        contact = after(contact, (tenth / 10, "cut" if tenth % 2 else ""))
        said.append(contact.said)
    assert said == sorted(said)  # once said, it stays
    assert (contact.said, contact.since_unix_s) == (True, UNIX + 0.1)
    assert after(contact, (10.0, ""), (10.0 + STEADY_S, "")).steady


def test_what_is_said_of_an_outage_changes_seldom() -> None:
    requests = after(WELL, (10.0, "https://a: refused (GET /x)"), (12.0, "https://a: refused (GET /y)"))
    assert (requests.said, requests.trouble) == (True, "https://a: refused (GET /x)")
    assert after(requests, (12.1, "GET /x: 401")).trouble == "GET /x: 401"
    contact, said = WELL, set[tuple[str, float]]()
    for tenth in range(100):
        contact = after(contact, (10 + tenth / 10, "cut" if tenth % 2 else "refused"))
        if contact.said:
            said.add((contact.trouble, contact.told_s))
    assert 1 <= len(said) <= 1 + 10 / STAYS_S


def test_the_cause_of_an_outage_takes_the_place_of_not_listed_yet_at_once() -> None:
    began = after(Contact("from the snapshot, not listed yet", 10.0), (10.0, "not listed yet"))
    assert after(began, (10.1, "it has no context 'rome'")).trouble == "it has no context 'rome'"


def test_it_is_looked_at_again_when_time_alone_changes_something() -> None:
    assert WELL.look_s(5.0) is None
    lost = after(WELL, (10.0, "cut"))
    assert lost.look_s(10.5) == pytest.approx(GRACE_S - 0.5)
    assert after(lost, (13.0, "cut")).look_s(13.0) is None
    assert after(lost, (13.0, "")).look_s(13.2) == pytest.approx(STEADY_S - 0.2)


def test_waits_grow_to_a_ceiling_with_full_jitter_and_begin_anew_after_a_good_while() -> None:
    backoff, longest = Backoff(), []
    for _ in range(12):
        backoff = backoff.failed()
        longest.append(backoff.wait_s(1.0))
        assert backoff.wait_s(0.0) == 0.0
    assert longest[:3] == [0.1, 0.2, 0.4]
    assert longest == sorted(longest)
    assert longest[-1] == CEILING_S
    assert backoff.failed(lasted_s=60.0).wait_s(1.0) == 0.1
    assert Backoff(10**9).wait_s(1.0) == CEILING_S


def test_a_server_that_asks_for_time_gets_it_within_bounds() -> None:
    assert 5.0 <= Backoff(1).wait_s(0.0, 5.0) <= Backoff(1).wait_s(1.0, 5.0) <= 6.0
    assert Backoff(1).wait_s(0.0, 86_400.0) == LONGEST_RETRY_AFTER_S
    for none in (0.0, -5.0):  # as one that asks for nothing
        assert Backoff(3).wait_s(1.0, none) == Backoff(3).wait_s(1.0) > 0
