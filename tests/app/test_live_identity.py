"""Tokens at real API servers: what a pod's token proves, and what is tried with others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from discovery.live import service, slice_of
from support.apiserver import ApiServer
from support.delta import CDS, METHOD, DeltaClient, node
from support.envoy import running_envoy
from support.running import ask
from support.tideover import Setup, Tideover, command, running_tideover
from support.wait import until
from tideover_discovery.kubernetes.client import Api, ApiError, KubeconfigFile
from tideover_discovery.kubernetes.member_access import ACCOUNT, grants
from tideover_discovery.kubernetes.token_review import PATH, answer, question
from tideover_identity.caller import Caller, Proof, TrustDomains
from tideover_identity.callers_server import Callers, Limits, UnansweredError
from tideover_proto.admin.v1 import admin_pb2 as pb

pytestmark = pytest.mark.envoy
PATIENCE_S = 30


def account(server: ApiServer, namespace: str, name: str = "caller") -> str:
    server.admin.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
    )
    return name


def bound_token(server: ApiServer, namespace: str, pod: str, audience: str = "tideover") -> str:
    """What the kubelet mounts into a pod: a token that ends with it."""
    path = server.admin.path("Pod", namespace, pod)
    found = server.admin.request("GET", path)
    bound = {"kind": "Pod", "apiVersion": "v1", "name": pod, "uid": found["metadata"]["uid"]}
    spec = {"audiences": [audience], "expirationSeconds": 3600, "boundObjectRef": bound}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    where = f"{server.admin.path('ServiceAccount', namespace, 'caller')}/token"
    return str(server.admin.request("POST", where, body)["status"]["token"])


def caller_pod(server: ApiServer, namespace: str, name: str) -> None:
    about = {"name": name, "namespace": namespace}
    containers = [{"name": "c", "image": "none"}]
    spec = {"containers": containers, "nodeName": "node-1", "serviceAccountName": "caller"}
    server.admin.create({"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec})


def live(folder: Path, *servers: ApiServer, **settings: Any) -> Setup:
    folder.mkdir(parents=True, exist_ok=True)
    rows = {}
    for server in servers:
        path = folder / f"{server.name}.kubeconfig"
        server.kubeconfig(path)
        rows[server.name] = {"manifests": None, "kubeconfig": {"path": str(path)}}
    return Setup(folder, rows, settings)


@asynccontextmanager
async def calling(setup: Setup, token: str, name: str, **claims: str) -> AsyncIterator[None]:
    """An attacker with this token, whose node says what it likes."""
    metadata = [("authorization", f"Bearer {token}")]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{setup.xds_port}") as channel:
        call: Any = channel.stream_stream(METHOD)(metadata=metadata)
        await DeltaClient(call, node(name, **claims)).subscribe(CDS, ["*"])
        try:
            yield
        finally:
            call.cancel()


async def shown(tideover: Tideover, name: str) -> pb.Client:
    """That client as the admin API shows it."""

    async def look() -> pb.Client | None:
        answer = await ask(tideover, "ListClients", pb.ListClientsRequest())
        return next((one for one in answer.clients if one.id == name), None)

    found = await until(look, PATIENCE_S, tideover.log)
    assert found is not None
    return found


async def test_a_pods_token_overrides_what_its_envoy_says_of_itself(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    account(paris, namespace)
    caller_pod(paris, namespace, "caller-1")
    paris.admin.create(service(namespace), slice_of(namespace, ["10.1.0.1"]))
    token = tmp_path / "token"
    token.write_text(bound_token(paris, namespace, "caller-1"))
    async with running_tideover(live(tmp_path / "run", paris)) as tideover:
        says = ["--cluster", "paris", "--namespace", "kube-system", "--node-id", "caller-1"]
        bootstrap = await tideover.bootstrap(*says, "--token-file", str(token))
        async with running_envoy(bootstrap, tmp_path) as envoy:
            found = await shown(tideover, "caller-1")
            assert found.identity == f"system:serviceaccount:{namespace}:caller@paris"
            assert (found.vantage.cluster, found.vantage.namespace, found.vantage.node) == (
                "paris",
                namespace,
                "node-1",
            )
            assert list(found.problems) == [
                f"node metadata NAMESPACE is 'kube-system', its token proves '{namespace}'"
            ]
            assert await envoy.rejected() == {}
        assert token.read_text() not in tideover.log()


async def test_tokens_of_others_prove_nothing_and_their_bearers_are_served_all_the_same(
    paris: ApiServer, dublin: ApiServer, namespace: str, tmp_path: Path
) -> None:
    account(paris, namespace)
    for name in ("here", "gone"):
        caller_pod(paris, namespace, name)
    good, gone = bound_token(paris, namespace, "here"), bound_token(paris, namespace, "gone")
    elsewhere = bound_token(paris, namespace, "here", audience="vault")
    paris.admin.request("DELETE", paris.admin.path("Pod", namespace, "gone"), {"gracePeriodSeconds": 0})
    head, _, signature = good.rpartition(".")
    forged = f"{head}.{signature[:-8]}AAAAAAAA"
    setup = live(tmp_path / "run", paris, dublin)
    async with running_tideover(setup) as tideover:
        rows = [
            ("good", good, "paris", ""),
            ("another cluster's", good, "dublin", "is refused: "),
            ("audience", elsewhere, "paris", "for another audience than tideover"),
            ("pod is gone", gone, "paris", "is refused: "),
            ("forged", forged, "paris", "is refused: "),
            ("no such cluster", good, "oslo", "is not looked at"),
        ]
        for name, token, cluster, why in rows:
            async with calling(setup, token, name, CLUSTER_ID=cluster, NAMESPACE=namespace):
                found = await shown(tideover, name)
            assert bool(found.identity) is not bool(why), name
            assert why in " ".join(found.problems), (name, found.problems)
            assert found.subscriptions, name
        for token in (good, gone, elsewhere, forged):
            assert token not in tideover.log()


async def test_an_operator_writes_with_a_token_when_the_configuration_names_it(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    for name in ("operator", "somebody"):
        account(paris, namespace, name)
    admin = f"system:serviceaccount:{namespace}:operator@paris"
    setup = live(tmp_path / "run", paris, admins=[admin])
    async with running_tideover(setup) as tideover:

        async def accept(name: str, audience: str = "tideover") -> tuple[int, str]:
            token = tmp_path / f"{name}.token"
            token.write_text(paris.admin.token(namespace, name, audience=audience))
            answer = await command(
                "cluster", "accept", "paris",
                server=f"127.0.0.1:{setup.admin_port}", env={"TIDEOVER_TOKEN_FILE": str(token)},
            )  # fmt: skip
            return answer.code, answer.err

        # it may: nothing is held, which is another answer than no
        assert await accept("operator") == (1, "tideover: nothing of cluster 'paris' is held back\n")
        code, err = await accept("somebody")
        assert (code, "this changes something, and its token is not looked at" in err) == (1, True)
        code, err = await accept("operator", audience="vault")
        assert (code, "for another audience" in err) == (1, True)
        # taken away while it runs
        setup.settings = {}
        setup.write()

        async def refused() -> bool:
            return "not looked at" in (await accept("operator"))[1]

        await until(refused, PATIENCE_S, tideover.log)


async def test_the_role_that_clusters_grant_is_enough(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    account(paris, namespace)
    token = paris.admin.token(namespace, "caller", audience="tideover")
    paris.admin.apply(*grants("tideover-system"))
    ours = paris.admin.token("tideover-system", ACCOUNT)
    path = tmp_path / "kubeconfig"
    paris.kubeconfig(path, token=ours)
    api = Api(KubeconfigFile(path))
    try:
        said = answer(await api.send("POST", PATH, question(token, "tideover")), "tideover")
    finally:
        await api.close()
    assert (said.username, said.pod, said.problem) == (f"system:serviceaccount:{namespace}:caller", "", "")


class FromHere:
    """A call on this machine with that token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def peer(self) -> str:
        return "ipv4:127.0.0.1:4000"

    def auth_context(self) -> dict[str, list[bytes]]:
        return {}

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self._token}"),)


