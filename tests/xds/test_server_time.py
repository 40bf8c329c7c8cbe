"""The server in time: streams that never ask, that end, that are broken off; and what is served beside."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from support.delta import CDS, EDS, LDS, DeltaClient, delta_client, node
from support.ports import free_port
from support.wait import holds, until
from support.xds_serving import serving_xds
from support.xds_streams import ADS, HTTP, SERVICE_OF, calling, method, status
from support.xds_worlds import RATINGS, two_clusters
from tideover_xds.resources.services import SERVICES
from tideover_xds.server import XdsServer
from tideover_xds.server_options import ServerOptions

# --- time


async def test_a_stream_that_never_asks_is_ended() -> None:
    options = ServerOptions(first_request_within_s=0.1, look_every_s=0.05)
    async with serving_xds(two_clusters(), options) as serving:
        async with calling(serving.port, method(ADS, "delta")) as call:
            await call.wait_for_connection()
            assert await asyncio.wait_for(call.read(), 10) is grpc.aio.EOF
            assert (await status(call))[0] is grpc.StatusCode.OK
        await until(lambda: serving.server.streams == 0)


async def test_e3_an_envoy_with_endpoints_and_without_clusters_is_ended_and_told_apart() -> None:
    options = ServerOptions(clusters_within_s=0.1, look_every_s=0.05)
    async with (
        serving_xds(two_clusters(), options) as serving,
        delta_client(serving.port, node("broken")) as broken,
        delta_client(serving.port, node("sound")) as sound,
        calling(serving.port, method(SERVICE_OF[EDS], "delta")) as single,
    ):
        await sound.subscribe(CDS)
        await sound.subscribe(EDS, [RATINGS])
        alone = DeltaClient(single, node("single"))
        await alone.send("", resource_names_subscribe=[RATINGS])
        await broken.subscribe(EDS, [RATINGS])
        await broken.receive()
        with pytest.raises(EOFError, match="OK"):
            await broken.receive()
        await holds(lambda: serving.server.streams == 2, 0.3)
        (reason,) = serving.heard.ended.values()
        assert "clusters" in reason


async def test_stop_ends_every_stream_with_ok_and_tells() -> None:
    async with serving_xds(two_clusters()) as serving:
        clients = 5
        async with asyncio.TaskGroup() as group:

            async def wait_for_the_end(n: int) -> None:
                async with delta_client(serving.port, node(f"c{n}")) as client:
                    await client.subscribe(EDS, [RATINGS])
                    await client.receive()
                    with pytest.raises(EOFError, match="OK"):
                        await client.receive()

            for n in range(clients):
                group.create_task(wait_for_the_end(n))
            await until(lambda: len(serving.heard.clients) == clients)
            await serving.server.stop(5)
        assert set(serving.heard.ended.values()) == {"the server stops"}
        assert serving.server.streams == 0


@pytest.mark.parametrize("second", ["the end", "a mistake"])
async def test_an_end_that_comes_during_the_first_response_is_told_to_the_client(second: str) -> None:
    async with serving_xds(two_clusters()) as serving, delta_client(serving.port, node("hasty")) as client:
        await client.subscribe(CDS)
        if second == "the end":
            await client._call.done_writing()
        else:
            await client.send("")
        with suppress(EOFError, grpc.aio.AioRpcError):
            await client.receive()  # the response may have been first
        wanted = {"the end": grpc.StatusCode.OK, "a mistake": grpc.StatusCode.INVALID_ARGUMENT}
        assert await client.status() is wanted[second]


async def test_a_client_that_breaks_off_is_closed_once() -> None:
    async with serving_xds(two_clusters()) as serving:
        async with delta_client(serving.port, node("gone")) as client:
            await client.subscribe(EDS, [RATINGS])
            await client.receive()
        await until(lambda: len(serving.heard.ended) == 1)
        assert serving.server.streams == 0


async def test_problems_of_a_client_include_the_ports_it_cannot_have() -> None:
    async with serving_xds(two_clusters()) as serving:
        asks = node("x", HTTP_PORT=20001, TCP_PORTS={RATINGS: 20001})
        async with delta_client(serving.port, asks) as client:
            await client.subscribe(LDS)
            assert [one.name for one in (await client.receive()).resources] == [HTTP]
        (seen,) = serving.heard.clients.values()
        assert "20001 is already used by the HTTP listener" in seen.problems[0]


# --- around


async def test_a_port_in_use_is_an_error_that_names_it() -> None:
    async with serving_xds(two_clusters()) as serving:
        other = XdsServer(serving.cache, serving.heard, identifier="other")
        with pytest.raises(OSError, match=str(serving.port)):
            other.add_port(f"127.0.0.1:{serving.port}", None)
        assert other.add_port(f"127.0.0.1:{free_port()}", None)
        await other.stop(0)


async def test_health_and_reflection_are_served_beside() -> None:
    async with (
        serving_xds(two_clusters()) as serving,
        grpc.aio.insecure_channel(f"127.0.0.1:{serving.port}") as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", ADS):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING

        def described() -> dict[str, set[str]]:
            with grpc.insecure_channel(f"127.0.0.1:{serving.port}") as plain:
                known = ProtoReflectionDescriptorDatabase(plain)
                files = {name: known.FindFileContainingSymbol(name) for name in known.get_services()}
                return {
                    f"{file.package}.{one.name}": {method.name for method in one.method}
                    for file in files.values()
                    for one in file.service
                }

        found = await asyncio.to_thread(described)
        for name, (_, methods) in SERVICES.items():
            assert set(methods) <= found[name]
