"""Rules C1-C11 of facts/xds-protocol.md: what holds for delta and for state of the world."""

from __future__ import annotations

import pytest
from envoy.config.core.v3.base_pb2 import Node
from envoy.service.discovery.v3 import discovery_pb2 as pb

from tideover_wire.events import Nacked, Opened, Refused, Wants
from tideover_wire.stream import Variant
from wire.fakes import CDS, EDS, LDS, RDS, SDS, FakeView, Talk

BOTH = pytest.mark.parametrize("variant", list(Variant))


def ask(talk: Talk, type_url: str, *names: str) -> tuple[object, ...]:
    return talk.delta(type_url, *names) if talk.variant is Variant.DELTA else talk.sotw(type_url, *names)


def refuse(talk: Talk, type_url: str, message: str, *names: str) -> tuple[object, ...]:
    """NACK the newest response; SotW repeats its names and the version it still has ("")."""
    nonce = talk.nonces[type_url]
    if talk.variant is Variant.DELTA:
        return talk.delta(type_url, nonce=nonce, error=message)
    return talk.sotw(type_url, *names, version="", error=message)


@BOTH
def test_c1_only_the_first_request_carries_the_node(variant: Variant) -> None:
    talk = Talk(variant, FakeView(cds={"a": "a=1"}))
    opened, wants = ask(talk, CDS)
    assert isinstance(opened, Opened)
    assert opened.client.id == "envoy-1"
    assert wants == Wants(CDS, ("*",))
    assert not any(isinstance(event, Opened) for event in ask(talk, EDS, "a"))


@BOTH
def test_c1_a_node_in_every_request_opens_the_stream_once(variant: Variant) -> None:
    talk = Talk(variant, FakeView())
    ask(talk, CDS)
    talk.node = Node(id="somebody else")  # gRPC-Go sends it each time
    assert not any(isinstance(event, Opened) for event in ask(talk, EDS, "a"))


@BOTH
def test_c1_the_node_is_not_kept(variant: Variant) -> None:
    node = Node(id="envoy-1")
    for number in range(516):
        node.extensions.add(name=f"envoy.extension.{number}", category="x" * 60)
    talk = Talk(variant, FakeView(), node=node)
    opened, _ = ask(talk, CDS)
    assert isinstance(opened, Opened)
    assert "extension" not in repr(opened.client)


@BOTH
def test_c2_types_have_nonces_versions_and_subscriptions_of_their_own(variant: Variant) -> None:
    talk = Talk(variant, FakeView(cds={"a": "a=1"}, eds={"a": "a=e1", "b": "b=e1"}))
    ask(talk, CDS)
    ask(talk, EDS, "b")
    clusters, endpoints = talk.hear()
    assert (clusters.type_url, clusters.names) == (CDS, ["a"])
    assert (endpoints.type_url, endpoints.names) == (EDS, ["b"])
    assert clusters.nonce != endpoints.nonce
    refuse(talk, EDS, "no", "b")
    states = {state.type_url: state for state in talk.stream.sent()}
    assert states[EDS].nack == "no"
    assert states[CDS].nack == ""


@BOTH
def test_c2_ads_without_a_type_url_is_an_invalid_argument(variant: Variant) -> None:
    *_, refused = ask(Talk(variant, FakeView()), "")
    assert isinstance(refused, Refused)
    assert refused.code == "INVALID_ARGUMENT"
    assert "type_url" in refused.message


@BOTH
def test_c2_a_single_type_service_knows_its_type_and_refuses_others(variant: Variant) -> None:
    talk = Talk(variant, FakeView(eds={"a": "a=e1"}), type_url=EDS)
    ask(talk, "", "a")
    assert [said.type_url for said in talk.hear()] == [EDS]
    (refused,) = ask(talk, CDS)
    assert isinstance(refused, Refused)
    assert refused.code == "INVALID_ARGUMENT"
    assert EDS in refused.message


@BOTH
def test_c3_nonces_are_unique_on_a_stream(variant: Variant) -> None:
    talk = Talk(variant, FakeView(cds={"a": "a=0"}, eds={"a": "a=0"}))
    ask(talk, CDS)
    ask(talk, EDS, "a")
    nonces = [said.nonce for said in talk.hear()]
    for content in ("a=1", "a=2", "a=3"):
        talk.change(CDS, "a", content)
        talk.change(EDS, "a", content)
        nonces += [said.nonce for said in talk.hear()]
    assert len(nonces) == 8
    assert len(set(nonces)) == 8
    assert "" not in nonces


