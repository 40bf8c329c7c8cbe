"""What backends say of themselves (ORCA, the header `endpoint-load-metrics`), as their callers report it.

By the middle voter, as everything: an Envoy that makes something up moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tideover_core.model import ServiceKey
from tideover_core.steering import Site

from .ledger import Cell
from .port import Port

FRESH_S = 30.0  # or three reports
# what callers are to be sent by: how full a backend says that it is, else its processor
FULLNESS = ("application_utilization", "cpu_utilization")


class Said(NamedTuple):
    """One metric of the backends of one site: the lower middle of what voters report, and how many do."""

    value: float
    voters: int


Backends = Mapping[tuple[ServiceKey, int, Site], Mapping[str, Said]]  # by name of the metric


def backends(ports: Iterable[Port], now_s: float) -> Backends:
    """All that was lately said. Sites that share a locality are told apart by nobody."""
    found: dict[tuple[ServiceKey, int, Site], Mapping[str, Said]] = {}
    for port in ports:
        for locality, cells in port.evidence.cells.items():
            if said := _said(cells, now_s):
                places = port.places
                found |= {
                    (places.service, places.port, site): said for site in places.sites_of.get(locality, ())
                }
    return found


def fullnesses(found: Backends) -> dict[tuple[ServiceKey, int, Site], float]:
    """How full backends say they are, of 1, where they do. One voter alone is not enough."""
    full: dict[tuple[ServiceKey, int, Site], float] = {}
    for where, said in found.items():
        name = next((name for name in FULLNESS if name in said), "")
        if name and said[name].voters > 1:
            full[where] = said[name].value
    return full


def in_words(said: Mapping[str, Said]) -> str:
    """`cpu_utilization 0.25, named_metrics.latency_ms 8 (3 callers)`"""
    voters = max(one.voters for one in said.values())
    shown = ", ".join(f"{name} {one.value:.3g}" for name, one in sorted(said.items()))
    return f"{shown} ({voters} {'caller' if voters == 1 else 'callers'})"


def _said(cells: Iterable[Cell], now_s: float) -> dict[str, Said]:
    values: dict[str, dict[str, float]] = {}  # name, voter: the highest of its places
    for cell in cells:
        told = cell.backends
        if told is not None and told.at_s > now_s - max(FRESH_S, 3 * cell.interval_s):
            for name, mean in told.means.items():
                by_voter = values.setdefault(name, {})
                by_voter[cell.reporter.id] = max(mean, by_voter.get(cell.reporter.id, mean))
    return {name: Said(_lower_middle(found.values()), len(found)) for name, found in values.items()}


def _lower_middle(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]
