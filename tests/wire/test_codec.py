"""Joined bytes are the message that protobuf itself would have built."""

from __future__ import annotations

import pytest
from envoy.service.discovery.v3 import discovery_pb2 as pb

from tideover_wire.codec import (
    Frame,
    delta_response,
    parse_delta,
    parse_sotw,
    set_version,
    sotw_response,
    varint,
)
from wire.fakes import CDS, EDS, make_resource

SIZES = [0, 1, 127, 128, 300, 20_000, 3_000_000]


@pytest.mark.parametrize("size", SIZES)
def test_a_delta_response_is_what_protobuf_builds(size: int) -> None:
    resources = [make_resource(EDS, name, "x" * size) for name in ("a", "bücher/ratings:9080")]
    raw = delta_response(Frame.of(EDS, "réplica-0"), resources, ["gone", "später"], "ff")
    built = pb.DeltaDiscoveryResponse(type_url=EDS, nonce="ff", removed_resources=["gone", "später"])
    built.control_plane.identifier = "réplica-0"
    for resource in resources:
        built.resources.add().ParseFromString(resource.wrapped)
    assert pb.DeltaDiscoveryResponse.FromString(raw) == built
    assert len(raw) == built.ByteSize()


@pytest.mark.parametrize("size", SIZES)
def test_a_sotw_response_is_what_protobuf_builds(size: int) -> None:
    resources = [make_resource(CDS, name, "x" * size) for name in ("a", "b")]
    raw = sotw_response(Frame.of(CDS, "replica-0"), resources, "v1", "1")
    built = pb.DiscoveryResponse(type_url=CDS, nonce="1", version_info="v1")
    built.control_plane.identifier = "replica-0"
    for resource in resources:
        built.resources.add().ParseFromString(resource.any_bytes)
    assert pb.DiscoveryResponse.FromString(raw) == built
    assert len(raw) == built.ByteSize()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_independent_decoder_reads_the_same() -> None:
    from envoy_data_plane.envoy.service.discovery import v3 as second

    resource = make_resource(EDS, "a", "body")
    delta = second.DeltaDiscoveryResponse.parse(
        delta_response(Frame.of(EDS, "replica-0"), [resource], ["gone"], "7")
    )
    assert (delta.type_url, delta.nonce, delta.removed_resources) == (EDS, "7", ["gone"])
    assert delta.control_plane is not None
    assert delta.control_plane.identifier == "replica-0"
    assert [(r.name, r.version) for r in delta.resources] == [("a", resource.version)]
    sotw = second.DiscoveryResponse.parse(sotw_response(Frame.of(EDS, "replica-0"), [resource], "v1", "7"))
    assert (sotw.type_url, sotw.nonce, sotw.version_info, len(sotw.resources)) == (EDS, "7", "v1", 1)


@pytest.mark.parametrize("number", [0, 1, 127, 128, 16_383, 16_384, 2**32])
def test_varint(number: int) -> None:
    value, shift = 0, 0
    for byte in varint(number):
        value |= (byte & 0x7F) << shift
        shift += 7
    assert value == number


def test_the_version_of_a_set_is_its_content_in_any_order() -> None:
    a, b, b2 = (make_resource(CDS, name, body) for name, body in (("a", "1"), ("b", "1"), ("b", "2")))
    assert set_version([a, b]) == set_version([b, a])
    assert len({set_version(s) for s in ([], [a], [b], [a, b], [a, b2])}) == 5


@pytest.mark.parametrize("parse", [parse_delta, parse_sotw])
def test_bytes_that_are_no_request_are_a_value_error(parse: object) -> None:
    assert callable(parse)
    with pytest.raises(ValueError, match="DiscoveryRequest"):
        parse(b"\xff\xff\xff")