@BOTH
def test_c3_a_nonce_of_another_stream_means_nothing(variant: Variant) -> None:
    talk = Talk(variant, FakeView(eds={"a": "a=1"}))
    if variant is Variant.DELTA:
        events = talk.delta(EDS, "a", nonce="7", error="of the last stream")
    else:
        events = talk.sotw(EDS, "a", nonce="7", error="of the last stream")
    assert not any(isinstance(event, Nacked) for event in events)
    assert [said.names for said in talk.hear()] == [["a"]]


@BOTH
def test_c4_a_name_asked_for_twice_is_answered_once(variant: Variant) -> None:
    talk = Talk(variant, FakeView(eds={"a": "a=1"}))
    ask(talk, EDS, "a", "a")
    (said,) = talk.hear()  # decoding asserts that no name is in it twice
    assert said.names == ["a"]


@BOTH
def test_c5_a_refused_response_is_not_sent_again_until_its_content_changes(variant: Variant) -> None:
    talk = Talk(variant, FakeView(eds={"a": "a=bad"}))
    ask(talk, EDS, "a")
    talk.hear()
    for _ in range(3):
        refuse(talk, EDS, "bad", "a")
        assert talk.hear() == []
        talk.touch(eds={"a"})
        assert talk.hear() == []
    talk.change(EDS, "a", "a=good")
    assert [said.resources for said in talk.hear()] == [{"a": "a=good"}]


@BOTH
def test_c6_error_detail_is_a_nack_that_names_the_resources(variant: Variant) -> None:
    talk = Talk(variant, FakeView(eds={"a": "a=1", "b": "b=1"}))
    ask(talk, EDS, "a", "b")
    (said,) = talk.hear()
    (event,) = refuse(talk, EDS, "duplicate address", "a", "b")
    assert event == Nacked(EDS, said.nonce, "duplicate address", ("a", "b"))
    (state,) = talk.stream.sent()
    assert (state.nack, state.acked_nonce) == ("duplicate address", "")


@BOTH
def test_c6_a_later_acceptance_clears_the_nack(variant: Variant) -> None:
    talk = Talk(variant, FakeView(eds={"a": "a=1"}))
    ask(talk, EDS, "a")
    talk.hear()
    refuse(talk, EDS, "bad", "a")
    talk.change(EDS, "a", "a=2")
    (said,) = talk.hear()
    names = () if variant is Variant.DELTA else ("a",)
    (talk.delta if variant is Variant.DELTA else talk.sotw)(EDS, *names, nonce=said.nonce)
    (state,) = talk.stream.sent()
    assert (state.nack, state.acked_nonce) == ("", said.nonce)


@BOTH
@pytest.mark.parametrize("type_url", [CDS, EDS, LDS, RDS])
def test_c7_a_name_that_does_not_exist_yet_is_pushed_when_it_does(variant: Variant, type_url: str) -> None:
    talk = Talk(variant, FakeView())
    ask(talk, type_url, "later")
    assert all(said.resources == {} for said in talk.hear())
    talk.change(type_url, "later", "later=1")
    assert [said.resources for said in talk.hear()] == [{"later": "later=1"}]


@BOTH
def test_c7_a_name_that_went_and_comes_back_the_same_is_sent(variant: Variant) -> None:
    talk = Talk(variant, FakeView(eds={"a": "a=1"}))
    ask(talk, EDS, "a")
    talk.hear()
    talk.change(EDS, "a", None)
    talk.hear()
    talk.change(EDS, "a", "a=1")
    assert [said.resources for said in talk.hear()] == [{"a": "a=1"}]


@BOTH
@pytest.mark.parametrize("type_url", [CDS, EDS, LDS, RDS])
def test_c8_unsubscribed_and_subscribed_again_is_sent_though_unchanged(
    variant: Variant, type_url: str
) -> None:
    talk = Talk(variant, FakeView(cds={"a": "a=1"}, eds={"a": "a=1"}, lds={"a": "a=1"}, rds={"a": "a=1"}))
    ask(talk, type_url, "a")
    assert len(talk.hear()) == 1
    if variant is Variant.DELTA:
        talk.delta(type_url, unsubscribe=["a"])
        talk.delta(type_url, "a")
    else:
        talk.sotw(type_url)
        talk.sotw(type_url, "a")
    assert [said.resources for said in talk.hear()] == [{"a": "a=1"}]


