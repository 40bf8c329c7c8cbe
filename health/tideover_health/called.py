"""How much is called now, by whom and where to: for capacity, not for verdicts. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tideover_core.steering import Calls, Loads

if TYPE_CHECKING:
    from .ledger import Cell
    from .port import Port

SILENT_S = 10.0  # who reports nothing for so long, or for two and a half intervals, calls nothing
_PERIODS = 3  # of reports that come from many under one name: over so many intervals they are counted


class Many:
    """Calls of reporters that share one name, each of whose reports says only what that one called."""

    __slots__ = ("calls", "failed", "failed_rate", "rate", "since_s", "span_s", "spans")

    def __init__(self) -> None:
        self.calls = self.failed = self.spans = 0
        self.rate = self.failed_rate = self.span_s = 0.0
        self.since_s = float("-inf")

    def add(self, calls: int, failed: int, interval_s: float, now_s: float) -> None:
        """One report more."""
        self.look(now_s)
        if not self.span_s:
            self.since_s, self.span_s = now_s, _PERIODS * interval_s
        self.calls += calls
        self.failed += failed

    def look(self, now_s: float) -> None:
        """What is said now: of the last span that is over."""
        if not self.span_s or now_s < self.since_s + self.span_s:
            return
        silent = now_s >= self.since_s + 2 * self.span_s  # nobody looked or spoke meanwhile
        self.rate = 0.0 if silent else self.calls / self.span_s
        self.failed_rate = 0.0 if silent else self.failed / self.span_s
        self.calls = self.failed = 0
        self.spans += 1
        self.since_s = now_s if silent else self.since_s + self.span_s


def loads(ports: Iterable[Port], now_s: float, *, failed: bool = False) -> Loads:
    """Calls per second by service port, source place (region and zone) and destination; or those that failed.

    Where clusters share a locality, its calls are split by their ready endpoints.
    """
    found: dict[Calls, float] = {}
    for port in ports:
        places = port.places
        for locality, cells in port.evidence.cells.items():
            sites = places.sites_of.get(locality, ())
            total = sum(places.ready.get(site, 0) for site in sites)
            for cell in cells:
                rate = _rate(cell, now_s, failed)
                if not rate:
                    continue
                for site in sites:
                    part = places.ready[site] / total if total else 1 / len(sites)
                    key = (places.service, places.port, cell.reporter.source, site)
                    found[key] = found.get(key, 0.0) + rate * part
    return found


def _rate(cell: Cell, now_s: float, failed: bool) -> float:
    """What its last report says; one without a row of that place says that nothing is called there."""
    reporter = cell.reporter
    if reporter.heard_s < now_s - max(SILENT_S, 2.5 * cell.interval_s):
        return 0.0
    if cell.many is not None and reporter.shared_until_s > now_s:
        cell.many.look(now_s)
        if cell.many.spans:
            return cell.many.failed_rate if failed else cell.many.rate
    if cell.at_s < reporter.heard_s - 0.5 * cell.interval_s:
        return 0.0
    return cell.failed_rate if failed else cell.rate
