"""Which signal counts when: `RULES`, from the strongest to the weakest. The first that speaks decides.

Real calls beat checks, many voters beat one, and silence says nothing. Freeze orders and the budget come
before all of them, where verdicts are carried out (`port.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from tideover_core.policy import FleetHealth

from .checkups import NOTHING_CHECKED, Says
from .ledger import Cell
from .votes import NO_VOTES, Quorum, Tally, Vote, tally

# the shortest part of the window in which enough is seen decides: a busy service by each caller's last report
HORIZONS = (0.05, 0.15, 0.5, 1.0)
_MOST_ARE_SLOW = 4.0  # the average is not below the 99th percentile by more than that


class Opinion(StrEnum):
    """What is thought of a subject now."""

    BAD = "bad"
    WELL = "well"
    UNCLEAR = "unclear"  # between the thresholds
    FEW = "few"  # looks bad, but too few say so
    NOTHING = "nothing"  # nothing is seen


class Finding(NamedTuple):
    """An opinion, which rule it comes from, and why. `horizon_s`: how far back it looks."""

    opinion: Opinion
    rule: str
    cause: str
    votes: Tally = NO_VOTES
    missing: str = ""
    horizon_s: float = 0.0


@dataclass(slots=True)
class Look:
    """What is known of one subject: cells, checks. Only periods that began since `since_s` count."""

    cells: Iterable[Cell]
    health: FleetHealth
    now_s: float
    since_s: float = float("-inf")
    checks: Says = NOTHING_CHECKED
    http: bool = True  # load reports say nothing of TCP services
    min_requests: int = 20
    _tallies: dict[float, Tally] = field(default_factory=dict)

    def tally(self, horizon_s: float) -> Tally:
        """The votes of that long; of a reporter with a longer interval at least its last report."""
        found = self._tallies.get(horizon_s)
        if found is None:
            votes = votes_of(self.cells, self.now_s, horizon_s, self.since_s) if self.http else ()
            found = tally(votes, self.health.unhealthy_above_error_percent)
            self._tallies[horizon_s] = found
        return found

    @property
    def all(self) -> Tally:
        """The votes of the whole window."""
        return self.tally(self.health.window_s)

    @property
    def well_below(self) -> float:
        """Thresholds that contradict each other: the lower counts."""
        return min(self.health.healthy_below_error_percent, self.health.unhealthy_above_error_percent)


def votes_of(cells: Iterable[Cell], now_s: float, horizon_s: float, since_s: float) -> list[Vote]:
    """One vote for each voter, whatever the number of its rows, names and (unproven) places."""
    found: dict[str, Vote] = {}
    for cell in cells:
        calls, failed = cell.seen(now_s, horizon_s, since_s)
        if calls:
            who = cell.reporter
            known = found.get(who.id)
            if known is not None:
                calls, failed = calls + known.calls, failed + known.failed
            found[who.id] = Vote(who.id, who.node, who.source, calls, failed)
    return list(found.values())


def by_calls(look: Look) -> Finding | None:
    """Enough voters with enough calls."""
    quorum = Quorum(look.health.min_reporters, look.min_requests, look.all.voters)
    for part in HORIZONS:
        horizon_s = part * look.health.window_s
        found = look.tally(horizon_s)
        if quorum.lacks(found):
            continue
        if found.low > look.health.unhealthy_above_error_percent:
            if quorum.lacks_to_be_bad(found):
                return None
            return Finding(Opinion.BAD, "calls", errors(found), found, "", horizon_s)
        if found.high < look.well_below or not found.failed:
            return Finding(Opinion.WELL, "calls", errors(found), found, "", horizon_s)
        return Finding(Opinion.UNCLEAR, "calls", errors(found), found, "", horizon_s)
    return None


def by_ejection(look: Look) -> Finding | None:
    """Callers that have ejected all they had there, so that they call nobody there any more."""
    after_s = max(look.now_s - look.health.window_s, look.since_s)
    gone = {cell.reporter.id: cell.reporter.node for cell in look.cells if cell.ejected_s > after_s}
    found = look.all
    callers = max(found.voters, len(gone))
    if 2 * len(gone) <= callers or len(gone) < max(2, min(look.health.min_reporters, callers)):
        return None
    if found.nodes > 1 and len(set(gone.values()) - {""}) < 2:
        return None
    cause = f"{len(gone)} of {callers} callers have ejected all endpoints there"
    return Finding(Opinion.BAD, "ejection", cause, found, "", look.health.window_s)


def by_few_and_check(look: Look) -> Finding | None:
    """Fewer than it takes, and an active check that agrees."""
    found = look.all
    if not found.voters or found.calls < look.min_requests or not look.checks.fails:
        return None
    if found.low <= look.health.unhealthy_above_error_percent:
        return None
    if look.checks.failed_by and look.checks.failed_by <= {cell.reporter.id for cell in look.cells}:
        return None  # who agrees with nobody but himself is still alone
    cause = f"{errors(found)}, and checks agree ({look.checks.detail or 'failing'})"
    return Finding(Opinion.BAD, "few with a check", cause, found, "", look.health.window_s)


def by_slow(look: Look) -> Finding | None:
    """Answers far slower than usual and than elsewhere, for most voters and on the average of each."""
    nodes: dict[str, str] = {}
    bad: set[str] = set()
    slowest_ms = 0.0
    for cell in look.cells:
        latency = cell.latency
        if latency is None or latency.at_s <= max(look.now_s - look.health.window_s, look.since_s):
            continue
        nodes[cell.reporter.id] = cell.reporter.node
        # one slow endpoint of many makes the 99th percentile slow, but not the average (calls running / rate)
        if latency.slow and 1000.0 * cell.running * _MOST_ARE_SLOW >= latency.now_ms * cell.rate > 0:
            bad.add(cell.reporter.id)
            slowest_ms = max(slowest_ms, latency.now_ms)
    if len(bad) < max(2, min(look.health.min_reporters, len(nodes))) or 2 * len(bad) <= len(nodes):
        return None
    if len(set(nodes.values()) - {""}) > 1 and len({nodes[who] for who in bad} - {""}) < 2:
        return None
    cause = f"{len(bad)} of {len(nodes)} callers wait up to {slowest_ms:.0f} ms, far longer than usual"
    return Finding(Opinion.BAD, "slow", cause, look.all, "", look.health.window_s)


def by_checks(look: Look) -> Finding | None:
    """Where calls say nothing: checks of two places, or of one that sees others there pass."""
    says = look.checks
    if look.all.voters or not says.fails or (says.checkers < 2 and says.blind):
        return None
    who = "one checker" if says.checkers == 1 else f"{says.checkers} checkers"
    cause = f"active checks of {who} fail ({says.detail or 'no reason given'})"
    return Finding(Opinion.BAD, "checks", cause)


def by_few(look: Look) -> Finding | None:
    """What is seen, but by too few to change anything."""
    found = look.all
    if not found.voters:
        return None
    if found.low > look.health.unhealthy_above_error_percent:
        quorum = Quorum(look.health.min_reporters, look.min_requests, found.voters)
        missing = quorum.lacks_to_be_bad(found) or "not enough of it lately"
        return Finding(Opinion.FEW, "few", errors(found), found, missing, look.health.window_s)
    well = found.high < look.well_below or not found.failed
    opinion = Opinion.WELL if well else Opinion.UNCLEAR
    return Finding(opinion, "few", errors(found), found, "", look.health.window_s)


def by_passing_check(look: Look) -> Finding | None:
    """Nobody calls, and checks pass or fail: never enough to move anything, but shown."""
    if look.checks.fails:
        missing = "one place alone sees it fail, and nothing else there pass"
        return Finding(
            Opinion.FEW, "check", f"an active check fails: {look.checks.detail}", NO_VOTES, missing
        )
    return Finding(Opinion.WELL, "check", "active checks pass") if look.checks.passes else None


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of evidence, and what it takes."""

    name: str
    says: str
    find: Callable[[Look], Finding | None]


RULES: tuple[Rule, ...] = (
    Rule("slow", "answers far slower than usual and elsewhere, for most callers", by_slow),
    Rule("calls", "calls of minReporters voters (or all there are, at least two), on two nodes", by_calls),
    Rule("ejection", "most callers have ejected all endpoints there, so that they call no more", by_ejection),
    Rule("few with a check", "calls of fewer voters, and an active check that agrees", by_few_and_check),
    Rule("checks", "no calls: checks from two places, or one that sees others there pass", by_checks),
    Rule("few", "calls of too few voters: shown, moves nothing", by_few),
    Rule("check", "no calls, one check: shown, moves nothing", by_passing_check),
)
SILENCE = Finding(Opinion.NOTHING, "silence", "nothing is seen; that is not bad")


def examine(look: Look) -> Finding:
    """What the strongest rule that speaks says."""
    for rule in RULES:
        if (found := rule.find(look)) is not None:
            return found
    return SILENCE


def errors(votes: Tally) -> str:
    """`5 of 6 voters see errors (the middle one 97 %)`"""
    if not votes.failed:
        return f"{votes.voters} voters see no errors"
    return f"{votes.bad} of {votes.voters} voters see errors (the middle one {votes.low:.0f} %)"
