"""Where credentials come from, read again when they change: a new token counts from the next request on."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from .errors import BadKubeconfig
from .exec_plugin import run_plugin
from .kubeconfig import Chosen, choose
from .loading_client import Loaded, from_chosen, from_service_account

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# How often files are looked at for changes; a 401 looks at once
LOOK_EVERY_S = 1.0
# A plug-in runs again this long before its credential ends, and at most this often
RENEW_BEFORE_S = 60.0
PLUGIN_EVERY_S = 5.0

# How long a request waits for a look; after that it goes with what was read last
PATIENCE_S = 5.0

Signature = tuple[tuple[int, ...] | None, ...]


class Access(Protocol):
    """Credentials for one API server."""

    @property
    def problem(self) -> str:
        """What is wrong with their newest version, "" when nothing is; the last good ones are used on."""
        ...

    async def current(self, *, again: bool = False) -> Loaded:
        """The credentials now; the same value while nothing changed. `again`: the server refused them, so
        look at once. Raises BadKubeconfig when there never were good ones."""
        ...


class _Reread:
    """Reads again when one of the files has changed, or when the credentials end."""

    def __init__(self, origin: str) -> None:
        self._bad = self._late = ""
        self._origin = origin
        self._loaded: Loaded | None = None
        self._seen: Signature | None = None
        self._look_at_s = 0.0
        self._looking: asyncio.Task[None] | None = None

    @property
    def problem(self) -> str:
        """See `Access`."""
        return self._late or self._bad

    async def current(self, *, again: bool = False) -> Loaded:
        """See `Access`. A look that takes long (a plug-in, a file system that hangs) goes on by itself."""
        now = time.monotonic()
        if self._looking is None and (self._loaded is None or again or now >= self._look_at_s):
            self._look_at_s = now + LOOK_EVERY_S
            self._looking = asyncio.create_task(self._look(again), name=f"look at {self._origin}")
        looking = self._looking
        if looking is not None:
            done, _ = await asyncio.wait({looking}, timeout=PATIENCE_S)
            self._late = "" if done else f"{self._origin}: it has not been read for {PATIENCE_S:g} s"
            if done:
                self._looking = None if self._looking is looking else self._looking
                looking.result()
        if self._loaded is None:
            raise BadKubeconfig(self.problem)
        return self._loaded

    async def _look(self, again: bool) -> None:
        try:
            files = self._files()
            seen = await asyncio.to_thread(_signature, files)
            if self._loaded is not None and seen == self._seen and not self._must_renew(again):
                return
            self._seen = seen  # before reading: what changes meanwhile is seen by the next look
            self._loaded = await self._load()
            self._bad = ""
            if self._files() != files:  # it names others now: they are read again at the next look
                self._seen = None
        except (BadKubeconfig, OSError) as error:
            text = str(error) if isinstance(error, BadKubeconfig) else _os_text(error)
            named = self._origin.rpartition(" ")[2]  # not twice
            self._bad = f"{self._origin}: {text.removeprefix(f'{named}: ')}"

    def _must_renew(self, again: bool) -> bool:
        return False

    def _files(self) -> Sequence[Path]:
        raise NotImplementedError

    async def _load(self) -> Loaded:
        raise NotImplementedError


def _signature(files: Sequence[Path]) -> Signature:
    found: list[tuple[int, ...] | None] = []
    for file in files:
        try:
            status = os.stat(file)
        except OSError:
            found.append(None)
        else:
            found.append((status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev))
    return tuple(found)


def _os_text(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


class KubeconfigFile(_Reread):
    """A kubeconfig on the operator's own disk: plug-ins, token files and all. A version of it that cannot
    be used is a `problem`; the last good credentials stay."""

    def __init__(self, path: Path | str, context: str = "") -> None:
        self.path = Path(path).expanduser()
        self.context = context
        super().__init__(f"kubeconfig {self.path}")
        self._chosen: Chosen | None = None
        self._plugin_again_s = 0.0

    def _files(self) -> Sequence[Path]:
        return (self.path, *(self._chosen.files if self._chosen else ()))

    def _must_renew(self, again: bool) -> bool:
        if self._chosen is None or not self._chosen.user.get("exec") or self._loaded is None:
            return False
        ends_s = self._loaded.ends_at_s
        due = again or (ends_s is not None and time.time() > ends_s - RENEW_BEFORE_S)
        return due and time.monotonic() >= self._plugin_again_s

    async def _load(self) -> Loaded:
        text = await asyncio.to_thread(self.path.read_bytes)
        chosen = choose(text, self.context, folder=self.path.absolute().parent)
        user, ends_at_s = chosen.user, None
        if user.get("exec"):
            self._plugin_again_s = time.monotonic() + PLUGIN_EVERY_S
            user, ends_at_s = await run_plugin(user["exec"], chosen)
        loaded = await asyncio.to_thread(from_chosen, chosen, user, ends_at_s)
        self._chosen = chosen
        return loaded


class KubeconfigText:
    """A kubeconfig from a Secret: from a stranger. Raises BadKubeconfig, here already, for whatever reaches
    out of it: plug-ins, auth providers, files, skipped TLS verification, plain http, proxies."""

    def __init__(self, text: str | bytes, context: str = "") -> None:
        self.problem = ""
        self._chosen = choose(text, context)
        self._loaded: Loaded | None = None

    async def current(self, *, again: bool = False) -> Loaded:
        """See `Access`; it never changes."""
        if self._loaded is None:
            self._loaded = await asyncio.to_thread(from_chosen, self._chosen, self._chosen.user, None)
        return self._loaded


class InCluster(_Reread):
    """The service account of the pod that we run in; its token is renewed by the kubelet."""

    def __init__(self, folder: Path | str = SERVICE_ACCOUNT) -> None:
        self.folder = Path(folder)
        super().__init__(f"service account {self.folder}")

    def _files(self) -> Sequence[Path]:
        return (self.folder / "token", self.folder / "ca.crt")

    async def _load(self) -> Loaded:
        return await asyncio.to_thread(from_service_account, *self._files())