async def test_while_an_api_server_is_dead_tokens_that_are_known_count_and_new_ones_share_a_vote(
    own_server: ApiServer, namespace: str, tmp_path: Path
) -> None:
    where = own_server.name
    own_server.admin.namespace(namespace)
    account(own_server, namespace)
    for name in ("known", "new"):
        caller_pod(own_server, namespace, name)
    known, new = (bound_token(own_server, namespace, name) for name in ("known", "new"))
    path = tmp_path / "kubeconfig"
    own_server.kubeconfig(path)
    api = Api(KubeconfigFile(path))

    async def review(_cluster: str, token: str) -> Proof:
        try:
            return Proof(*answer(await api.send("POST", PATH, question(token, "tideover")), "tideover"))
        except ApiError as error:
            raise UnansweredError(error.reason) from None

    async def who(token: str) -> Caller:
        context: Any = FromHere(token)
        return await callers.caller(context, lambda _: [where])

    # no answer is fresh: each look is a question
    callers = Callers(review, TrustDomains(), Limits(fresh_s=0, unanswered_s=0))
    claims = {"CLUSTER_ID": where, "NAMESPACE": namespace}
    setup = live(tmp_path / "run", own_server)
    try:
        async with running_tideover(setup) as tideover, calling(setup, known, "before", **claims):
            assert (await who(known)).pod == "known"
            assert (await shown(tideover, "before")).identity
            own_server.kill()
            assert (await who(known)).pod == "known"
            async with (
                calling(setup, known, "after", **claims),
                calling(setup, new, "unknown", **claims),
            ):
                assert (
                    await shown(tideover, "after")
                ).identity == f"system:serviceaccount:{namespace}:caller@{where}"
                found = await shown(tideover, "unknown")
                assert (found.identity, bool(found.subscriptions)) == ("", True)
                assert f"its token cannot be checked: cluster {where}: " in " ".join(found.problems)
                refused = await who(new)
                assert (refused.proven, "cannot be checked" in refused.problem) == (False, True)
                assert (await shown(tideover, "before")).identity
            own_server.start()

            async def believed() -> bool:
                return (await who(new)).pod == "new"

            await until(believed, PATIENCE_S, tideover.log)
    finally:
        await api.close()
