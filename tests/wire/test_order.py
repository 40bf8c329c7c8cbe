"""Rules O1-O5 of facts/xds-protocol.md: make before break on ADS."""

from __future__ import annotations

import pytest

from tideover_wire.events import Acked
from tideover_wire.stream import Variant
from wire.fakes import CDS, EDS, LDS, RDS, FakeView, Said, Talk

BOTH = pytest.mark.parametrize("variant", list(Variant))


def everything(content: str, *names: str) -> dict[str, dict[str, str]]:
    return {short: {name: f"{name}={content}" for name in names} for short in ("cds", "eds", "lds", "rds")}


def talk_of_all(variant: Variant, view: FakeView, *names: str) -> Talk:
    """Wants all clusters and listeners, and these endpoints and routes; asks in a bad order."""
    talk = Talk(variant, view)
    ask = talk.delta if variant is Variant.DELTA else talk.sotw
    ask(RDS, *names)
    ask(LDS)
    ask(EDS, *names)
    ask(CDS)
    return talk


def steps(heard: list[Said]) -> list[tuple[str, list[str], list[str]]]:
    return [(said.type_url.split(".")[-1], said.names, said.removed) for said in heard]


@BOTH
def test_o1_clusters_endpoints_listeners_routes_whatever_was_asked_first(variant: Variant) -> None:
    talk = talk_of_all(variant, FakeView(**everything("1", "a")), "a")
    assert [said.type_url for said in talk.hear()] == [CDS, EDS, LDS, RDS]


def test_o1_delta_removes_after_all_additions_in_reverse() -> None:
    view = FakeView(**everything("1", "old"))
    talk = talk_of_all(Variant.DELTA, view, "old", "new")
    talk.hear()
    for type_url in (RDS, CDS, LDS, EDS):
        talk.change(type_url, "old", None)
        talk.change(type_url, "new", "new=1")
    assert steps(talk.hear()) == [
        ("Cluster", ["new"], []),
        ("ClusterLoadAssignment", ["new"], []),
        ("Listener", ["new"], []),
        ("RouteConfiguration", ["new"], []),
        ("RouteConfiguration", [], ["old"]),
        ("Listener", [], ["old"]),
        ("ClusterLoadAssignment", [], ["old"]),
        ("Cluster", [], ["old"]),
    ]


def test_o1_sotw_keeps_what_is_about_to_go_until_its_users_are_gone() -> None:
    view = FakeView(**everything("1", "old"))
    talk = talk_of_all(Variant.SOTW, view, "old", "new")
    talk.hear()
    for type_url in (RDS, CDS, LDS, EDS):
        talk.change(type_url, "old", None)
        talk.change(type_url, "new", "new=1")
    assert steps(talk.hear()) == [
        ("Cluster", ["new", "old"], []),
        ("ClusterLoadAssignment", ["new"], []),
        ("Listener", ["new", "old"], []),
        ("RouteConfiguration", ["new"], []),
        ("Listener", ["new"], []),
        ("Cluster", ["new"], []),
    ]


@BOTH
def test_o1_a_removal_waits_for_additions_that_come_while_it_waits(variant: Variant) -> None:
    view = FakeView(**everything("1", "old"))
    talk = talk_of_all(variant, view, "old")
    talk.hear()
    talk.change(CDS, "old", None)
    talk.change(RDS, "old", "old=2")
    raw = talk.stream.next_response(view)
    assert raw is not None
    assert RDS.encode() in raw
    talk.change(LDS, "new", "new=1")  # while that write is outstanding
    assert [said.type_url for said in talk.hear()] == [LDS, CDS]


@BOTH
def test_o2_a_changed_cluster_gets_its_endpoints_sent_again_unasked(variant: Variant) -> None:
    view = FakeView(cds={"a": "a=1", "b": "b=1"}, eds={"a": "a=1", "b": "b=1"})
    talk = talk_of_all(variant, view, "a", "b")
    talk.hear()
    talk.change(CDS, "a", "a=2")
    heard = talk.hear()
    assert [said.type_url for said in heard] == [CDS, EDS]
    assert heard[1].names == ["a"]


def test_o2_sotw_endpoints_follow_the_cluster_though_only_an_ack_comes() -> None:
    view = FakeView(cds={"a": "a=1"}, eds={"a": "a=1"})
    talk = talk_of_all(Variant.SOTW, view, "a")
    talk.hear()
    talk.sotw(EDS, "a")  # the ACK
    talk.change(CDS, "a", "a=2")
    raw = talk.stream.next_response(view)
    assert raw is not None
    assert CDS.encode() in raw
    assert talk.sotw(EDS, "a") == ()  # Envoy asks in the words of an ACK
    assert steps(talk.hear()) == [("ClusterLoadAssignment", ["a"], [])]


