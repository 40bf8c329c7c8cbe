"""Who may change something through the admin API, and in whose name.

Over TCP that asks for a client certificate; a Unix socket is guarded by the file system.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

LOCAL_USER = "local user"


def author(peer: str, proven: Mapping[str, Iterable[bytes]]) -> str:
    """Who calls, "" for someone who may only read. `peer` and `proven` (what TLS has verified) are gRPC's."""
    if peer.startswith("unix:"):
        return LOCAL_USER
    if b"ssl" not in proven.get("transport_security_type", ()):
        return ""
    names = [*proven.get("x509_common_name", ()), *proven.get("x509_subject_alternative_name", ())]
    return next((name.decode("utf-8", "replace") for name in names if name), "")


def refusal(sockets: Sequence[str]) -> str:
    """Why someone may not, and what to do; `sockets` are the addresses where the local user may."""
    here = f"use --server {sockets[0]} on its machine" if sockets else "set `listen.admin: unix:/path`"
    return f"this changes something, which plain TCP may not: {here}, or set `tls` with `clientCA`"
