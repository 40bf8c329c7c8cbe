"""How much is called now, by whom and where to: for capacity, not for verdicts. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from tideover_core.model import Locality
from tideover_core.steering import Calls, Loads

from .ledger import Cell, Evidence

SILENT_S = 10.0  # who reports nothing for so long, or for two and a half intervals, calls nothing


def loads(ports: Iterable[Evidence], now_s: float, *, failed: bool = False) -> Loads:
    """Calls per second by service port, source place (region and zone) and destination; or those that failed.

    Where clusters share a locality, its calls are split by their ready endpoints.
    """
    found: dict[Calls, float] = {}
    for port in ports:
        places = port.places
        for locality, cells in port.cells.items():
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


def called_elsewhere(port: Evidence, place: Locality, source: Locality | None, now_s: float) -> float:
    """Calls per second to other places of those who called that one lately, of that source or of all."""
    there = {cell.reporter for cell in port.cells.get(place, ()) if source in (None, cell.reporter.source)}
    return sum(
        _rate(cell, now_s, False)
        for other, cells in port.cells.items()
        if other != place
        for cell in cells
        if cell.reporter in there
    )


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
