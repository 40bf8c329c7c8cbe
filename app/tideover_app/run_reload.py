"""Reading `tideover.yaml` again: when (SIGHUP, a change of the file), and what of it applies live."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from tideover_core.model import Problem

from . import config as configuration
from .config import Config, ConfigError
from .config_shape import Strict

LOOK_EVERY_MS = 50
UNTOLD_MS = 2_000  # looked at so often without being told: some file systems tell nothing
STILL_S = 0.1  # a part of a file is often valid YAML, and lacks a cluster
STAYS = "the configuration before stays in use"
# besides clusters and policies, which `Sources` and `PolicyWatch` exchange and tell of
_TOLD = ("sameness", "admins", "health")
_LIVE = ("clusters", "policies", *_TOLD)
# within what applies live: these keys do not
_FIXED: Mapping[str, tuple[str, ...]] = {"health": ("enabled",)}


def load(path: Path) -> Config:
    """A configuration that this version can run. ConfigError otherwise."""
    config = configuration.load(path)
    if flaws := configuration.unsupported(config):
        raise ConfigError(flaws)
    return config


def load_again(before: Config) -> Config:
    """The file as it is now. ConfigError where it must not replace the configuration in use."""
    new = load(before.path)
    if before.clusters and not new.clusters:
        # an empty file is most likely a mistake, and would take everything away from every client
        raise ConfigError([new.flaw("is empty; taking the last cluster away needs a restart", "clusters")])
    return new


class ConfigWatch:
    """Calls `again` with the reason, in the loop. The folder is watched, so replacing the file is seen."""

    def __init__(self, path: Path, again: Callable[[str], None]) -> None:
        self._path = path
        self._again = again
        self._seen = _digest(path)

    def hangup(self) -> None:
        """SIGHUP: read it again, whatever it says."""
        self._seen = _digest(self._path)
        self._again("SIGHUP")

    async def run(self) -> None:
        """Watch until cancelled."""
        from watchfiles import awatch

        folder = self._path.parent
        while True:
            try:
                async for _ in awatch(
                    folder, watch_filter=None, debounce=LOOK_EVERY_MS, step=LOOK_EVERY_MS, recursive=False,
                    ignore_permission_denied=True, rust_timeout=UNTOLD_MS, yield_on_timeout=True,
                ):  # fmt: skip
                    await self._look()
            except* (OSError, RuntimeError):
                # the folder vanished, a name in it is no text, or the system has no watches left
                pass
            await asyncio.sleep(1)  # look now and then instead
            await self._look()

    async def _look(self) -> None:
        before, digest = self._seen, _digest(self._path)
        while digest != before:
            await asyncio.sleep(STILL_S)
            before, digest = digest, _digest(self._path)
        if digest != self._seen:
            self._seen = digest
            self._again("the file changed")


def _digest(path: Path) -> bytes:
    """Of the content; of nothing when it cannot be read."""
    try:
        return sha256(path.read_bytes()).digest()
    except OSError:
        return b""


def applied(old: Config, new: Config) -> Config:
    """What is in use after a reload: the old, with what can be applied live from the new."""
    live: dict[str, object] = {name: getattr(new, name) for name in _LIVE}
    for name, fixed in _FIXED.items():
        before = {key: getattr(getattr(old, name), key) for key in fixed}
        live[name] = getattr(new, name).model_copy(update=before)
    return old.model_copy(update=live)


def changed_live(old: Config, new: Config) -> list[str]:
    """What changed and applies from now on, in words, besides clusters and policies."""
    return [
        f"{key} changed"
        for name in _TOLD
        for key, fixed in _differing(getattr(old, name), getattr(new, name), _written(Config, name))
        if not fixed
    ]


def needs_restart(old: Config, new: Config) -> list[Problem]:
    """Keys that differ and cannot be applied live."""
    waiting = [
        _written(Config, name)
        for name in type(new).model_fields
        if name not in _LIVE and getattr(old, name) != getattr(new, name)
    ]
    for name in _FIXED:
        found = _differing(getattr(old, name), getattr(new, name), _written(Config, name))
        waiting += [key for key, fixed in found if fixed]
    return [
        Problem("Configuration", f"{key} needs a restart", "the value before stays in use", str(old.path))
        for key in waiting
    ]


def _differing(old: object, new: object, key: str) -> Iterator[tuple[str, bool]]:
    """The keys that differ, as users write them, and whether they need a restart."""
    if isinstance(old, Strict) and isinstance(new, Strict):
        for name in type(new).model_fields:
            inner = f"{key}.{_written(type(new), name)}"
            for found, fixed in _differing(getattr(old, name), getattr(new, name), inner):
                yield found, fixed or name in _FIXED.get(key, ())
    elif old != new:
        yield key, False


def refused(error: ConfigError) -> list[Problem]:
    """The flaws of a file that is not used."""
    return [Problem("Configuration", flaw.said, STAYS, flaw.where) for flaw in error.flaws]


def _written(model: type[Strict], name: str) -> str:
    """The key as users write it."""
    return model.model_fields[name].alias or name
