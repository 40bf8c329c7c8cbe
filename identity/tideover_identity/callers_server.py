"""Who is at the other end of a call: by the certificate of its connection, or the token of its metadata.

A token is looked at by an API server (TokenReview). The answer is kept, by the token's hash, for two minutes;
while that API server cannot be asked, the last yes counts until the token ends, an hour at most, and nobody
new is believed.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Generic, TypeVar

import grpc

from .caller import LOCAL, NOBODY, Caller, Proof, TrustDomains, by_certificate, by_token
from .certificate import names
from .token import bearer, said
from .voter import from_loopback

Context = grpc.aio.ServicerContext[Any, Any]
V = TypeVar("V")


class UnansweredError(Exception):
    """An API server could not be asked, and why."""


# (cluster, token): what the API server of that cluster says of it. UnansweredError
Review = Callable[[str, str], Awaitable[Proof]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What tokens may cost. A yes counts for `fresh_s`, a no for `refused_s`.

    `last_word_s`: so long the last yes counts while the API server does not answer.
    """

    fresh_s: float = 120.0
    last_word_s: float = 3600.0
    refused_s: float = 10.0
    answer_within_s: float = 3.0  # a client is served without proof after that
    unanswered_s: float = 5.0  # how long an API server that did not answer is left alone
    questions_at_once: int = 8  # per cluster
    waiting: int = 1000  # per cluster, together with those
    kept: int = 10_000
    refused_kept: int = 1_000


@dataclass(frozen=True, slots=True)
class _Known:
    proof: Proof
    looked_at_s: float  # monotonic
    expires_at_s: float  # Unix time


class _Newest(Generic[V]):
    """The newest entries, so many at most."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[bytes, V] = OrderedDict()

    def get(self, key: bytes) -> V | None:
        return self._kept.get(key)

    def put(self, key: bytes, value: V) -> None:
        self._kept[key] = value
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def drop(self, key: bytes) -> None:
        self._kept.pop(key, None)


class Callers:
    """Of all servers of a replica. To be used inside its event loop. `domains` may be exchanged."""

    def __init__(self, review: Review, domains: TrustDomains, limits: Limits | None = None) -> None:
        self.domains = domains
        self._review = review
        self._limits = limits or Limits()
        self._good: _Newest[_Known] = _Newest(self._limits.kept)
        self._bad: _Newest[_Known] = _Newest(self._limits.refused_kept)
        self._asking: dict[str, asyncio.Semaphore] = {}
        self._waiting: dict[str, int] = {}
        self._down: dict[str, tuple[float, str]] = {}  # cluster -> until when (monotonic) it is left alone

    async def caller(self, context: Context, clusters: Callable[[str], Sequence[str]]) -> Caller:
        """Who calls. `clusters`: whose API servers may be asked for the token of that (claimed) subject.

        A token that proves somebody wins over the certificate of the connection, which may be a proxy's.
        """
        peer = context.peer()
        if peer.startswith("unix:"):
            return LOCAL
        proven = context.auth_context()
        by_connection = self._by_certificate(proven)
        try:
            token = bearer(context.invocation_metadata() or ())
        except ValueError as error:
            return _beside(by_connection, f"its token is refused: {error}")
        if not token:
            return by_connection
        if b"ssl" not in proven.get("transport_security_type", ()) and not from_loopback(peer):
            return _beside(by_connection, "its token was sent without TLS, where others may read it: ignored")
        found = await self._by_token(token, clusters)
        return found if found.proven else _beside(by_connection, found.problem)

    def _by_certificate(self, proven: Any) -> Caller:
        shown = proven.get("x509_pem_cert", ())
        if not shown:
            return NOBODY
        found = names(shown[0])
        if found.problem:
            return Caller(problem=found.problem)
        if not time.time() < found.ends_at_s:
            return Caller(problem="its certificate has expired")
        return by_certificate(found.uris, found.common_name, self.domains)

    async def _by_token(self, token: str, clusters: Callable[[str], Sequence[str]]) -> Caller:
        claims = said(token, time.time())
        if claims.problem:
            return Caller(problem=f"its token is refused: {claims.problem}")
        asked = clusters(claims.subject)
        if not asked:
            return Caller(
                problem="its token is not looked at: no cluster or admin known here can have been given it"
            )
        found = NOBODY
        for cluster in asked:
            try:
                found = by_token(await self._proof(cluster, token, claims.expires_at_s), cluster)
            except UnansweredError as error:
                found = Caller(problem=f"its token cannot be checked: cluster {cluster}: {error}")
            if found.proven:
                break
        return found

    async def _proof(self, cluster: str, token: str, expires_at_s: float) -> Proof:
        """What that cluster says of the token; UnansweredError: nothing now, and no yes before."""
        key = sha256(f"{cluster}\0{token}".encode("utf-8", "replace")).digest()
        if (known := self._fresh(key)) is not None:
            return known.proof
        try:
            proof = await self._asked(cluster, token, key)
        except UnansweredError:
            last = self._good.get(key)
            if last is None or time.monotonic() >= last.looked_at_s + self._limits.last_word_s:
                raise
            return last.proof  # it has not expired: that was looked at first
        answer = _Known(proof, time.monotonic(), expires_at_s)
        if proof.problem:
            self._good.drop(key)
            self._bad.put(key, answer)
        else:
            self._bad.drop(key)
            self._good.put(key, answer)
        return proof

    def _fresh(self, key: bytes) -> _Known | None:
        now_s = time.monotonic()
        for kept, for_s in ((self._good, self._limits.fresh_s), (self._bad, self._limits.refused_s)):
            known = kept.get(key)
            if known is not None and now_s < known.looked_at_s + for_s:
                return known
        return None

    async def _asked(self, cluster: str, token: str, key: bytes) -> Proof:
        self._left_alone(cluster)
        if self._waiting.get(cluster, 0) >= self._limits.waiting:
            raise UnansweredError("too many tokens wait to be checked")
        self._waiting[cluster] = self._waiting.get(cluster, 0) + 1
        asking = self._asking.setdefault(cluster, asyncio.Semaphore(self._limits.questions_at_once))
        try:
            async with asyncio.timeout(self._limits.answer_within_s):
                await asking.acquire()
            try:
                # another stream of the same client may have asked meanwhile
                if (known := self._fresh(key)) is not None:
                    return known.proof
                self._left_alone(cluster)
                return await self._answer(cluster, token)
            finally:
                asking.release()
        except TimeoutError:
            raise UnansweredError("too many tokens wait to be checked") from None
        finally:
            self._waiting[cluster] -= 1
            if not self._waiting[cluster]:  # no name stays that somebody has made up
                del self._waiting[cluster]
                self._asking.pop(cluster, None)

    async def _answer(self, cluster: str, token: str) -> Proof:
        until_s = time.monotonic() + self._limits.unanswered_s
        try:
            async with asyncio.timeout(self._limits.answer_within_s):
                proof = await self._review(cluster, token)
        except TimeoutError:
            self._down[cluster] = (until_s, f"no answer within {self._limits.answer_within_s:g} s")
            raise UnansweredError(self._down[cluster][1]) from None
        except UnansweredError as error:
            self._down[cluster] = (until_s, str(error))
            raise
        self._down.pop(cluster, None)
        return proof

    def _left_alone(self, cluster: str) -> None:
        until_s, why = self._down.get(cluster, (0.0, ""))
        if time.monotonic() < until_s:
            raise UnansweredError(why)


def _beside(caller: Caller, problem: str) -> Caller:
    return replace(caller, problem=problem)