@BOTH
def test_c9_every_response_says_which_replica_it_is_from(variant: Variant) -> None:
    talk = Talk(variant, FakeView(cds={"a": "a=1"}, eds={"a": "a=1"}))
    ask(talk, CDS)
    ask(talk, EDS, "a")
    said = talk.hear()
    talk.change(CDS, "a", None)
    said += talk.hear()
    assert [one.identifier for one in said] == ["replica-0"] * 3


@BOTH
def test_c10_a_slow_reader_gets_the_latest_state_and_nothing_in_between(variant: Variant) -> None:
    talk = Talk(variant, FakeView(eds={"a": "a=0", "b": "b=0"}))
    ask(talk, EDS, "a", "b")
    talk.hear()
    for number in range(1, 50):  # its write is outstanding: nobody asks for a response
        talk.change(EDS, "a", f"a={number}")
    assert [said.resources for said in talk.hear()] == [{"a": "a=49"}]


@BOTH
def test_c10_a_slow_reader_costs_a_set_of_names(variant: Variant) -> None:
    talk = Talk(variant, FakeView(eds={"a": "a=0"}))
    ask(talk, EDS, "a")
    talk.hear()
    (substream,) = talk.stream._substreams.values()
    talk.touch(eds={"a"})
    for number in range(1000):
        talk.touch(eds={f"other-{number}"})
        assert len(substream._touched) <= 9
    talk.view.put(EDS, "a", "a=1")
    assert [said.names for said in talk.hear()] == [["a"]]


@BOTH
def test_c10_only_what_changed_is_pushed(variant: Variant) -> None:
    talk = Talk(variant, FakeView(eds={"a": "a=0", "b": "b=0", "c": "c=0"}))
    ask(talk, EDS, "a", "b")
    talk.hear()
    talk.change(EDS, "c", "c=1")  # not asked for
    talk.touch(eds={"a"})  # touched, and the same
    assert talk.hear() == []
    talk.change(EDS, "b", "b=1")
    assert [said.names for said in talk.hear()] == [["b"]]


@BOTH
def test_c10_a_change_of_no_subscribed_name_asks_the_view_nothing(variant: Variant) -> None:
    talk = Talk(variant, FakeView(eds={f"n{i}": f"n{i}=x" for i in range(500)}))
    ask(talk, EDS, *(f"n{i}" for i in range(500)))
    talk.hear()
    talk.view.gets = 0
    talk.touch(eds={"other"}, rds={"other"})
    assert talk.hear() == []
    assert talk.view.gets == 0


@BOTH
@pytest.mark.parametrize("type_url", [EDS, RDS, SDS])
def test_c11_no_names_are_never_a_wildcard_for_named_types(variant: Variant, type_url: str) -> None:
    talk = Talk(variant, FakeView(eds={"a": "a=1"}, rds={"a": "a=1"}))
    events = ask(talk, type_url)
    assert not any(isinstance(event, Wants) for event in events)
    assert talk.hear() == []
    talk.stream.touch(None)
    assert talk.hear() == []
    assert not talk.stream.sent()[0].wildcard


@BOTH
def test_a_name_longer_than_any_and_too_many_names_are_refused(variant: Variant) -> None:
    (*_, refused) = ask(Talk(variant, FakeView()), EDS, "x" * 2000)
    assert isinstance(refused, Refused)
    assert refused.code == "RESOURCE_EXHAUSTED"
    (*_, refused) = ask(Talk(variant, FakeView()), EDS, *(f"{i}" for i in range(100_001)))
    assert isinstance(refused, Refused)
    assert "100000" in refused.message


@BOTH
def test_large_responses_are_cut_below_what_grpc_clients_take(variant: Variant) -> None:
    big = {f"n{i}": f"n{i}=" + "x" * 700_000 for i in range(10)}
    talk = Talk(variant, FakeView(eds=big))
    ask(talk, EDS, *big)
    sizes = []
    heard = []
    while (raw := talk.stream.next_response(talk.view)) is not None:
        sizes.append(len(raw))
        message = pb.DeltaDiscoveryResponse if variant is Variant.DELTA else pb.DiscoveryResponse
        heard += list(message.FromString(raw).resources)
    assert len(sizes) == 3
    assert max(sizes) < 4 * 1024 * 1024
    assert len(heard) == 10
