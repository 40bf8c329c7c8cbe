"""Whatever happens, a client that keeps to the protocol ends up with what the view says.

A model client of either variant subscribes, unsubscribes, acknowledges, refuses, stops reading and
reconnects, while the world changes and sources are lost and found. While one is not known, nothing
that the client has may be taken from it.
"""

from __future__ import annotations

from typing import Any

from envoy.service.discovery.v3 import discovery_pb2 as pb
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tideover_wire.stream import Stream, Variant
from wire.fakes import CDS, EDS, NODE, FakeView, decode

NAMES = ["a", "b", "c"]
name_of = st.sampled_from(NAMES)
type_of = st.sampled_from([CDS, EDS])  # one whole set, one partial type; the others are as these
WHOLE = (CDS,)


class Having:
    """What a client has of one type."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.wildcard = False
        self.contents: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.nonce = ""
        self.version = ""  # of SotW
        self.asked = False  # on this stream
        self.refused = False  # it may have what the server believes it was rid of

    def wants(self, name: str) -> bool:
        return self.wildcard or name in self.names

    def forget_unwanted(self) -> None:
        for name in [name for name in self.contents if not self.wants(name)]:
            del self.contents[name]
            self.versions.pop(name, None)
            self.version = "of a part"  # not what that set was


class Model(RuleBasedStateMachine):
    """The client's side of a stream, and the world."""

    variant: Variant

    def __init__(self) -> None:
        super().__init__()
        self.view = FakeView()
        self.count = 0
        self.pending: list[tuple[bytes, bool]] = []  # written and not yet read; was all known when written?
        self.reconnect_all()

    # --- the world

    @rule(type_url=type_of, name=name_of, same=st.booleans())
    def put(self, type_url: str, name: str, same: bool) -> None:
        self.count += 1
        self.view.put(type_url, name, f"{name}={0 if same else self.count}")
        self.stream.touch({type_url: frozenset({name})})

    @rule(type_url=type_of, name=name_of)
    def take_away(self, type_url: str, name: str) -> None:
        self.view.resources[type_url].pop(name, None)
        self.stream.touch({type_url: frozenset({name})})

    @rule()
    def a_source_is_unknown(self) -> None:
        self.view.complete = False

    @rule()
    def all_sources_are_known(self) -> None:
        if not self.view.complete:
            self.view.complete = True
            self.stream.touch(None)

    @rule(names=st.frozensets(name_of))
    def touched_for_nothing(self, names: frozenset[str]) -> None:
        self.stream.touch(dict.fromkeys((CDS, EDS), names))

    # --- the client

    @initialize()
    def reconnect_all(self) -> None:
        self.having: dict[str, Having] = {}
        self.connect()

    def connect(self) -> None:
        self.stream = Stream(self.variant, None, "r")
        self.first = True
        self.pending.clear()

    @rule()
    def reconnect(self) -> None:
        self.connect()
        for type_url, having in self.having.items():
            having.asked = having.refused = False
            having.nonce = ""
            if having.wildcard or having.names:
                self.ask(type_url, sorted(having.names), reconnecting=True)
            else:
                having.version = ""

    @rule(type_url=type_of, name=name_of)
    def subscribe(self, type_url: str, name: str) -> None:
        having = self.having.setdefault(type_url, Having())
        having.names.add(name)
        self.ask(type_url, [name])

    @rule()
    def subscribe_to_all(self) -> None:
        type_url = CDS
        having = self.having.setdefault(type_url, Having())
        having.wildcard = True
        self.ask(type_url, ["*"])

    @precondition(lambda self: self.having)
    @rule(type_url=type_of, name=st.sampled_from([*NAMES, "*"]))
    def unsubscribe(self, type_url: str, name: str) -> None:
        having = self.having.get(type_url)
        if having is None or not having.asked:
            return
        if name == "*":
            having.wildcard = False
        having.names.discard(name)
        having.forget_unwanted()
        self.ask(type_url, [], [name])

    def ask(
        self, type_url: str, add: list[str], drop: list[str] | None = None, *, reconnecting: bool = False
    ) -> None:
        having = self.having[type_url]
        first_of_type, having.asked = not having.asked, True
        if self.variant is Variant.DELTA:
            if reconnecting and having.wildcard:
                add = ["*", *add]
            request: Any = pb.DeltaDiscoveryRequest(
                type_url=type_url, resource_names_subscribe=add, resource_names_unsubscribe=drop or []
            )
            if reconnecting:
                request.initial_resource_versions.update(having.versions)
        else:
            request = self.sotw_request(type_url, having)
            if first_of_type and not reconnecting:
                request.version_info = ""
        self.send(request)

    def sotw_request(self, type_url: str, having: Having) -> Any:
        names = sorted(having.names) + (["*"] if having.wildcard else [])
        return pb.DiscoveryRequest(
            type_url=type_url,
            resource_names=names,
            response_nonce=having.nonce,
            version_info=having.version,
        )

    def send(self, request: Any) -> None:
        if self.first:
            request.node.CopyFrom(NODE)
            self.first = False
        self.stream.on_request(request.SerializeToString())

    @rule(most=st.integers(1, 5))
    def the_server_writes(self, most: int) -> None:
        for _ in range(most):
            pending = self.stream.pending
            raw = self.stream.next_response(self.view)
            assert pending or raw is None, "said to have nothing to say"
            if raw is None:
                break
            self.pending.append((raw, self.view.complete))

    @precondition(lambda self: self.pending)
    @rule(refuse=st.sampled_from([False, False, False, True]))
    def the_client_reads(self, refuse: bool) -> None:
        self.read(refuse=refuse)

    @rule()
    def all_is_written_and_read(self) -> None:
        self.the_server_writes(10)
        while self.pending:
            self.read()

    def read(self, *, refuse: bool = False) -> None:
        raw, complete = self.pending.pop(0)
        said = decode(self.variant, raw)
        having = self.having[said.type_url]
        having.nonce = said.nonce
        if not refuse:
            had = {name for name in having.contents if having.wants(name)}
            if self.variant is Variant.SOTW and said.type_url in WHOLE:
                having.contents = {n: c for n, c in said.resources.items() if having.wants(n)}
                having.version = said.version
            else:
                having.contents.update({n: c for n, c in said.resources.items() if having.wants(n)})
                having.versions.update({n: v for n, v in said.versions.items() if having.wants(n)})
                having.version = said.version
                for name in said.removed:
                    having.contents.pop(name, None)
                    having.versions.pop(name, None)
            lost = had - set(having.contents)
            assert complete or having.refused or not lost, f"{lost} lost while a source was not known"
        having.refused = having.refused or refuse
        self.acknowledge(said.type_url, having, refuse)

    def acknowledge(self, type_url: str, having: Having, refuse: bool) -> None:
        if self.variant is Variant.DELTA:
            request: Any = pb.DeltaDiscoveryRequest(type_url=type_url, response_nonce=having.nonce)
        else:
            request = self.sotw_request(type_url, having)
        if refuse:
            request.error_detail.message = "refused"
            # what was refused is only sent again when it changes (C5): let the world do that
            self.send(request)
            for name in NAMES:
                there = name in self.view.resources[type_url]
                self.put(type_url, name, same=False)
                if not there:
                    self.take_away(type_url, name)
            return
        self.send(request)

    # --- what must hold

    @rule()
    def it_settles(self) -> None:
        self.all_sources_are_known()
        for _ in range(200):
            raw = self.stream.next_response(self.view) if self.stream.pending else None
            if raw is not None:
                self.pending.append((raw, self.view.complete))
            if self.pending:
                self.read()
            elif raw is None:
                break
        else:
            raise AssertionError("the stream never falls silent")
        for type_url, having in self.having.items():
            there = {
                name: resource.body.decode()
                for name, resource in self.view.resources[type_url].items()
                if having.wants(name)
            }
            if self.variant is Variant.SOTW and type_url not in WHOLE:
                # the dialect cannot say that an assignment or a route is gone
                has = {name: content for name, content in having.contents.items() if name in there}
            else:
                has = having.contents
            assert has == there, (type_url, has, there)

    def teardown(self) -> None:
        self.it_settles()


class DeltaModel(Model):
    """A delta client."""

    variant = Variant.DELTA


class SotwModel(Model):
    """A state-of-the-world client."""

    variant = Variant.SOTW


TestDelta = DeltaModel.TestCase
TestSotw = SotwModel.TestCase
TestDelta.settings = TestSotw.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
