"""Evidence: what each reporter saw of each destination lately, in short periods over the policy's window.

A report counts for the period that it is about, not for when it came: a server that stalled gets a burst of
old reports. All of it is bounded: reporters, rows, periods; what is absurd or unknown is dropped and counted.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from tideover_core.model import Locality
from tideover_core.steering import EndpointKey, Site

from .answers import SLOW_MS, Backends, Latency, means
from .bounds import Bounds
from .many import Many
from .places import Places
from .signals import Members, Report, Voter

MAX_REPORTERS = 20_000
MAX_ROWS = 20_000  # of one report
MAX_CALLS = 10**9  # of one row
MAX_INTERVAL_S = 3600.0
FORGET_S = 120.0  # a reporter that says nothing
LONGEST_SILENCE_S = 900.0  # three of the longest intervals that are asked for, whatever one says of its own
_STANDS = 1.2  # intervals: so long a report stands when the next one is late
_ENTRIES = 24
_PERIODS = 10  # in a window
_ENOUGH = 8  # calls that went well are enough to know: older ones may go
NOISE_PERCENT = 10  # a row with fewer failures is no reason to judge at once


class Cell:
    """What one reporter saw of one destination: (begin_s, end_s, calls, failed), the oldest first."""

    __slots__ = (
        "at_s", "backends", "called_s", "ejected_s", "entries", "failed_rate", "home", "interval_s",
        "latency", "many", "rate", "reporter", "running", "where",
    )  # fmt: skip

    def __init__(self, reporter: Reporter, home: Evidence, where: Locality | Site | EndpointKey) -> None:
        self.reporter, self.home, self.where = reporter, home, where
        self.entries: list[tuple[float, float, int, int]] = []
        self.interval_s = self.at_s = 0.0
        self.rate = self.failed_rate = 0.0  # per second, of the last report
        self.many: Many | None = None  # of a name that many share
        self.called_s = self.ejected_s = float("-inf")  # when there were calls, when all was ejected
        self.running = 0
        self.latency: Latency | None = None
        self.backends: Backends | None = None

    def add(self, begin_s: float, end_s: float, calls: int, failed: int) -> None:
        """One period more. While all is well only the last calls are kept."""
        entries = self.entries
        if entries:
            if not failed and calls >= _ENOUGH and len(entries) == 1 and not entries[0][3]:
                entries[0] = (begin_s, end_s, calls, 0)
                return
            last = entries[-1]
            if end_s - last[0] <= self.home.period_s:
                entries[-1] = (last[0], max(last[1], end_s), last[2] + calls, last[3] + failed)
                return
            horizon_s = end_s - 2 * self.home.window_s
            while entries and (entries[0][1] < horizon_s or len(entries) >= _ENTRIES):
                del entries[0]
        entries.append((begin_s, end_s, calls, failed))

    def seen(self, now_s: float, horizon_s: float, since_s: float) -> tuple[int, int]:
        """Calls and failures of the periods that ended within the horizon and began since then.

        The newest report stands until the next one is due, however rare they are.
        """
        calls = failed = 0
        after_s = min(now_s - horizon_s, now_s - _STANDS * self.interval_s)
        for begin_s, end_s, some, bad in reversed(self.entries):
            if end_s <= after_s or begin_s < since_s:
                break
            calls += some
            failed += bad
            after_s = now_s - horizon_s
        return calls, failed

    @property
    def slow(self) -> bool:
        """Whether answers there are slow to this reporter."""
        return self.latency is not None and self.latency.slow

    @property
    def fell_silent(self) -> bool:
        """Whether the last calls there failed, and its reports since speak of none."""
        return bool(self.entries and self.entries[-1][3]) and self.called_s < self.reporter.heard_s

    def repeat(self, now_s: float) -> None:
        """The reporter has ejected all it had: its last word still stands, however silent it is now. That
        are the calls that failed; others of that period were before."""
        begin_s, end_s, _, failed = self.entries[-1]
        if now_s > end_s:
            self.entries[-1] = (now_s - (end_s - begin_s), now_s, failed, failed)
        self.ejected_s = now_s


class Evidence:
    """All cells about one service port. `hurry` is asked when something should be judged at once."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.cells: dict[Locality, dict[Cell, None]] = {}
        self.of_site: dict[Site, dict[Cell, None]] = {}  # where several clusters share a locality
        self.of_end: dict[EndpointKey, dict[Cell, None]] = {}  # only of those somebody saw fail
        self.watched: frozenset[EndpointKey] = frozenset()  # those of which checks say that they fail
        self.names: set[str] = set()
        self.noise = 0  # failures since it was last judged
        self.window_s = 10.0
        self.period_s = 1.0
        self.gone = False

    def of(self, site: Site) -> Iterable[Cell]:
        """All that is about this site: who tells clusters of one locality apart is believed in that."""
        common = self.cells.get(site.locality, {})
        exact = {
            cell.reporter
            for other in self.places.sites_of.get(site.locality, ())
            for cell in self.of_site.get(other, ())
        }
        if not exact:
            return common
        return [*self.of_site.get(site, ()), *(cell for cell in common if cell.reporter not in exact)]

    def fastest_ms(self, not_zone: str, now_s: float) -> float:
        """The shortest answers that anybody lately got from another zone; 0 where nobody is known to."""
        return min(
            (
                cell.latency.now_ms
                for locality, cells in self.cells.items()
                if locality.zone != not_zone
                for cell in cells
                if cell.latency is not None and cell.latency.at_s > now_s - self.window_s
            ),
            default=0.0,
        )

    def update(self) -> None:
        """After its places changed."""
        self.window_s = self.places.health.window_s
        self.period_s = 1.05 * self.window_s / _PERIODS


