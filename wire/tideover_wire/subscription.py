"""What a client asked for of one type: names, the wildcard, and the legacy wildcard. Both dialects
use it; they differ only in how a request says what changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from .resource import TypeUrl

WILDCARD = "*"
MAX_NAMES = 100_000  # of one type on one stream; the largest worlds have 20,000 service ports
MAX_NAME_LENGTH = 1024

_PREFIX = "type.googleapis.com/envoy."
# an empty subscription of these is never a wildcard (rule C11), whether we serve them or not
ONLY_NAMED = frozenset(
    {
        TypeUrl.ENDPOINT.value,
        TypeUrl.ROUTE.value,
        _PREFIX + "config.route.v3.VirtualHost",
        _PREFIX + "extensions.transport_sockets.tls.v3.Secret",
        _PREFIX + "service.runtime.v3.Runtime",
        _PREFIX + "config.core.v3.TypedExtensionConfig",
        _PREFIX + "config.endpoint.v3.LbEndpoint",
    }
)


class TooMuchError(ValueError):
    """A subscription beyond what a client may ask for."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one request changed; "*" stands for the wildcard.

    `added` are names to be answered, also those that were subscribed before (rule D2).
    """

    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


class Subscription:
    """The names and wildcard of one type on one stream."""

    __slots__ = ("_asked", "_legacy", "_only_named", "names", "wildcard")

    def __init__(self, type_url: str) -> None:
        self.names: set[str] = set()
        self.wildcard = False
        self._only_named = type_url in ONLY_NAMED
        self._asked = False  # a request was seen
        self._legacy = False  # all requests so far named nothing

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return self.wildcard or bool(self.names)

    @property
    def asked(self) -> bool:
        """Whether there was a request before."""
        return self._asked

    def update(self, subscribe: Collection[str], unsubscribe: Iterable[str]) -> Change:
        """A delta request. A first one that subscribes to nothing is the legacy wildcard (D4)."""
        legacy = not self._asked and not subscribe and not self._only_named
        self._asked = True
        dropped = []
        for name in unsubscribe:
            if name == WILDCARD and self.wildcard:
                self.wildcard = False
                dropped.append(name)
            elif name in self.names:
                self.names.discard(name)
                dropped.append(name)
        added = list(dict.fromkeys(subscribe))
        if legacy:
            added.append(WILDCARD)
        self._add(added)
        return Change(tuple(added), tuple(dropped))

    def replace(self, names: Collection[str]) -> Change:
        """A SotW request: all that is wanted from now on (S3)."""
        if not self._asked:
            self._legacy = not self._only_named
        self._asked = True
        self._legacy = self._legacy and not names
        wanted = set(names)
        wildcard = self._legacy or WILDCARD in wanted
        wanted.discard(WILDCARD)
        added: list[str] = []
        dropped: list[str] = []
        if wanted != self.names:  # most requests only acknowledge
            added = sorted(wanted - self.names)
            dropped = sorted(self.names - wanted)
        if wildcard and not self.wildcard:
            added.append(WILDCARD)
        if self.wildcard and not wildcard:
            self.wildcard = False
            dropped.append(WILDCARD)
        self.names.difference_update(dropped)
        self._add(added)
        return Change(tuple(added), tuple(dropped))

    def adopt(self, name: str) -> None:
        """Keep this string for an equal name, so that a thousand streams share it."""
        if name in self.names:
            self.names.discard(name)
            self.names.add(name)

    def _add(self, names: Collection[str]) -> None:
        for name in names:
            if name == WILDCARD:
                self.wildcard = True
            elif len(name) > MAX_NAME_LENGTH:
                raise TooMuchError(f"a resource name of more than {MAX_NAME_LENGTH} characters")
            else:
                self.names.add(name)
        if len(self.names) > MAX_NAMES:
            raise TooMuchError(f"more than {MAX_NAMES} resource names of one type")
