"""Rules S1-S5 of facts/xds-protocol.md: the state-of-the-world dialect."""

from __future__ import annotations

import pytest

from tideover_wire.events import Acked, Wants
from tideover_wire.stream import Variant
from wire.fakes import CDS, EDS, LDS, RDS, FakeView, Talk


def sotw(view: FakeView) -> Talk:
    return Talk(Variant.SOTW, view)


def test_s1_a_stale_nonce_gets_no_answer_and_changes_nothing() -> None:
    talk = sotw(FakeView(eds={"a": "a=1", "b": "b=1"}))
    talk.sotw(EDS, "a")
    (first,) = talk.hear()
    talk.change(EDS, "a", "a=2")
    (second,) = talk.hear()
    assert talk.sotw(EDS, "a", "b", nonce=first.nonce) == ()
    assert talk.hear() == []
    events = talk.sotw(EDS, "a", "b", nonce=second.nonce)
    assert events == (Wants(EDS, ("b",)), Acked(EDS, second.nonce))
    assert [said.names for said in talk.hear()] == [["b"]]


@pytest.mark.parametrize("type_url", [CDS, LDS])
def test_s2_clusters_and_listeners_are_sent_as_the_whole_set(type_url: str) -> None:
    talk = sotw(FakeView(cds={"a": "a=1", "b": "b=1"}, lds={"a": "a=1", "b": "b=1"}))
    talk.sotw(type_url)
    assert [said.names for said in talk.hear()] == [["a", "b"]]
    talk.change(type_url, "a", "a=2")
    assert [said.resources for said in talk.hear()] == [{"a": "a=2", "b": "b=1"}]
    talk.change(type_url, "a", None)
    talk.change(type_url, "b", None)
    assert [said.resources for said in talk.hear()] == [{}]  # an empty one deletes all


@pytest.mark.parametrize("type_url", [CDS, LDS])
def test_s2_a_named_set_is_whole_too(type_url: str) -> None:
    talk = sotw(FakeView(cds={"a": "a=1", "b": "b=1"}, lds={"a": "a=1", "b": "b=1"}))
    talk.sotw(type_url, "a")
    assert [said.names for said in talk.hear()] == [["a"]]
    talk.sotw(type_url, "a", "b")
    assert [said.names for said in talk.hear()] == [["a", "b"]]
    talk.sotw(type_url, "b")  # fewer names need no answer
    assert talk.hear() == []
    talk.change(type_url, "b", "b=2")
    assert [said.names for said in talk.hear()] == [["b"]]


def test_s2_a_named_listener_that_does_not_exist_is_answered_without_it() -> None:
    talk = sotw(FakeView(lds={"a": "a=1"}))
    talk.sotw(LDS, "nope")
    assert [said.resources for said in talk.hear()] == [{}]
    talk.sotw(LDS, "nope", "a")
    assert [said.names for said in talk.hear()] == [["a"]]


@pytest.mark.parametrize("type_url", [EDS, RDS])
def test_s2_other_types_are_partial_and_never_empty(type_url: str) -> None:
    talk = sotw(FakeView(eds={"a": "a=1", "b": "b=1"}, rds={"a": "a=1", "b": "b=1"}))
    talk.sotw(type_url, "a", "b", "missing")
    assert [said.names for said in talk.hear()] == [["a", "b"]]
    talk.change(type_url, "b", "b=2")
    assert [said.names for said in talk.hear()] == [["b"]]
    talk.change(type_url, "b", None)
    assert talk.hear() == []
    talk.sotw(type_url, "a", "b", "missing", "missing too")
    assert talk.hear() == []


def test_s2_an_empty_wildcard_is_answered_so_that_a_start_ends() -> None:
    talk = sotw(FakeView())
    talk.sotw(CDS)
    assert [said.resources for said in talk.hear()] == [{}]
    talk.sotw(CDS)
    assert talk.hear() == []


def test_s3_no_names_first_are_the_wildcard_and_stay_it() -> None:
    talk = sotw(FakeView(cds={"a": "a=1"}))
    assert Wants(CDS, ("*",)) in talk.sotw(CDS)
    talk.hear()
    talk.sotw(CDS)
    talk.change(CDS, "b", "b=1")
    assert [said.names for said in talk.hear()] == [["a", "b"]]


