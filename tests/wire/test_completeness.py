"""Design law 1 on the wire: while a source is not completely known nothing is removed or shrunk.

Each scene is told while the view is incomplete, and once more when it becomes complete.
"""

from __future__ import annotations

import pytest

from tideover_wire.stream import Variant
from wire.fakes import CDS, EDS, LDS, RDS, FakeView, Said, Talk

BOTH = pytest.mark.parametrize("variant", list(Variant))
DELTA, SOTW = Variant.DELTA, Variant.SOTW


def brief(heard: list[Said]) -> list[tuple[list[str], list[str]]]:
    return [(said.names, said.removed) for said in heard]


def ask(talk: Talk, type_url: str, *names: str) -> None:
    (talk.delta if talk.variant is DELTA else talk.sotw)(type_url, *names)


def completed(talk: Talk) -> list[tuple[list[str], list[str]]]:
    talk.view.complete = True
    talk.stream.touch(None)
    return brief(talk.hear())


# --- reconnecting streams get silence for what they have


def test_delta_a_reconnect_gets_silence_then_the_difference() -> None:
    view = FakeView(complete=False, cds={"same": "same=1", "changed": "changed=2"})
    talk = Talk(DELTA, view)
    same = view.resources[CDS]["same"].version
    talk.delta(CDS, initial={"same": same, "changed": "old", "vanished": "old"})
    assert talk.hear() == []
    talk.touch(cds={"same", "changed", "vanished"})
    assert talk.hear() == []
    assert completed(talk) == [(["changed"], []), ([], ["vanished"])]


def test_delta_names_of_a_reconnect_get_silence_then_the_difference() -> None:
    talk = Talk(DELTA, FakeView(complete=False, eds={"a": "a=2"}))
    talk.delta(EDS, "a", "b", initial={"a": "old", "b": "old"})
    assert talk.hear() == []
    talk.change(EDS, "a", "a=3")
    assert talk.hear() == []
    assert completed(talk) == [(["a"], []), ([], ["b"])]


def test_delta_names_that_a_reconnected_client_never_had_are_answered_with_what_is_known() -> None:
    talk = Talk(DELTA, FakeView(complete=False, eds={"a": "a=2", "new": "new=1", "later": "later=1"}))
    talk.delta(EDS, "a", "new", "unknown", initial={"a": "old"})
    assert brief(talk.hear()) == [(["new"], [])]
    talk.delta(EDS, "later")
    assert brief(talk.hear()) == [(["later"], [])]
    assert completed(talk) == [(["a"], ["unknown"])]


def test_delta_a_reconnected_wildcard_gets_names_it_never_had() -> None:
    talk = Talk(DELTA, FakeView(complete=False, cds={"a": "a=2", "new": "new=1"}))
    talk.delta(CDS, initial={"a": "old"})
    assert brief(talk.hear()) == [(["new"], [])]
    talk.change(CDS, "newer", "newer=1")
    assert brief(talk.hear()) == [(["newer"], [])]
    assert completed(talk) == [(["a"], [])]


def test_sotw_a_reconnected_wildcard_gets_silence_then_the_set() -> None:
    talk = Talk(SOTW, FakeView(complete=False, cds={"a": "a=1"}))
    talk.sotw(CDS, version="of before")
    assert talk.hear() == []
    talk.change(CDS, "b", "b=1")
    assert talk.hear() == []
    assert completed(talk) == [(["a", "b"], [])]


def test_sotw_a_reconnected_wildcard_that_is_current_gets_silence_throughout() -> None:
    view = FakeView(cds={"a": "a=1"})
    before = Talk(SOTW, view)
    before.sotw(CDS)
    (said,) = before.hear()
    view.complete = False
    view.resources[CDS].clear()  # the restarted replica has not loaded it
    talk = Talk(SOTW, view)
    talk.sotw(CDS, version=said.version)
    assert talk.hear() == []
    view.put(CDS, "a", "a=1")
    assert completed(talk) == []


