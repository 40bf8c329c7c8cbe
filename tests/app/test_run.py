"""`tideover run` as a process: start, signals, addresses, state, reload."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import urllib.request
from asyncio.subprocess import DEVNULL
from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import grpc
import pytest

from support.certificates import Authority
from support.delta import CDS, EDS, delta_client, node
from support.manifests import ClusterFolder, Place, endpoint_slice, service
from support.ports import free_port
from support.tideover import TIDEOVER, Answer, Setup, Tideover, command, running_tideover
from support.wait import holds, until
from tideover_proto.admin.v1 import admin_pb2 as pb
from tideover_proto.admin.v1 import admin_pb2_grpc

RATINGS = "bookinfo/ratings:9080"
NUMBERS = {"paris": 1, "dublin": 2, "oslo": 3}


def put(setup: Setup, cluster: str, ready: int = 3, names: Iterable[str] = ("ratings",)) -> None:
    """Services of a cluster on disk, each with three endpoints, of which so many are ready."""
    folder = ClusterFolder(setup.cluster_path(cluster))
    address = f"10.{NUMBERS[cluster]}.0"
    places = [Place(f"{address}.{i}", zone=f"{cluster}-a", ready=i < ready) for i in range(3)]
    for name in names:
        folder.write(name, service(name), endpoint_slice(name, places))


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """Two clusters with one service."""
    made = Setup(tmp_path)
    put(made, "paris")
    put(made, "dublin")
    return made


async def run(setup: Setup) -> Answer:
    """`tideover run` that is expected to end by itself."""
    return await command("run", "-c", str(setup.config))


async def ask(tideover: Tideover, call: str, request: Any) -> Any:
    """One question to the admin API."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{tideover.setup.admin_port}") as channel:
        return await getattr(admin_pb2_grpc.AdminStub(channel), call)(request, timeout=10)


async def status(tideover: Tideover) -> Any:
    return await ask(tideover, "GetStatus", pb.GetStatusRequest())


async def addresses(tideover: Tideover) -> list[str]:
    """Of all endpoints of ratings that the replica knows."""
    answer = await ask(tideover, "ListEndpoints", pb.ListEndpointsRequest(service="bookinfo/ratings"))
    return sorted(endpoint.address for endpoint in answer.endpoints)


def of(cluster: str) -> list[str]:
    return [f"10.{NUMBERS[cluster]}.0.{i}" for i in range(3)]


async def happened(tideover: Tideover, *words: str) -> None:
    """Wait until one line of the log has all of these words."""

    def seen() -> bool:
        lines = [json.loads(line) for line in tideover.log().splitlines() if line.startswith("{")]
        told = [f"{line['event']} {line.get('object')}: {line.get('message')}" for line in lines]
        return any(all(word in line for word in words) for line in told)

    await until(seen, what=lambda: f"{words} in\n{tideover.log()}")


# start and end


