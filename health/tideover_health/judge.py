"""From signals to steering: what the whole fleet sees, judged together. Pure: `now_s` is a steady clock.

judge.take(signal, now_s)              as signals come
judge.judge(world, now_s)              after signals, changes of the world, and at `next_s()`

Which signal counts when is the table `RULES` (`rules.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tideover_core.difference import differing
from tideover_core.model import ServiceKey
from tideover_core.names import parse_wire_name
from tideover_core.policy import ActiveCheck
from tideover_core.ramp import Outcome
from tideover_core.resolve import named_by_anyone
from tideover_core.steering import Loads, Steering
from tideover_core.target import Aim
from tideover_core.world import Service, World

from .backends import Backends, backends
from .called import SILENT_S, loads
from .ledger import Evidence, Ledger
from .places import Places
from .port import Port
from .returning import outcome, worst
from .rules import RULES
from .shown import verdict_of
from .signals import Checked, Report, Signal
from .standing import Standing, restored
from .verdict import Alarm, Kind, Silence, State, Verdict

__all__ = ["RULES", "Judge"]

PACE_S = 0.1  # one port is judged at most so often, and less often the more there is to read
LATER_S = 1.0  # for what is no reason to hurry
CELLS_PER_S = 50_000
# all ports together: so many cells are read in a second, a pass counts as some; who waits longest comes first
READ_PER_S, READ_AT_ONCE, PASS = 40_000.0, 8_000.0, 10
SET_BACK_S = 5.0
MAX_SAVED = 100_000
_WIDTH = {Kind.SITE: 0, Kind.PAIR: 1, Kind.ENDPOINT: 2}
_SEVERITY = {State.DOWN: 0, State.HOLDING: 1, State.RAMPING: 2, State.SUSPECT: 3, State.HEALTHY: 4}


class Judge:
    """Mutable inside, for speed; what it gives out is frozen, and equal parts keep their identity."""

    def __init__(self) -> None:
        self.ejections: Counter[tuple[Kind, str]] = Counter()  # by cause, since the start
        self._world: World | None = None
        self._ports: dict[ServiceKey, dict[int, Port]] = {}
        self._names: dict[str, Port] = {}
        self._of: dict[int, Port] = {}  # by id of the evidence
        self._ledger = Ledger(self._evidence, self._hurry)
        self._steering: Mapping[ServiceKey, Steering] = {}
        self._due_s: dict[Port, float] = {}
        self._judged_s: dict[Port, float] = {}
        self._now_s = float("-inf")
        self._skew_s = 0.0
        self._may_read, self._read_at_s = READ_AT_ONCE, float("-inf")
        self._last_check_s: float | None = None
        self._to_restore: dict[tuple[str, int], list[Standing]] = {}
        self._heard_before = False  # before the restart
        self._saved: dict[str, Any] = {"version": 1, "at_s": 0.0, "subjects": []}

    def take(self, signal: Signal, now_s: float) -> None:
        """Note what somebody saw. What is absurd or of no service that is known is dropped and counted."""
        now_s = self._steady(now_s)
        if isinstance(signal, Report):
            self._ledger.report(signal, now_s)
        elif isinstance(signal, Checked):
            self._check(signal, now_s)
        else:
            self._ledger.members(signal, now_s)

    def judge(self, world: World, now_s: float) -> Mapping[ServiceKey, Steering]:
        """The steering of all services that have any; the same object while nothing changed.

        Freeze orders in `world.orders` are honoured: what they hold keeps what it has.
        """
        now_s = self._steady(now_s)
        touched = self._update(world, now_s)
        last_s = self._ledger.last_report_s
        # who never heard anybody goes by checks and time
        heard_s = last_s if last_s is not None else float("-inf") if self._heard_before else now_s
        blind = now_s > heard_s + max(SILENT_S, 3 * self._ledger.interval_s)
        changed = False
        for port in self._next(now_s):
            del self._due_s[port]
            self._judged_s[port] = now_s
            changed |= bool(port.standings)
            if port.judge(now_s, blind):
                touched.add(port.places.service)
            if (due_s := port.next_s(now_s)) is not None:
                self._due(port, due_s)
        if touched:
            self._steer(touched)
        if changed or touched:
            self._save(now_s)
        return self._steering

    def next_s(self) -> float | None:
        """When to judge again if no signal comes; None: only then."""
        if not self._due_s:
            return None
        due_s = min(self._due_s.values())
        if self._may_read < 0:
            due_s = max(due_s, self._read_at_s - self._may_read / READ_PER_S)
        return due_s - self._skew_s

    def doubted(self) -> frozenset[str]:
        """Wire names for which reporters should report by endpoint now."""
        return frozenset(
            name
            for port in self._each()
            if port.doubted_until_s > self._now_s
            for name in port.evidence.names
        )

    def verdicts(self, now_s: float) -> Sequence[Verdict]:
        """All subjects that are not simply healthy, worst first."""
        found = [
            verdict_of(port, standing, self._skew_s)
            for port in self._each()
            for standing in port.standings.values()
            if standing.state is not State.HEALTHY
        ]
        return sorted(
            found,
            key=lambda one: (
                _SEVERITY[one.state],
                one.service,
                one.port,
                _WIDTH[one.subject.kind],
                str(one.subject),
            ),
        )

    def alarms(self) -> Sequence[Alarm]:
        """Services of which everything looks sick, so that nothing is moved."""
        return [
            Alarm(port.places.service, port.places.port, port.alarm, port.alarm_since_s - self._skew_s)
            for port in self._each()
            if port.alarm
        ]

    def heard(self) -> Silence:
        """How well the fleet is heard."""
        return Silence(
            len(self._ledger.reporters),
            self._outside(self._ledger.last_report_s),
            self._outside(self._last_check_s),
            dict(self._ledger.dropped),
        )

    def loads(self, now_s: float) -> Loads:
        """Calls per second, see `called.loads`; retries are calls too."""
        return loads(self._evidences(), now_s + self._skew_s)

    def failed_loads(self, now_s: float) -> Loads:
        """Those of them that failed."""
        return loads(self._evidences(), now_s + self._skew_s, failed=True)

    def backends(self, now_s: float) -> Backends:
        """What backends say of themselves."""
        return backends(self._each(), now_s + self._skew_s)

    def returning(
        self, aim: Aim, watched_s: Callable[[ServiceKey], float], now_s: float
    ) -> Mapping[ServiceKey, Outcome]:
        """What is seen, of each service, of the places to which the traffic of an order returns.

        `watched_s`: for how long its step has lasted, which is how far back it counts.
        """
        now_s = self._steady(now_s)
        found: dict[ServiceKey, Outcome] = {}
        for key, ports in self._ports.items():
            if aim.service in (None, key):
                since_s = now_s - watched_s(key)
                seen = [outcome(port, aim, since_s, now_s) for port in ports.values()]
                if known := [one for one in seen if one is not None]:
                    found[key] = worst(known)
        return found

    def saved(self) -> dict[str, Any]:
        """What must survive a restart: JSON-able, versioned. Time until `restore` does not count."""
        return self._saved

    def restore(self, saved: dict[str, Any], now_s: float) -> str:
        """Take back what was saved; "" or why it was refused (then nothing of it counts)."""
        now_s = self._steady(now_s)
        try:
            if saved["version"] != 1:
                return f"version {saved['version']!r} of the verdicts is not known"
            later_s = now_s - float(saved["at_s"])
            found: dict[tuple[str, int], list[Standing]] = {}
            for one in saved["subjects"][:MAX_SAVED]:
                key = (str(one["service"]), int(one["port"]))
                found.setdefault(key, []).append(restored(one, later_s))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            return f"the verdicts cannot be read: {type(error).__name__} {error}"
        self._to_restore, self._saved = found, saved
        self._heard_before = bool(saved.get("heard", True))
        return ""

    # -- inside

    def _steady(self, now_s: float) -> float:
        """Time stands still while a clock is a little behind; one that is set back goes on from here."""
        if now_s + self._skew_s < self._now_s - SET_BACK_S:
            self._skew_s = self._now_s - now_s
        self._now_s = max(self._now_s, now_s + self._skew_s)
        return self._now_s

    def _outside(self, at_s: float | None) -> float | None:
        return None if at_s is None else at_s - self._skew_s

    def _each(self) -> list[Port]:
        return [port for ports in self._ports.values() for port in ports.values()]

    def _evidences(self) -> Iterator[Evidence]:
        return (port.evidence for port in self._each())

    def _evidence(self, name: str) -> Evidence | None:
        port = self._names.get(name)
        if port is None and "#" in name:  # subsets that nobody has defined would be as many as one invents
            target, world = parse_wire_name(name), self._world
            if target is not None and world is not None and named_by_anyone(world, target):
                port = self._names.get(name.partition("#")[0])
        return port.evidence if port is not None else None

    def _hurry(self, evidence: Evidence, at_once: bool) -> None:
        port = self._of.get(id(evidence))
        if port is not None:
            self._due(port, self._now_s if at_once or port.standings else self._now_s + LATER_S)

    def _due(self, port: Port, due_s: float) -> None:
        due_s = max(due_s, self._judged_s.get(port, float("-inf")) + PACE_S + port.cells / CELLS_PER_S)
        if due_s < self._due_s.get(port, float("inf")):
            self._due_s[port] = due_s

    def _next(self, now_s: float) -> Iterator[Port]:
        """The ports to judge now, as many as may be read: there are days on which everything fails."""
        passed_s = now_s - self._read_at_s
        self._may_read = min(READ_AT_ONCE, self._may_read + READ_PER_S * passed_s)
        self._read_at_s = now_s
        due = sorted((due_s, index) for index, due_s in enumerate(self._due_s.values()) if due_s <= now_s)
        ports = list(self._due_s) if due else []
        for _, index in due:
            if self._may_read < 0:
                return
            self._may_read -= PASS + ports[index].cells
            yield ports[index]

    def _check(self, checked: Checked, now_s: float) -> None:
        port = self._names.get(checked.name.partition("#")[0])
        end = port.places.end(checked.address) if port is not None else None
        if port is None or end is None:
            self._ledger.dropped["name" if port is None else "address"] += 1
            return
        self._last_check_s = now_s
        if port.checks.take(checked, end, port.places.check or ActiveCheck(), now_s):
            self._due(port, now_s)

    def _update(self, world: World, now_s: float) -> set[ServiceKey]:
        """Read what changed in the world. Services whose steering may have changed by that."""
        before, self._world = self._world, world
        if world is before:
            return set()
        old = before.services if before is not None else {}
        same_policies = before is not None and (
            world.destination_rules is before.destination_rules
            and world.failover_policies is before.failover_policies
            and world.root_namespace == before.root_namespace
        )
        changed = differing(old, world.services) if same_policies else old.keys() | world.services.keys()
        for key in changed:
            self._read(key, world.services.get(key), world, now_s)
        if before is None or world.orders is not before.orders or changed:
            for port in self._each():
                port.places.hear(world.orders)
                if port.standings:
                    self._due(port, now_s)
        return {key for key in changed if key in self._steering and key not in world.services}

    def _read(self, key: ServiceKey, service: Service | None, world: World, now_s: float) -> None:
        ports = self._ports.setdefault(key, {})
        numbers = {port.number for port in service.ports} if service is not None else set()
        for number in ports.keys() - numbers:
            self._drop(ports.pop(number))
        for number in sorted(numbers):
            port = ports.get(number)
            if port is None:
                port = ports[number] = Port(Places(key, number), self.ejections)
                self._names[f"{key}:{number}"] = port
                self._of[id(port.evidence)] = port
            assert service is not None
            port.places.update(service, world)
            port.places.hear(world.orders)
            for standing in self._to_restore.pop((str(key), number), ()):
                port.standings[standing.subject] = standing
            port.updated(world.complete, now_s)
            if port.standings:
                self._due(port, now_s)
        if not ports:
            del self._ports[key]

    def _drop(self, port: Port) -> None:
        port.evidence.gone = True
        self._names.pop(f"{port.places.service}:{port.places.port}", None)
        self._of.pop(id(port.evidence), None)
        self._due_s.pop(port, None)
        self._judged_s.pop(port, None)

    def _steer(self, touched: set[ServiceKey]) -> None:
        steering = dict(self._steering)
        for key in touched:
            found = {
                number: port.steering
                for number, port in self._ports.get(key, {}).items()
                if port.steering is not None
            }
            if found:
                steering[key] = found
            else:
                steering.pop(key, None)
        if steering != self._steering:
            self._steering = steering

    def _save(self, now_s: float) -> None:
        subjects = [
            {"service": str(port.places.service), "port": port.places.port, **standing.saved()}
            for port in self._each()
            for standing in port.standings.values()
            if standing.moved or standing.ramp.relapses or standing.ramp.since_s > float("-inf")
        ]
        if subjects != self._saved["subjects"]:
            heard = self._heard_before or self._ledger.last_report_s is not None
            self._saved = {"version": 1, "at_s": now_s, "heard": heard, "subjects": subjects}
