"""The one keeper of health: signals come in, the steering that the world is merged with is here to be read.

An error of the program in judging keeps the last steering, is a problem, and ends nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import structlog

from tideover_core.allotment import Allotment
from tideover_core.capacity import Plan
from tideover_core.model import Problem, ServiceKey
from tideover_core.names import Target
from tideover_core.ramp import Outcome
from tideover_core.steering import Steering
from tideover_core.target import Aim
from tideover_core.world import World
from tideover_health.backends import fullnesses
from tideover_health.judge import Judge
from tideover_health.signals import Signal
from tideover_health.verdict import Alarm, Verdict

from .health_news import Told, news
from .health_view import Ejections, HealthView, Looking, Pace
from .run_replica import RunningReplica
from .run_world import steady_clock
from .snapshot import StateFolder

KIND = "verdicts"  # of the document in `state`
BETWEEN_S = 0.25  # two judgements, however much is reported
BETWEEN_SAVES_S = 1.0
ALLOT_EVERY_S = 1.0
SHORT_FOR_S = 10.0  # a shortfall is over when there was none for so long
AGAIN_AFTER_S = 5.0  # when it could not be saved
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Short:
    """A service port of which more is called than all places carry, since when, and when that was last so."""

    plan: Plan
    since_s: float
    seen_s: float


class HealthKeeper:
    """Judges what is seen, and lets no place be filled above its capacity while others have room.

    `changed` is called when the steering is another. One event loop.
    """

    def __init__(
        self,
        judge: Judge,
        replica: RunningReplica,
        changed: Callable[[], None],
        allotment: Allotment | None = None,
    ) -> None:
        self.steering: Mapping[ServiceKey, Steering] = {}
        self.pace: Callable[[], Pace] = Pace
        self.looking: Callable[[], Looking] = Looking
        self.told: Callable[[Sequence[Verdict], Sequence[Alarm]], None] = lambda verdicts, alarms: None
        self.judged: Callable[[], None] = lambda: None  # doubts and loads may be other ones now
        self.also: Callable[[Signal], None] = lambda signal: None  # who else is told
        self.judge = judge
        self._replica = replica
        self._changed = changed
        self._now_s = steady_clock()
        self._wake = asyncio.Event()
        self._allotment = allotment or Allotment()
        self._allot_at_s = float("-inf")
        self._judged: Mapping[ServiceKey, Steering] = {}
        self._short: dict[Target, _Short] = {}
        self._told = Told()
        self._saved = b""
        self._unsaved = asyncio.Event()

    def configure(self, *, learn_capacity: bool) -> None:
        """Whether the highest load seen is taken as capacity, from now on."""
        self._allotment.configure(learn=learn_capacity)

    def take(self, signal: Signal) -> None:
        """Somebody saw something."""
        self._guarded("what is open", lambda: self.also(signal), None)
        try:
            self.judge.take(signal, self._now_s())
        except Exception as error:  # noqa: BLE001 - whatever it is: one signal is lost, reports go on
            self._failed("a signal", error)
        self._wake.set()

    def look(self) -> None:
        """The world is another: judge soon."""
        self._wake.set()

    async def run(self) -> None:
        """Judge when signals came and when it is time, at most every `BETWEEN_S`, until cancelled."""
        while True:
            due_s = self._guarded("when to judge", self.judge.next_s, None)
            try:
                async with asyncio.timeout(None if due_s is None else max(0.0, due_s - self._now_s())):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            self.decide()
            await asyncio.sleep(BETWEEN_S)

    def decide(self) -> None:
        """Judge now."""
        before = self.steering
        if self.foreseen(self._replica.world.value) is not before:
            self._changed()

    def foreseen(self, world: World) -> Mapping[ServiceKey, Steering]:
        """The steering for a world that is about to be served: a new place must not get all at once."""
        before, now_s = self.steering, self._now_s()
        try:
            steering = self._allotted(self.judge.judge(world, now_s), world, now_s)
            # equal steering is the same object: nobody need look
            self.steering = before if steering == before else steering
            verdicts, alarms = self.judge.verdicts(now_s), self._alarms()
            saved = msgspec.json.encode({**self.judge.saved(), "learned": self._allotment.learned()})
        except Exception as error:  # noqa: BLE001 - whatever it is: what was decided stays (law 1)
            self._failed("what is reported", error)
            return self.steering
        self._replica.note("health", ())
        self._told, lines = news(self._told, verdicts, alarms, now_s)
        self._replica.journal.health(lines)
        if lines:
            self._guarded("what to tell", lambda: self.told(verdicts, alarms), None)
        if saved != self._saved:
            self._saved = saved
            self._unsaved.set()
        self._guarded("what to ask for", self.judged, None)
        return self.steering

    def _allotted(
        self, judged: Mapping[ServiceKey, Steering], world: World, now_s: float
    ) -> Mapping[ServiceKey, Steering]:
        """What health makes of it, with the shares of those places that would be full."""
        if now_s >= self._allot_at_s or judged is not self._judged:
            # what is moved must not topple in the meantime who takes it
            self._allot_at_s, self._judged = now_s + ALLOT_EVERY_S, judged
            said = fullnesses(self.judge.backends(now_s))
            self._allotment.fullness.hear(world, self.judge.loads(now_s) if said else {}, said)
            self._allotment.allot(world, judged, self.judge.loads(now_s), self.judge.failed_loads(now_s))
            self._hear_of_shortfalls(now_s)
        return self._allotment.steered(judged)

    def _alarms(self) -> list[Alarm]:
        """What people should look at: everything looks sick, or nobody has room."""
        alarms = list(self.judge.alarms())
        for target, short in self._short.items():
            carried = sum(load.capacity for load in short.plan.loads.values())
            said = (
                f"{short.plan.shortfall:,.0f} requests/s too many: all places that may be called "
                f"carry {carried:,.0f}; what fits nowhere is spread over them by what each carries"
            )
            alarms.append(Alarm(target.service, target.port, said, short.since_s, short=True))
        return alarms

    def _hear_of_shortfalls(self, now_s: float) -> None:
        """One that comes and goes is one, with what was last too many."""
        for target, plan in self._allotment.shortfalls().items():
            known = self._short.get(target)
            self._short[target] = _Short(plan, known.since_s if known else now_s, now_s)
        self._short = {target: one for target, one in self._short.items() if now_s < one.seen_s + SHORT_FOR_S}

    def view(self) -> HealthView:
        """What is judged now."""
        now_s = self._now_s()
        return HealthView(
            at_s=now_s,
            enabled=True,
            verdicts=tuple(self._guarded("verdicts", lambda: self.judge.verdicts(now_s), ())),
            alarms=tuple(self._guarded("alarms", self._alarms, [])),
            heard=self.judge.heard(),
            pace=self.pace(),
            looking=(looking := self.looking()),
            loads=self._guarded("loads", lambda: self.judge.loads(now_s), {}),
            learned=self._allotment.rates(),
            ejections=self._ejections(looking),
            doubted=self._guarded("doubts", self.judge.doubted, frozenset()),
            plans=self._allotment.plans,
            backends=self._guarded("backends", lambda: self.judge.backends(now_s), {}),
        )

    def _ejections(self, looking: Looking) -> Ejections:
        """Ours, and what Envoys tell of theirs."""
        judged = {("judge", kind.value, cause): many for (kind, cause), many in self.judge.ejections.items()}
        told = looking.metrics.ejections if looking.metrics is not None else {}
        return judged | {("envoy", "endpoint", cause): many for cause, many in told.items()}

    def returning(self, aim: Aim, watched_s: Callable[[ServiceKey], float]) -> Mapping[ServiceKey, Outcome]:
        """See `Judge.returning`."""
        now_s = self._now_s()
        return self._guarded("what returns", lambda: self.judge.returning(aim, watched_s, now_s), {})

    def restore(self, folder: StateFolder) -> None:
        """Take up what was judged before the restart: it must not send traffic back to what is broken."""
        body, problems = folder.load_document(KIND)
        if body is not None:
            try:
                saved = msgspec.json.decode(body, type=dict)
                self._allotment.restore(saved.pop("learned", []))
                refused = self.judge.restore(saved, self._now_s())
            except Exception as error:  # noqa: BLE001 - whatever was saved: places are taken as they are
                refused = f"{type(error).__name__}: {error}"
            if refused:
                problems.append(Problem(f"Saved {KIND}", refused, "places are taken as they are found"))
        self._replica.note("saved verdicts", problems)

    async def save(self, folder: StateFolder) -> None:
        """Save verdicts whenever they changed, until cancelled."""
        while True:
            await self._unsaved.wait()
            await self.save_now(folder)
            await asyncio.sleep(AGAIN_AFTER_S if self._unsaved.is_set() else BETWEEN_SAVES_S)

    async def save_now(self, folder: StateFolder) -> None:
        """Save what is not saved yet. What cannot be is a problem."""
        if not self._unsaved.is_set():
            return
        self._unsaved.clear()
        try:
            await asyncio.to_thread(folder.save_document, KIND, self._saved)
        except OSError as error:
            self._unsaved.set()
            said = f"cannot be written: {error.strerror}"
            problem = Problem(f"Saved {KIND}", said, "a restart would take places as it finds them")
            self._replica.note("verdicts not saved", [problem])
        else:
            self._replica.note("verdicts not saved", ())

    def _guarded(self, what: str, ask: Callable[[], T], otherwise: T) -> T:
        try:
            return ask()
        except Exception as error:  # noqa: BLE001 - whatever it is: it must not end what asks
            self._failed(what, error)
            return otherwise

    def _failed(self, what: str, error: Exception) -> None:
        said = f"cannot judge {what}: {type(error).__name__}: {error}"
        if self._replica.note("health", [Problem("Health", said, "what was decided before stays")]):
            structlog.get_logger().exception("HealthNotJudged")
            self._changed()
