"""What a token says of itself. Nothing of that is proven: it only saves questions to API servers. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

AUDIENCE = "tideover"
LONGEST = 16 << 10  # characters
_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class Said:
    """`problem`: why no API server need be asked. `expires_at_s` is Unix time."""

    subject: str = ""
    expires_at_s: float = 0.0
    problem: str = ""


class _Claims(msgspec.Struct):
    exp: float
    aud: str | list[str]
    sub: str = ""


def bearer(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """The token of a call's metadata; "" for none. ValueError when there are several, or another scheme."""
    found = [value for key, value in metadata if key.lower() == "authorization"]
    if not found:
        return ""
    value = found[0].decode("latin-1") if isinstance(found[0], bytes) else found[0]
    if len(found) > 1 or not value.lower().startswith(_BEARER):
        raise ValueError("it should send one `authorization: Bearer TOKEN`")
    return value[len(_BEARER) :].strip()


def said(token: str, now_s: float) -> Said:
    """What a service account token says, without its signature being looked at."""
    if len(token) > LONGEST:
        return Said(problem="it is too long")
    parts = token.split(".")
    payload = parts[1] + "=" * (-len(parts[1]) % 4) if len(parts) == 3 else ""
    try:
        claims = msgspec.json.decode(base64.b64decode(payload, altchars=b"-_", validate=True), type=_Claims)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        return Said(problem="it is no service account token with an audience and an end")
    audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if AUDIENCE not in audiences:
        return Said(problem=f"it is for another audience than {AUDIENCE}")
    if not now_s < claims.exp:
        return Said(problem="it has expired")
    return Said(claims.sub, claims.exp)
