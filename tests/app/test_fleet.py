"""The fleet: who is connected, and what clients refuse."""

from __future__ import annotations

from typing import Any

import pytest

from tideover_app.fleet import Fleet
from tideover_app.journal import Journal
from tideover_app.replica import Happening
from tideover_core.model import Locality, Vantage
from tideover_wire.events import Acked, Nacked, Refused, Wants
from tideover_wire.node import Client
from tideover_wire.resource import TypeUrl
from tideover_wire.stream import Stream, Variant

CDS, EDS = TypeUrl.CLUSTER, TypeUrl.ENDPOINT


class Seen:
    """A fleet, what it told, and how often it said that problems changed."""

    def __init__(self) -> None:
        self.told: list[Happening] = []
        self.changes = 0
        self.fleet = Fleet(lambda: 100.0, Journal(lambda: 100.0, self.told.append))
        self.fleet.on_problem(self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def open(self, stream_id: int = 1, **client: Any) -> None:
        vantage = Vantage(Locality("eu-west", "a"), "paris")
        said = Client(**{"id": "sidecar-1", "vantage": vantage, "user_agent": "envoy 1.40.0", **client})
        stream = Stream(Variant.DELTA, None, "test")
        self.fleet.opened(stream_id, "ipv4:10.0.0.1:5", said, stream)

    def kinds(self) -> list[str]:
        return [one.kind.value for one in self.told]

    def messages(self) -> list[str]:
        return [problem.message for problem in self.fleet.problems()]


@pytest.fixture
def seen() -> Seen:
    return Seen()


def nack(message: str = "bad", *names: str) -> Nacked:
    return Nacked(CDS, "1", message, names)


def test_open_streams_are_listed_oldest_first_until_they_close(seen: Seen) -> None:
    seen.open(1)
    seen.open(2, id="sidecar-2")
    assert [(c.stream_id, c.client.id, c.opened_at_s) for c in seen.fleet.connected()] == [
        (1, "sidecar-1", 100),
        (2, "sidecar-2", 100),
    ]
    seen.fleet.closed(1, "the client closed it")
    assert [c.stream_id for c in seen.fleet.connected()] == [2]
    assert len(seen.fleet) == 1
    assert seen.kinds() == ["ClientOpened", "ClientOpened", "ClientClosed"]
    assert seen.told[0].message == "envoy 1.40.0 from ipv4:10.0.0.1:5 at eu-west/a/ in paris"


def test_a_refusal_is_a_problem_until_a_later_response_is_accepted(seen: Seen) -> None:
    seen.open()
    seen.fleet.event(1, nack("no such filter", "shop/cart:80"))
    assert seen.messages() == ["refused Cluster shop/cart:80: no such filter"]
    seen.fleet.event(1, Acked(EDS, "2"))
    assert len(seen.messages()) == 1
    seen.fleet.event(1, Acked(CDS, "3"))
    assert seen.messages() == []
    assert seen.fleet.connected()[0].nacks == 1
    assert seen.changes == 2


def test_a_client_that_refuses_everything_is_told_once_and_counted_always(seen: Seen) -> None:
    seen.open()
    for _ in range(100):
        seen.fleet.event(1, nack("bad", "a"))
    assert seen.kinds().count("ClientNacked") == 1
    assert seen.fleet.connected()[0].nacks == 100
    assert seen.fleet.totals.nacked[CDS] == 100
    seen.fleet.event(1, nack("worse", "a"))
    assert seen.kinds().count("ClientNacked") == 2


def test_what_was_ignored_in_a_node_is_a_problem_while_its_stream_is_open(seen: Seen) -> None:
    seen.open(problems=("metadata.HTTP_PORT is no port: 99999",))
    assert seen.messages() == ["metadata.HTTP_PORT is no port: 99999"]
    seen.fleet.closed(1, "")
    assert seen.messages() == []


def test_a_refused_stream_is_told_also_when_nobody_opened_it(seen: Seen) -> None:
    seen.fleet.event(7, Refused("INVALID_ARGUMENT", "no type_url"))
    assert (seen.told[0].object, seen.told[0].message) == (
        "Stream 7",
        "stream refused, INVALID_ARGUMENT: no type_url",
    )
    assert seen.fleet.totals.refused == 1


def test_events_of_unknown_streams_harm_nobody(seen: Seen) -> None:
    for event in (nack(), Acked(CDS, "1"), Wants(CDS, ("*",))):
        seen.fleet.event(9, event)
    seen.fleet.closed(9, "")
    assert seen.told == []


def test_a_client_without_a_name_and_place_is_shown_as_such(seen: Seen) -> None:
    seen.open(id="", vantage=Vantage(), user_agent="")
    assert seen.told[0].object == "Client without a name"
    assert seen.told[0].message == "a client from ipv4:10.0.0.1:5 in an unknown cluster"