def test_s3_wildcard_and_a_name_then_the_name_then_nothing() -> None:
    talk = sotw(FakeView(cds={"a": "a=1", "b": "b=1"}))
    talk.sotw(CDS, "*", "a")
    assert [said.names for said in talk.hear()] == [["a", "b"]]
    assert Wants(CDS, (), ("*",)) in talk.sotw(CDS, "a")
    assert talk.hear() == []
    talk.change(CDS, "b", "b=2")
    assert talk.hear() == []
    talk.change(CDS, "a", "a=2")
    assert [said.names for said in talk.hear()] == [["a"]]
    assert talk.sotw(CDS)[0] == Wants(CDS, (), ("a",))
    talk.change(CDS, "a", "a=3")
    assert talk.hear() == []
    assert not talk.stream.sent()[0].wildcard


def test_s3_a_name_after_the_legacy_wildcard_drops_it() -> None:
    talk = sotw(FakeView(cds={"a": "a=1", "b": "b=1"}))
    talk.sotw(CDS)
    talk.hear()
    assert talk.sotw(CDS, "a")[0] == Wants(CDS, ("a",), ("*",))
    assert [said.names for said in talk.hear()] == [["a"]]
    talk.sotw(CDS)  # not the wildcard any more
    talk.change(CDS, "c", "c=1")
    assert talk.hear() == []


def reconnected(talk: Talk, type_url: str, *names: str, version: str) -> list[list[str]]:
    again = sotw(talk.view)
    again.sotw(type_url, *names, version=version)
    return [said.names for said in again.hear()]


def test_s4_a_reconnected_wildcard_with_the_same_version_gets_silence() -> None:
    talk = sotw(FakeView(cds={"a": "a=1", "b": "b=1"}))
    talk.sotw(CDS)
    (said,) = talk.hear()
    assert reconnected(talk, CDS, version=said.version) == []
    assert reconnected(talk, CDS, "*", version=said.version) == []
    assert reconnected(talk, CDS, version="another") == [["a", "b"]]


def test_s4_after_the_silence_a_change_is_sent_whole() -> None:
    talk = sotw(FakeView(cds={"a": "a=1", "b": "b=1"}))
    talk.sotw(CDS)
    (said,) = talk.hear()
    again = sotw(talk.view)
    again.sotw(CDS, version=said.version)
    assert again.hear() == []
    again.change(CDS, "a", "a=2")
    assert [one.resources for one in again.hear()] == [{"a": "a=2", "b": "b=1"}]


def test_s4_a_set_that_was_let_go_before_the_answer_is_sent() -> None:
    talk = sotw(FakeView(cds={"a": "a=1"}))
    talk.sotw(CDS, "*")
    (said,) = talk.hear()
    again = sotw(talk.view)
    again.sotw(CDS, "*", version=said.version)
    again.sotw(CDS, version=said.version)
    again.sotw(CDS, "*", version=said.version)
    assert [one.names for one in again.hear()] == [["a"]]


def test_s4_names_are_sent_again_after_a_reconnect() -> None:
    talk = sotw(FakeView(cds={"a": "a=1", "b": "b=1"}, eds={"a": "a=1"}))
    talk.sotw(EDS, "a")
    (said,) = talk.hear()
    assert reconnected(talk, EDS, "a", version=said.version) == [["a"]]
    talk = sotw(talk.view)
    talk.sotw(CDS, "*", "a")
    (said,) = talk.hear()
    assert reconnected(talk, CDS, "*", "a", version=said.version) == [["a", "b"]]


def test_s4_the_version_is_the_content_not_the_history() -> None:
    one, other = sotw(FakeView(cds={"a": "a=1", "b": "b=2"})), sotw(FakeView(cds={"b": "b=1", "a": "a=1"}))
    one.sotw(CDS)
    other.sotw(CDS)
    other.hear()
    other.change(CDS, "b", "b=2")
    assert one.hear()[0].version == other.hear()[0].version


def test_s5_no_names_and_no_nonce_unsubscribe_from_all() -> None:
    talk = sotw(FakeView(eds={"a": "a=1", "b": "b=1"}))
    talk.sotw(EDS, "a", "b")
    talk.hear()
    (wants,) = talk.sotw(EDS, nonce="")
    assert isinstance(wants, Wants)
    assert sorted(wants.unsubscribed) == ["a", "b"]
    talk.change(EDS, "a", "a=2")
    assert talk.hear() == []
    talk.sotw(EDS, "a", nonce="")
    assert [said.resources for said in talk.hear()] == [{"a": "a=2"}]
