"""What is seen of places to which the traffic of an order returns: as on the way back of a verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tideover_core.model import Endpoint
from tideover_core.ramp import Outcome
from tideover_core.steering import Site
from tideover_core.target import Aim

from .port import DOUBT_WINDOWS, Pass, Port
from .rules import examine
from .standing import outcome_of
from .verdict import Kind, Subject

WORST_FIRST = (
    Outcome.BAD,
    Outcome.POOR,
    Outcome.FAILING,
    Outcome.UNCLEAR,
    Outcome.WELL,
    Outcome.PASSED,
    Outcome.NOTHING,
)


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The one that counts for all of them."""
    return min(outcomes, key=WORST_FIRST.index)


def outcome(port: Port, aim: Aim, since_s: float, now_s: float) -> Outcome | None:
    """The worst that is seen of what the aim holds of this port; None where its traffic has no other place.

    That nobody is heard at all is no reason to wait: an operator, or the expiry, asked for the traffic.
    """
    look = Pass(now_s, blind=False, may_change=False, findings={})
    held = {
        site: ends for site, ends in _held(port, aim) if not port.places.freezer(Subject(Kind.SITE, site))
    }
    others = {site for site in port.places.usable() if site not in held}
    if aim.address is not None:
        others |= held.keys()  # its neighbours
        window_s = port.places.health.window_s
        port.doubted_until_s = max(port.doubted_until_s, now_s + DOUBT_WINDOWS * window_s)
    if not others or not held:
        return None
    if aim.address is None and (plain := _plainly(port, held, since_s, now_s)) is not None:
        return plain
    elsewhere = [
        port.looked_at(Subject(Kind.SITE, site), port.evidence.of(site), look, since_s).all for site in others
    ]
    usual_percent = min((votes.low for votes in elsewhere if votes.voters), default=0.0)
    found = [
        _of(port, subject, (look, since_s, usual_percent))
        for site, ends in held.items()
        for subject in (
            [Subject(Kind.SITE, site)]
            if aim.address is None
            else [Subject(Kind.ENDPOINT, site, None, end.key) for end in ends]
        )
    ]
    return worst(found)


def _plainly(port: Port, sites: Iterable[Site], since_s: float, now_s: float) -> Outcome | None:
    """What is plain at a glance, as nearly always: no call failed, nothing is slow, and nobody checks."""
    if port.places.check is not None:
        return None
    all_calls, window_s = 0, port.places.health.window_s
    for site in sites:
        for cell in port.evidence.of(site):
            calls, failed = cell.seen(now_s, window_s, since_s)
            if failed or (cell.latency is not None and cell.latency.slow):
                return None
            all_calls += calls
    return Outcome.WELL if all_calls and port.places.http else Outcome.NOTHING


def _held(port: Port, aim: Aim) -> Iterator[tuple[Site, Sequence[Endpoint]]]:
    for site, ends in port.places.ends().items():
        if aim.address is None:  # it holds all of a place or nothing
            if port.places.ready[site] and aim.holds(port.places.service, ends[0]):
                yield site, ends
        elif meant := [end for end in ends if end.ready and aim.holds(port.places.service, end)]:
            yield site, meant


def _of(port: Port, subject: Subject, seen_from: tuple[Pass, float, float]) -> Outcome:
    look, since_s, usual_percent = seen_from
    cells = None if subject.endpoint is None else port.evidence.of_end.get(subject.endpoint)
    found = port.looked_at(subject, port.evidence.of(subject.site) if cells is None else cells, look, since_s)
    said = outcome_of(found, examine(found), port.places.failback, usual_percent, blind=False)
    if (
        subject.endpoint is not None
        and cells is None
        and said in (Outcome.BAD, Outcome.POOR, Outcome.UNCLEAR)
    ):
        return Outcome.NOTHING  # it may be its neighbours'
    return said
