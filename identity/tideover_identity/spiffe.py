"""SPIFFE IDs, as certificates of a mesh carry them: `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT`.

Strict: a name that can be read in two ways is none. The length and characters are those of the SPIFFE-ID
standard, so nothing has to be unescaped or normalized.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

LONGEST = 2048  # bytes
_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}", re.ASCII)
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_SCHEME = "spiffe://"


class NotSpiffeError(ValueError):
    """Why something is no SPIFFE ID; the text shows it, shortened."""


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """`namespace` and `service_account` are "" where the path is none of Kubernetes (`/ns/…/sa/…`)."""

    trust_domain: str
    path: str  # with its leading slash; never ""
    namespace: str = ""
    service_account: str = ""

    def __str__(self) -> str:
        return f"{_SCHEME}{self.trust_domain}{self.path}"

    @classmethod
    def parse(cls, text: str) -> SpiffeId:
        """Read one of a workload. NotSpiffeError on anything else."""
        shown = repr(text[:80])
        if not text.startswith(_SCHEME) or len(text) > LONGEST:
            raise NotSpiffeError(f"{shown} is no SPIFFE ID (spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT)")
        domain, slash, path = text.removeprefix(_SCHEME).partition("/")
        if not _DOMAIN.fullmatch(domain):
            raise NotSpiffeError(f"{shown}: {domain[:40]!r} is no trust domain (a-z, 0-9, '.', '-', '_')")
        segments = path.split("/")
        if not slash or not all(_SEGMENT.fullmatch(one) and one not in {".", ".."} for one in segments):
            raise NotSpiffeError(f"{shown}: its path has an empty, dotted or unusual segment")
        match segments:
            case ["ns", namespace, "sa", account]:
                return cls(domain, "/" + path, namespace, account)
        return cls(domain, "/" + path)


def of_certificate(uris: Sequence[str]) -> SpiffeId:
    """Of the URI names of a certificate, of which there must be exactly one. NotSpiffeError otherwise."""
    if len(uris) != 1:
        raise NotSpiffeError(
            "the certificate has no URI name" if not uris else f"the certificate has {len(uris)} URI names"
        )
    return SpiffeId.parse(uris[0])
