"""Why a verdict is not carried out: an order, no other place that is well, the budget. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from tideover_core.budget import refuses_site
from tideover_core.model import Locality
from tideover_core.ramp import Outcome
from tideover_core.steering import Site

from .places import Places
from .rules import SILENCE, Finding, Opinion
from .standing import Standing
from .verdict import Kind, Subject

TAKES_PERCENT = 50.0  # of its share: who is through so many steps, and well, may take what another loses
UNMOVED = Standing(Subject(Kind.SITE, Site("", Locality())), 0.0)  # of what nothing is known


@dataclass(frozen=True, slots=True)
class Circumstances:
    """One service port when something is to be emptied.

    `usable`: sites that could take traffic. `findings`: of those that get all of theirs.
    """

    places: Places
    standings: Mapping[Subject, Standing]
    findings: Mapping[Site, Finding]
    usable: Set[Site]

    def refusal(self, standing: Standing) -> str:
        """Why it may not be emptied; "" when it may."""
        subject = standing.subject
        if frozen := self.places.freezer(subject):
            return frozen
        if subject.site not in self.usable:
            return "no traffic is meant to go there"
        if subject.kind is Kind.ENDPOINT:
            whole = self.standings.get(Subject(Kind.SITE, subject.site), UNMOVED)
            if whole.moved or whole.bad_since_s is not None:
                return "its whole place is judged"
            return ""  # how many of them may be is decided where they are judged
        # a site is emptied for everyone: also for those to whom paths to others are broken
        broken = {one.source for one, found in self.standings.items() if one.source and found.moved}
        for source in (subject.source,) if subject.source is not None else (None, *sorted(broken)):
            if why := self._over_budget(subject.site, source):
                return why
        return ""

    def _over_budget(self, site: Site, source: Locality | None) -> str:
        """Why it may not be emptied for clients of that place; of none: for those without broken paths."""
        others = self.usable - {site}
        emptied = {other for other in others if self._is_moved(other, source)}
        well = [other for other in others - emptied if self._looks_well(other)]
        return refuses_site(len(self.usable), len(emptied), len(well), self.places.max_drained_percent)

    def _is_moved(self, site: Site, source: Locality | None) -> bool:
        """Whether a site gets too little of its share, from clients of that place or from anyone."""
        subjects = [Subject(Kind.SITE, site)]
        if source is not None:
            subjects.append(Subject(Kind.PAIR, site, source))
        found = (self.standings.get(subject, UNMOVED) for subject in subjects)
        return any(
            one.moved and (one.outcome is not Outcome.WELL or one.ramp.percent < TAKES_PERCENT)
            for one in found
        )

    def _looks_well(self, site: Site) -> bool:
        """Whether a site may take what another loses. Few who say it is bad do not count, in either way."""
        finding, health = self.findings.get(site, SILENCE), self.places.health
        if finding.opinion is Opinion.UNCLEAR:
            half = health.unhealthy_above_error_percent / 2
            return finding.votes.high <= max(half, health.healthy_below_error_percent)
        return finding.opinion is not Opinion.BAD
