"""Who reports is looked at again while the stream lasts: proofs end, clusters and trust are taken away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from health.load_reports import METHOD, RawReporter, stats
from health.test_load_report_codec import RATINGS, place
from support.certificates import Authority, Pair, spiffe_id
from support.health_serving import serving
from support.wait import holds, until
from tideover_app.config import Cluster, Config
from tideover_app.run_identity import Identities
from tideover_app.run_replica import RunningReplica
from tideover_core.model import Locality
from tideover_discovery.kubernetes.registration import Registered
from tideover_health.load_reports_server import LoadReportOptions, LoadReportsServer
from tideover_health.signals import Report
from tideover_health.streams_server import StreamLimits

OPTIONS = LoadReportOptions(interval_s=0.2, limits=StreamLimits(again_s=0.1))
PARIS = Cluster.model_construct(name="paris", manifests=Path("paris"), trust_domain="paris.example")


@dataclass
class Plane:
    identities: Identities
    server: LoadReportsServer
    reporter: RawReporter
    told: list[Report] = field(default_factory=list)

    async def voter(self) -> str:
        """Whose the next report is, which is sent now."""
        before = len(self.told)
        await self.reporter.send(stats(RATINGS, place(5)), node="envoy-1")
        await until(lambda: len(self.told) > before)
        return self.told[-1].voter.id

    async def ended(self) -> bool:
        """Whether a report more ends the stream."""
        if not self.reporter._reading.done():
            await self.reporter.call.write(b"")
        return self.reporter._reading.done()


@asynccontextmanager
async def reporting(config: Config, ca: Authority, pair: Pair) -> AsyncIterator[Plane]:
    """One reporter with that certificate."""
    identities = Identities(config, RunningReplica("r", "eu-west", start_grace_s=0, tell=lambda _: None))
    told: list[Report] = []
    server = LoadReportsServer(told.append, identities.voter, frozenset, OPTIONS)
    ours = ca.issue("tideover")
    asking = grpc.ssl_server_credentials([(ours.key, ours.cert)], ca.pem, require_client_auth=True)
    trusting = grpc.ssl_channel_credentials(ca.pem, pair.key, pair.cert)
    options = [("grpc.ssl_target_name_override", "tideover.test"), ("grpc.use_local_subchannel_pool", 1)]
    async with (
        serving(server.handlers(), credentials=asking) as port,
        grpc.aio.secure_channel(f"127.0.0.1:{port}", trusting, options=options) as channel,
    ):
        one = RawReporter(channel.stream_stream(METHOD)())
        try:
            yield Plane(identities, server, one, told)
        finally:
            one.call.cancel()
            await server.stop()


async def test_a_certificate_that_ends_on_an_open_stream_ends_its_vote() -> None:
    ca = Authority()
    who = spiffe_id("caller", trust_domain="paris.example")
    async with reporting(Config(clusters=(PARIS,)), ca, ca.workload(who, for_s=3)) as plane:
        assert await plane.voter() == who
        await until(plane.ended)
        assert await plane.reporter.ended() == (grpc.StatusCode.OK, "")
        assert {report.voter.id for report in plane.told} == {who}


async def test_trust_that_is_withdrawn_ends_votes_and_what_counts_later_needs_no_new_stream() -> None:
    ca = Authority()
    who = spiffe_id("caller", trust_domain="dublin.example")
    async with reporting(Config(clusters=(PARIS,)), ca, ca.workload(who)) as plane:
        assert await plane.voter() == "", "of no cluster here"
        # its cluster is registered, with its trust domain: the vote is proven on the stream that is open
        dublin = Registered("dublin", "default", Locality(), "k", "Secret a/b", trust_domain="dublin.example")
        plane.identities.registered([dublin])

        async def proven() -> bool:
            return await plane.voter() == who

        await until(proven)
        assert plane.told[-1].voter.cluster == "dublin"
        # and taken away again
        plane.identities.registered([])
        await until(plane.ended)
        assert await plane.reporter.ended() == (grpc.StatusCode.OK, "")


async def test_what_a_cluster_of_the_file_claims_no_secret_claims_for_itself() -> None:
    ca = Authority()
    who = spiffe_id("caller", trust_domain="paris.example")
    async with reporting(Config(clusters=(PARIS,)), ca, ca.workload(who)) as plane:
        assert await plane.voter() == who
        assert plane.told[-1].voter.cluster == "paris"
        thief = Registered("thief", "default", Locality(), "k", "Secret a/b", trust_domain="paris.example")
        plane.identities.registered([thief])

        async def shared() -> bool:
            return (await plane.voter(), plane.told[-1].voter.cluster) == (who, "")

        await until(shared)  # it proves neither, and the vote stays
        await holds(lambda: not plane.reporter._reading.done(), 0.3)
