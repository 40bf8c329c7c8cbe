"""Who calls, over real connections: certificates, tokens, and what is tried with them."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from support.certificates import Authority, Pair, spiffe_id
from support.wait import until
from tideover_identity.caller import LOCAL_USER, NOBODY, Caller, How, Proof, TrustDomains
from tideover_identity.callers_server import Callers, Limits, UnansweredError
from tideover_identity.permission import check_admin, cluster_of
from tideover_identity.token import bearer, said

SUBJECT = "system:serviceaccount:bookinfo:reviews"


def jwt(*, audience: object = "tideover", for_s: float = 600, subject: str = SUBJECT, salt: str = "") -> str:
    claims = {"aud": audience, "exp": time.time() + for_s, "sub": subject, "jti": salt}
    parts = [{"alg": "none"}, claims, {"signature": True}]
    return ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts)


class ApiServers:
    """What is asked of them, and what they say."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.known: dict[tuple[str, str], Proof] = {}
        self.down: set[str] = set()
        self.hangs: set[str] = set()

    def give(self, cluster: str, token: str, pod: str = "reviews-1") -> str:
        self.known[cluster, token] = Proof(SUBJECT, pod, "uid-1", "node-1")
        return token

    async def review(self, cluster: str, token: str) -> Proof:
        self.asked.append((cluster, token))
        if cluster in self.hangs:
            await asyncio.sleep(3600)
        if cluster in self.down:
            raise UnansweredError("connection refused")
        return self.known.get((cluster, token), Proof(problem="the API server does not know it"))


