"""Commands and the control plane that they reach, or do not: addresses, TLS, silence, and who may write."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import grpc
import pytest
from aiohttp import web

from support.admin import FakeReplica, serving
from support.certificates import Authority
from tideover_app.admin_writing import Gate
from tideover_app.cli.program import run
from tideover_app.replica import Origin
from tideover_core.guard import Held
from tideover_identity.caller import Proof, TrustDomains
from tideover_identity.callers_server import Callers
from tideover_proto.admin.v1 import admin_pb2 as pb
from tideover_proto.admin.v1 import admin_pb2_grpc

HELD = Held(8, 10, 2, 1_764_000_000.0, 1_764_003_600.0)
READING = ["status", "services", "endpoints bookinfo/ratings", "clients", "clients show sidecar-1", "events"]


@pytest.mark.parametrize("line", [*READING, "explain bookinfo/ratings --from eu-west"])
def test_nobody_there_is_code_3_and_says_what_to_do(capsys: pytest.CaptureFixture[str], line: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: nothing answers here
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert run([*line.split(), "--server", address]) == 3
    err = capsys.readouterr().err
    assert f"no control plane answers at {address}" in err
    assert "--server or TIDEOVER_SERVER" in err
    assert err.count("\n") == 1


async def test_the_environment_names_the_server_and_a_unix_socket_will_do(
    capsys: pytest.CaptureFixture[str], replica: FakeReplica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"unix:{tmp_path}/admin.sock"
    monkeypatch.setenv("TIDEOVER_SERVER", address)
    async with serving(replica, address):
        assert await asyncio.to_thread(run, ["services"]) == 0
        monkeypatch.chdir(tmp_path)
        assert await asyncio.to_thread(run, ["services", "--server", "unix:admin.sock"]) == 0
    assert capsys.readouterr().out.count("bookinfo/ratings") == 2


@pytest.mark.parametrize("server", ["somewhere", "h:99999", "unix:"])
def test_an_address_that_is_none_is_wrong_use(capsys: pytest.CaptureFixture[str], server: str) -> None:
    assert run(["status", "--server", server]) == 2
    assert "--server: " in capsys.readouterr().err


def test_tls_files_that_are_not_there_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEOVER_CA", "/nowhere/ca.pem")
    assert run(["status"]) == 2
    assert "cannot read /nowhere/ca.pem" in capsys.readouterr().err


async def test_mutual_tls_with_files_named_in_the_environment(
    capsys: pytest.CaptureFixture[str], replica: FakeReplica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority()
    ours = authority.issue("tideover")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    authority.issue("operator").write(tmp_path / "cert.pem", tmp_path / "key.pem")
    credentials = grpc.ssl_server_credentials(
        [(ours.key, ours.cert)], authority.pem, require_client_auth=True
    )
    monkeypatch.setenv("TIDEOVER_SERVER_NAME", "tideover.test")
    monkeypatch.setenv("TIDEOVER_CA", str(tmp_path / "ca.pem"))
    async with serving(replica, credentials=credentials) as address:
        line = ["services", "--server", address]
        assert await asyncio.to_thread(run, line) == 3  # it asks for a certificate
        monkeypatch.setenv("TIDEOVER_CERT", str(tmp_path / "cert.pem"))
        assert await asyncio.to_thread(run, line) == 2  # of which the key is missing
        monkeypatch.setenv("TIDEOVER_KEY", str(tmp_path / "key.pem"))
        assert await asyncio.to_thread(run, line) == 0
    captured = capsys.readouterr()
    assert "bookinfo/ratings" in captured.out
    assert "TIDEOVER_CERT and TIDEOVER_KEY go together" in captured.err


async def test_another_grpc_server_is_not_taken_for_an_admin_api(capsys: pytest.CaptureFixture[str]) -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        assert await asyncio.to_thread(run, ["status", "--server", f"127.0.0.1:{port}"]) == 3
    finally:
        await server.stop(0)
    assert "is no admin API of Tideover" in capsys.readouterr().err


def test_a_control_plane_that_hangs_is_not_waited_for_for_ever(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tideover_app.cli.connection.ANSWER_WITHIN_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection, and never answers
        assert run(["status", "--server", f"127.0.0.1:{silent.getsockname()[1]}"]) == 3
    assert "gave no answer" in capsys.readouterr().err


async def test_removals_are_accepted_on_the_unix_socket_and_not_over_plain_tcp(
    capsys: pytest.CaptureFixture[str], replica: FakeReplica, tmp_path: Path
) -> None:
    replica.origin = {"paris": Origin("kubeconfig", "https://paris:6443", HELD)}
    async with serving(replica) as address:
        code = await asyncio.to_thread(run, ["cluster", "accept", "paris", "--server", address])
    out, err = capsys.readouterr()
    assert (code, out, replica.accepted) == (1, "", [])
    assert (
        "nobody may who has not proven who they are: set `listen.admin: unix:/path`, or show a client" in err
    )
    address = f"unix:{tmp_path}/a"

    async def accept(*arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(run, ["cluster", "accept", *arguments, "--server", address])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    async with serving(replica, address):
        assert await accept("paris") == (0, "8 addresses that vanished from paris are taken away\n", "")
        assert replica.accepted == [("paris", "local user")]
        assert await accept("paris") == (1, "", "tideover: nothing of cluster 'paris' is held back\n")
        code, _, err = await accept("pariss")
        assert (code, err) == (1, "tideover: there is no cluster 'pariss'; did you mean paris?\n")


@pytest.mark.parametrize(
    ("name", "spiffe", "said"),
    [
        ("operator", "", ""),
        ("", "spiffe://cluster.local/ns/ops/sa/deployer", ""),
        ("somebody", "", "user:somebody may not: set `listen.admin: unix:/path`, or name it in `admins`"),
        ("", "spiffe://cluster.local/ns/shop/sa/sidecar", "sa/sidecar may not"),
        ("operator", "spiffe://cluster.local/ns/shop/sa/sidecar", "sa/sidecar may not"),
        ("operator", "spiffe://cluster.local/ns/ops//sa/deployer", "proves nothing"),
        ("operator", "https://ops", "is no SPIFFE ID"),
        ("", "", "neither a SPIFFE ID nor a common name"),
    ],
)
async def test_only_certificates_of_admins_accept_removals_in_their_name(
    replica: FakeReplica, name: str, spiffe: str, said: str
) -> None:
    authority = Authority()
    ours = authority.issue("tideover")
    theirs = authority.workload(*filter(None, [spiffe]), common_name=name)
    admins = ["user:operator", "spiffe://cluster.local/ns/ops/sa/deployer"]

    async def unasked(cluster: str, token: str) -> Proof:
        raise AssertionError("nobody sends a token")

    callers = Callers(unasked, TrustDomains())
    gate = Gate(lambda context: callers.caller(context, lambda _: ()), lambda: admins)
    secure = grpc.ssl_server_credentials([(ours.key, ours.cert)], authority.pem, require_client_auth=True)
    replica.origin = {"paris": Origin("kubeconfig", "", HELD)}
    trust = grpc.ssl_channel_credentials(authority.pem, theirs.key, theirs.cert)
    options = [("grpc.ssl_target_name_override", "tideover.test")]
    async with (
        serving(replica, credentials=secure, gate=gate) as address,
        grpc.aio.secure_channel(address, trust, options) as channel,
    ):
        stub = admin_pb2_grpc.AdminStub(channel)
        if not said:
            await stub.AcceptRemovals(pb.AcceptRemovalsRequest(cluster="paris"))
            assert replica.accepted == [("paris", spiffe or "user:operator")]
            return
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.AcceptRemovals(pb.AcceptRemovalsRequest(cluster="paris"))
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert said in (refused.value.details() or "")
    assert replica.accepted == []


async def test_a_web_server_is_not_taken_for_a_hub_without_registrations(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    async def nothing(request: web.Request) -> web.Response:
        return web.Response(status=404, text="no such page")

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", nothing)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        said = {
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}}],
            "contexts": [{"name": "hub", "context": {"cluster": "c"}}],
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(said))
        line = ["cluster", "list", "--hub-context", "hub", "--kubeconfig", str(tmp_path / "kubeconfig")]
        assert await asyncio.to_thread(run, line) == 1
    finally:
        await runner.cleanup()
    assert "404 no such page; is it a Kubernetes API server?" in capsys.readouterr().err
