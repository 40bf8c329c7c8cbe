"""Sources of facts and of policies that follow files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tideover_core.latest import Latest
from tideover_core.model import ClusterFacts, Locality, Problem, SourceStatus
from tideover_core.orders import TrafficOrder
from tideover_core.policy import DestinationRule, FailoverPolicy
from tideover_discovery.kubernetes.assembler import Assembler
from tideover_discovery.kubernetes.endpoints import Ground

from .folder import Folder, Outcome
from .follow import follow

_NOWHERE = Ground("", "", Locality())


class ManifestSource:
    """The facts of one cluster from a folder or file of manifests (a `Source`).

    `initial` are facts of an earlier life: known, and stale until the files have been listed.
    """

    def __init__(  # noqa: PLR0913 (a cluster's row of the configuration)
        self,
        cluster: str,
        network: str,
        locality: Locality,
        path: Path | str,
        *,
        allow_loopback: bool = False,
        initial: ClusterFacts | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.cluster = cluster
        self._clock = clock
        self._folder = Folder(Path(path))
        self._assembler = Assembler(Ground(cluster, network, locality, allow_loopback), initial)
        self.facts: Latest[ClusterFacts | None] = Latest(initial)
        reason = "from the snapshot, not listed yet" if initial else "not listed yet"
        self.status = Latest(SourceStatus(cluster, initial is not None, clock(), reason))

    async def run(self) -> None:
        """List, then watch, until cancelled. Trouble is a status, never an exception."""
        await follow(self._folder.path, self)

    def look(self) -> Outcome:
        """In a thread: parse and assemble; nobody else touches what is assembled while `follow` runs."""
        outcome = self._folder.look()
        if outcome.listing is not None:
            self._assembler.listed(outcome.listing)
        return outcome

    def found(self, outcome: Outcome) -> float | None:
        """Publish what a look found."""
        if outcome.listing is not None:
            self.facts.set(self._assembler.facts)
        if outcome.trouble:
            self._stale(outcome.trouble)
        elif not self.status.value.known and (doubt := outcome.listing and outcome.listing.doubt):
            self._stale(f"not completely known: {doubt}")
        else:
            self.status.set(SourceStatus(self.cluster, known=True))
        return outcome.again_in_s

    def hangs(self, reason: str) -> None:
        """What was known stays, and is stale."""
        self._stale(reason)

    def _stale(self, reason: str) -> None:
        now = self.status.value
        since = self._clock() if now.stale_since_s is None else now.stale_since_s
        self.status.set(SourceStatus(self.cluster, now.known, since, reason))


@dataclass(frozen=True, slots=True)
class Policies:
    """What a folder of policies says. `known`: it was listed completely at least once."""

    destination_rules: tuple[DestinationRule, ...] = ()
    failover_policies: tuple[FailoverPolicy, ...] = ()
    problems: tuple[Problem, ...] = ()
    known: bool = False


class PolicySource:
    """Policies of the whole mesh from a folder or file; `path` vanishing leaves them as they were.

    `initial` are those of an earlier life: they count until the files have been listed, and after that
    wherever a file or policy is broken that was never good in this life.
    """

    def __init__(self, path: Path | str, *, initial: Policies | None = None) -> None:
        self._folder = Folder(Path(path))
        before = initial or Policies()
        known = ClusterFacts(
            "",
            "",
            Locality(),
            destination_rules=before.destination_rules,
            failover_policies=before.failover_policies,
        )
        self._assembler = Assembler(_NOWHERE, known)
        self.policies: Latest[Policies] = Latest(before)

    async def run(self) -> None:
        """List, then watch, until cancelled. Trouble is a problem, never an exception."""
        await follow(self._folder.path, self)

    def look(self) -> Outcome:
        """In a thread, as for `ManifestSource`."""
        outcome = self._folder.look()
        if outcome.listing is not None:
            self._assembler.listed(outcome.listing)
        return outcome

    def found(self, outcome: Outcome) -> float | None:
        """Publish what a look found."""
        facts = self._assembler.facts
        problems = facts.problems
        if outcome.trouble:
            problems = (self._problem(outcome.trouble), *problems)
        problems = (*problems, *misplaced(facts.orders))
        known = self.policies.value.known or not outcome.trouble
        self.policies.set(Policies(facts.destination_rules, facts.failover_policies, problems, known))
        return outcome.again_in_s

    def hangs(self, reason: str) -> None:
        """What was known stays, with a problem beside it."""
        now = self.policies.value
        self.policies.set(replace(now, problems=(self._problem(reason), *now.problems)))

    def _problem(self, message: str) -> Problem:
        return Problem("policies", message, "the policies known before stay", str(self._folder.path))


def misplaced(orders: Iterable[TrafficOrder]) -> Iterator[Problem]:
    """Orders in the folder of policies, which is of no cluster."""
    for order in orders:
        message = "an order does not count in the folder of policies"
        yield Problem(str(order), message, "ignored: put it into a cluster, or place it by `tideover drain`")
