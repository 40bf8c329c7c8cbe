"""Who calls: what was proven, and what follows for the claims of the caller's node. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from .spiffe import NotSpiffeError, of_certificate

if TYPE_CHECKING:
    from tideover_wire.node import Client

LOCAL_USER = "local user"
ACCOUNT = "system:serviceaccount:"


class How(StrEnum):
    """What proved it."""

    NOTHING = ""
    CERTIFICATE = "certificate"
    TOKEN = "token"
    SOCKET = "socket"  # a Unix socket that only the local user may open


@dataclass(frozen=True, slots=True)
class Caller:
    """Someone at the other end of a connection. Parts that are "" are not proven.

    `id`: a SPIFFE ID, `system:serviceaccount:NAMESPACE:NAME@CLUSTER`, `user:NAME` (a certificate without
    any URI name), `local user`, or "" for nobody in particular. `pod_uid` tells pods of one name apart.
    `problem` says why what was shown proves nothing. Never holds a token.
    """

    id: str = ""
    how: How = How.NOTHING
    cluster: str = ""
    namespace: str = ""
    service_account: str = ""
    pod: str = ""
    pod_uid: str = ""
    node: str = ""
    problem: str = ""

    @property
    def proven(self) -> bool:
        """Whether it is somebody."""
        return bool(self.id)


NOBODY = Caller()
LOCAL = Caller(LOCAL_USER, How.SOCKET)


@dataclass(frozen=True, slots=True)
class Proof:
    """What an API server says of a token (TokenReview). `problem` "" when it is good."""

    username: str = ""
    pod: str = ""
    pod_uid: str = ""
    node: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class TrustDomains:
    """Which trust domains count, and of which clusters each is. Empty: all that the client CA has signed.

    `others`: so do IDs of domains that are not named here, as proof of no cluster.
    """

    clusters: Mapping[str, Collection[str]] = field(default_factory=dict)
    others: bool = False

    def cluster(self, domain: str) -> str:
        """The cluster that this domain proves: "" when there are none or several."""
        names = self.clusters.get(domain, ())
        return next(iter(names)) if len(names) == 1 else ""

    def known(self, domain: str) -> bool:
        """Whether IDs of this domain count at all."""
        return self.others or not self.clusters or domain in self.clusters


def by_certificate(uris: Sequence[str], common_name: str, domains: TrustDomains) -> Caller:
    """Of a certificate that TLS has verified. A common name counts only where there is no URI name, so
    that nobody who may choose it beside a SPIFFE ID becomes somebody else."""
    if not uris:
        if common_name:
            return Caller(f"user:{common_name}", How.CERTIFICATE)
        return Caller(problem="its certificate has neither a SPIFFE ID nor a common name")
    try:
        found = of_certificate(uris)
    except NotSpiffeError as error:
        return Caller(problem=f"its certificate proves nothing: {error}")
    if not domains.known(found.trust_domain):
        return Caller(problem=f"its certificate is of trust domain {found.trust_domain}, of no cluster here")
    return Caller(
        str(found),
        How.CERTIFICATE,
        domains.cluster(found.trust_domain),
        found.namespace,
        found.service_account,
    )


def by_token(proof: Proof, cluster: str) -> Caller:
    """Of a token that the API server of this cluster has looked at."""
    if proof.problem:
        return Caller(problem=f"its token is refused: {proof.problem}")
    namespace, colon, account = proof.username.removeprefix(ACCOUNT).partition(":")
    if not proof.username.startswith(ACCOUNT) or not colon or not namespace or not account:
        return Caller(problem="its token is refused: it is of no service account")
    return Caller(
        f"{proof.username}@{cluster}",
        How.TOKEN,
        cluster,
        namespace,
        account,
        proof.pod,
        proof.pod_uid,
        proof.node,
    )


def contradictions(caller: Caller, client: Client) -> list[str]:
    """The claims of the node that what it proved contradicts, in words. What is not said is no claim."""
    claims = client.vantage
    rows = (
        ("CLUSTER_ID", claims.cluster, caller.cluster),
        ("NAMESPACE", claims.namespace, caller.namespace),
        ("NODE_NAME", claims.node, caller.node),
    )
    return [
        f"node metadata {key} is {said!r}, its {caller.how} proves {proven!r}"
        for key, said, proven in rows
        if said and proven and said != proven
    ]


def corrected(client: Client, caller: Caller) -> Client:
    """The client as it is served: what it proved overrides what it claims, and that is a problem to show."""
    problems = contradictions(caller, client)
    if caller.problem:
        problems.append(caller.problem)
    claims = client.vantage
    vantage = replace(
        claims,
        cluster=caller.cluster or claims.cluster,
        namespace=caller.namespace or claims.namespace,
        node=caller.node or claims.node,
    )
    if not problems and not caller.id and vantage == claims:
        return client
    return replace(client, vantage=vantage, identity=caller.id, problems=(*client.problems, *problems))
