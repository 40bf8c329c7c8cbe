"""Whatever a server and the network do, what is told ends up as what the server has."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from discovery.kube_events import bookmark, event, following, page
from tideover_discovery.kubernetes.following import Changed, Interrupted, Want

NAMES = st.sampled_from("abcde")


class Server:
    """A model of an API server: objects with versions, and a history that may be cut off or set back."""

    def __init__(self) -> None:
        self.version = 10
        self.objects: dict[str, int] = {}
        self.history: list[tuple[int, str, str]] = []
        self.forgotten = 10  # watches from before this get 410
        self.backup = (10, dict[str, int]())

    def write(self, kind: str, name: str) -> None:
        self.version += 1
        if kind == "DELETED":
            del self.objects[name]
        else:
            self.objects[name] = self.version
        self.history.append((self.version, kind, name))

    def restore(self) -> None:
        self.version, self.objects = self.backup[0], dict(self.backup[1])
        self.history, self.forgotten = [], self.version

    def since(self, version: int) -> list[bytes]:
        return [event(kind, name, at) for at, kind, name in self.history if at > version]


class Machine(RuleBasedStateMachine):
    @initialize(streams=st.booleans())
    def start(self, streams: bool) -> None:
        self.server = Server()
        self.one = following(streams=streams)
        self.known: dict[str, int | None] = {}
        self.lines: list[bytes] = []  # of the stream that is open, not delivered yet
        self.open = False
        self.tokens: dict[str, tuple[int, dict[str, int]]] = {}
        self.restored = False  # since the last list
        self.blind = False  # resumed in a history that is another one: only a reconcile finds out

    # --- what the world does

    @rule(name=NAMES)
    def put(self, name: str) -> None:
        self._write("MODIFIED" if name in self.server.objects else "ADDED", name)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        if name in self.server.objects:
            self._write("DELETED", name)

    @rule(what=st.sampled_from(["compact", "back up", "restore"]))
    def forget(self, what: str) -> None:
        self.tokens.clear()
        if what == "compact":
            self.server.forgotten = self.server.version
        elif what == "back up":
            self.server.backup = (self.server.version, dict(self.server.objects))
        else:
            self.server.restore()
            self.restored = True
            self._cut()

    # --- what the network does

    @rule(how=st.sampled_from(["cut", "cut in a line", "reconcile"]))
    def interrupt(self, how: str) -> None:
        if how == "cut in a line" and self.open and self.lines:
            self._deliver([self.lines[0][:-5]])
        else:
            self._cut()
            if how == "reconcile":
                self.one.reconcile()

    @rule(count=st.integers(1, 3))
    def repeat_the_past(self, count: int) -> None:
        if self.open and not self.one.listing:
            past = [
                event(kind, name, at)
                for at, kind, name in self.server.history
                if at <= int(self.one.position)
            ]
            self._deliver(past[-count:][:1])

    @rule()
    def say_bookmark(self) -> None:
        if self.open and not self.lines and not self.one.listing and not self.restored:
            self._deliver([bookmark(self.server.version)])

    @rule(count=st.integers(1, 5))
    def hear(self, count: int) -> None:
        if self.open:
            now, self.lines = self.lines[:count], self.lines[count:]
            self._deliver(now)

    @rule()
    def ask(self) -> None:
        if self.open:
            return
        ask, server = self.one.next(), self.server
        if ask.want is Want.LIST:
            self._page(ask.query.get("continue", ""))
        elif ask.want is Want.INITIAL:
            first = [event("ADDED", name, at) for name, at in sorted(server.objects.items())]
            self.open, self.lines = True, [*first, bookmark(server.version, ends_list=True)]
        else:
            version = int(ask.query["resourceVersion"])
            if version < server.forgotten:
                self.one.refused(410, {})
            elif version > server.version:
                self.one.refused(504, {"details": {"causes": [{"reason": "ResourceVersionTooLarge"}]}})
            else:
                self.open, self.lines = True, server.since(version)
                self.blind = self.blind or self.restored

    # --- what must hold

    def teardown(self) -> None:
        if not hasattr(self, "known"):
            return
        self._settle()
        if self.blind:
            self._cut()
            self.one.reconcile()
            self._settle()
        have = {name: at for name, at in self.known.items() if at is not None}
        assert have == self.server.objects

    # --- how

    def _settle(self) -> None:
        for _ in range(20):
            self.ask()
            if self.open:
                now, self.lines = self.lines, []
                self._deliver(now)

    def _cut(self) -> None:
        if self.open:
            self.open, self.lines = False, []
            if self.one.listing:
                self.one.failed()

    def _write(self, kind: str, name: str) -> None:
        self.server.write(kind, name)
        if self.open:
            self.lines.append(event(kind, name, self.server.version))

    def _page(self, token: str) -> None:
        if token and token not in self.tokens:
            self.one.refused(410, {})
            return
        version, rest = self.tokens.get(token) or (self.server.version, dict(self.server.objects))
        now = dict(list(rest.items())[:2])
        rest = {name: at for name, at in rest.items() if name not in now}
        further = f"{version}-{len(rest)}" if rest else ""
        if further:
            self.tokens[further] = (version, rest)
        for changed in self.one.page(page(version, now, further)):
            self._take(changed)

    def _deliver(self, lines: list[bytes]) -> None:
        try:
            for changed in self.one.lines(lines):
                self._take(changed)
        except Interrupted:
            self.open, self.lines = False, []

    def _take(self, changed: Changed[int]) -> None:
        self.known |= {key.name: value for key, value in changed.all.items()}
        if changed.listed:
            gone = {name for name, value in self.known.items() if value is not None} - {
                key.name for key in changed.changes
            }
            assert gone == set()
            self.restored = self.blind = False


Machine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestModel = Machine.TestCase
