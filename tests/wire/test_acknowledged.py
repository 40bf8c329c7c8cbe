"""Whether a client has taken what it is sent of some names: what `Programmed` of a policy counts."""

from __future__ import annotations

import pytest

from tideover_wire.stream import Variant
from wire.fakes import CDS, EDS, FakeView, Talk

A, B, NONE = frozenset({"a"}), frozenset({"b"}), frozenset({"c"})


@pytest.fixture(params=list(Variant))
def talk(request: pytest.FixtureRequest) -> Talk:
    return Talk(request.param, FakeView(cds={"a": "a=1", "b": "b=1"}, eds={"a": "a=1", "b": "b=1"}))


def ask(talk: Talk, url: str, *names: str, error: str = "") -> None:
    """Ask for names, or answer the last response."""
    nonce = talk.nonces.get(url, "")
    if talk.variant is Variant.SOTW:
        talk.sotw(url, *names, error=error, version="" if error else None)
    else:
        talk.delta(url, *([] if nonce else names), nonce=nonce, error=error)


def test_what_was_sent_counts_once_it_is_acknowledged(talk: Talk) -> None:
    assert talk.stream.acknowledged(None) is None
    ask(talk, EDS, "a", "b")
    assert talk.stream.acknowledged(A) is False
    talk.hear()
    assert talk.stream.acknowledged(A) is False
    ask(talk, EDS, "a", "b")
    assert talk.stream.acknowledged(A) is True
    assert talk.stream.acknowledged(None) is True
    assert talk.stream.acknowledged(NONE) is None, "it does not ask for that"


def test_what_changed_counts_from_the_change_on(talk: Talk) -> None:
    ask(talk, EDS, "a", "b")
    talk.hear()
    ask(talk, EDS, "a", "b")
    talk.change(EDS, "a", "a=2")
    assert talk.stream.acknowledged(A) is False, "it is not even sent"
    talk.hear()
    assert talk.stream.acknowledged(A) is False
    assert talk.stream.acknowledged(B) is True, "it was not in that response"
    ask(talk, EDS, "a", "b")
    assert talk.stream.acknowledged(A) is True


def test_a_refusal_counts_for_what_was_in_it_until_something_else_is_taken(talk: Talk) -> None:
    ask(talk, CDS, "a")
    talk.hear()
    ask(talk, CDS, "a", error="bad cluster")
    assert talk.stream.acknowledged(A) is False
    talk.change(CDS, "a", "a=2")
    talk.hear()
    ask(talk, CDS, "a")
    assert talk.stream.acknowledged(A) is True
