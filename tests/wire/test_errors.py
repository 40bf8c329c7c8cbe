"""Rules E1-E3 of facts/xds-protocol.md, and bad input: nothing crashes, and every refusal says why."""

from __future__ import annotations

import pytest
from envoy.config.core.v3.base_pb2 import Node
from envoy.service.discovery.v3 import discovery_pb2 as pb

from tideover_wire.events import Acked, Nacked, Opened, Refused, Wants
from tideover_wire.stream import Stream, Variant
from wire.fakes import CDS, EDS, LDS, SDS, SRDS, FakeView, Talk

BOTH = pytest.mark.parametrize("variant", list(Variant))


def only_refused(events: tuple[object, ...]) -> Refused:
    (refused,) = events
    assert isinstance(refused, Refused)
    return refused


@BOTH
def test_e1_one_bad_resource_does_not_hold_up_the_good_one(variant: Variant) -> None:
    talk = Talk(variant, FakeView(cds={"bad": "bad=1", "good": "good=1"}))
    (talk.delta if variant is Variant.DELTA else talk.sotw)(CDS)
    talk.hear()
    talk.change(CDS, "good", "good=2")  # no answer yet to the first one
    (said,) = talk.hear()
    assert said.resources["good"] == "good=2"
    if variant is Variant.DELTA:
        assert talk.delta(CDS, nonce="1", error="bad: nonsense") == (
            Nacked(CDS, "1", "bad: nonsense", ("bad", "good")),
        )
    talk.change(CDS, "bad", "bad=mended")
    (said,) = talk.hear()
    assert said.resources["bad"] == "bad=mended"


@pytest.mark.parametrize("type_url", [CDS, LDS])
def test_e2_sotw_an_error_with_the_version_of_its_nonce_is_an_old_one(type_url: str) -> None:
    talk = Talk(Variant.SOTW, FakeView(cds={"a": "a=1"}, lds={"a": "a=1"}))
    talk.sotw(type_url)
    talk.hear()
    talk.change(type_url, "a", "a=2")
    (said,) = talk.hear()
    events = talk.sotw(type_url, nonce=said.nonce, version=said.version, error="of the first response")
    assert events == (Acked(type_url, said.nonce),)
    assert talk.stream.sent()[0].nack == ""


def test_e2_sotw_an_error_with_an_older_version_is_a_nack() -> None:
    talk = Talk(Variant.SOTW, FakeView(cds={"a": "a=1"}))
    talk.sotw(CDS)
    (first,) = talk.hear()
    talk.sotw(CDS)
    talk.change(CDS, "a", "a=bad")
    (said,) = talk.hear()
    events = talk.sotw(CDS, nonce=said.nonce, version=first.version, error="bad")
    assert events == (Nacked(CDS, said.nonce, "bad", ("a",)),)


@BOTH
def test_e3_an_envoy_with_endpoints_and_no_clusters_is_noticed(variant: Variant) -> None:
    talk = Talk(variant, FakeView())
    ask = talk.delta if variant is Variant.DELTA else talk.sotw
    ask(LDS)
    assert not talk.stream.lacks_clusters
    ask(EDS, "a")
    assert talk.stream.lacks_clusters
    ask(CDS)
    assert not talk.stream.lacks_clusters


@BOTH
def test_e3_does_not_hold_for_grpc_clients_and_single_type_streams(variant: Variant) -> None:
    grpc = Talk(variant, FakeView(), node=Node(id="g", user_agent_name="gRPC C-core linux"))
    single = Talk(variant, FakeView(), type_url=EDS)
    for talk in (grpc, single):
        (talk.delta if variant is Variant.DELTA else talk.sotw)(EDS, "a")
        assert not talk.stream.lacks_clusters


def test_e3_clusters_that_were_unsubscribed_are_lacking_too() -> None:
    talk = Talk(Variant.DELTA, FakeView())
    talk.delta(CDS)
    talk.delta(EDS, "a")
    talk.delta(CDS, unsubscribe=["*"])
    assert talk.stream.lacks_clusters


@BOTH
def test_an_envoy_that_refuses_everything_is_served_on(variant: Variant) -> None:
    talk = Talk(variant, FakeView(cds={"a": "a=0"}, eds={"a": "a=0"}))
    ask = talk.delta if variant is Variant.DELTA else talk.sotw
    ask(CDS)
    ask(EDS, "a")
    responses = 0
    for number in range(20):
        for said in talk.hear():
            responses += 1
            names = ("a",) if said.type_url == EDS and variant is Variant.SOTW else ()
            if variant is Variant.DELTA:
                events = talk.delta(said.type_url, nonce=said.nonce, error="no")
            else:
                events = talk.sotw(said.type_url, *names, version="", error="no")
            assert isinstance(events[0], Nacked)
            assert talk.stream.next_response(talk.view) is None or said.type_url == CDS
        talk.change(EDS, "a", f"a={number + 1}")
    assert responses <= 2 + 20


