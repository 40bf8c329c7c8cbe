"""A simulated fleet: callers that follow the steering, places that break, reports as Envoys send them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random

from tideover_core.model import (
    ClusterFacts,
    Endpoint,
    Locality,
    Protocol,
    ServiceFacts,
    ServiceKey,
    ServicePort,
)
from tideover_core.names import wire_name
from tideover_core.orders import ActiveOrder
from tideover_core.policy import ActiveCheck, FailoverPolicy, Settings
from tideover_core.steering import PortSteering, Site
from tideover_core.world import Mesh, World, merge
from tideover_health.judge import Judge
from tideover_health.signals import Checked, Report, Row, Voter
from tideover_health.verdict import Kind, State, Subject, Verdict

SERVICE = ServiceKey("bookinfo", "ratings")
PORT = 9080
NAME = wire_name(SERVICE, PORT)
PARIS, DUBLIN, VIRGINIA = (Locality(r, f"{r}-a") for r in ("eu-west", "eu-north", "us-east"))
PLACES = {"paris": PARIS, "dublin": DUBLIN, "virginia": VIRGINIA}
STEP_S = 0.1
PUSH_S = 0.1  # from a new steering until callers follow it


def site(cluster: str) -> Site:
    return Site(cluster, PLACES[cluster])


def of_site(cluster: str) -> Subject:
    return Subject(Kind.SITE, site(cluster))


def end(cluster: str, number: int) -> Endpoint:
    second = list(PLACES).index(cluster)
    return Endpoint(f"10.{second}.0.{number}", PORT, cluster, "default", PLACES[cluster])


def facts(cluster: str, count: int, protocol: Protocol = Protocol.HTTP, generation: int = 1) -> ClusterFacts:
    ends = tuple(end(cluster, number) for number in range(count))
    service = ServiceFacts(SERVICE, (ServicePort(PORT, "p", protocol),), {PORT: ends})
    return ClusterFacts(cluster, "default", PLACES[cluster], {SERVICE: service}, generation=generation)


def world(
    counts: dict[str, int],
    settings: Settings | None = None,
    orders: tuple[ActiveOrder, ...] = (),
    protocol: Protocol = Protocol.HTTP,
    previous: World | None = None,
) -> World:
    policies = (FailoverPolicy("bookinfo", "p", settings=settings),) if settings is not None else ()
    clusters = [facts(name, count, protocol) for name, count in counts.items()]
    return merge(clusters, Mesh(failover_policies=policies, orders=orders), previous=previous)


@dataclass
class Caller:
    """One Envoy. `near`: which clusters it prefers, in order. `lies`: the error rate that it claims."""

    id: str
    at: Locality = PARIS
    per_second: float = 10.0
    near: tuple[str, ...] = ("paris", "dublin", "virginia")
    node: str = ""
    lies: float | None = None
    interval_s: float = 1.0
    offset_s: float = 0.0
    silent: bool = False
    counts: dict[tuple[str, int], list[int]] = field(default_factory=dict)  # cluster, endpoint: well, failed
    last_s: float = 0.0
    by_end: bool = False
    owed: float = 0.0

    @property
    def voter(self) -> Voter:
        return Voter(self.id, locality=self.at, node=self.node or f"node-of-{self.id}")


def callers(count: int, prefix: str = "c", **how: object) -> list[Caller]:
    return [
        Caller(f"spiffe://{prefix}{i}" if prefix else "", offset_s=(i + 0.5) / count, **how)  # type: ignore[arg-type]
        for i in range(count)
    ]


Fault = Callable[[float, Locality, str, int], float]  # time, caller's place, cluster, endpoint: error rate


def no_fault(now_s: float, at: Locality, cluster: str, endpoint: int) -> float:
    return 0.0


class Fleet:
    """Runs time. `failed` and `calls` count what users would see without retries."""

    def __init__(
        self,
        fleet: Iterable[Caller],
        counts: dict[str, int] | None = None,
        settings: Settings | None = None,
        fault: Fault = no_fault,
    ) -> None:
        self.counts = counts or {"paris": 10, "dublin": 10, "virginia": 10}
        self.settings, self.fault = settings, fault
        self.callers = list(fleet)
        self.world = world(self.counts, settings)
        self.judge = Judge()
        self.now_s = 1000.0
        self.random = Random(1)
        self.steering = PortSteering()
        self._waiting: list[tuple[float, PortSteering]] = []
        self.calls = self.failed = 0
        self.changes: list[tuple[float, PortSteering]] = []
        self.served: dict[tuple[str, str], int] = {}  # caller's zone, cluster: calls of the last run
        self.probes = False
        self.steps = 0
        self.judge.judge(self.world, self.now_s)

    def run(self, seconds: float) -> Fleet:
        self.served, self.calls, self.failed = {}, 0, 0
        for _ in range(round(seconds / STEP_S)):
            self.step()
        return self

    def step(self) -> None:
        self.now_s = round(self.now_s + STEP_S, 6)
        self.steps += 1
        while self._waiting and self._waiting[0][0] <= self.now_s:
            self.steering = self._waiting.pop(0)[1]
        for caller in self.callers:
            self._call(caller)
            due = (self.now_s - caller.offset_s) // caller.interval_s != (
                self.now_s - STEP_S - caller.offset_s
            ) // caller.interval_s
            if due and not caller.silent:
                self.judge.take(self.report(caller), self.now_s)
        if self.probes and self.steps % 10 == 0:
            self.probe()
        self.look()

    def look(self) -> None:
        """Judge when it is due, as the program does."""
        due_s = self.judge.next_s()
        if due_s is not None and due_s <= self.now_s:
            self.decide()

    def decide(self) -> None:
        found = self.judge.judge(self.world, self.now_s).get(SERVICE, {}).get(PORT, PortSteering())
        before = self.changes[-1][1] if self.changes else PortSteering()
        if found != before:
            self.changes.append((self.now_s, found))
            self._waiting.append((self.now_s + PUSH_S, found))

    def become(self, counts: dict[str, int] | None = None, orders: tuple[ActiveOrder, ...] = ()) -> None:
        """The world changes."""
        self.counts = counts or self.counts
        self.world = world(self.counts, self.settings, orders)
        self.decide()

    def probe(self, checker: str = "prober") -> None:
        """A round of active checks from nowhere in particular."""
        for cluster, count in self.counts.items():
            for number in range(count):
                bad = self.fault(self.now_s, Locality(), cluster, number) > 0.5
                one = end(cluster, number)
                self.judge.take(
                    Checked(
                        Voter(checker), NAME, (one.address, one.port), not bad, "HTTP 503" if bad else ""
                    ),
                    self.now_s,
                )

    def report(self, caller: Caller) -> Report:
        interval_s, caller.last_s = self.now_s - (caller.last_s or self.now_s - caller.interval_s), self.now_s
        rows: list[Row] = []
        by_end = caller.by_end
        caller.by_end = NAME in self.judge.doubted()  # as it is told with the answer to this report
        for cluster in self.counts:
            found = {number: got for (name, number), got in caller.counts.items() if name == cluster}
            well, failed = (sum(got[i] for got in found.values()) for i in (0, 1))
            if caller.lies is not None:
                failed = round((well + failed) * caller.lies)
                well = sum(map(sum, found.values())) - failed
            if well + failed:
                rows.append(Row(NAME, PLACES[cluster], well, failed))
            if by_end:
                for number, (ok, bad) in found.items():
                    lied = round((ok + bad) * caller.lies) if caller.lies is not None else bad
                    one = end(cluster, number)
                    address = (one.address, one.port)
                    rows.append(Row(NAME, PLACES[cluster], ok + bad - lied, lied, address=address))
        caller.counts = {}
        return Report(caller.voter, max(interval_s, 0.05), tuple(rows))

    def _call(self, caller: Caller) -> None:
        caller.owed += caller.per_second * STEP_S
        while caller.owed >= 1.0:
            caller.owed -= 1.0
            cluster, number = self._picked(caller)
            bad = self.random.random() < self.fault(self.now_s, caller.at, cluster, number)
            caller.counts.setdefault((cluster, number), [0, 0])[bad] += 1
            self.calls += 1
            self.failed += bad
            where = (caller.at.zone, cluster)
            self.served[where] = self.served.get(where, 0) + 1

    def _picked(self, caller: Caller) -> tuple[str, int]:
        """Where a call goes: the mixture of worlds in which places with less admission are down."""
        dice = 100.0 * self.random.random()
        for cluster in caller.near:
            if cluster not in self.counts or self._percent(caller.at, cluster) <= dice:
                continue
            ends = self._ends(cluster, dice)
            if ends:
                return cluster, ends[int(self.random.random() * len(ends))]
        cluster = next(name for name in caller.near if self.counts.get(name))
        return cluster, self.random.randrange(self.counts[cluster])

    def _percent(self, at: Locality, cluster: str) -> float:
        if not self.steering.sites and not self.steering.pairs:
            return 100.1
        found = (self.steering.sites.get(site(cluster)), self.steering.pairs.get((at, site(cluster))))
        return min((one.percent for one in found if one is not None), default=100.1)

    def _ends(self, cluster: str, dice: float) -> Sequence[int]:
        ends = range(self.counts[cluster])
        if not self.steering.endpoints:
            return ends
        admitted = {key: one.percent for key, one in self.steering.endpoints.items()}
        return [number for number in ends if admitted.get(end(cluster, number).key, 100.1) > dice]

    # -- what tests ask

    def percent(self, cluster: str, source: Locality | None = None) -> float:
        """What the steering gives that site now."""
        last = self.changes[-1][1] if self.changes else PortSteering()
        found = [last.sites.get(site(cluster))]
        if source is not None:
            found.append(last.pairs.get((source, site(cluster))))
        return min([100.0, *(one.percent for one in found if one is not None)])

    def share(self, zone: Locality, cluster: str) -> float:
        """The part of the calls from there that went to that cluster in the last run."""
        total = sum(count for (at, _), count in self.served.items() if at == zone.zone)
        return self.served.get((zone.zone, cluster), 0) / max(1, total)

    def states(self) -> dict[str, State]:
        return {str(one.subject): one.state for one in self.judge.verdicts(self.now_s)}

    def verdict(self, subject: Subject) -> Verdict | None:
        return next((one for one in self.judge.verdicts(self.now_s) if one.subject == subject), None)

    def moves(self, cluster: str) -> int:
        """How often the site's traffic turned: out, in, out is three, however many steps it took."""
        history = [
            100.0,
            *(s.sites[site(cluster)].percent if site(cluster) in s.sites else 100.0 for _, s in self.changes),
        ]
        signs = [b > a for a, b in pairwise(history) if a != b]
        return sum(1 for i, sign in enumerate(signs) if i == 0 or signs[i - 1] != sign)


def with_check(settings: Settings | None = None) -> Settings:
    return replace(settings or Settings(), active_check=ActiveCheck())
