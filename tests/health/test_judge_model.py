"""Random faults, reports, checks, jumps and budgets: what must hold whatever happens."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from health.fleet import DUBLIN, NAME, PARIS, PLACES, Fleet, callers, site
from tideover_core.budget import allowed
from tideover_core.model import Locality
from tideover_core.policy import ActiveCheck, Failback, FleetHealth, Settings
from tideover_core.steering import Site
from tideover_health.refusal import TAKES_PERCENT
from tideover_health.signals import Members

CLUSTERS = ("paris", "dublin", "virginia")
ENDS = 4


class Judging(RuleBasedStateMachine):
    """A fleet with a fast policy; time runs between all that happens."""

    @initialize(
        budget=st.sampled_from((50.0, 34.0, 67.0, 0.0, 100.0)),
        sources=st.sampled_from(((PARIS,), (PARIS, DUBLIN))),
        proven=st.sampled_from((True, True, True, False)),
    )
    def begin(self, budget: float, sources: tuple[Locality, ...], proven: bool) -> None:
        self.budget = budget
        self.rates: dict[tuple[str, str], float] = {}
        self.bad_ends: dict[str, int] = {}
        policy = Settings(
            fleet_health=FleetHealth(window_s=4.0),
            failback=Failback(3.0, (10.0, 50.0, 100.0), 2.0, 5.0),
            max_drained_percent=budget,
            active_check=ActiveCheck(),
        )
        fleet = [
            caller
            for at in sources
            for caller in callers(3, at.region if proven else "", at=at, per_second=8)
        ]
        self.fleet = Fleet(fleet, dict.fromkeys(CLUSTERS, ENDS), policy, self.fault)
        self.seen = 0
        self.step_of: dict[object, float] = {}

    def fault(self, now_s: float, at: Locality, cluster: str, number: int) -> float:
        if number < self.bad_ends.get(cluster, 0):
            return 1.0
        return self.rates.get((at.region, cluster), 0.0)

    @rule(
        where=st.sampled_from(CLUSTERS),
        at=st.sampled_from(("eu-west", "eu-north")),
        rate=st.sampled_from((0.0, 0.3, 1.0)),
    )
    def break_a_pair(self, where: str, at: str, rate: float) -> None:
        self.rates[at, where] = rate

    @rule(where=st.sampled_from(CLUSTERS), rate=st.sampled_from((0.0, 0.08, 0.4, 1.0)))
    def break_a_site(self, where: str, rate: float) -> None:
        for place in PLACES.values():
            self.rates[place.region, where] = rate
        self.run(4.0)

    @rule(well=st.sampled_from(("", *CLUSTERS)))
    def break_all_but(self, well: str) -> None:
        self.rates = {(at.region, name): 1.0 for at in PLACES.values() for name in CLUSTERS if name != well}
        self.bad_ends = {}
        self.run(6.0)

    @rule()
    def mend(self) -> None:
        self.rates, self.bad_ends = {}, {}
        self.run(10.0)

    @rule(where=st.sampled_from(CLUSTERS), count=st.integers(0, ENDS))
    def break_endpoints(self, where: str, count: int) -> None:
        self.bad_ends[where] = count
        self.run(6.0)

    @rule(lies=st.sampled_from((None, 0.0, 0.5, 1.0)), silent=st.booleans())
    def one_caller_changes(self, lies: float | None, silent: bool) -> None:
        self.fleet.callers[0].lies, self.fleet.callers[0].silent = lies, silent

    @rule(silent=st.sampled_from((False, False, True)), probes=st.booleans())
    def silence(self, silent: bool, probes: bool) -> None:
        for caller in self.fleet.callers:
            caller.silent = silent
        self.fleet.probes = probes

    @rule(
        count=st.integers(1, 6),
        ejected=st.sampled_from((0, ENDS, 3 * ENDS, 10**9)),
        where=st.sampled_from(CLUSTERS),
        slow_ms=st.sampled_from((20.0, 5000.0, float("nan"))),
        times=st.sampled_from((1, 12)),
    )
    def statistics(self, count: int, ejected: int, where: str, slow_ms: float, times: int) -> None:
        """So many callers send statistics of theirs, true or not."""
        for _ in range(times):
            for caller in self.fleet.callers[:count]:
                latency = tuple(
                    (Locality(zone=place.zone), slow_ms if name == where else 20.0)
                    for name, place in PLACES.items()
                )
                told = Members(caller.voter, NAME, 3 * ENDS, max(0, 3 * ENDS - ejected), ejected, latency)
                self.fleet.judge.take(told, self.fleet.now_s)
            self.run(0.5)

    @rule(count=st.integers(0, ENDS), where=st.sampled_from(CLUSTERS))
    def scale(self, count: int, where: str) -> None:
        self.fleet.become({**self.fleet.counts, where: count})

    @rule(seconds=st.sampled_from((-100.0, 0.5, 30.0, 4000.0)))
    def jump(self, seconds: float) -> None:
        self.fleet.now_s += seconds
        for caller in self.fleet.callers:
            caller.last_s = 0.0

    @rule(seconds=st.sampled_from((0.5, 2.0, 15.0)))
    def wait(self, seconds: float) -> None:
        self.run(seconds)

    def run(self, seconds: float) -> None:
        before = self._moved()
        self.fleet.run(seconds)
        self._within_budget(before)

    def _moved(self) -> set[object]:
        last = self.fleet.changes[-1][1] if self.fleet.changes else None
        if last is None:
            return set()
        return {*last.sites, *last.pairs, *last.endpoints}

    def _within_budget(self, before: set[object]) -> None:
        """What was moved in this while is within the budget of now; the world may have shrunk before."""
        last = self.fleet.changes[-1][1] if self.fleet.changes else None
        if last is None or not (self._moved() - before):
            return
        usable = [name for name in CLUSTERS if self.fleet.counts[name]]
        limit = max(allowed(len(usable), self.budget), 1 if self.budget else 0)
        for at in (None, PARIS, DUBLIN):
            own = {(at, site(name)) for name in usable} | {site(name) for name in usable}
            judged = {
                key: one.cause
                for key, one in (*last.sites.items(), *last.pairs.items())
                if key in own and one.percent < TAKES_PERCENT
            }
            drained = {
                key if isinstance(key, Site) else key[1]
                for key, cause in judged.items()
                if "new place" not in cause
            }
            if any(key in judged and key not in before and "new place" not in judged[key] for key in own):
                assert len(drained) <= limit, (drained, self.budget)
        for name in usable:
            ends = {key for key in last.endpoints if key[1].split(".")[1] == str(CLUSTERS.index(name))}
            if ends - before:
                assert len(ends) <= allowed(self.fleet.counts[name], self.budget)

    @invariant()
    def something_is_left(self) -> None:
        """No judgement empties all there is, and no steering gives more than all or less than nothing."""
        if not hasattr(self, "fleet"):
            return
        changes, self.seen = self.fleet.changes[self.seen :], len(self.fleet.changes)
        for _, steering in changes:
            admissions = [*steering.sites.values(), *steering.pairs.values(), *steering.endpoints.values()]
            assert all(0.0 <= one.percent < 100.0 for one in admissions)
            assert all(one.cause for one in admissions)
            for key, one in steering.sites.items():
                rose_from = self.step_of.get(key, 0.0)
                # one step at a time: none is skipped
                assert not (rose_from == 0.0 and one.percent == 50.0 and key in self.step_of), key
            self.step_of = {key: one.percent for key, one in steering.sites.items()}

    def teardown(self) -> None:
        """Signals settle, and so do verdicts: all well is all of the traffic, and nothing is left to do."""
        if not hasattr(self, "fleet"):
            return
        self.rates, self.bad_ends = {}, {}
        self.fleet.probes = False
        for caller in self.fleet.callers:
            caller.silent, caller.lies, caller.last_s = False, None, 0.0
            caller.per_second = 3
        self.fleet.become(dict.fromkeys(CLUSTERS, ENDS))
        for _ in range(14):
            self.fleet.run(100)
            if not self._moved():
                break
        assert self._moved() == set(), self.fleet.judge.verdicts(self.fleet.now_s)
        count = len(self.fleet.changes)
        self.fleet.run(30)
        assert len(self.fleet.changes) == count


Judging.TestCase.settings = settings(
    max_examples=12, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestJudging = Judging.TestCase
