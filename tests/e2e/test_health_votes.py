"""Who is believed: one liar moves nothing, nor do callers who prove nothing, unless a check agrees."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from envoy.config.core.v3.base_pb2 import Locality, Node
from envoy.config.endpoint.v3.load_report_pb2 import ClusterStats, UpstreamLocalityStats
from envoy.service.load_stats.v3 import lrs_pb2
from google.protobuf.duration_pb2 import Duration

from support.fleet import HASTY, NO_EJECTION, Fleet, fleet, policy
from support.mesh import Mesh, mesh
from support.mtls import Mtls
from support.tideover import running_tideover
from support.wait import holds, until

pytestmark = pytest.mark.envoy
METHOD = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats"


def lie(world: Mesh) -> lrs_pb2.LoadStatsRequest:
    """That all calls to paris fail, and there are many."""
    place = Locality(region="eu-west", zone="eu-west-a")
    node = Node(id="liar", locality=place)
    node.metadata.update({"CLUSTER_ID": "paris", "NAMESPACE": "bookinfo"})
    row = UpstreamLocalityStats(
        locality=place, total_error_requests=5000, total_issued_requests=5000, priority=0
    )
    stats = ClusterStats(
        cluster_name=world.wire_name,
        upstream_locality_stats=[row],
        load_report_interval=Duration(seconds=1),
    )
    return lrs_pb2.LoadStatsRequest(node=node, cluster_stats=[stats])


async def test_one_liar_of_four_moves_nothing(tmp_path: Path) -> None:
    mtls = Mtls(tmp_path / "tls")
    async with mesh(tmp_path, settings=mtls.settings) as world, running_tideover(world.setup) as tideover:
        policy(world, **HASTY, **NO_EJECTION)
        channel = mtls.channel(world.setup.xds_port, mtls.pair("liar"))
        async with fleet(world, tideover, mtls, 3) as callers, channel:
            call = channel.stream_stream(METHOD)()
            said = lie(world).SerializeToString()

            async def keep_lying() -> None:
                while True:
                    await call.write(said)
                    await asyncio.sleep(1)

            lying = asyncio.create_task(keep_lying())
            try:
                await until(lambda: reporters(callers, 4), 20, lambda: tideover.log()[-3000:])
                await holds(lambda: callers.sees("paris", "HEALTHY"), 5)
                assert (await callers.asked("status"))["health"]["dropped"] == {}  # the lie was counted
                for caller in callers.callers:
                    await caller.calls.only_from("paris-1", "paris-2")
                    assert set(caller.calls.served()) == {"paris-1", "paris-2"}
            finally:
                lying.cancel()
                await asyncio.gather(lying, return_exceptions=True)
                call.cancel()


async def reporters(callers: Fleet, count: int) -> bool:
    status = await callers.asked("status")
    return bool(status["health"]["provenReporters"] == count)


async def test_callers_without_proof_share_a_vote_that_counts_only_beside_a_check(tmp_path: Path) -> None:
    async with mesh(tmp_path) as world, running_tideover(world.setup) as tideover:
        policy(world, **HASTY, **NO_EJECTION)
        async with fleet(world, tideover, None, 3) as callers:
            for caller in callers.callers:
                await caller.calls.only_from("paris-1", "paris-2")
            callers.statuses("paris", 503)
            await until(lambda: suspected(callers), 20, lambda: tideover.log()[-3000:])
            await holds(lambda: callers.sees("paris", "HEALTHY"), 3)
            policy(
                world,
                **HASTY,
                **NO_EJECTION,
                activeCheck={"http": {"path": "/"}, "interval": "500ms", "timeout": "400ms"},
            )
            await until(lambda: callers.sees("paris", "UNHEALTHY"), 20, lambda: tideover.log()[-3000:])
            for caller in callers.callers:
                await caller.calls.only_from("dublin-1", "dublin-2")
            assert callers.failed() == []


async def suspected(callers: Fleet) -> bool:
    """Whether it is seen that paris fails, and said why nothing is done."""
    return any(one["state"] == "suspect" and one["cluster"] == "paris" for one in await callers.verdicts())