class Asking:
    """A server that says who calls, and calls to it."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.servers = ApiServers()
        self.callers = Callers(self.servers.review, TrustDomains({"cluster.local": ["paris"]}), limits)
        self.clusters: list[str] = ["paris"]
        self.channel: Any = None

    async def who(self, *tokens: str, scheme: str = "Bearer ") -> Caller:
        metadata = [("authorization", f"{scheme}{token}") for token in tokens]
        self.found: Caller | None = None
        await self.channel.unary_unary("/test/Who")(b"", metadata=metadata, timeout=10)
        assert self.found is not None
        return self.found

    async def answer(self, request: bytes, context: Any) -> bytes:
        self.found = await self.callers.caller(context, lambda _: self.clusters)
        return b""


@asynccontextmanager
async def asking(
    pair: Pair | None = None, ca: Authority | None = None, *, address: str = "", **limits: Any
) -> AsyncIterator[Asking]:
    """`ca`: with TLS, and mandatory certificates."""
    one = Asking(Limits(**limits))
    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(one.answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", {"Who": method}),))
    if ca is not None:
        ours = ca.issue("tideover")
        credentials = grpc.ssl_server_credentials([(ours.key, ours.cert)], ca.pem, require_client_auth=True)
        port = server.add_secure_port("127.0.0.1:0", credentials)
        assert pair is not None
        options = [("grpc.ssl_target_name_override", "tideover.test"), ("grpc.use_local_subchannel_pool", 1)]
        trusting = grpc.ssl_channel_credentials(ca.pem, pair.key, pair.cert)
        channel = grpc.aio.secure_channel(f"127.0.0.1:{port}", trusting, options=options)
    else:
        port = server.add_insecure_port(address or "127.0.0.1:0")
        channel = grpc.aio.insecure_channel(address or f"127.0.0.1:{port}")
    await server.start()
    try:
        async with channel:
            one.channel = channel
            yield one
    finally:
        await server.stop(0)


async def test_nothing_shown_is_nobody_and_a_unix_socket_the_local_user(tmp_path: Any) -> None:
    async with asking() as server:
        assert await server.who() == NOBODY
    async with asking(address=f"unix:{tmp_path}/s") as server:
        assert (await server.who()).id == LOCAL_USER


async def test_a_certificate_says_who_calls() -> None:
    ca = Authority()
    async with asking(ca.workload(spiffe_id("reviews")), ca) as server:
        found = await server.who()
    assert (found.id, found.how, found.cluster) == (spiffe_id("reviews"), How.CERTIFICATE, "paris")


async def test_certificates_of_another_authority_or_trust_domain_prove_nothing() -> None:
    ca = Authority()
    async with asking(ca.workload(spiffe_id("reviews", trust_domain="evil.example")), ca) as server:
        found = await server.who()
    assert not found.proven
    assert "trust domain evil.example" in found.problem
    async with asking(Authority().workload(spiffe_id("reviews")), ca) as server:
        with pytest.raises(grpc.aio.AioRpcError):
            await server.who()


async def test_a_token_says_who_calls_and_is_looked_at_once() -> None:
    async with asking() as server:
        token = server.servers.give("paris", jwt())
        for _ in range(3):
            found = await server.who(token)
        assert found == Caller(
            f"{SUBJECT}@paris", How.TOKEN, "paris", "bookinfo", "reviews", "reviews-1", "uid-1", "node-1"
        )
        assert len(server.servers.asked) == 1
        assert token not in repr(vars(server.callers._good)) + repr(vars(server.callers._bad))


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (jwt(audience="vault"), "for another audience"),
        (jwt(audience=["vault", "https://kubernetes.default.svc"]), "for another audience"),
        (jwt(for_s=-1), "has expired"),
        ("not a token", "is no service account token"),
        ("a.b.c", "is no service account token"),
        ("x" * 20_000, "is too long"),
    ],
    ids=["audience", "audiences", "expired", "no JWT", "no JSON", "long"],
)
async def test_what_a_token_says_against_itself_asks_no_api_server(token: str, why: str) -> None:
    async with asking() as server:
        if len(token) < 10_000:  # gRPC itself refuses metadata of that size
            found = await server.who(token)
            assert not found.proven
            assert why in found.problem
        assert why.rsplit(maxsplit=1)[-1] in said(token, time.time()).problem
        assert server.servers.asked == []


async def test_a_token_of_another_cluster_is_refused_there_and_shown_to_no_third() -> None:
    async with asking() as server:
        token = server.servers.give("paris", jwt())
        server.clusters = ["dublin"]  # where the client says it is
        found = await server.who(token)
        assert (found.proven, found.problem) == (
            False,
            "its token is refused: the API server does not know it",
        )
        assert server.servers.asked == [("dublin", token)]
        server.clusters = []
        assert "no cluster or admin" in (await server.who(token)).problem


async def test_a_good_token_wins_over_the_certificate_and_a_bad_one_leaves_it() -> None:
    ca = Authority()
    async with asking(ca.workload(spiffe_id("gateway")), ca) as server:
        assert (await server.who(server.servers.give("paris", jwt()))).id == f"{SUBJECT}@paris"
        found = await server.who(jwt(for_s=-1))
    assert (found.id, found.problem) == (spiffe_id("gateway"), "its token is refused: it has expired")


class FromAfar:
    """A call over plain TCP from another machine."""

    def __init__(self, token: str) -> None:
        self._token = token

    def peer(self) -> str:
        return "ipv4:192.0.2.7:4000"

    def auth_context(self) -> dict[str, list[bytes]]:
        return {"transport_security_type": [b"insecure"]}

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self._token}"),)


async def test_a_token_that_crossed_the_network_in_plain_text_counts_for_nothing() -> None:
    servers = ApiServers()
    context: Any = FromAfar(servers.give("paris", jwt()))
    found = await Callers(servers.review, TrustDomains()).caller(context, lambda _: ["paris"])
    assert (found.proven, servers.asked) == (False, [])
    assert "sent without TLS" in found.problem


async def test_two_tokens_or_another_scheme_prove_nothing() -> None:
    async with asking() as server:
        token = server.servers.give("paris", jwt())
        for found in (await server.who(token, token), await server.who(token, scheme="Basic ")):
            assert not found.proven
            assert "one `authorization: Bearer TOKEN`" in found.problem
    assert bearer([("authorization", b"bearer x ")]) == "x"


async def test_while_the_api_server_is_down_the_last_yes_counts_and_nobody_new_does() -> None:
    async with asking(fresh_s=0, refused_s=0, unanswered_s=0) as server:
        token = server.servers.give("paris", jwt())
        assert (await server.who(token)).proven
        server.servers.down.add("paris")
        assert (await server.who(token)).proven
        found = await server.who(server.servers.give("paris", jwt(salt="new")))
        assert (found.proven, found.problem) == (
            False,
            "its token cannot be checked: cluster paris: connection refused",
        )
        server.servers.down.clear()
        del server.servers.known["paris", token]  # its pod is gone
        assert not (await server.who(token)).proven
        server.servers.down.add("paris")
        assert not (await server.who(token)).proven  # a no is the last word too


async def test_the_last_yes_ends_with_the_token() -> None:
    async with asking(fresh_s=0, unanswered_s=0) as server:
        token = server.servers.give("paris", jwt(for_s=1.0))
        assert (await server.who(token)).proven
        server.servers.down.add("paris")

        async def ended() -> bool:
            return "has expired" in (await server.who(token)).problem

        await until(ended)


async def test_the_last_yes_is_not_for_ever() -> None:
    async with asking(fresh_s=0, unanswered_s=0, last_word_s=0.2) as server:
        token = server.servers.give("paris", jwt())
        assert (await server.who(token)).proven
        server.servers.down.add("paris")

        async def ended() -> bool:
            return "cannot be checked: cluster paris" in (await server.who(token)).problem

        await until(ended)
        server.servers.down.clear()
        assert (await server.who(token)).proven


async def test_an_api_server_that_hangs_is_left_alone_for_a_while() -> None:
    async with asking(answer_within_s=0.05, unanswered_s=60) as server:
        server.servers.hangs.add("paris")
        for n in range(5):
            assert "no answer within 0.05 s" in (await server.who(jwt(salt=str(n)))).problem
        assert len(server.servers.asked) == 1


async def test_a_flood_of_made_up_tokens_costs_no_good_one_its_answer() -> None:
    async with asking(refused_kept=4, questions_at_once=2) as server:
        good = server.servers.give("paris", jwt())
        assert (await server.who(good)).proven
        calls = [server.channel.unary_unary("/test/Who") for _ in range(20)]
        await asyncio.gather(
            *(
                call(b"", metadata=[("authorization", f"Bearer {jwt(salt=str(n))}")])
                for n, call in enumerate(calls)
            )
        )
        asked = len(server.servers.asked)
        assert (await server.who(good)).proven
        assert len(server.servers.asked) == asked
        assert len(server.callers._bad._kept) == 4
        assert server.callers._waiting == server.callers._asking == {}


@pytest.mark.parametrize(
    ("text", "cluster"),
    [
        ("spiffe://cluster.local/ns/ops/sa/deployer", ""),
        ("system:serviceaccount:ops:deployer@paris", "paris"),
        ("user:alice@example.com", ""),
        ("system:serviceaccount:ops:deployer", None),
        ("system:serviceaccount:ops@paris", None),
        ("system:serviceaccount:ops:a:b@paris", None),
        ("spiffe://cluster.local", None),
        ("alice", None),
        ("user:", None),
        ("*", None),
    ],
)
def test_entries_of_admins(text: str, cluster: str | None) -> None:
    if cluster is None:
        with pytest.raises(ValueError, match=r"user:|SPIFFE|NAMESPACE|trust domain|path"):
            check_admin(text)
    else:
        assert cluster_of(check_admin(text)) == cluster
