"""A gRPC client without a proxy reports too: the library does it when its cluster says `lrs_server: self`."""

from __future__ import annotations

from pathlib import Path

from e2e.test_proxyless import calling
from health.load_reports import reporting
from support.backend import GrpcBackend, serving
from support.ports import free_port
from support.wait import until
from support.xds_worlds import RATINGS, cluster, endpoint, service, world
from tideover_app.bootstrap import Bootstrap, Server
from tideover_app.bootstrap_grpc import grpc as grpc_bootstrap
from tideover_core.model import Locality, Protocol


async def test_a_proxyless_client_reports_successes_and_failures(tmp_path: Path) -> None:
    """gRPC takes no interval below 1 s, and reports places only, whatever it is asked for."""
    import grpc

    port = free_port()
    backend = GrpcBackend("paris-1", port, "127.0.1.1")
    ratings = service("ratings", [endpoint("127.0.1.1", port)], ports={9080: Protocol.GRPC})
    async with serving(backend), reporting(world(cluster("paris", ratings))) as plane:
        bootstrap = Bootstrap(
            "proxyless-1", ((Server("127.0.0.1", plane.port),),), "paris", namespace="bookinfo",
            locality=Locality("eu-west", "eu-west-a"),
        )  # fmt: skip
        async with calling("xds:///ratings.bookinfo:9080", grpc_bootstrap(bootstrap)) as said:
            await said.only_from("paris-1")
            await until(lambda: plane.told.totals(RATINGS)[0] > 20)
            assert {row.locality for row in plane.told.rows(RATINGS)} == {Locality("eu-west", "eu-west-a")}
            ((_, report), *_) = plane.told.reports
            assert report.voter.id == "proxyless-1"
            plane.told.doubted = frozenset({RATINGS})
            await until(lambda: plane.server.reporters()[0].by_endpoint)
            backend.code = grpc.StatusCode.UNAVAILABLE
            since = len(plane.told.reports)
            await until(lambda: plane.told.totals(RATINGS, since)[1] > 5)
            assert not plane.told.by_address(RATINGS)