@BOTH
def test_o2_a_cluster_that_went_and_came_back_gets_its_endpoints(variant: Variant) -> None:
    view = FakeView(cds={"a": "a=1"}, eds={"a": "a=1"})
    talk = talk_of_all(variant, view, "a")
    talk.hear()
    talk.change(CDS, "a", None)
    talk.hear()
    talk.change(CDS, "a", "a=1")
    assert [said.type_url for said in talk.hear()] == [CDS, EDS]


@BOTH
def test_o2_endpoints_that_are_not_asked_for_are_not_sent(variant: Variant) -> None:
    view = FakeView(cds={"a": "a=1"}, eds={"a": "a=1", "b": "b=1"})
    talk = talk_of_all(variant, view, "b")
    talk.hear()
    talk.change(CDS, "a", "a=2")
    assert [said.type_url for said in talk.hear()] == [CDS]


@BOTH
def test_o3_nothing_waits_for_an_acknowledgement(variant: Variant) -> None:
    view = FakeView(**everything("1", "a"))
    talk = talk_of_all(variant, view, "a")
    assert len(talk.hear()) == 4
    for number in range(2, 60):  # no ACK of any of them
        talk.change(CDS, "a", f"a={number}")
        talk.change(EDS, "a", f"a={number}")
        assert [said.type_url for said in talk.hear()] == [CDS, EDS]
    assert all(len(substream._outstanding) <= 32 for substream in talk.stream._substreams.values())


def test_o3_a_late_ack_of_an_older_delta_response_still_counts() -> None:
    talk = Talk(Variant.DELTA, FakeView(cds={"a": "a=1"}))
    talk.delta(CDS)
    (first,) = talk.hear()
    talk.change(CDS, "a", "a=2")
    talk.hear()
    assert talk.delta(CDS, nonce=first.nonce) == (Acked(CDS, first.nonce),)
    assert talk.delta(CDS, nonce=first.nonce) == ()


@BOTH
def test_nothing_is_pending_after_a_plain_ack(variant: Variant) -> None:
    talk = Talk(variant, FakeView(eds={"a": "a=1"}))
    assert not talk.stream.pending
    ask = talk.delta if variant is Variant.DELTA else talk.sotw
    ask(EDS, "a")
    assert talk.stream.pending
    (said,) = talk.hear()
    assert not talk.stream.pending
    ask(EDS, *(() if variant is Variant.DELTA else ("a",)), nonce=said.nonce)
    assert not talk.stream.pending
    talk.touch(eds={"a"})
    assert talk.stream.pending


@BOTH
def test_o4_a_response_is_made_for_the_subscription_as_it_is_when_sent(variant: Variant) -> None:
    talk = Talk(variant, FakeView(eds={"a": "a=1", "b": "b=1"}))
    ask = talk.delta if variant is Variant.DELTA else talk.sotw
    ask(EDS, "a", "b")
    talk.hear()
    talk.change(EDS, "a", "a=2")
    talk.change(EDS, "b", "b=2")
    if variant is Variant.DELTA:
        talk.delta(EDS, unsubscribe=["a"])
    else:
        talk.sotw(EDS, "b")
    assert [said.names for said in talk.hear()] == [["b"]]


def test_o4_a_removal_of_what_is_no_longer_wanted_is_not_sent() -> None:
    talk = Talk(Variant.DELTA, FakeView(eds={"a": "a=1"}))
    talk.delta(EDS, "a")
    talk.hear()
    talk.change(EDS, "a", None)
    talk.delta(EDS, unsubscribe=["a"])
    assert talk.hear() == []


def test_o4_a_removal_of_what_came_back_is_not_sent() -> None:
    view = FakeView(cds={"a": "a=1"}, eds={"b": "b=1"})
    talk = talk_of_all(Variant.DELTA, view, "b")
    talk.hear()
    talk.change(CDS, "a", None)
    talk.change(EDS, "b", "b=2")
    assert talk.stream.next_response(view) is not None  # the endpoints; the removal is noted
    talk.change(CDS, "a", "a=1")
    assert talk.hear() == []


@BOTH
def test_o5_the_state_per_type_can_be_dumped(variant: Variant) -> None:
    view = FakeView(cds={}, eds={"a": "a=1"})
    talk = talk_of_all(variant, view, "a", "b")
    heard = {said.type_url: said for said in talk.hear()}
    states = {state.type_url: state for state in talk.stream.sent()}
    assert list(states) == [CDS, EDS, LDS, RDS]
    assert states[CDS].wildcard
    assert states[CDS].last_nonce == heard[CDS].nonce  # an empty response has a nonce too
    assert set(states[EDS].subscribed) == {"a", "b"}
    assert states[EDS].versions == {"a": view.resources[EDS]["a"].version}
    assert states[EDS].last_nonce == heard[EDS].nonce
    assert states[EDS].acked_nonce == ""
