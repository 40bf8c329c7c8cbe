"""The admin API on a real socket, of a replica made of values."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from support.admin import FakeReplica, connected, serving, two_clusters
from tideover_app.admin_server import AdminServer
from tideover_app.replica import Readiness
from tideover_core.model import Problem, SourceStatus
from tideover_proto.admin.v1 import admin_pb2 as pb
from tideover_proto.admin.v1 import admin_pb2_grpc


async def test_reflection_lists_the_api_and_the_health_service() -> None:
    async with serving(FakeReplica()) as address, grpc.aio.insecure_channel(address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        async for answer in stub.ServerReflectionInfo(iter([ask])):
            names = {service.name for service in answer.list_services_response.service}
    assert {"tideover.admin.v1.Admin", "grpc.health.v1.Health"} <= names


async def test_the_health_service_says_serving() -> None:
    async with serving(FakeReplica()) as address, grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "tideover.admin.v1.Admin"):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_unix_socket_serves_too(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/admin.sock"
    async with serving(FakeReplica(), address), grpc.aio.insecure_channel(address) as channel:
        status = await admin_pb2_grpc.AdminStub(channel).GetStatus(pb.GetStatusRequest())
    assert status.replicas[0].name == "replica-0"


async def test_a_port_in_use_is_refused_by_name() -> None:
    async with serving(FakeReplica()) as address:
        second = AdminServer(FakeReplica())
        with pytest.raises(OSError, match=f"cannot listen on {address}"):
            second.add_port(address)
        await second.stop(0)


async def test_status_counts_and_names_what_is_stale_and_refused() -> None:
    replica = FakeReplica(
        connected=(
            connected(1, "a", "paris"),
            connected(2, "b", "paris", nack="no"),
            connected(3, "c", "rome"),
        ),
        refused=(Problem("EndpointSlice bookinfo/x", "names no service", "ignored", "x.yaml:3"),),
        freshness={
            "paris": SourceStatus("paris", known=True),
            "dublin": SourceStatus("dublin", True, 1_764_000_000.5, "folder is gone"),
            "rome": SourceStatus("rome", False, None, "not listed yet"),
        },
        is_ready=Readiness(False, ("waiting for cluster rome: not listed yet",)),
    )
    async with serving(replica) as address, grpc.aio.insecure_channel(address) as channel:
        status = await admin_pb2_grpc.AdminStub(channel).GetStatus(pb.GetStatusRequest())
    assert [(c.name, c.known, c.services, c.endpoints, c.ready_endpoints) for c in status.clusters] == [
        ("paris", True, 2, 3, 2),
        ("dublin", True, 1, 2, 2),
        ("rome", False, 0, 0, 0),
    ]
    assert not status.clusters[0].HasField("stale_since")
    assert status.clusters[1].stale_since.ToMilliseconds() == 1_764_000_000_500
    assert (status.replicas[0].ready, list(status.replicas[0].reasons)) == (
        False,
        ["waiting for cluster rome: not listed yet"],
    )
    assert (status.services.services, status.services.endpoints, status.services.ready_endpoints) == (2, 5, 4)
    assert (status.clients.connected, status.clients.refusing, status.clients.unknown_vantage) == (3, 1, 1)
    assert [(p.object, p.where) for p in status.problems] == [("EndpointSlice bookinfo/x", "x.yaml:3")]


async def test_services_and_endpoints_are_those_of_every_cluster() -> None:
    async with serving(FakeReplica()) as address, grpc.aio.insecure_channel(address) as channel:
        stub = admin_pb2_grpc.AdminStub(channel)
        services = (await stub.ListServices(pb.ListServicesRequest())).services
        only = (await stub.ListServices(pb.ListServicesRequest(namespace="db"))).services
        listed = await stub.ListEndpoints(pb.ListEndpointsRequest(service="bookinfo/ratings:9080"))
    assert [(s.service, list(s.clusters), s.endpoints, s.ready_endpoints) for s in services] == [
        ("bookinfo/ratings", ["dublin", "paris"], 5, 4),
        ("db/pg", ["paris"], 0, 0),
    ]
    assert [s.service for s in only] == ["db/pg"]
    assert [(e.cluster, e.address, e.ready) for e in listed.endpoints] == [
        ("dublin", "10.1.0.1", True),
        ("dublin", "10.1.0.2", True),
        ("paris", "10.0.0.1", True),
        ("paris", "10.0.0.2", True),
        ("paris", "10.0.0.3", False),
    ]


async def test_clients_are_short_in_the_list_and_whole_when_shown() -> None:
    replica = FakeReplica(connected=(connected(1, "a", "paris"), connected(2, "a", "paris", nack="bad")))
    async with serving(replica) as address, grpc.aio.insecure_channel(address) as channel:
        stub = admin_pb2_grpc.AdminStub(channel)
        listed = (await stub.ListClients(pb.ListClientsRequest())).clients
        shown = (await stub.ShowClient(pb.ShowClientRequest(id="a"))).clients
    assert [(c.id, c.stream, c.vantage.locality) for c in listed] == [
        ("a", 1, "eu-west/eu-west-a/"),
        ("a", 2, "eu-west/eu-west-a/"),
    ]
    first, second = (client.subscriptions[0] for client in listed)
    assert (first.type, first.wildcard, first.sent, first.acknowledged, first.nack) == (
        "Cluster",
        True,
        1,
        True,
        "",
    )
    assert (second.acknowledged, second.nack) == (False, "bad")
    assert not first.versions
    assert dict(shown[0].subscriptions[0].versions) == {"bookinfo/ratings:9080": "v1"}


@pytest.mark.parametrize("ms", [1_764_000_000_000, 1_764_000_000_999, 1_764_000_001_000])
async def test_times_are_whole_milliseconds(ms: int) -> None:
    replica = FakeReplica(started_at_s=ms / 1000 - 0.0003)
    async with serving(replica) as address, grpc.aio.insecure_channel(address) as channel:
        status = await admin_pb2_grpc.AdminStub(channel).GetStatus(pb.GetStatusRequest())
    assert status.replicas[0].started_at.ToNanoseconds() == ms * 1_000_000


async def test_events_are_followed_until_the_reader_goes_away() -> None:
    replica = FakeReplica()
    replica.happen("first")
    replica.happen("second")
    async with serving(replica) as address, grpc.aio.insecure_channel(address) as channel:
        stub = admin_pb2_grpc.AdminStub(channel)
        past = [event.message async for event in stub.ListEvents(pb.ListEventsRequest(after=1))]
        assert past == ["second"]
        call = stub.ListEvents(pb.ListEventsRequest(follow=True))
        assert [(await call.read()).message for _ in range(2)] == ["first", "second"]
        replica.happen("third")
        event = await asyncio.wait_for(call.read(), 5)
        assert (event.number, event.message, event.kind) == (3, "third", "ServiceFailingOver")
        call.cancel()


@pytest.mark.parametrize(
    ("method", "request_", "code", "says"),
    [
        (
            "ListEndpoints",
            pb.ListEndpointsRequest(service="ratings"),
            "INVALID_ARGUMENT",
            "write NAMESPACE/NAME",
        ),
        (
            "ListEndpoints",
            pb.ListEndpointsRequest(service="a/b:x"),
            "INVALID_ARGUMENT",
            "'x' in 'a/b:x' is no port",
        ),
        (
            "ListEndpoints",
            pb.ListEndpointsRequest(service="bookinfo/ratings#canary"),
            "INVALID_ARGUMENT",
            "names a subset",
        ),
        (
            "ListEndpoints",
            pb.ListEndpointsRequest(service="bookinfo/rating"),
            "NOT_FOUND",
            "did you mean bookinfo/ratings?",
        ),
        ("ListEndpoints", pb.ListEndpointsRequest(service="bookinfo/ratings:1"), "NOT_FOUND", "it has 9080"),
        ("ListServices", pb.ListServicesRequest(namespace="bokinfo"), "NOT_FOUND", "did you mean bookinfo?"),
        ("ShowClient", pb.ShowClientRequest(id="sidecar-2"), "NOT_FOUND", "did you mean sidecar-1?"),
        (
            "Explain",
            pb.ExplainRequest(service="other/ratings", vantage=pb.Vantage(cluster="paris")),
            "NOT_FOUND",
            "no cluster has a service other/ratings; did you mean bookinfo/ratings?",
        ),
        (
            "Explain",
            pb.ExplainRequest(service="bookinfo/ratings", vantage=pb.Vantage(cluster="pariss")),
            "NOT_FOUND",
            "did you mean paris?",
        ),
        (
            "Explain",
            pb.ExplainRequest(service="bookinfo/ratings#canary", vantage=pb.Vantage(cluster="paris")),
            "NOT_FOUND",
            "no subset 'canary'",
        ),
        (
            "Explain",
            pb.ExplainRequest(service="bookinfo/ratings", vantage=pb.Vantage(locality="a/b/c/d")),
            "INVALID_ARGUMENT",
            "more than three parts",
        ),
    ],
)
async def test_what_is_wrong_is_named_with_what_was_meant(
    method: str, request_: object, code: str, says: str
) -> None:
    replica = FakeReplica(connected=(connected(1, "sidecar-1", "paris"),))
    async with serving(replica) as address, grpc.aio.insecure_channel(address) as channel:
        stub = admin_pb2_grpc.AdminStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(stub, method)(request_)
    assert caught.value.code().name == code
    assert says in (caught.value.details() or "")


async def test_stopping_ends_a_reader_that_follows() -> None:
    server = AdminServer(FakeReplica())
    port = server.add_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = admin_pb2_grpc.AdminStub(channel).ListEvents(pb.ListEventsRequest(follow=True))
        reading = asyncio.ensure_future(call.read())
        await call.wait_for_connection()
        await asyncio.wait_for(server.stop(0.1), 5)
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await asyncio.wait_for(reading, 5)


def test_the_world_of_these_tests_is_what_they_think() -> None:
    assert [str(key) for key in sorted(two_clusters().services)] == ["bookinfo/ratings", "db/pg"]


async def test_what_is_wrong_with_a_name_of_megabytes_is_told_in_words_that_every_client_can_read() -> None:
    async with serving(FakeReplica()) as address, grpc.aio.insecure_channel(address) as channel:
        ask = pb.ListEndpointsRequest(service="bookinfo/" + "q" * 1_000_000)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await admin_pb2_grpc.AdminStub(channel).ListEndpoints(ask)
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    assert len(raised.value.details() or "") < 8000
