"""The server over real sockets: every service and variant, and clients that behave badly."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from envoy.service.discovery.v3.discovery_pb2 import (
    DiscoveryRequest,
)

from support.delta import CDS, EDS, DeltaClient, delta_client, node
from support.wait import holds, until
from support.xds_serving import Serving, serving_xds
from support.xds_streams import ADS, NAMES, SERVICE_OF, calling, method, next_sotw, sotw, status
from support.xds_worlds import RATINGS, changed, cluster, endpoint, service, two_clusters, world
from tideover_wire.events import Refused
from tideover_wire.stream import Stream


def unready(serving: Serving) -> None:
    serving.replace(changed(serving.world, "paris", service("ratings", [endpoint("10.0.0.1", ready=False)])))


# --- services and variants


@pytest.mark.parametrize("type_url", list(NAMES))
async def test_a_single_type_service_answers_in_both_variants(type_url: str) -> None:
    own = SERVICE_OF[type_url]
    async with serving_xds(two_clusters()) as serving:
        async with calling(serving.port, method(own, "sotw")) as call:
            response = await sotw(call, resource_names=[NAMES[type_url]])
            assert (response.type_url, len(response.resources)) == (type_url, 1)
            assert response.control_plane.identifier == "test-replica"
        async with calling(serving.port, method(own, "delta")) as call:
            client = DeltaClient(call, node("delta"))
            await client.send("", resource_names_subscribe=[NAMES[type_url]])
            answer = await client.receive()
            assert [one.name for one in answer.resources] == [NAMES[type_url]]
            assert answer.control_plane.identifier == "test-replica"


async def test_ads_serves_all_types_in_both_variants() -> None:
    async with serving_xds(two_clusters()) as serving:
        async with calling(serving.port, method(ADS, "sotw")) as call:
            for type_url, name in NAMES.items():
                response = await sotw(call, type_url=type_url, resource_names=[name])
                assert (response.type_url, len(response.resources)) == (type_url, 1)
        async with delta_client(serving.port, node("delta")) as client:
            for type_url, name in NAMES.items():
                await client.subscribe(type_url, [name])
                assert [one.name for one in (await client.receive()).resources] == [name]


@pytest.mark.parametrize("variant", ["sotw", "delta"])
async def test_a_change_is_pushed_and_nothing_else(variant: str) -> None:
    async with serving_xds(two_clusters()) as serving, calling(serving.port, method(ADS, variant)) as call:
        client = DeltaClient(call, node("delta"))
        if variant == "sotw":
            await sotw(call, type_url=EDS, resource_names=[RATINGS])
        else:
            await client.subscribe(EDS, [RATINGS])
            await client.receive()
        unready(serving)
        answer = await (next_sotw(call) if variant == "sotw" else client.receive())
        assert len(answer.resources) == 1
        serving.replace(changed(serving.world, "paris", service("other", [endpoint("10.9.9.9")])))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call.read(), 0.3)


# --- bad requests


@pytest.mark.parametrize("variant", ["sotw", "delta"])
async def test_c2_ads_without_type_url_is_an_invalid_argument(variant: str) -> None:
    async with serving_xds(two_clusters()) as serving, calling(serving.port, method(ADS, variant)) as call:
        await call.write(
            DiscoveryRequest(node=node("x")).SerializeToString() if variant == "sotw" else b"\n\0"
        )
        code, details = await status(call)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "type_url" in details or "node" in details


async def test_no_node_and_no_protobuf_are_invalid_arguments() -> None:
    async with serving_xds(two_clusters()) as serving:
        for raw, says in (
            (DiscoveryRequest(type_url=CDS).SerializeToString(), "node"),
            (b"\xff\xff", "not a"),
        ):
            async with calling(serving.port, method(ADS, "sotw")) as call:
                await call.write(raw)
                code, details = await status(call)
                assert (code, says in details) == (grpc.StatusCode.INVALID_ARGUMENT, True), details
        assert serving.heard.clients == {}


async def test_another_type_on_a_single_type_service_is_refused_and_reported() -> None:
    async with serving_xds(two_clusters()) as serving:
        async with calling(serving.port, method(SERVICE_OF[CDS], "sotw")) as call:
            await sotw(call)
            await call.write(DiscoveryRequest(type_url=EDS, resource_names=["x"]).SerializeToString())
            assert (await status(call))[0] is grpc.StatusCode.INVALID_ARGUMENT
        assert any(isinstance(event, Refused) for _, event in serving.heard.events)
        (reason,) = serving.heard.ended.values()
        assert reason.startswith("INVALID_ARGUMENT: ")


async def test_an_unknown_type_url_is_nobodys_end() -> None:
    async with serving_xds(two_clusters()) as serving, delta_client(serving.port, node("x")) as client:
        await client.subscribe("type.googleapis.com/envoy.nonsense", ["a"])
        await client.subscribe(CDS)
        answers = [await client.receive() for _ in range(2)]
        assert {one.type_url for one in answers} == {CDS, "type.googleapis.com/envoy.nonsense"}


async def test_a_node_of_10_mb_is_refused_and_the_others_go_on() -> None:
    async with serving_xds(two_clusters()) as serving, delta_client(serving.port, node("good")) as good:
        await good.subscribe(EDS, [RATINGS])
        await good.receive()
        async with calling(serving.port, method(ADS, "sotw")) as call:
            huge = DiscoveryRequest(type_url=CDS, node=node("x" * 10_000_000))
            await call.write(huge.SerializeToString())
            code, details = await status(call)
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "larger than max" in details
        unready(serving)
        assert len((await good.receive()).resources) == 1


async def test_c5_a_client_that_refuses_everything_is_told_once_per_change() -> None:
    async with serving_xds(two_clusters()) as serving, delta_client(serving.port, node("no")) as client:
        await client.subscribe(EDS, [RATINGS])
        await client.nack(await client.receive(), "I do not like it")
        await until(lambda: serving.heard.nacks() == ["I do not like it"])
        (stream,) = serving.heard.streams.values()
        await holds(lambda: stream.sent()[0].last_nonce == client.received[0].nonce, 0.3)
        unready(serving)
        await client.nack(await client.receive(), "nor this")
        await until(lambda: serving.heard.nacks() == ["I do not like it", "nor this"])


async def test_c10_a_client_that_stops_reading_gets_the_newest_when_it_reads_again() -> None:
    many = [endpoint(f"10.{n >> 8}.{n & 255}.1") for n in range(20_000)]
    async with (
        serving_xds(world(cluster("paris", service("ratings", many)))) as serving,
        delta_client(serving.port, node("slow")) as slow,
        delta_client(serving.port, node("fast")) as fast,
    ):
        await slow.subscribe(EDS, [RATINGS])
        await fast.subscribe(EDS, [RATINGS])
        await fast.receive()
        for n in range(20):  # of 600 kB each: the windows of the connection hold a few of them
            first = endpoint("10.0.0.1", ready=bool(n % 2), weight=n + 1)
            serving.replace(changed(serving.world, "paris", service("ratings", [first, *many[1:]])))
            assert len((await fast.receive()).resources) == 1
        newest = fast.received[-1].resources[0].version
        for _ in range(20):
            if (await slow.receive()).resources[0].version == newest:
                break
        assert slow.received[-1].resources[0].version == newest
        assert len(slow.received) < 20


async def test_a_large_subscription_is_built_in_turns_with_the_other_streams() -> None:
    services = [
        service(f"s{n}", [endpoint(f"10.{n >> 8}.{n & 255}.{i}") for i in range(9)]) for n in range(1500)
    ]
    async with (
        serving_xds(world(cluster("paris", *services))) as serving,
        delta_client(serving.port, node("large")) as large,
    ):
        names = [f"bookinfo/s{n}:9080" for n in range(1500)]
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += bool(serving.cache.sizes()[2] % 1500)  # while some are built and some are not

        counting = asyncio.create_task(count_turns())
        await large.subscribe(EDS, names)
        assert len((await large.receive(30)).resources) == 1500
        counting.cancel()
        assert turns > 3


async def test_a_mistake_of_ours_ends_the_stream_with_internal_and_only_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        serving_xds(two_clusters()) as serving,
        delta_client(serving.port, node("good")) as good,
        delta_client(serving.port, node("unlucky")) as unlucky,
    ):
        for client in (good, unlucky):
            await client.subscribe(EDS, [RATINGS])
            await client.receive()
        (number,) = [n for n, seen in serving.heard.clients.items() if seen.id == "unlucky"]
        unlucky_stream = serving.heard.streams[number]
        next_response = Stream.next_response

        def broken(stream: Stream, view: Any) -> bytes | None:
            if stream is unlucky_stream:
                raise ZeroDivisionError("by design")
            return next_response(stream, view)

        monkeypatch.setattr(Stream, "next_response", broken)
        unready(serving)
        assert len((await good.receive()).resources) == 1
        with pytest.raises(grpc.aio.AioRpcError, match="ZeroDivisionError: by design") as ended:
            await unlucky.receive()
        assert ended.value.code() is grpc.StatusCode.INTERNAL
        assert serving.heard.ended == {number: "INTERNAL: ZeroDivisionError: by design"}


async def test_a_mistake_of_ours_in_a_request_ends_that_stream_and_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving_xds(two_clusters()) as serving, delta_client(serving.port, node("x")) as client:
        await client.subscribe(EDS, [RATINGS])
        await client.receive()

        def broken(stream: Stream, raw: bytes) -> Any:
            raise ZeroDivisionError("by design")

        monkeypatch.setattr(Stream, "on_request", broken)
        await client.subscribe(EDS, ["other"])
        with pytest.raises(grpc.aio.AioRpcError, match="by design"):
            await client.receive()
        await until(lambda: list(serving.heard.ended.values()) == ["ZeroDivisionError: by design"])
