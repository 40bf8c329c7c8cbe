"""What one look at one endpoint said."""

from __future__ import annotations

import errno
from typing import NamedTuple


class Outcome(NamedTuple):
    """`passed` None: it says nothing of the endpoint, the trouble is ours."""

    passed: bool | None
    detail: str


# what a replica without files, memory or network sees of every endpoint alike
_OURS = frozenset(
    {
        errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ENETDOWN, errno.ENETUNREACH,
        errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM, errno.EAFNOSUPPORT,
    }
)  # fmt: skip


def broken(error: OSError) -> Outcome:
    """A connection that failed."""
    said = errno.errorcode.get(error.errno or 0, "")
    if error.errno in _OURS:
        return Outcome(None, f"not looked at: {said} here")
    return Outcome(False, _WORDS.get(said, said or type(error).__name__))


def status(line: bytes) -> Outcome:
    """What the first line of an answer to an HTTP request says. A redirect is not healthy, nor followed."""
    version, _, rest = line.rstrip(b"\r\n").partition(b" ")
    code = rest[:3]
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or not code.isdigit() or rest[3:4] not in (b"", b" "):
        return Outcome(False, f"no HTTP answer: {line[:32]!a}" if line else "closed without an answer")
    number = int(code)
    if 300 <= number < 400:
        return Outcome(False, f"HTTP {number}: a redirect, not followed")
    return Outcome(200 <= number < 300, f"HTTP {number}")


_WORDS = {
    "ECONNREFUSED": "connection refused",
    "ECONNRESET": "connection reset",
    "EPIPE": "connection reset",
    "EHOSTUNREACH": "no route to it",
    "ETIMEDOUT": "connecting timed out",
}
