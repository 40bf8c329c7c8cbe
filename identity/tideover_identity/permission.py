"""Who may change something through the admin API. Pure."""

from __future__ import annotations

from collections.abc import Collection

from .caller import ACCOUNT, Caller, How
from .spiffe import SpiffeId

FORMS = "spiffe://TRUST_DOMAIN/…, system:serviceaccount:NAMESPACE:NAME@CLUSTER or user:COMMON_NAME"


def check_admin(text: str) -> str:
    """An entry of `admins`, as it is written. ValueError says what is wrong with it."""
    if text.startswith("spiffe://"):
        return str(SpiffeId.parse(text))
    if text.startswith(ACCOUNT):
        account, at, cluster = text.removeprefix(ACCOUNT).partition("@")
        namespace, colon, name = account.partition(":")
        if not (namespace and colon and name and at and cluster) or ":" in name:
            raise ValueError(
                f"{text!r} should be {ACCOUNT}NAMESPACE:NAME@CLUSTER: whose API server is asked for the token"
            )
        return text
    if text.startswith("user:") and text != "user:":
        return text
    raise ValueError(f"{text!r} is none of {FORMS}")


def cluster_of(admin: str) -> str:
    """The cluster whose API server says whether a token is this one's; "" for those of certificates."""
    return admin.rpartition("@")[2] if admin.startswith(ACCOUNT) else ""


def may_write(caller: Caller, admins: Collection[str]) -> bool:
    """The local user always may; others when they are named."""
    return caller.how is How.SOCKET or (caller.proven and caller.id in admins)


def refusal(caller: Caller, socket: str) -> str:
    """Why this one may not, and what to do. `socket`: where the local user may, "" when nowhere."""
    here = f"use --server {socket} on its machine" if socket else "set `listen.admin: unix:/path`"
    if caller.problem:
        return f"this changes something, and {caller.problem}; {here}"
    if not caller.proven:
        return (
            "this changes something, which nobody may who has not proven who they are: "
            f"{here}, or show a client certificate or a token that `admins` names"
        )
    return f"this changes something, which {caller.id} may not: {here}, or name it in `admins`"
