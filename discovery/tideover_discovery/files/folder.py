"""A folder or file of manifests as it is on disk now. Blocking: call it in a thread."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tideover_discovery.kubernetes.listing import Listing, combine
from tideover_discovery.kubernetes.manifest import Broken, Manifest

from .cache import cached

SUFFIXES = (".yaml", ".yml", ".json")
MAX_FILE_BYTES = 2**30
MAX_DEPTH = 16
# Files are deleted one by one: until it has been quiet for so long, a deletion may be that of the folder
REMOVAL_GRACE_S = 1.0
# A file that is written in place, not replaced, is read once it has kept still for so long
SETTLE_S = 0.1

Signature = tuple[int, int, int, int, int]
_UNKNOWN: Signature = (0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a look at the folder gave. `trouble`: it says nothing; what it said before stays."""

    listing: Listing | None
    trouble: str = ""
    again_in_s: float | None = None  # look again then, even if nothing is heard


def _signature(status: os.stat_result) -> Signature:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def manifest_files(path: Path) -> Iterator[tuple[Path, Signature]]:
    """Every manifest in a folder and those below it, or the one file. OSError when it cannot be listed.

    Hidden files and editors' temporary ones are not manifests; nor are pipes and devices, whatever
    their name: to read one could hang for ever.
    """
    if not stat.S_ISDIR(path.stat().st_mode):
        yield from _manifest(path)
        return
    yield from _below(path, frozenset())


def _below(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[tuple[Path, Signature]]:
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in above or len(above) > MAX_DEPTH:
        return  # a link back up
    for name in sorted(os.listdir(folder)):
        if name.startswith((".", "#")) or name.endswith("~"):
            continue
        path = folder / name
        try:
            if path.is_dir():
                yield from _below(path, above | {identity})
            elif name.endswith(SUFFIXES):
                yield from _manifest(path)
        except FileNotFoundError:
            continue  # gone between listing and looking, or a link to nowhere
        except OSError:
            if not name.endswith(SUFFIXES):
                raise  # a folder
            yield path, _UNKNOWN  # a link to itself, say; reading it will tell


def _manifest(path: Path) -> Iterator[tuple[Path, Signature]]:
    status = path.stat()
    if stat.S_ISREG(status.st_mode):
        yield path, _signature(status)


class Folder:
    """What the files under a path say; only files that changed are read again."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._manifests: dict[str, Manifest] = {}
        self._signatures: dict[str, Signature] = {}
        self._settling: dict[str, tuple[Signature, float]] = {}
        self._missing_since = 0.0
        self._missing: frozenset[str] = frozenset()
        self._listing: Listing | None = None

    def look(self) -> Outcome:
        """Read what changed since the last look."""
        try:
            there = {named(path): (path, signature) for path, signature in manifest_files(self.path)}
        except OSError as error:
            return Outcome(self._listing, _reason(self.path, error))
        if not there:
            return Outcome(self._listing, f"{named(self.path)} holds no manifests")
        before = (dict(self._manifests), self._missing)
        waits = [self._update(file, *found) for file, found in there.items()]
        waits.append(self._forget(there))
        if self._listing is None or before != (self._manifests, self._missing):
            self._listing = combine(self._manifests, self._listing or Listing(), self._missing)
        return Outcome(self._listing, "", min((wait for wait in waits if wait is not None), default=None))

    def _update(self, file: str, path: Path, signature: Signature) -> float | None:
        """Read one file if it changed; seconds to wait when it is still being written."""
        old = self._signatures.get(file)
        if old == signature:
            self._settling.pop(file, None)
            return None
        # replaced by another file, or found at the first look: whole. Else it may be half written
        replaced = old is not None and old[:2] != signature[:2]
        if not replaced and self._listing is not None:
            seen, since = self._settling.get(file, (None, 0.0))
            now = self._clock()
            if seen != signature:
                self._settling[file] = (signature, now)
                return SETTLE_S
            if (left := since + SETTLE_S - now) > 0:
                return left
        self._settling.pop(file, None)
        try:
            self._manifests[file] = cached(read_bytes(path), file, self._manifests.get(file))
            self._signatures[file] = signature
        except OSError as error:  # tried again at every look: what ails a disk need not show in the file
            unread = Broken(None, _reason(path, error), file, certain=False)
            self._manifests[file] = Manifest({}, (unread,))
            self._signatures[file] = _UNKNOWN
        return None

    def _forget(self, there: Mapping[str, object]) -> float | None:
        """Drop files that have been gone for a while; seconds to wait for those just gone."""
        missing = frozenset(self._manifests) - there.keys()
        if not missing:
            self._missing = missing
            return None
        now = self._clock()
        if missing != self._missing or self._proves_nothing(there):
            self._missing, self._missing_since = missing, now
        left = self._missing_since + REMOVAL_GRACE_S - now
        if left > 0:
            return left
        for file in missing:
            del self._manifests[file]
            self._signatures.pop(file, None)
        self._missing = frozenset()
        return None

    def _proves_nothing(self, there: Mapping[str, object]) -> bool:
        """Whether what is missing may be in a file that was never good, or no file there says anything."""
        found = {file: manifest for file, manifest in self._manifests.items() if file in there}
        whole = self._listing.whole if self._listing else frozenset()
        hidden = any(
            fault.hides and not fault.certain
            for file, manifest in found.items()
            if file not in whole
            for fault in manifest.broken
        )
        return hidden or all(manifest.broken and not manifest.items for manifest in found.values())


def read_bytes(path: Path) -> bytes:
    """The whole file. OSError when it cannot be read, or is larger than is sensible."""
    try:
        with path.open("rb") as file:
            too_large = os.fstat(file.fileno()).st_size > MAX_FILE_BYTES
            data = b"" if too_large else file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # reading does not say which
    if too_large or len(data) > MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, f"it has more than {MAX_FILE_BYTES} bytes", str(path))
    return data


def named(path: Path | str) -> str:
    """The path as text: file names need not be, and messages must."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _reason(path: Path, error: OSError) -> str:
    where = named(error.filename or path)  # a folder below, say
    if isinstance(error, FileNotFoundError):
        return f"{where} does not exist"
    return f"{where} cannot be read: {error.strerror or error}"
