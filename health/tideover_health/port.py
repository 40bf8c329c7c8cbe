"""Judging one service port: its endpoints, its sites and pairs of places, within the budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import median
from typing import NamedTuple

from tideover_core.budget import EVERYTHING_SICK, refuses_endpoints
from tideover_core.model import Locality
from tideover_core.policy import ActiveCheck
from tideover_core.steering import PortSteering, Site

from .called import called_elsewhere
from .checkups import Checkups
from .ledger import Cell, Evidence
from .places import Places
from .refusal import UNMOVED, Circumstances
from .rules import SILENCE, Finding, Look, Opinion, examine
from .standing import Standing, memory_s, outcome_of
from .verdict import Kind, State, Subject

CHANGE_EVERY_S = 0.5  # one service's steering changes at most so often
LOOK_EVERY_S = 0.25  # while something is suspect; a fourth of that often while it is on its way back
NEW_AFTER_S = 60.0  # a place that was not there, or had nothing ready, for so long starts in steps
DOUBT_PERCENT = 2.0  # of errors: from here on it is asked which endpoints they come from
DOUBT_WINDOWS = 2.0
_EVER = float("-inf")


class Pass(NamedTuple):
    """One look at the port."""

    now_s: float
    blind: bool  # nobody is heard
    may_change: bool
    findings: dict[Site, Finding]  # of sites that get all their traffic


class Port:
    """One service port. `judge` says whether its steering has changed.

    `ejections` counts what was given nothing any more, by the rule that said so; a relapse is a cause.
    """

    def __init__(self, places: Places, ejections: Counter[tuple[Kind, str]]) -> None:
        self.places, self._ejections = places, ejections
        self.evidence = Evidence(places)
        self.checks = Checkups()
        self.standings: dict[Subject, Standing] = {}
        self.steering: PortSteering | None = None
        self.alarm, self.alarm_since_s = "", 0.0
        self.doubted_until_s = float("-inf")
        self._changed_s = float("-inf")
        self._present: set[Site] = set()
        self._left_s: dict[Site, float] = {}
        self._first_s: float | None = None
        self._complete = False

    def updated(self, complete: bool, now_s: float) -> None:
        """After its places changed: new ones start in steps, and what is no more is forgotten."""
        self.evidence.update()
        ready = {site for site, count in self.places.ready.items() if count}
        settled = self._complete and self._first_s is not None and now_s >= self._first_s + NEW_AFTER_S
        for site in ready - self._present:
            away_s = now_s - self._left_s.pop(site, float("-inf"))
            if settled and away_s >= NEW_AFTER_S and self._present & ready:
                subject = Subject(Kind.SITE, site)
                standing = self.standings.setdefault(subject, Standing(subject, now_s))
                if not standing.moved and not self.places.freezer(subject):
                    standing.begin(self.places.failback, "a new place, or one that was away for long", now_s)
        away = (self._present | {one.site for one in self.standings}) - ready
        self._left_s |= dict.fromkeys(away - self._left_s.keys(), now_s)
        if len(self._left_s) > 1000:
            self._left_s.clear()
        self._present, self._complete = ready, complete
        if self._first_s is None and ready:
            self._first_s = now_s
        checked = self.places.ends().values() if self.places.check is not None else ()
        self.checks.keep({end.key for ends in checked for end in ends})

    @property
    def cells(self) -> int:
        """How much there is to read."""
        return sum(map(len, self.evidence.cells.values())) + len(self.evidence.of_end)

    def judge(self, now_s: float, blind: bool) -> bool:
        """Look at everything about this port once."""
        for subject in [one for one in self.standings if self._is_gone(one, now_s)]:
            del self.standings[subject]
        if not self.standings and self._calm(now_s):
            self.evidence.noise, self.alarm = 0, ""
            return self._steered(now_s)
        look = Pass(now_s, blind, now_s >= self._changed_s + CHANGE_EVERY_S, {})
        too_many = self._endpoints(look)
        for site, count in self.places.ready.items():
            if count:
                self._site(site, too_many.get(site), look)
        self._carry_out(look)
        self.evidence.noise = 0
        for subject, standing in list(self.standings.items()):
            if standing.forgettable(self.places.failback, now_s):
                del self.standings[subject]
        return self._steered(now_s)

    def _is_gone(self, subject: Subject, now_s: float) -> bool:
        """Whether nothing need be known of it any more. A site that comes back soon has not recovered by
        that; one that comes back later starts in steps anyway. While it is away its ramp stands still."""
        left_s = self._left_s.get(subject.site)
        if subject.kind is Kind.ENDPOINT or left_s is None:
            return not self.places.has(subject)
        return now_s >= left_s + NEW_AFTER_S or self.standings[subject].state is State.SUSPECT

    def _calm(self, now_s: float) -> bool:
        """Whether it is plain at a glance that nothing is wrong, as nearly always: no voter sees much."""
        health, evidence = self.places.health, self.evidence
        if evidence.of_end or (self.places.check and self.checks.failing(self.places.check, now_s)):
            return False
        well_percent = min(health.healthy_below_error_percent, health.unhealthy_above_error_percent)
        for cells in evidence.cells.values():
            all_calls = all_failed = 0
            for cell in cells:
                if cell.slow:
                    return False
                calls, failed = cell.seen(now_s, health.window_s, _EVER)
                if failed and 100 * failed >= well_percent * calls:
                    return False
                all_calls += calls
                all_failed += failed
            if 100 * all_failed >= DOUBT_PERCENT * all_calls and all_failed >= 3:
                self.doubted_until_s = now_s + DOUBT_WINDOWS * health.window_s
        return True

    def next_s(self, now_s: float) -> float | None:
        """When to look again without new signals; None: only then."""
        due: list[float] = []
        failback = self.places.failback
        for subject, standing in self.standings.items():
            left_s = None if subject.kind is Kind.ENDPOINT else self._left_s.get(subject.site)
            if left_s is not None:
                due.append(left_s + NEW_AFTER_S)
            elif standing.moved:
                on_s = standing.due_s(failback)
                due.append(min(now_s + 4 * LOOK_EVERY_S, max(on_s, now_s + 0.05) if on_s else now_s + 60))
            elif standing.state is State.SUSPECT:
                due.append(now_s + min(LOOK_EVERY_S, 0.05 * self.places.health.window_s + 0.001))
            else:
                due.append(standing.ramp.since_s + memory_s(failback, standing.ramp) + 0.001)
        if self.doubted_until_s > now_s:
            due.append(self.doubted_until_s)
        return max(now_s + 0.01, min(due)) if due else None

    # -- looking

    def looked_at(self, subject: Subject, cells: Iterable[Cell], look: Pass, since_s: float) -> Look:
        """What is known of it from periods that began since then."""
        places, check = self.places, self.places.check or ActiveCheck()
        of = subject.endpoint if subject.endpoint is not None else subject.source
        wanted = places.health.min_requests
        if subject.kind is Kind.ENDPOINT:
            wanted = min(wanted, max(5, wanted // 4))  # its part of the calls
        return Look(
            cells,
            places.health,
            look.now_s,
            since_s,
            self.checks.says(subject.site, check, look.now_s, of),
            places.http,
            wanted,
        )

    def _site(self, site: Site, too_many: Finding | None, look: Pass) -> None:
        """A site: for everyone, or only for the clients of some places (gray failure)."""
        subject = Subject(Kind.SITE, site)
        standing = self.standings.get(subject, UNMOVED)
        cells = list(self.evidence.of(site))
        if standing.moved:
            self._on_its_way(standing, cells, too_many, look)
            return
        by_source: dict[Locality, list[Cell]] = {}
        for cell in cells:
            by_source.setdefault(cell.reporter.source, []).append(cell)
        apart = {source for source in by_source if self._pair(source, site).moved}
        rest = [cell for cell in cells if cell.reporter.source not in apart] if apart else cells
        seen = self.looked_at(subject, rest, look, standing.ramp.since_s)
        finding = too_many or examine(seen)
        self._doubt(seen, look)
        bad: Mapping[Locality, Finding] = {}
        looks_bad = finding.votes.bad or seen.all.bad or any(cell.slow for cell in cells)
        if looks_bad and len(by_source) > 1 and too_many is None:
            finding, bad = self._by_source(site, finding, by_source, look)
        if apart and finding.opinion is Opinion.FEW:
            # with those who were moved away from it, that is everybody
            finding = finding._replace(opinion=Opinion.BAD, rule="sources")
        look.findings[site] = finding
        self._settle(subject, finding, look)
        suspects = {one.source for one in self.standings if one.kind is Kind.PAIR and one.site == site}
        for source in sorted({*bad, *(source for source in suspects if source is not None)}):
            pair = Subject(Kind.PAIR, site, source)
            own = by_source.get(source, [])
            if self._pair(source, site).moved:
                self._on_its_way(self.standings[pair], own, None, look)
            else:
                self._settle(pair, bad.get(source, SILENCE), look)

    def _by_source(
        self, site: Site, finding: Finding, by_source: Mapping[Locality, list[Cell]], look: Pass
    ) -> tuple[Finding, Mapping[Locality, Finding]]:
        """Whether only some places see it bad: then what those see, and the site itself is not judged."""
        bad: dict[Locality, Finding] = {}
        well: list[Locality] = []
        for source, cells in by_source.items():
            pair = self._pair(source, site)
            if pair.moved:
                continue
            found = examine(self.looked_at(Subject(Kind.PAIR, site, source), cells, look, pair.ramp.since_s))
            if found.opinion is Opinion.BAD:
                bad[source] = found
            elif found.opinion is Opinion.WELL and self._well_lately(site, source, cells, finding, look):
                well.append(source)
        if not bad or (finding.opinion is Opinion.BAD and not well):
            return finding, {}
        if finding.opinion is Opinion.BAD:
            cause = f"only some places see errors; {', '.join(map(str, well))} see it well"
            finding = finding._replace(opinion=Opinion.WELL, rule="sources", cause=cause)
        return finding, bad

    def _well_lately(
        self, site: Site, source: Locality, cells: list[Cell], finding: Finding, look: Pass
    ) -> bool:
        """What is well must have been seen at the same time as what is bad, not before."""
        each_s = median(cell.interval_s for cell in cells)
        since_s = look.now_s - max(finding.horizon_s, 1.5 * each_s) - each_s
        seen = self.looked_at(Subject(Kind.PAIR, site, source), cells, look, since_s)
        return seen.all.voters > 0 and seen.all.high < seen.well_below

    def _endpoints(self, look: Pass) -> Mapping[Site, Finding]:
        """Settle endpoints that somebody saw fail. Sites of which too many are bad to be emptied alone."""
        failing = frozenset(self.checks.failing(self.places.check, look.now_s) if self.places.check else ())
        self.evidence.watched = failing
        if failing:  # what do callers say of them?
            self.doubted_until_s = look.now_s + DOUBT_WINDOWS * self.places.health.window_s
        keys = failing | set(self.evidence.of_end)
        keys |= {one.endpoint for one in self.standings if one.endpoint is not None}
        bad: dict[Site, list[Standing]] = {}
        for key in sorted(keys):
            site = self.places.located(key)
            if site is None:
                continue
            of_site = self.standings.get(Subject(Kind.SITE, site), UNMOVED)
            if of_site.moved and not of_site.ramp.percent:
                continue
            subject = Subject(Kind.ENDPOINT, site, None, key)
            cells = [
                cell
                for cell in self.evidence.of_end.get(key, ())
                if self._pair(cell.reporter.source, site).state is State.HEALTHY
            ]
            standing = self.standings.get(subject, UNMOVED)
            if standing.moved:
                self._on_its_way(standing, cells, None, look)
            else:
                since_s = max(standing.ramp.since_s, of_site.ramp.since_s)
                self._settle(subject, examine(self.looked_at(subject, cells, look, since_s)), look)
            standing = self.standings.get(subject, UNMOVED)
            if standing.moved or standing.confirmed(self.places.health.window_s, look.now_s):
                bad.setdefault(site, []).append(standing)
        too_many: dict[Site, Finding] = {}
        for site, found in bad.items():
            why = refuses_endpoints(self.places.ready[site], len(found), self.places.max_drained_percent)
            if why and not all(one.moved for one in found):
                self._too_many(site, found, why, look, too_many)
        return too_many

    def _too_many(
        self, site: Site, bad: list[Standing], why: str, look: Pass, too_many: dict[Site, Finding]
    ) -> None:
        """None of them is emptied alone; the site is bad, unless checks say so and calls there go well."""
        for one in bad:
            one.blocked = one.blocked or ("" if one.moved else why)
        if all(one.finding.rule == "checks" for one in bad if not one.moved):
            seen = self.looked_at(Subject(Kind.SITE, site), self.evidence.of(site), look, _EVER)
            if examine(seen).opinion is Opinion.WELL:
                return
        worst = max(bad, key=lambda one: one.finding.votes.calls).finding
        too_many[site] = Finding(Opinion.BAD, "endpoints", f"{why}; {worst.cause}", worst.votes)

    def _pair(self, source: Locality, site: Site) -> Standing:
        return self.standings.get(Subject(Kind.PAIR, site, source), UNMOVED)

    def _doubt(self, seen: Look, look: Pass) -> None:
        found = seen.all
        several = found.failed >= 3 and found.failing >= min(2, found.voters)
        if several and 100.0 * found.failed >= DOUBT_PERCENT * found.calls:
            self.doubted_until_s = look.now_s + DOUBT_WINDOWS * self.places.health.window_s

    # -- acting

    def _settle(self, subject: Subject, finding: Finding, look: Pass) -> None:
        standing = self.standings.get(subject)
        if standing is None:
            if finding.opinion not in (Opinion.BAD, Opinion.FEW):
                return
            standing = self.standings[subject] = Standing(subject, look.now_s)
        standing.settle(finding, look.now_s)
        if finding.rule == "endpoints":  # each of them was confirmed
            standing.bad_since_s = float("-inf")

    def _on_its_way(
        self, standing: Standing, cells: Iterable[Cell], too_many: Finding | None, look: Pass
    ) -> None:
        standing.blocked = self.places.freezer(standing.subject)
        seen = self.looked_at(standing.subject, cells, look, standing.ramp.since_s)
        standing.finding = too_many or examine(seen)
        others = [one.votes.low for site, one in look.findings.items() if site != standing.subject.site]
        outcome = outcome_of(
            seen, standing.finding, self.places.failback, min(others, default=0.0), look.blind
        )
        outcome = standing.unless_avoided(
            outcome,
            0.0 if seen.all.voters else self._missed(standing, look.now_s),
            self.places.ejection_s,
            self.places.failback,
            look.now_s,
        )
        if standing.blocked:
            standing.outcome = outcome
        elif look.may_change and standing.advance(self.places.failback, outcome, look.now_s):
            self._changed_s = look.now_s
            if not standing.ramp.percent:
                self._ejections[standing.subject.kind, "relapse"] += 1

    def _missed(self, standing: Standing, now_s: float) -> float:
        """Calls per second that this step should bring, and that are made elsewhere."""
        subject = standing.subject
        if subject.kind is Kind.ENDPOINT:
            return 0.0  # its neighbours get them
        per_s = called_elsewhere(self.evidence, subject.site.locality, subject.source, now_s)
        return per_s * standing.ramp.percent / 100

    def _carry_out(self, look: Pass) -> None:
        """Empty what was bad for long enough, the worst first, as far as the budget goes."""
        window_s, alarm = self.places.health.window_s, ""
        confirmed = [
            one for one in self.standings.values() if not one.moved and one.confirmed(window_s, look.now_s)
        ]
        usable = self.places.usable() if confirmed else set()
        circumstances = Circumstances(self.places, self.standings, look.findings, usable)
        for standing in sorted(confirmed, key=lambda one: (-one.finding.votes.low, str(one.subject))):
            why = circumstances.refusal(standing)
            standing.blocked = standing.blocked or why
            if standing.subject.kind is not Kind.ENDPOINT and why == EVERYTHING_SICK:
                alarm = why
            if not standing.blocked and look.may_change:
                standing.empty(self.places.failback, look.now_s)
                self._changed_s = look.now_s
                self._ejections[standing.subject.kind, standing.finding.rule] += 1
        if alarm and not self.alarm:
            self.alarm_since_s = look.now_s
        self.alarm = alarm

    def _steered(self, now_s: float) -> bool:
        """Bring the steering up to date; whether it is another."""
        moved = [standing for _, standing in sorted(self.standings.items(), key=_name) if standing.moved]
        found = PortSteering(
            endpoints={s.subject.endpoint: s.admission for s in moved if s.subject.endpoint is not None},
            sites={s.subject.site: s.admission for s in moved if s.subject.kind is Kind.SITE},
            pairs={
                (s.subject.source, s.subject.site): s.admission for s in moved if s.subject.source is not None
            },
        )
        steering = found if moved else None
        if steering == self.steering:
            return False
        self.steering = steering
        return True


def _name(one: tuple[Subject, Standing]) -> str:
    return str(one[0])
