"""Rules D1-D9 of facts/xds-protocol.md: the incremental dialect."""

from __future__ import annotations

import pytest

from tideover_wire.events import Acked, Refused, Wants
from tideover_wire.stream import Variant
from tideover_wire.subscription import MAX_NAMES
from wire.fakes import CDS, EDS, LDS, RDS, FakeView, Said, Talk


def delta(view: FakeView) -> Talk:
    return Talk(Variant.DELTA, view)


def brief(heard: list[Said]) -> list[tuple[list[str], list[str]]]:
    return [(said.names, said.removed) for said in heard]


def versions(view: FakeView, type_url: str) -> dict[str, str]:
    return {name: resource.version for name, resource in view.resources[type_url].items()}


def test_d1_subscriptions_count_whatever_the_nonce_is() -> None:
    talk = delta(FakeView(eds={"a": "a=1", "b": "b=1"}))
    talk.delta(EDS, "a")
    (first,) = talk.hear()
    talk.change(EDS, "a", "a=2")
    talk.hear()
    assert talk.delta(EDS, "b", nonce=first.nonce) == (Wants(EDS, ("b",)), Acked(EDS, first.nonce))
    assert brief(talk.hear()) == [(["b"], [])]
    talk.delta(EDS, unsubscribe=["a"], nonce="never sent")
    talk.change(EDS, "a", "a=3")
    assert talk.hear() == []


def test_d1_a_spontaneous_request_has_no_nonce() -> None:
    talk = delta(FakeView(eds={"a": "a=1", "b": "b=1"}))
    talk.delta(EDS, "a")
    talk.hear()
    assert talk.delta(EDS, "b") == (Wants(EDS, ("b",)),)
    assert brief(talk.hear()) == [(["b"], [])]


def test_d2_subscribed_names_are_sent_even_if_believed_current() -> None:
    talk = delta(FakeView(eds={"a": "a=1"}))
    talk.delta(EDS, "a")
    talk.hear()
    talk.delta(EDS, "a")
    assert brief(talk.hear()) == [(["a"], [])]


def test_d2_except_on_the_first_request_those_whose_initial_version_is_equal() -> None:
    view = FakeView(eds={"a": "a=1", "b": "b=1", "c": "c=1"})
    talk = delta(view)
    talk.delta(EDS, "a", "b", "c", initial={"a": versions(view, EDS)["a"], "b": "old"})
    assert brief(talk.hear()) == [(["b", "c"], [])]
    talk.delta(EDS, "a")
    assert brief(talk.hear()) == [(["a"], [])]


@pytest.mark.parametrize("type_url", [CDS, EDS, LDS, RDS])
def test_d3_a_missing_name_is_answered_as_removed_and_stays_subscribed(type_url: str) -> None:
    talk = delta(FakeView())
    talk.delta(type_url, "a")
    assert brief(talk.hear()) == [([], ["a"])]
    assert talk.stream.sent()[0].subscribed == ("a",)
    talk.touch(cds={"a"}, eds={"a"}, lds={"a"}, rds={"a"})
    assert talk.hear() == []  # said once
    talk.delta(type_url, "a")
    assert brief(talk.hear()) == [([], ["a"])]  # and again when asked again
    talk.change(type_url, "a", "a=1")
    assert brief(talk.hear()) == [(["a"], [])]


def test_d3_found_and_missing_names_share_an_answer() -> None:
    talk = delta(FakeView(eds={"a": "a=1"}))
    talk.delta(EDS, "a", "b")
    assert brief(talk.hear()) == [(["a"], ["b"])]


def test_d4_a_first_request_without_names_is_the_wildcard_and_a_name_keeps_it() -> None:
    talk = delta(FakeView(cds={"a": "a=1", "b": "b=1"}))
    assert Wants(CDS, ("*",)) in talk.delta(CDS)
    assert brief(talk.hear()) == [(["a", "b"], [])]
    talk.delta(CDS, "a")
    assert brief(talk.hear()) == [(["a"], [])]
    talk.change(CDS, "c", "c=1")
    assert brief(talk.hear()) == [(["c"], [])]


def test_d4_a_later_request_without_names_is_no_wildcard() -> None:
    talk = delta(FakeView(cds={"a": "a=1", "b": "b=1"}))
    talk.delta(CDS, "a")
    talk.hear()
    talk.delta(CDS, unsubscribe=["a"])
    talk.delta(CDS)
    assert talk.hear() == []
    assert not talk.stream.sent()[0].wildcard


def test_d4_unsubscribing_the_wildcard_keeps_names() -> None:
    talk = delta(FakeView(cds={"a": "a=1", "b": "b=1"}))
    talk.delta(CDS, "*", "a")
    talk.hear()
    assert talk.delta(CDS, unsubscribe=["*"]) == (Wants(CDS, (), ("*",)),)
    talk.change(CDS, "b", "b=2")
    talk.change(CDS, "c", "c=1")
    assert talk.hear() == []
    talk.change(CDS, "a", "a=2")
    assert brief(talk.hear()) == [(["a"], [])]
    assert list(talk.stream.sent()[0].versions) == ["a"]


