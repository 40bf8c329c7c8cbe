"""The state folder: the last known facts of each cluster, for a restart during an outage.

One file per cluster and per document (verdicts, orders), replaced atomically, and the one before it as a
fallback. A folder belongs to one process at a time.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TypeVar

from tideover_core.model import Problem

from .snapshot_format import Saved, decode, encode
from .snapshot_seal import BadSnapshotError, sealed, unsealed

T = TypeVar("T")
DOCUMENT_VERSION = "1"
REFUSED = "refused; an older one is used, else nothing until the source is listed"
FORGOTTEN = "refused; an older one is used, else it is forgotten"
NOT_SAVED = "not saved; everything else goes on, but a restart would not remember it"


class StateInUseError(Exception):
    """Another process keeps its state in this folder."""


class StateFolder:
    """Where facts are kept. Methods block: call them before serving, or in a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: int | None = None
        self._saving = threading.Lock()  # the last save may begin while one that nobody awaits goes on
        self._good: set[str] = set()  # files of which the newest is whole: it may become the fallback

    def open(self) -> Problem | None:
        """Make the folder and take it; a problem when it cannot be written. StateInUseError: it is taken."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            return self._problem(f"cannot be written: {error.strerror}")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(lock, 32).decode("ascii", "replace").strip()
            os.close(lock)
            message = (
                f"state folder {self.folder.resolve()} is in use by process {owner or 'unknown'}; "
                "stop that one, or give this one a `state` of its own"
            )
            raise StateInUseError(message) from None
        except OSError as error:  # some network file systems cannot lock
            os.close(lock)
            return self._problem(f"cannot be locked: {error.strerror}", "used without a lock")
        self._lock = lock
        with contextlib.suppress(OSError):  # a full disk: the lock holds, only its owner is not named
            os.ftruncate(lock, 0)
            os.write(lock, f"{os.getpid()}\n".encode())
        return None

    def close(self) -> None:
        """Give the folder back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def load(self, clusters: Iterable[str]) -> tuple[dict[str, Saved], list[Problem]]:
        """What is kept of these clusters, the newest that is whole; and what had to be refused."""
        found: dict[str, Saved] = {}
        problems: list[Problem] = []
        for cluster in clusters:
            saved, refused = self._load(
                f"{cluster}.facts", f"Snapshot of cluster {cluster}", partial(decode, cluster=cluster)
            )
            problems += refused
            if saved is not None:
                found[cluster] = saved
        return found, problems

    def save(self, saved: Saved) -> None:
        """Replace what is kept of that cluster. OSError when it cannot be written: the old stays whole."""
        with self._saving:
            self._save(f"{saved.facts.cluster}.facts", encode(saved))

    def load_document(self, kind: str) -> tuple[bytes | None, list[Problem]]:
        """What `save_document` was given, the newest that is whole, or None; and what had to be refused."""
        read = partial(unsealed, kind=f"tideover-{kind}", version=DOCUMENT_VERSION)
        return self._load(f"{kind}.state", f"Saved {kind}", read)

    def save_document(self, kind: str, body: bytes) -> None:
        """Keep this beside the clusters' facts. OSError when it cannot be written: the old stays whole."""
        with self._saving:
            self._save(f"{kind}.state", sealed(f"tideover-{kind}", DOCUMENT_VERSION, body))

    def _load(self, name: str, what: str, read: Callable[[bytes], T]) -> tuple[T | None, list[Problem]]:
        problems: list[Problem] = []
        for path in (self.folder / name, self.folder / f"{name}.previous"):
            try:
                found = read(path.read_bytes())
            except FileNotFoundError:
                continue
            except (BadSnapshotError, OSError) as error:
                reason = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
                consequence = REFUSED if name.endswith(".facts") else FORGOTTEN
                problems.append(Problem(what, reason, consequence, str(path)))
                continue
            if path.name == name:
                self._good.add(name)
            return found, problems
        return None, problems

    def _save(self, name: str, raw: bytes) -> None:
        path, temporary = self.folder / name, self.folder / f".{name}.new"
        with temporary.open("wb") as out:
            out.write(raw)
            out.flush()
            os.fsync(out.fileno())
        if name in self._good:
            self._keep_previous(path)
        temporary.replace(path)
        self._good.add(name)
        _sync_folder(self.folder)
        _give_back()

    def _keep_previous(self, path: Path) -> None:
        """The newest becomes the fallback too, without a moment in which neither exists."""
        link = self.folder / f".{path.name}.link"
        with contextlib.suppress(OSError):  # no fallback is no reason not to save
            link.unlink(missing_ok=True)
            link.hardlink_to(path)
            link.replace(self.folder / f"{path.name}.previous")

    def _problem(self, message: str, consequence: str = NOT_SAVED) -> Problem:
        return Problem("State folder", message, consequence, str(self.folder))


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _give_back() -> None:
    """Memory that was needed for a while (a first listing, what was just encoded) goes back to the system.

    glibc keeps it otherwise: 4 to 7 MB with 20,000 endpoints. Other systems do without.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