async def test_it_starts_answers_and_ends_cleanly_on_sigterm(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        assert await tideover.http("/healthz") == (200, "ok\n")
        assert await tideover.http("/readyz") == (200, "ready\n")
        assert await tideover.terminate() == 0
        assert json.loads(tideover.log().splitlines()[-1])["event"] == "Stopped"
    assert {path.name for path in (setup.folder / "state").iterdir()} >= {"paris.facts", "dublin.facts"}


async def test_ctrl_c_ends_it_cleanly_too(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        tideover.process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(tideover.process.wait(), 10) == 0
        assert "Traceback" not in tideover.log()


async def test_sigterm_ends_streams_with_ok(setup: Setup) -> None:
    async with running_tideover(setup) as tideover, delta_client(setup.xds_port, node("a")) as client:
        await client.subscribe(CDS)
        await client.receive()
        assert await tideover.terminate() == 0
        with pytest.raises(EOFError, match=r"StatusCode\.OK"):
            await client.receive()


async def test_log_lines_are_json_when_nobody_looks(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        put(setup, "paris", ready=0)
        await happened(tideover, "ServiceFailingOver", "bookinfo/ratings", "in paris")
        lines = [json.loads(line) for line in tideover.log().splitlines()]
    assert [line["object"] for line in lines if line["event"] == "ServiceFailingOver"] == [
        "Service bookinfo/ratings"
    ]


async def test_begin_and_end_of_a_failover_are_events(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        put(setup, "paris", ready=0)
        await happened(tideover, "ServiceFailingOver Service bookinfo/ratings: port 9080", "0 of 3 ready")
        put(setup, "paris", ready=3)
        await happened(tideover, "ServiceRecovered Service bookinfo/ratings: port 9080", "in paris")


async def test_metrics_say_what_is_there(setup: Setup) -> None:
    put(setup, "dublin", ready=1)
    async with running_tideover(setup) as tideover, delta_client(setup.xds_port, node("a")) as client:
        await client.subscribe(CDS)
        await client.ack(await client.receive())
        wanted = [
            'tideover_endpoints{cluster="dublin",condition="ready"} 1.0',
            'tideover_endpoints{cluster="paris",condition="ready"} 3.0',
            'tideover_source_stale_seconds{cluster="paris"} 0.0',
            'tideover_xds_responses_total{result="accepted",type="Cluster"} 1.0',
            "tideover_xds_streams 1.0",
            "tideover_services_failing_over 1.0",
            "tideover_world_complete 1.0",
            "tideover_ready 1.0",
        ]

        async def missing() -> list[str]:
            _, text = await tideover.http("/metrics")
            return [line for line in wanted if line not in text]

        async def all_there() -> bool:
            return not await missing()

        await until(all_there)
        _, text = await tideover.http("/metrics")
        for name in (
            "event_loop_lag_seconds",
            "state_age_seconds",
            "world_merge_seconds_count",
            "build_info",
        ):
            assert f"tideover_{name}" in text


# addresses


@pytest.mark.parametrize("key", ["xds", "admin", "http"])
async def test_a_port_in_use_is_named_and_ends_it_at_once(setup: Setup, key: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", getattr(setup, f"{key}_port")))
        taken.listen()
        answer = await run(setup)
    port = getattr(setup, f"{key}_port")
    line = next(n for n, text in enumerate(setup.config.read_text().splitlines(), 1) if f'"{key}"' in text)
    assert answer.code == 1
    assert answer.err.splitlines()[-1] == (
        f"tideover: {setup.config}:{line}: listen.{key}: cannot listen on 127.0.0.1:{port}: "
        "it is in use by another process"
    )
    assert "Traceback" not in answer.err


async def test_an_address_of_another_machine_is_named(setup: Setup) -> None:
    setup.settings = {"listen": {"http": "192.0.2.1:18002"}, "dangerouslyAllowPlaintext": True}
    setup.write()
    answer = await run(setup)
    assert answer.code == 1
    assert "listen.http: cannot listen on 192.0.2.1:18002: this machine has no such address" in answer.err


async def test_a_second_process_with_the_same_state_is_refused(setup: Setup, tmp_path: Path) -> None:
    async with running_tideover(setup) as tideover:
        second = Setup(tmp_path / "second", settings={"state": str(setup.folder / "state")})
        answer = await run(second)
        assert answer.code == 1
        assert f"state is in use by process {tideover.process.pid}" in answer.err


async def test_admin_on_a_unix_socket_is_for_its_owner_only(setup: Setup, tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    listen = {"xds": f"127.0.0.1:{setup.xds_port}", "http": f"127.0.0.1:{setup.http_port}"}
    setup.settings = {"listen": {**listen, "admin": f"unix:{path}"}}
    setup.write()
    async with running_tideover(setup) as tideover:
        assert path.stat().st_mode & 0o777 == 0o600
        answer = await command("status", "-o", "json", server=f"unix:{path}")
        assert answer.code == 0, answer.err
        await tideover.kill()
    async with running_tideover(setup):  # what the dead one left is no obstacle
        again = Setup(tmp_path / "again", settings={"listen": {**listen, "admin": f"unix:{path}"}})
        again.settings = {"listen": {"xds": "127.0.0.1:0", "http": "127.0.0.1:0", "admin": f"unix:{path}"}}
        again.write()
        refused = await run(again)
        assert refused.code == 1
        assert f"cannot listen on unix:{path}: it is in use" in refused.err


async def test_dangerous_switches_are_said_loudly(setup: Setup) -> None:
    setup.settings = {
        "listen": {
            "xds": f"0.0.0.0:{setup.xds_port}",
            "admin": f"127.0.0.1:{setup.admin_port}",
            "http": f"127.0.0.1:{setup.http_port}",
        },
        "dangerouslyAllowPlaintext": True,
    }
    setup.write()
    async with running_tideover(setup) as tideover:
        warned = [json.loads(line) for line in tideover.log().splitlines() if "Dangerously" in line]
    assert {line["event"]: line["level"] for line in warned} == {
        "DangerouslyAllowPlaintext": "warning",
        "DangerouslyAllowLoopbackEndpoints": "warning",
    }


# bad configuration at the start


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nonsense": 1}, "nonsense: unknown key"),
        ({"listen": {"xds": "0.0.0.0:1"}}, "is outside loopback without TLS"),
        (
            {"clusters": [{"name": "a", "manifests": "a"}, {"name": "a", "manifests": "b"}]},
            "'a' is already a cluster",
        ),
        ({"clusters": [{"name": "a", "inCluster": True}]}, "live API servers are not supported yet"),
        ({"tls": {"cert": "none.crt", "key": "none.key"}}, "none.crt: cannot be read"),
    ],
)
async def test_a_bad_configuration_is_refused(setup: Setup, settings: dict[str, Any], message: str) -> None:
    setup.settings = settings
    setup.write()
    answer = await run(setup)
    assert answer.code == 2
    assert message in answer.err
    assert str(setup.config) in answer.err
    assert "Traceback" not in answer.err


# law 1


def known(path: Path, cluster: str) -> bool:
    """Whether the state folder holds facts of that cluster."""
    return (path / "state" / f"{cluster}.facts").exists()


async def versions(setup: Setup, identity: str = "a") -> dict[str, str]:
    """What a client that starts now is sent as clusters, by name."""
    async with delta_client(setup.xds_port, node(identity)) as client:
        await client.subscribe(CDS)
        return {resource.name: resource.version for resource in (await client.receive()).resources}


async def test_after_kill_9_a_lost_source_is_known_from_the_snapshot(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        await until(lambda: known(setup.folder, "paris") and known(setup.folder, "dublin"))
        before = await versions(setup)
        await tideover.kill()
    setup.cluster_path("dublin").rename(setup.folder / "aside")
    async with running_tideover(setup) as tideover:
        assert await versions(setup) == before
        sources = {row.name: row for row in (await status(tideover)).clusters}
        assert sources["dublin"].known
        assert sources["dublin"].stale_since.seconds > 0
        await happened(tideover, "SourceStale Cluster dublin")
        assert (await tideover.http("/readyz"))[0] == 200
        (setup.folder / "aside").rename(setup.cluster_path("dublin"))
        await happened(tideover, "SourceFresh Cluster dublin")


@pytest.mark.parametrize("spoilt", ["torn", "corrupt", "of another version"])
async def test_a_spoilt_snapshot_is_refused_and_the_one_before_used(setup: Setup, spoilt: str) -> None:
    async with running_tideover(setup) as tideover:
        await until(lambda: known(setup.folder, "dublin"))
        put(setup, "dublin", ready=2)
        await until((setup.folder / "state" / "dublin.facts.previous").exists)
        await tideover.kill()
    newest = setup.folder / "state" / "dublin.facts"
    whole = newest.read_bytes()
    newest.write_bytes(
        {
            "torn": whole[: len(whole) // 2],
            "corrupt": whole[:-9] + b"#" + whole[-8:],
            "of another version": whole.replace(b"tideover-facts 1", b"tideover-facts 99", 1),
        }[spoilt]
    )
    setup.cluster_path("dublin").rename(setup.folder / "aside")
    async with running_tideover(setup) as tideover:
        assert await addresses(tideover) == of("paris") + of("dublin")
        problems = str((await status(tideover)).problems)
        assert "Snapshot of cluster dublin" in problems
        assert str(newest) in problems


@pytest.mark.parametrize("trouble", ["missing", "pipe"])
async def test_with_empty_state_and_a_source_that_hangs_a_returning_stream_hears_nothing_until_all_is_known(
    setup: Setup, trouble: str
) -> None:
    put(setup, "dublin", names=["ratings", "only-in-dublin"])
    async with running_tideover(setup) as tideover:
        before = await versions(setup)
        assert "bookinfo/only-in-dublin:9080" in before
        await tideover.kill()
    for path in (setup.folder / "state").iterdir():
        path.unlink()
    folder, aside = setup.cluster_path("dublin"), setup.folder / "aside"
    folder.rename(aside)
    if trouble == "pipe":
        folder.mkdir()
        os.mkfifo(folder / "a.yaml")
    setup.settings = {"startGrace": "200ms"}  # readiness is another question
    setup.write()
    async with running_tideover(setup) as tideover, delta_client(setup.xds_port, node("a")) as client:
        await client.send(CDS, initial_resource_versions=before)
        await client.send(EDS, resource_names_subscribe=[RATINGS], initial_resource_versions={RATINGS: "old"})
        hearing = asyncio.ensure_future(client.receive(30))
        await holds(lambda: not hearing.done(), 0.5)
        assert "going without cluster dublin" in (await tideover.http("/readyz"))[1]
        # a service that it never had may be told; what it has stays as it is
        put(setup, "paris", names=["ratings", "new-in-paris"])
        new = await hearing
        assert [one.name for one in new.resources] == ["bookinfo/new-in-paris:9080"]
        assert not new.removed_resources
        await client.ack(new)
        hearing = asyncio.ensure_future(client.receive(30))
        await holds(lambda: not hearing.done(), 0.5)
        if trouble == "pipe":
            (folder / "a.yaml").unlink()
            folder.rmdir()
        (aside / "only-in-dublin.json").unlink()
        aside.rename(folder)
        # complete now: what is gone for certain is removed, and nothing else
        response = await hearing
        removed, sent = set(response.removed_resources), {one.name for one in response.resources}
        while not removed or RATINGS not in sent:
            await client.ack(response)
            response = await client.receive()
            removed |= set(response.removed_resources)
            sent |= {one.name for one in response.resources}
        assert removed == {"bookinfo/only-in-dublin:9080"}


async def test_state_of_a_cluster_that_is_no_longer_configured_is_ignored(setup: Setup) -> None:
    async with running_tideover(setup):
        await until(lambda: known(setup.folder, "dublin"))
    setup.clusters = {"paris": setup.clusters["paris"]}
    setup.write()
    async with running_tideover(setup) as tideover:
        assert [row.name for row in (await status(tideover)).clusters] == ["paris"]
        assert await addresses(tideover) == of("paris")


async def test_a_state_folder_that_cannot_be_written_is_a_problem_and_all_else_goes_on(setup: Setup) -> None:
    (setup.folder / "file").write_text("in the way")
    setup.settings = {"state": "./file/state"}
    setup.write()
    async with running_tideover(setup) as tideover:
        assert len(await versions(setup)) == 1
        await happened(tideover, "ProblemFound State folder", "not saved")
        assert await tideover.terminate() == 0


async def test_without_any_cluster_nothing_is_known(setup: Setup) -> None:
    # an empty configuration must not take everything away from clients that come back
    setup.clusters = {}
    setup.write()
    async with running_tideover(setup) as tideover:

        async def incomplete() -> bool:
            return "tideover_world_complete 0.0" in (await tideover.http("/metrics"))[1]

        await holds(incomplete, 0.3)


async def test_readiness_waits_for_the_grace_and_says_for_what(setup: Setup) -> None:
    setup.cluster_path("dublin").rename(setup.folder / "aside")
    async with running_tideover(setup, wait=False) as tideover:
        code, text = await tideover.http("/readyz")
        assert code == 503
        assert "waiting for cluster dublin" in text
        (setup.folder / "aside").rename(setup.cluster_path("dublin"))
        await until(tideover.ready)


# reload


async def test_clusters_come_and_go_with_the_file(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        put(setup, "oslo", names=["only-in-oslo"])
        paris = setup.clusters["paris"]
        setup.clusters = {"paris": paris, "oslo": {"locality": {"region": "eu-north"}}}
        setup.write()
        await happened(tideover, "ConfigurationApplied", "cluster oslo added", "cluster dublin removed")

        async def served() -> bool:
            return set(await versions(setup)) == {RATINGS, "bookinfo/only-in-oslo:9080"}

        await until(served)
        assert [row.name for row in (await status(tideover)).clusters] == ["paris", "oslo"]


async def test_a_cluster_that_moves_to_another_folder_keeps_its_facts_meanwhile(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        before = await versions(setup)
        moved = {**setup.clusters["dublin"], "manifests": "./not-there-yet"}
        setup.clusters = {**setup.clusters, "dublin": moved}
        setup.write()
        await happened(tideover, "ConfigurationApplied", "cluster dublin changed")
        await happened(tideover, "SourceStale Cluster dublin")
        assert await versions(setup) == before
        assert await addresses(tideover) == of("paris") + of("dublin")


async def test_a_broken_file_keeps_the_old_configuration_and_says_so(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        good = setup.config.read_text()
        setup.config.write_text(good.replace('"paris"', '"paris", "nonsense": 1'))
        await happened(tideover, "ConfigurationRefused", "nonsense: unknown key", "stays in use")
        assert "nonsense" in str((await status(tideover)).problems)
        assert len(await versions(setup)) == 1
        setup.config.unlink()
        await happened(tideover, "ConfigurationRefused", "cannot be read")
        setup.config.write_text("")
        await happened(tideover, "ConfigurationRefused", "taking the last cluster away needs a restart")
        assert len(await versions(setup)) == 1
        setup.config.write_text(good)

        async def no_problems() -> bool:
            return not (await status(tideover)).problems

        await until(no_problems)


async def test_sighup_reads_it_again_and_says_what_needs_a_restart(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        tideover.process.send_signal(signal.SIGHUP)
        await happened(tideover, "ConfigurationApplied", "SIGHUP: nothing changed")
        setup.settings = {"region": "eu-east", "startGrace": "5s"}
        setup.write()
        await happened(tideover, "ConfigurationApplied", "region needs a restart; startGrace needs a restart")
        assert (await status(tideover)).replicas[0].region == "eu-west"
        problems = str((await status(tideover)).problems)
        assert "region needs a restart" in problems


async def test_policies_of_another_folder_apply_live(setup: Setup) -> None:
    policies = ClusterFolder(setup.folder / "policies")
    policies.write(
        "cluster-only",
        {
            "apiVersion": "tideover.dev/v1alpha1",
            "kind": "FailoverPolicy",
            "metadata": {"name": "stay", "namespace": "bookinfo"},
            "spec": {"scope": "Cluster"},
        },
    )

    async def sent(tideover: Tideover) -> str:
        place = ["--from", "eu-west/paris-a", "--cluster", "paris", "-o", "json"]
        return json.dumps((await tideover.cli("explain", "bookinfo/ratings", *place)).json()["priorities"])

    async with running_tideover(setup) as tideover:
        assert "10.2.0." in await sent(tideover)
        setup.settings = {"policies": "./policies"}
        setup.write()

        async def stays() -> bool:
            return "10.2.0." not in await sent(tideover)

        await until(stays)
        await until(lambda: b"stay" in (setup.folder / "state" / "@policies.facts").read_bytes())
        await tideover.kill()
    # a policy that says where data may go counts after a restart too, before it could be read again
    (setup.folder / "policies").rename(setup.folder / "aside")
    async with running_tideover(setup) as tideover:
        assert "10.2.0." not in await sent(tideover)
        assert (await tideover.http("/metrics"))[1].count("tideover_world_complete 1.0") == 1


async def test_policies_that_were_never_read_are_not_remembered_as_none(setup: Setup) -> None:
    setup.settings = {"policies": "./policies"}  # not there: a share that is not mounted yet, say
    setup.write()

    async def incomplete(tideover: Tideover) -> bool:
        return "tideover_world_complete 0.0" in (await tideover.http("/metrics"))[1]

    for _ in range(2):
        async with running_tideover(setup) as tideover:
            await until((setup.folder / "state" / "dublin.facts").exists)
            await holds(lambda: incomplete(tideover), 0.3)
        assert not (setup.folder / "state" / "@policies.facts").exists()


async def test_an_empty_policies_folder_holds_nothing_back(setup: Setup) -> None:
    (setup.folder / "policies").mkdir()
    setup.settings = {"policies": "./policies"}
    setup.write()
    async with running_tideover(setup) as tideover:

        async def complete() -> bool:
            return "tideover_world_complete 1.0" in (await tideover.http("/metrics"))[1]

        await until(complete)


# TLS


async def test_xds_and_admin_ask_for_client_certificates_and_follow_rotations(setup: Setup) -> None:
    ca = Authority()
    cert, key = setup.folder / "tls.crt", setup.folder / "tls.key"
    ca.issue("first").write(cert, key)
    (setup.folder / "ca.crt").write_bytes(ca.pem)
    setup.settings = {"tls": {"cert": "./tls.crt", "key": "./tls.key", "clientCA": "./ca.crt"}}
    setup.write()
    client = ca.issue("client")
    good = grpc.ssl_channel_credentials(ca.pem, client.key, client.cert)

    async def answers(port: int, credentials: grpc.ChannelCredentials | None) -> bool:
        options = [("grpc.ssl_target_name_override", "tideover.test"), ("grpc.use_local_subchannel_pool", 1)]
        target = f"127.0.0.1:{port}"
        channel = (
            grpc.aio.secure_channel(target, credentials, options=options)
            if credentials
            else grpc.aio.insecure_channel(target, options=options)
        )
        async with channel:
            try:
                await channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=5)
            except grpc.aio.AioRpcError:
                return False
        return True

    async with running_tideover(setup) as tideover:
        for port in (setup.xds_port, setup.admin_port):
            assert await answers(port, good)
            assert not await answers(port, grpc.ssl_channel_credentials(ca.pem))
            assert not await answers(port, None)
        ca.issue("second").write(cert, key)
        await until(lambda: "TlsRotated" in tideover.log())
        cert.write_bytes(b"half a certif")
        await until(lambda: "TLS material" in tideover.log() and "no PEM certificate" in tideover.log())
        for port in (setup.xds_port, setup.admin_port):
            assert await answers(port, good)
        assert [line for line in tideover.log().splitlines() if not line.startswith("{")] == []


async def test_a_stopped_process_that_goes_on_is_not_ended_by_the_watchdog(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        tideover.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.5)  # that it was stopped for some time is the point
        tideover.process.send_signal(signal.SIGCONT)
        await holds(tideover.ready, 0.5)


async def test_http_outside_loopback_is_encrypted_and_asks_for_no_certificate(setup: Setup) -> None:
    ca = Authority()
    ca.issue("first").write(setup.folder / "tls.crt", setup.folder / "tls.key")
    port = free_port()
    listen = {"xds": f"127.0.0.1:{setup.xds_port}", "admin": f"127.0.0.1:{setup.admin_port}"}
    setup.settings = {
        "listen": {**listen, "http": f"0.0.0.0:{port}"},
        "tls": {"cert": "./tls.crt", "key": "./tls.key"},
    }
    setup.write()
    trusting = ssl.create_default_context(cadata=ca.pem.decode())
    trusting.check_hostname = False

    def ready(scheme: str) -> bool:
        url = f"{scheme}://127.0.0.1:{port}/readyz"
        try:
            with urllib.request.urlopen(url, context=trusting, timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, HTTPException):
            return False

    process = await asyncio.create_subprocess_exec(TIDEOVER, "run", "-c", str(setup.config), stderr=DEVNULL)
    try:
        await until(lambda: asyncio.to_thread(ready, "https"))
        assert not await asyncio.to_thread(ready, "http")
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 15) == 0
