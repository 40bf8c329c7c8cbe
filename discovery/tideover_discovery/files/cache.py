"""YAML is slow to read: a large file is converted once, and kept as JSON under the hash of its bytes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import msgspec

from tideover_discovery.kubernetes.decoding import key
from tideover_discovery.kubernetes.manifest import (
    Broken,
    Manifest,
    Progress,
    item_of,
    looks_like_json,
    read_manifest,
)
from tideover_discovery.kubernetes.objects import AnyObject

# Raise it when what is kept of an object, or what is refused, changes
VERSION = 5
WORTH_BYTES = 2**20
MOST_BYTES = 2**30  # of all files together: a dump that is written anew all day must not fill the disk


class _Kept(msgspec.Struct, frozen=True, gc=False):
    items: list[tuple[int, AnyObject]]
    broken: list[Broken]


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/tideover, or ~/.cache/tideover."""
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base or Path.home() / ".cache") / "tideover"


def cached(
    data: bytes, file: str, previous: Manifest | None = None, progress: Progress | None = None
) -> Manifest:
    """`read_manifest`, by way of the cache for large YAML files. A bad or unwritable cache is ignored."""
    if len(data) < WORTH_BYTES or looks_like_json(data, file):
        return read_manifest(data, file, previous, progress)
    digest = hashlib.sha256(data).hexdigest()
    try:
        path = cache_folder() / f"{digest}.v{VERSION}.json"
    except RuntimeError:  # no home folder
        return read_manifest(data, file, previous, progress)
    found = _load(path, file)
    if found is None:
        found = read_manifest(data, file, previous, progress)
        _store(path, found)
    return found


def _load(path: Path, file: str) -> Manifest | None:
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
        items = {key(body): item_of(body, file, line) for line, body in kept.items}
    except (OSError, ValueError):
        return None
    broken = tuple(Broken(b.key, b.message, file, b.line, b.certain, b.hides) for b in kept.broken)
    return Manifest(items, broken)


def _store(path: Path, manifest: Manifest) -> None:
    kept = _Kept([(item.line, item.body) for item in manifest.items.values()], list(manifest.broken))
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".converting-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(kept))
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise
        _tidy(path.parent)
    except OSError:
        return  # a full or read-only disk: it will be converted again next time


def _tidy(folder: Path) -> None:
    """Let the oldest files go, as far as there is too much. OSError when another process does the same."""
    left = MOST_BYTES
    for file in sorted(folder.iterdir(), key=os.path.getmtime, reverse=True):
        left -= file.stat().st_size
        if left < 0:
            file.unlink()