@BOTH
def test_a_client_without_a_node_is_told_what_is_missing(variant: Variant) -> None:
    talk = Talk(variant, FakeView(cds={"a": "a=1"}), node=None)
    refused = only_refused((talk.delta if variant is Variant.DELTA else talk.sotw)(CDS))
    assert refused.code == "INVALID_ARGUMENT"
    assert "node" in refused.message
    assert talk.hear() == []


@BOTH
def test_an_empty_node_is_served(variant: Variant) -> None:
    talk = Talk(variant, FakeView(cds={"a": "a=1"}), node=Node())
    opened, _ = (talk.delta if variant is Variant.DELTA else talk.sotw)(CDS)
    assert isinstance(opened, Opened)
    assert opened.client.vantage.cluster == ""
    assert [said.names for said in talk.hear()] == [["a"]]


@BOTH
def test_a_node_of_10_mb_is_refused_naming_the_limit(variant: Variant) -> None:
    talk = Talk(variant, FakeView(), node=Node(id="x" * 10_000_000))
    refused = only_refused((talk.delta if variant is Variant.DELTA else talk.sotw)(CDS))
    assert refused.code == "RESOURCE_EXHAUSTED"
    assert "4194304" in refused.message


@BOTH
@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"\x0a\x05abc", b"garbage" * 100, b"\x1a\x02\xff\xfe"])
def test_bytes_that_are_no_request_are_an_invalid_argument(variant: Variant, raw: bytes) -> None:
    stream = Stream(variant, None, "replica-0")
    assert only_refused(stream.on_request(raw)).code == "INVALID_ARGUMENT"
    assert stream.on_request(raw) == ()  # a refusal is the last word
    stream.touch(None)
    stream.touch({EDS: {"a"}})
    assert stream.next_response(FakeView()) is None
    assert stream.sent() == ()


@BOTH
def test_an_empty_request_is_an_invalid_argument(variant: Variant) -> None:
    assert only_refused(Stream(variant, None, "r").on_request(b"")).code == "INVALID_ARGUMENT"


def test_delta_names_of_a_type_we_do_not_serve_are_missing_so_that_nobody_waits() -> None:
    talk = Talk(Variant.DELTA, FakeView(complete=False))
    assert Wants(SDS, ("cert",)) in talk.delta(SDS, "cert")
    (said,) = talk.hear()
    assert (said.type_url, said.resources, said.removed) == (SDS, {}, ["cert"])


@BOTH
def test_a_wildcard_of_a_type_we_do_not_serve_gets_an_empty_answer(variant: Variant) -> None:
    talk = Talk(variant, FakeView(complete=False))
    (talk.delta if variant is Variant.DELTA else talk.sotw)(SRDS)
    (said,) = talk.hear()
    assert (said.type_url, said.resources, said.removed) == (SRDS, {}, [])


def test_what_another_release_served_is_left_alone() -> None:
    talk = Talk(Variant.DELTA, FakeView())
    talk.delta(SDS, "cert", "new", initial={"cert": "1"})
    talk.delta(SRDS, initial={"scope": "1"})
    assert [(said.type_url, said.removed) for said in talk.hear()] == [(SDS, ["new"])]
    talk.stream.touch(None)
    assert talk.hear() == []
    talk = Talk(Variant.SOTW, FakeView())
    talk.sotw(SDS, "cert", version="1")
    talk.sotw(SRDS, version="1")
    assert talk.hear() == []


@BOTH
def test_endless_types_on_one_stream_are_refused(variant: Variant) -> None:
    talk = Talk(variant, FakeView())
    ask = talk.delta if variant is Variant.DELTA else talk.sotw
    for number in range(64):
        ask(f"type.googleapis.com/nonsense.{number}", "a")
    assert only_refused(ask("type.googleapis.com/nonsense.64", "a")).code == "RESOURCE_EXHAUSTED"


@BOTH
def test_a_type_url_longer_than_any_is_refused(variant: Variant) -> None:
    talk = Talk(variant, FakeView())
    *_, refused = (talk.delta if variant is Variant.DELTA else talk.sotw)("t" * 10_000, "a")
    assert isinstance(refused, Refused)
    assert len(refused.message) < 200


def test_names_with_a_wildcard_of_a_named_type_hurt_nobody() -> None:
    request = pb.DeltaDiscoveryRequest(node=Node(id="x"), type_url=EDS, resource_names_subscribe=["*", ""])
    stream = Stream(Variant.DELTA, None, "r")
    stream.on_request(request.SerializeToString())
    assert stream.next_response(FakeView()) is not None
    assert stream.next_response(FakeView()) is None


@BOTH
def test_a_refusal_of_megabytes_is_remembered_in_part(variant: Variant) -> None:
    talk = Talk(variant, FakeView(cds={"a": "a=1"}))
    (talk.delta if variant is Variant.DELTA else talk.sotw)(CDS)
    (said,) = talk.hear()
    reason = "no " * 1_000_000
    if variant is Variant.DELTA:
        (event,) = talk.delta(CDS, nonce=said.nonce, error=reason)
    else:
        (event,) = talk.sotw(CDS, nonce=said.nonce, version="", error=reason)
    assert isinstance(event, Nacked)
    assert event.message.startswith("no no ")
    assert len(event.message) < 5000
    assert talk.stream.sent()[0].nack == event.message