def test_d5_a_name_dropped_under_the_wildcard_is_answered() -> None:
    view = FakeView(cds={"a": "a=1", "b": "b=1"})
    talk = delta(view)
    talk.delta(CDS, "*", "a", "b", "hidden")
    view.put(CDS, "hidden", "hidden=1")
    talk.hear()
    talk.delta(CDS, unsubscribe=["a"])
    assert brief(talk.hear()) == [(["a"], [])]
    talk.delta(CDS, unsubscribe=["b"])
    talk.change(CDS, "b", None)
    assert brief(talk.hear()) == [([], ["b"])]


def test_d5_a_name_that_the_wildcard_does_not_cover_is_answered_as_removed() -> None:
    view = FakeView(cds={"a": "a=1"})
    view.covered = lambda name: name != "lazy"
    view.put(CDS, "lazy", "lazy=1")
    talk = delta(view)
    talk.delta(CDS, "*", "lazy")
    assert brief(talk.hear()) == [(["a", "lazy"], [])]
    talk.delta(CDS, unsubscribe=["lazy"])
    assert brief(talk.hear()) == [([], ["lazy"])]


def test_d6_dropping_what_was_never_asked_for_is_ignored() -> None:
    talk = delta(FakeView(cds={"a": "a=1"}))
    talk.delta(CDS)
    talk.hear()
    assert talk.delta(CDS, unsubscribe=["never", "a"]) == ()
    assert talk.hear() == []
    assert talk.delta(EDS, unsubscribe=["never", "*"]) == ()
    assert talk.hear() == []


@pytest.mark.parametrize("asked", [(), ("*",)])
def test_d7_a_reconnect_gets_the_difference_and_no_more(asked: tuple[str, ...]) -> None:
    view = FakeView(cds={"same": "same=1", "new": "new=1", "changed": "changed=2"})
    initial = {"same": versions(view, CDS)["same"], "changed": "old", "vanished": "old"}
    talk = delta(view)
    talk.delta(CDS, *asked, initial=initial)
    assert brief(talk.hear()) == [(["changed", "new"], []), ([], ["vanished"])]


def test_d7_a_reconnect_with_equal_versions_gets_silence_from_any_replica() -> None:
    view = FakeView(cds={"a": "a=1"}, eds={"a": "a=1"})
    talk = delta(view)
    talk.delta(CDS, initial=versions(view, CDS))
    talk.delta(EDS, "a", initial=versions(view, EDS))
    assert talk.hear() == []
    talk.change(EDS, "a", "a=2")
    assert brief(talk.hear()) == [(["a"], [])]


def test_d7_names_that_vanished_are_removed_though_subscribed() -> None:
    talk = delta(FakeView(eds={"a": "a=1"}))
    talk.delta(EDS, "a", "b", initial={"b": "old", "never asked for": "old"})
    assert brief(talk.hear()) == [(["a"], []), ([], ["b"])]


def test_d7_after_a_reconnect_the_strings_of_the_request_are_not_kept() -> None:
    view = FakeView(eds={"a" * 40: "x"})
    (resource,) = view.resources[EDS].values()
    talk = delta(view)
    talk.delta(EDS, resource.name, initial={resource.name: resource.version})
    assert talk.hear() == []
    (substream,) = talk.stream._substreams.values()
    ((name, version),) = substream.sent.items()
    assert name is resource.name
    assert version is resource.version
    assert next(iter(substream.subscription.names)) is resource.name


def test_d8_a_partial_push_removes_nothing() -> None:
    talk = delta(FakeView(eds={"a": "a=1", "b": "b=1"}))
    talk.delta(EDS, "a", "b")
    talk.hear()
    talk.view.resources[EDS].pop("b")  # no touch: it is not known to have changed
    talk.change(EDS, "a", "a=2")
    assert brief(talk.hear()) == [(["a"], [])]


def test_d9_an_empty_wildcard_gets_one_empty_response() -> None:
    talk = delta(FakeView())
    talk.delta(CDS)
    (said,) = talk.hear()
    assert (said.type_url, said.resources, said.removed) == (CDS, {}, [])
    talk.delta(CDS, nonce=said.nonce)
    talk.stream.touch(None)
    assert talk.hear() == []


def test_d9_the_empty_response_needs_no_more_than_being_asked() -> None:
    view = FakeView(cds={"a": "a=1"})
    talk = delta(view)
    talk.delta(CDS, initial=versions(view, CDS))
    assert talk.hear() == []  # it has all that there is: silence


def test_names_taken_and_dropped_without_reading_stay_bounded() -> None:
    talk = delta(FakeView(cds={"a": "a=1"}))
    talk.delta(CDS, "*")
    talk.hear()
    (substream,) = talk.stream._substreams.values()
    for number in range(200):
        talk.delta(CDS, f"n{number}", unsubscribe=[f"n{number}"])
        talk.delta(CDS, unsubscribe=[f"n{number}"])
        assert len(substream._touched) <= 9
        assert sum(map(len, substream._touched)) <= 20
    (said,) = talk.hear()
    assert len(said.removed) == 200


def test_answers_that_nobody_reads_have_a_limit() -> None:
    talk = delta(FakeView(cds={"a": "a=1"}))
    talk.delta(CDS, "*")
    refused: list[Refused] = []
    for start in range(0, 3 * MAX_NAMES, 10_000):
        names = [f"n{number}" for number in range(start, start + 10_000)]
        events = (*talk.delta(CDS, *names), *talk.delta(CDS, unsubscribe=names))
        refused += [event for event in events if isinstance(event, Refused)]
    assert [one.code for one in refused] == ["RESOURCE_EXHAUSTED"]