@pytest.mark.parametrize("type_url", [EDS, RDS])
def test_sotw_names_of_a_reconnect_get_silence_then_what_is_known(type_url: str) -> None:
    talk = Talk(SOTW, FakeView(complete=False, eds={"a": "a=1"}, rds={"a": "a=1"}))
    talk.sotw(type_url, "a", "b", version="of before")
    assert talk.hear() == []
    talk.touch(eds={"a"}, rds={"a"})
    assert talk.hear() == []
    assert completed(talk) == [(["a"], [])]


@pytest.mark.parametrize("type_url", [EDS, RDS])
def test_sotw_names_that_a_reconnected_client_adds_are_answered_with_what_is_known(type_url: str) -> None:
    contents = {"a": "a=1", "new": "new=1"}
    talk = Talk(SOTW, FakeView(complete=False, eds=contents, rds=contents))
    talk.sotw(type_url, "a", version="of before")
    assert talk.hear() == []
    talk.sotw(type_url, "a", "new", "unknown", version="of before")
    assert brief(talk.hear()) == [(["new"], [])]
    assert completed(talk) == [(["a"], [])]


def test_sotw_a_new_listener_name_comes_with_the_old_ones_or_not_at_all() -> None:
    view = FakeView(complete=False, lds={"new": "new=1"})
    talk = Talk(SOTW, view)
    talk.sotw(LDS, "a", version="of before")
    talk.sotw(LDS, "a", "new", version="of before")
    assert talk.hear() == []  # a set without "a" would delete it
    talk.change(LDS, "a", "a=1")
    assert brief(talk.hear()) == [(["a", "new"], [])]


# --- nothing is removed


@BOTH
@pytest.mark.parametrize("type_url", [CDS, LDS])
def test_a_wildcard_does_not_shrink_then_does(variant: Variant, type_url: str) -> None:
    contents = {"a": "a=1", "b": "b=1"}
    talk = Talk(variant, FakeView(cds=contents, lds=contents))
    ask(talk, type_url)
    talk.hear()
    talk.view.complete = False  # a cluster was added to the configuration
    talk.change(type_url, "b", None)
    assert talk.hear() == []
    talk.change(type_url, "a", "a=2")
    expected = ["a"] if variant is DELTA else ["a", "b"]
    assert brief(talk.hear()) == [(expected, [])]
    assert completed(talk) == ([([], ["b"])] if variant is DELTA else [(["a"], [])])


@BOTH
def test_what_vanished_and_came_back_while_a_source_was_unknown_was_never_removed(variant: Variant) -> None:
    talk = Talk(variant, FakeView(cds={"a": "a=1", "b": "b=1"}))
    ask(talk, CDS)
    talk.hear()
    talk.view.complete = False
    talk.change(CDS, "b", None)
    assert talk.hear() == []
    talk.change(CDS, "b", "b=1")
    assert talk.hear() == []
    assert completed(talk) == []


def test_delta_a_removal_that_was_due_waits() -> None:
    view = FakeView(cds={"a": "a=1"}, eds={"a": "a=1"})
    talk = Talk(DELTA, view)
    talk.delta(CDS)
    talk.delta(EDS, "a")
    talk.hear()
    talk.change(CDS, "a", None)
    talk.change(EDS, "a", "a=2")
    assert talk.stream.next_response(view) is not None  # the endpoints; the removal is noted
    view.complete = False
    assert talk.hear() == []
    assert completed(talk) == [([], ["a"])]


# --- no "missing" answers


@BOTH
@pytest.mark.parametrize("type_url", [CDS, EDS, LDS, RDS])
def test_a_name_not_known_yet_is_not_missing_then_is(variant: Variant, type_url: str) -> None:
    talk = Talk(variant, FakeView(complete=False))
    ask(talk, type_url, "a")
    assert talk.hear() == []
    talk.touch(cds={"a"}, eds={"a"}, lds={"a"}, rds={"a"})
    assert talk.hear() == []
    answer: list[tuple[list[str], list[str]]] = [([], ["a"])] if variant is DELTA else [([], [])]
    assert completed(talk) == ([] if variant is SOTW and type_url in (EDS, RDS) else answer)