class Reporter:
    """One voter at one place."""

    __slots__ = (
        "cells", "end_s", "ends", "heard_s", "id", "interval_s", "node", "shared_until_s", "source",
        "swept_s",
    )  # fmt: skip

    def __init__(self, voter: Voter, now_s: float) -> None:
        self.id, self.node = voter.id, voter.node
        self.source = Locality(voter.locality.region, voter.locality.zone)
        self.cells: dict[tuple[str, Locality], Cell] = {}
        self.ends: dict[tuple[str, tuple[str, int] | Site], Cell] = {}
        self.end_s = self.heard_s = self.swept_s = now_s
        self.interval_s = 0.0
        self.shared_until_s = float("-inf") if voter.proven else float("inf")  # several speak as this one

    def period(self, interval_s: float, now_s: float) -> tuple[float, float]:
        """What a report that comes now is about. One on pace: the time until now. One out of pace continues
        where the last one ended: the server or the network stood still, and old reports come in a burst."""
        gap_s = now_s - self.heard_s
        on_pace = not self.interval_s or 0.5 * interval_s <= gap_s <= 1.5 * interval_s
        end_s = now_s if on_pace else min(now_s, self.end_s + interval_s)
        self.heard_s, self.interval_s, self.end_s = now_s, interval_s, end_s
        return end_s - interval_s, end_s


