"""How every file of the state folder is sealed: one line with its kind, version, checksum and length."""

from __future__ import annotations

from hashlib import sha256


class BadSnapshotError(Exception):
    """Bytes that are no whole snapshot of a known version, and why."""


def sealed(kind: str, version: str, body: bytes) -> bytes:
    """The body below its header."""
    return f"{kind} {version} {sha256(body).hexdigest()} {len(body)}\n".encode() + body


def unsealed(raw: bytes, kind: str, version: str) -> bytes:
    """The body that `sealed` was given. BadSnapshotError: it is torn, changed, or of another version."""
    header, newline, body = raw.partition(b"\n")
    words = header.decode("ascii", "replace").split(" ")
    if not newline or len(words) != 4 or words[0] != kind:
        raise BadSnapshotError("is no snapshot, or torn")
    _, written, checksum, length = words
    if written != version:
        raise BadSnapshotError(f"has version {written[:20]!r}, this program reads version {version}")
    if length != str(len(body)):
        raise BadSnapshotError(f"is torn: {len(body)} bytes of {length[:20]}")
    if sha256(body).hexdigest() != checksum:
        raise BadSnapshotError("is corrupt: its checksum differs")
    return body