@BOTH
@pytest.mark.parametrize("type_url", [CDS, EDS, LDS, RDS])
def test_a_name_that_becomes_known_is_sent_at_once(variant: Variant, type_url: str) -> None:
    talk = Talk(variant, FakeView(complete=False))
    ask(talk, type_url, "a")
    assert talk.hear() == []
    talk.change(type_url, "a", "a=1")
    assert brief(talk.hear()) == [(["a"], [])]
    assert completed(talk) == []


def test_delta_a_name_dropped_under_the_wildcard_is_not_called_removed_then_is() -> None:
    view = FakeView(complete=False, cds={"a": "a=1"})
    talk = Talk(DELTA, view)
    talk.delta(CDS, "*", "a", "b")
    talk.hear()
    talk.delta(CDS, unsubscribe=["b"])
    assert talk.hear() == []
    assert completed(talk) == [([], ["b"])]


# --- new streams get what is known, and with nothing known silence


@BOTH
@pytest.mark.parametrize("type_url", [CDS, LDS])
def test_an_empty_wildcard_gets_silence_then_an_empty_answer(variant: Variant, type_url: str) -> None:
    talk = Talk(variant, FakeView(complete=False))
    ask(talk, type_url)
    assert talk.hear() == []
    talk.stream.touch(None)
    assert talk.hear() == []
    assert completed(talk) == [([], [])]


@BOTH
def test_a_new_wildcard_gets_what_is_known_and_grows(variant: Variant) -> None:
    talk = Talk(variant, FakeView(complete=False, cds={"a": "a=1"}))
    ask(talk, CDS)
    assert brief(talk.hear()) == [(["a"], [])]
    talk.change(CDS, "b", "b=1")
    assert brief(talk.hear()) == [(["b"] if variant is DELTA else ["a", "b"], [])]
    assert completed(talk) == []


@BOTH
def test_what_a_new_stream_was_sent_is_updated_meanwhile(variant: Variant) -> None:
    talk = Talk(variant, FakeView(complete=False, eds={"a": "a=1"}))
    ask(talk, EDS, "a")
    talk.hear()
    talk.change(EDS, "a", "a=2")
    assert [said.resources for said in talk.hear()] == [{"a": "a=2"}]


@BOTH
def test_completeness_is_noticed_by_itself_at_the_next_look(variant: Variant) -> None:
    talk = Talk(variant, FakeView(complete=False))
    ask(talk, CDS)
    assert talk.hear() == []
    talk.view.complete = True  # and nobody touched the stream
    assert brief(talk.hear()) == [([], [])]


def reconnect(variant: Variant, view: FakeView, known: FakeView) -> Talk:
    """A client that comes back with the clusters of `known`."""
    talk = Talk(variant, view)
    versions = {name: one.version for name, one in known.resources[CDS].items()}
    if variant is Variant.DELTA:
        talk.delta(CDS, "*", initial=versions)
    else:
        first = Talk(variant, known)
        first.sotw(CDS)
        (said,) = first.hear()
        talk.sotw(CDS, nonce="", version=said.version)
    return talk


@BOTH
def test_what_cannot_be_built_is_not_gone(variant: Variant) -> None:
    known = FakeView(cds={"a": "a=1", "broken": "broken=1"})
    view = FakeView(cds={"a": "a=2", "broken": "broken=1"})
    view.unbuilt.add("broken")
    talk = reconnect(variant, view, known)
    for said in talk.hear():  # SotW has no way to say the one without removing the other
        assert (said.resources, said.removed) == ({"a": "a=2"}, [])
        assert variant is Variant.DELTA
    view.unbuilt.clear()
    talk.change(CDS, "broken", "broken=2")
    (said,) = talk.hear()
    assert said.resources["broken"] == "broken=2"
    assert said.removed == []
    talk.change(CDS, "broken", None)
    (said,) = talk.hear()
    assert said.removed == ["broken"] if variant is Variant.DELTA else said.resources == {"a": "a=2"}
