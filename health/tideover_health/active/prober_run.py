"""Our own prober: asks endpoints as often as their policies say, within a rate, and tells what it saw."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog
from asyncio_throttle import Throttler

from tideover_core.addresses import usable_address
from tideover_core.latest import Latest
from tideover_core.policy import CheckKind
from tideover_health.signals import Checked, Voter

from .checks import Key, Target, signals, unasked
from .grpc_probe import grpc_health
from .http_probe import http
from .outcome import Outcome
from .schedule import Pace, next_due_s, pace
from .tcp_probe import tcp

PROBES: Mapping[CheckKind, Callable[[Target], Awaitable[Outcome]]] = {
    CheckKind.HTTP: http,
    CheckKind.TCP: tcp,
    CheckKind.GRPC: grpc_health,
}
_LATE, _LATE_S = 1.5, 0.1  # a timeout that came later than this says that the loop was held up
_SLICES_PER_S = 10  # the rate holds in each tenth of a second, so that nothing comes in bursts


@dataclass(frozen=True, slots=True)
class ProberOptions:
    """`voter` is this replica. `networks`: what it reaches without gateways; others are not asked."""

    voter: Voter
    networks: frozenset[str] = frozenset({"default"})
    checks_per_second: int = 100
    at_once: int = 100
    allow_loopback: bool = False


@dataclass(frozen=True, slots=True)
class ProberStatus:
    """How the prober does. `stretch`: what the longest intervals are multiplied by, to keep the rate."""

    targets: int = 0
    wanted_per_s: float = 0.0
    most_per_s: float = 0.0
    stretch: float = 1.0
    running: int = 0
    passed: int = 0
    failed: int = 0
    not_looked: int = 0  # the trouble was ours
    unasked: Mapping[str, int] = field(default_factory=dict)  # reason -> endpoints that only Envoys check


@dataclass(slots=True, eq=False)
class _Course:
    """A target and what is known of it."""

    target: Target
    left: int = 0  # successes that are signals still, after a failure
    over: bool = False


class Prober:
    """Asks while `run` runs. Never more than `checks_per_second`, nor `at_once` at the same time."""

    def __init__(self, options: ProberOptions) -> None:
        self._options = options
        self._throttler = _throttler(options)
        self._wanted: tuple[Target, ...] = ()
        self._courses: dict[Key, _Course] = {}
        self._due: list[tuple[float, int, _Course]] = []
        self._pace = Pace(0, options.checks_per_second)
        self._unasked: Mapping[str, int] = {}
        self._changed = asyncio.Event()
        self._slots = asyncio.Semaphore(options.at_once)
        self._numbers = 0
        self._asked: Counter[str] = Counter()  # at this moment, by namespace
        self._held: dict[str, deque[_Course]] = {}  # due, but their namespace is asked as much as it may be
        self._running = self._passed = self._failed = self._not_looked = 0

    @property
    def status(self) -> ProberStatus:
        """How it does now."""
        paced = self._pace
        return ProberStatus(
            len(self._courses), paced.wanted_per_s, paced.most_per_s, paced.stretch,
            self._running, self._passed, self._failed, self._not_looked, self._unasked,
        )  # fmt: skip

    def configure(self, options: ProberOptions) -> None:
        """Check by these from now on; `at_once` stays as it was."""
        if options != self._options:
            self._options, self._throttler = options, _throttler(options)
            self._aim(self._wanted)

    async def run(self, targets: Latest[tuple[Target, ...]], told: Callable[[Checked], None]) -> None:
        """Check these targets until cancelled; `told` gets each result that counts."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(targets), name="targets of checks")
            while True:
                course = await self._next()
                await self._slots.acquire()
                await self._throttler.acquire()
                if course.over:
                    self._slots.release()
                else:
                    self._asked[course.target.namespace] += 1
                    tasks.create_task(self._ask(course, told))

    async def _follow(self, targets: Latest[tuple[Target, ...]]) -> None:
        version, wanted = targets.version, targets.value
        while True:
            self._aim(wanted)
            version, wanted = await targets.after(version)

    def _aim(self, wanted: tuple[Target, ...]) -> None:
        """These from now on; who stays keeps when it is due, and what is known of it."""
        self._wanted = wanted
        asked: dict[Key, Target] = {}
        reasons: dict[str, int] = {}
        for target in wanted:
            if target.network in self._options.networks:
                if reason := unasked(target):
                    reasons[reason] = reasons.get(reason, 0) + 1
                else:
                    asked[target.key] = target
        stretches, options = self._pace.stretches, self._options
        self._pace = pace(asked.values(), options.checks_per_second)
        self._unasked = reasons
        before, self._courses = self._courses, {}
        for key, target in asked.items():
            course = before.get(key)
            if course is None or course.target != target:
                course = _Course(target, course.left if course is not None else 0)
                self._schedule(course)
            self._courses[key] = course
        for key, course in before.items():
            course.over = course is not self._courses.get(key)
        if self._pace.stretches != stretches:
            waiting = [course for *_, course in self._due if not course.over]
            self._due.clear()
            for course in waiting:
                self._schedule(course)

    def _schedule(self, course: _Course) -> None:
        due_s = next_due_s(course.target, self._pace, time.monotonic(), self._options.voter.id)
        self._numbers += 1
        heapq.heappush(self._due, (due_s, self._numbers, course))
        self._changed.set()

    async def _next(self) -> _Course:
        """Wait for the next one that is due, and take it."""
        while True:
            while self._due and (self._due[0][2].over or self._hold(self._due[0])):
                heapq.heappop(self._due)
            wait_s = self._due[0][0] - time.monotonic() if self._due else None
            if wait_s is not None and wait_s <= 0:
                return heapq.heappop(self._due)[2]
            self._changed.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                pass  # the next one is due

    def _hold(self, due: tuple[float, int, _Course]) -> bool:
        """Whether this one is due and must wait for others of its namespace: those that hang leave the others
        half of the slots."""
        due_s, _, course = due
        namespace = course.target.namespace
        most = max(1, self._options.at_once // 2)
        if due_s > time.monotonic() or self._asked[namespace] < most:
            return False
        self._held.setdefault(namespace, deque()).append(course)
        return True

    def _let_go(self, namespace: str) -> None:
        """One of the namespace is done: the next that is held has its turn."""
        self._asked[namespace] -= 1
        held = self._held.get(namespace)
        if held:
            self._numbers += 1
            heapq.heappush(self._due, (0.0, self._numbers, held.popleft()))
            self._changed.set()
        if not held:
            self._held.pop(namespace, None)
        if not self._asked[namespace]:
            del self._asked[namespace]

    async def _ask(self, course: _Course, told: Callable[[Checked], None]) -> None:
        self._running += 1
        try:
            outcome = await self._look(course.target)
        finally:
            self._running -= 1
            self._slots.release()
            self._let_go(course.target.namespace)
        if not course.over:
            self._take(course, outcome, told)
            self._schedule(course)

    def _take(self, course: _Course, outcome: Outcome, told: Callable[[Checked], None]) -> None:
        if outcome.passed is None:
            self._not_looked += 1
            return
        self._passed += outcome.passed
        self._failed += not outcome.passed
        target = course.target
        counts, course.left = signals(target, outcome.passed, course.left)
        if counts:
            where = (target.address, target.port)
            told(Checked(self._options.voter, target.name, where, outcome.passed, outcome.detail))

    async def _look(self, target: Target) -> Outcome:
        timeout_s = target.check.timeout_s
        started_s = time.monotonic()
        try:
            usable_address(target.address, allow_loopback=self._options.allow_loopback)
        except ValueError as error:
            return Outcome(None, str(error))
        try:
            async with asyncio.timeout(timeout_s):
                return await PROBES[target.check.kind](target)
        except TimeoutError:
            # a replica that had no time to look says nothing of who was asked
            if time.monotonic() - started_s > timeout_s * _LATE + _LATE_S:
                return Outcome(None, "this replica was too busy to look")
            return Outcome(False, f"no answer within {timeout_s:g} s")
        except Exception:  # noqa: BLE001 - a mistake of ours: other endpoints are checked all the same
            structlog.get_logger().exception("CheckFailed", object=target.name, address=target.address)
            return Outcome(None, "the check itself failed")


def _throttler(options: ProberOptions) -> Throttler:
    rate = max(1, options.checks_per_second // _SLICES_PER_S)
    return Throttler(rate, rate / options.checks_per_second)