class Ledger:
    """All reporters. `find` gives the evidence of a wire name's service port, None for an unknown name."""

    def __init__(
        self, find: Callable[[str], Evidence | None], hurry: Callable[[Evidence, bool], None]
    ) -> None:
        self._find, self._hurry = find, hurry
        self.reporters: OrderedDict[tuple[str, Locality], Reporter] = OrderedDict()
        self.dropped: Counter[str] = Counter()
        self.last_report_s: float | None = None
        self.interval_s = 0.0  # of the last report
        self._bounds = Bounds()

    def report(self, report: Report, now_s: float) -> None:
        """Note one load report."""
        interval_s = report.interval_s
        if not 0.0 < interval_s <= MAX_INTERVAL_S:  # not a number is neither
            self.dropped["interval"] += 1
            return
        reporter = self.reporter(report.voter, now_s)
        if reporter is None:
            return
        rows = report.rows
        if len(rows) > MAX_ROWS:
            self.dropped["rows"] += len(rows) - MAX_ROWS
            rows = rows[:MAX_ROWS]
        self.last_report_s, self.interval_s = now_s, interval_s
        begin_s, end_s = reporter.period(interval_s, now_s)
        cells = reporter.cells
        for name, locality, succeeded, failed, running, address, metrics in rows:
            if not (0 <= succeeded <= MAX_CALLS and 0 <= failed <= MAX_CALLS):
                self.dropped["numbers"] += 1
                continue
            if address is not None:
                self._endpoint_row(reporter, name, locality, (address, succeeded, failed), (begin_s, end_s))
                continue
            cell = cells.get((name, locality))
            if cell is None:
                cell = self._cell(reporter, name, locality)
                if cell is None:
                    continue
            calls = succeeded + failed
            home = cell.home
            if now_s - cell.at_s < 0.5 * min(interval_s, cell.interval_s):
                reporter.shared_until_s = max(reporter.shared_until_s, now_s + 10 * interval_s)
            cell.running = running
            cell.at_s = now_s
            cell.interval_s = interval_s
            cell.rate, cell.failed_rate = calls / interval_s, failed / interval_s
            if reporter.shared_until_s > now_s:
                cell.many = cell.many or Many()
                cell.many.add(calls, failed, interval_s, now_s)
            if metrics:
                cell.backends = Backends(now_s, means(metrics))
            if calls:
                cell.called_s = now_s
                cell.add(begin_s, end_s, calls, failed)
                if failed:
                    home.noise += failed
                    self._hurry(home, failed * 100 > calls * NOISE_PERCENT)
        if now_s - reporter.swept_s > FORGET_S / 4:
            self._sweep(reporter, now_s)

    def members(self, members: Members, now_s: float) -> None:
        """What load reports cannot say. Who has ejected all of a place calls nobody there: its last word
        stands."""
        reporter = self.reporters.get((members.voter.id, members.voter.locality))
        home = self._find(members.name)
        if reporter is None or home is None:
            self.dropped["name" if home is None else "reporters"] += 1
            return
        if emptied := _emptied(reporter, home, members):
            for silent in emptied:
                silent.repeat(now_s)
            self._hurry(home, False)
        looks = [(place, ms) for place, ms in members.latency_ms[:MAX_ROWS] if 0.0 <= ms < 1e9]
        for place, ms in looks:
            fastest_ms = min((other for at, other in looks if at != place), default=None)
            if fastest_ms is None and ms >= SLOW_MS:  # who calls one place only: what do others get elsewhere
                fastest_ms = home.fastest_ms(place.zone, now_s)
            for locality in home.places.sites_of:
                # Envoy's statistics know zones, not subzones; an unknown region matches
                if locality.zone != place.zone or place.region not in ("", locality.region):
                    continue
                if (cell := reporter.cells.get((members.name, locality))) is not None:
                    cell.latency = cell.latency or Latency()
                    cell.latency.add(ms, fastest_ms or 0.0, now_s)
                    if cell.latency.slow:
                        self._hurry(home, False)

    def reporter(self, voter: Voter, now_s: float) -> Reporter | None:
        """Who says this; None when there are too many. All that prove nothing are one for each place."""
        key = (voter.id, voter.locality)
        found = self.reporters.get(key)
        if found is None:
            self._forget(now_s)
            if len(self.reporters) >= MAX_REPORTERS or not self._bounds.add_place(voter.id):
                self.dropped["reporters"] += 1
                return None
            found = self.reporters[key] = Reporter(voter, now_s)
        if voter.node != found.node:
            found.node = voter.node
        self.reporters.move_to_end(key)
        return found

    def _cell(self, reporter: Reporter, name: str, locality: Locality) -> Cell | None:
        home = self._find(name)
        if home is None or locality not in home.places.sites_of:
            self.dropped["name" if home is None else "locality"] += 1
            return None
        if not self._bounds.add_cell(reporter.id, len(reporter.cells)):
            self.dropped["destinations"] += 1
            return None
        if len(home.names) < 32:
            home.names.add(name)
        cell = reporter.cells[name, locality] = Cell(reporter, home, locality)
        home.cells.setdefault(locality, {})[cell] = None
        return cell

    def _endpoint_row(
        self,
        reporter: Reporter,
        name: str,
        locality: Locality,
        row: tuple[tuple[str, int], int, int],
        period: tuple[float, float],
    ) -> None:
        """Kept for endpoints that somebody saw fail, and for clusters that share a locality."""
        address, succeeded, failed = row
        calls = succeeded + failed
        cell = reporter.ends.get((name, address))
        home = cell.home if cell is not None else self._find(name)
        if home is None:
            self.dropped["name"] += 1
            return
        if not calls:
            return
        shared = len(home.places.sites_of.get(locality, ())) > 1
        if cell is None or shared:
            end = home.places.end(address, locality)
            if end is None:
                self.dropped["address"] += 1
                return
            if cell is None and (failed or end.key in home.of_end or end.key in home.watched):
                cell = self._end_cell(reporter, home, (name, address), end.key)
            if shared:
                site = Site(end.cluster, end.locality)
                of_site = self._end_cell(reporter, home, (name, site), site)
                if of_site is not None:
                    of_site.add(*period, calls, failed)
        if cell is not None:
            cell.add(*period, calls, failed)
            if failed:
                self._hurry(home, False)

    def _end_cell(
        self,
        reporter: Reporter,
        home: Evidence,
        key: tuple[str, tuple[str, int] | Site],
        where: EndpointKey | Site,
    ) -> Cell | None:
        cell = reporter.ends.get(key)
        if cell is None:
            if not self._bounds.add_cell(reporter.id, len(reporter.ends)):
                self.dropped["destinations"] += 1
                return None
            cell = reporter.ends[key] = Cell(reporter, home, where)
            if isinstance(where, Site):
                home.of_site.setdefault(where, {})[cell] = None
            else:
                home.of_end.setdefault(where, {})[cell] = None
        cell.interval_s = reporter.interval_s
        return cell

    def _sweep(self, reporter: Reporter, now_s: float) -> None:
        """Forget what it no longer speaks of."""
        reporter.swept_s = now_s
        for cells in (reporter.cells, reporter.ends):
            for key, cell in list(cells.items()):
                old_s = now_s - max(FORGET_S, 2.5 * cell.interval_s)
                if cell.home.gone or not cell.entries or cell.entries[-1][1] < old_s:
                    del cells[key]  # type: ignore[arg-type]
                    self._bounds.drop_cells(reporter.id)
                    _unlink(cell)

    def _forget(self, now_s: float) -> None:
        """Forget reporters that have been silent for long."""
        while self.reporters:
            key, oldest = next(iter(self.reporters.items()))
            if oldest.heard_s > now_s - max(FORGET_S, min(3 * oldest.interval_s, LONGEST_SILENCE_S)):
                return
            del self.reporters[key]
            self._bounds.drop_place(oldest.id, len(oldest.cells) + len(oldest.ends))
            for cell in (*oldest.cells.values(), *oldest.ends.values()):
                _unlink(cell)


def _emptied(reporter: Reporter, home: Evidence, members: Members) -> list[Cell]:
    """The places of which this one has ejected all. Envoy counts ejections of all places together: they must
    explain those where its calls failed and ended."""
    silent = [
        (cell, sum(home.places.ready.get(site, 0) for site in sites))
        for locality, sites in home.places.sites_of.items()
        if (cell := reporter.cells.get((members.name, locality))) is not None and cell.fell_silent
    ]
    if not members.ejected or sum(count for _, count in silent) > members.ejected:
        return []
    return [cell for cell, _ in silent]


def _unlink(cell: Cell) -> None:
    tables: tuple[dict[Any, dict[Cell, None]], ...] = (cell.home.cells, cell.home.of_site, cell.home.of_end)
    for table in tables:
        cells = table.get(cell.where)
        if cells is not None and cell in cells:
            del cells[cell]
            if not cells:
                del table[cell.where]
