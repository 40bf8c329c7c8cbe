"""The keeper of orders: takes them, lets time pass over them, and says what is in force.

An order is on the disk before it is answered, and needs no API server; its copy in the hub follows
(`run_orders_hub.py`). An error of the disk is said, and the order is in force all the same.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import msgspec

from tideover_core import order_book as books
from tideover_core import order_course as courses
from tideover_core import order_rules as rules
from tideover_core.dry_run import Askers, Known, Outlook, outlook
from tideover_core.model import Problem, ServiceKey, Vantage
from tideover_core.names import parse_wire_name
from tideover_core.order_book import Book, Entry, Name, Objects
from tideover_core.order_course import GIVES, Pace, Stage
from tideover_core.orders import Action, ActiveOrder, TrafficOrder
from tideover_core.ramp import Outcome
from tideover_core.target import Aim
from tideover_core.world import World, located
from tideover_health.signals import Signal
from tideover_wire.resource import TypeUrl

from .config import Config
from .explain import UnknownError, like
from .order_news import news
from .order_streams import OpenStreams
from .ordering import Placed, RefusedError, Shown, Wanted, name_for
from .run_orders_objects import ObjectChecks
from .run_replica import RunningReplica
from .snapshot import StateFolder

KIND = "orders"  # of the document in `state`
LOOK_EVERY_S = 5.0  # while something moves; a course counts no longer gaps
WATCH_EVERY_S = 1.0  # while traffic returns
WATCH_PARTS = 20.0  # and not for more than such a part of the time
SOONEST_S = 0.02
Returning = Callable[[Aim, Callable[[ServiceKey], float]], Mapping[ServiceKey, Outcome]]


def order_clock() -> Callable[[], float]:
    """Unix time as it was at the start, and what has passed since: a sleep of the machine too, while a clock
    that is set changes nothing."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    began_s = time.time() - time.clock_gettime(clock)
    return lambda: began_s + time.clock_gettime(clock)


class _Kept(msgspec.Struct):
    """What is on the disk; fields are only added."""

    orders_v1: list[Entry]


class OrderKeeper:
    """The orders of a replica. `changed` is called when others are in force. One event loop."""

    def __init__(
        self, config: Config, replica: RunningReplica, folder: StateFolder, changed: Callable[[], None]
    ) -> None:
        self.book = Book()
        self.report_every_s: Callable[[], float] = float  # how often clients report; 0: never
        self.streams = OpenStreams()
        self.hub_wanted = asyncio.Event()  # there may be something to copy or to delete
        self.hub_trouble = ""  # why the hub has not got what it should have
        self.returning: Returning = lambda aim, watched_s: {}  # what is seen there; nothing: nobody looks
        self.deciding = asyncio.Lock()  # two that together empty a service must not be looked at side by side
        self.objects = ObjectChecks(self, replica)
        self._config = config
        self._replica = replica
        self._folder = folder
        self._changed = changed
        self._now_s = order_clock()
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._saved = b""
        self._paces: dict[TrafficOrder, Pace] = {}
        self._outcomes: dict[Name, Mapping[ServiceKey, Outcome]] = {}
        self._watch_at_s = float("-inf")
        self._met: tuple[tuple[ActiveOrder, ...], World, Mapping[Name, tuple[str, ...]]] | None = None

    def load(self) -> None:
        """Take up what was in force before the restart; blocks."""
        body, problems = self._folder.load_document(KIND)
        if body is not None:
            try:
                kept = msgspec.json.decode(body, type=_Kept)
            except msgspec.DecodeError as error:
                problems.append(Problem(f"Saved {KIND}", str(error), "forgotten: place them again"))
            else:
                self.book = Book({books.name_of(one.order): one for one in kept.orders_v1})
                self._saved = body
                problems += _odd(self.book, self._now_s())
        self._replica.note("saved orders", problems)

    def in_force(self) -> tuple[ActiveOrder, ...]:
        """What the world is to be merged with."""
        return self.book.in_force()

    def take(self, signal: Signal) -> None:
        """A client reported; what is open to drained places is remembered."""
        self.streams.take(signal, self._now_s())

    def standing(self, namespace: str, name: str) -> books.Standing | None:
        """What is to be told of an order at its object; None: nothing yet."""
        return books.standing(self.book, (namespace, name))

    async def run(self) -> None:
        """Let time pass, and follow the objects of the hub, until cancelled."""
        world = self._replica.world
        while True:
            version = world.version
            self._wake.clear()
            self.look()
            await self.save()
            wait_s = self._next_s()
            waits = [asyncio.ensure_future(self._wake.wait()), asyncio.ensure_future(world.after(version))]
            try:
                timeout_s = None if wait_s is None else max(SOONEST_S, min(wait_s, LOOK_EVERY_S))
                await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in waits:
                    one.cancel()
                await asyncio.wait(waits)

    def copied(self, name: Name, there: bool) -> None:
        """The hub took the copy of an order, or deleted its object."""
        self._become(books.copied(self.book, name, there))
        self._wake.set()

    async def place(self, wanted: Wanted, author: str) -> Placed:
        """See `OrderDesk`."""
        async with self.deciding:
            placed = await self._looked(wanted, author)
            if placed.refusal:
                raise RefusedError(placed.refusal)
            order = placed.shown.order
            if sum(not one.over for one in self.book.entries.values()) >= books.MOST:
                raise RefusedError(f"there are {books.MOST} orders already; undo some")
            self._become(books.placed(self.book, order, self._now_s()))
        self._wake.set()
        unsaved = await self.save()
        remarks = [*placed.remarks, *([f"{unsaved}: a restart would forget it"] if unsaved else [])]
        return Placed(
            self._shown(self.book.entries[books.name_of(order)]), placed.outlook, "", tuple(remarks)
        )

    async def try_out(self, wanted: Wanted) -> Placed:
        """See `OrderDesk`."""
        return await self._looked(wanted, "")

    async def undo(self, name: str, author: str) -> Shown:
        """See `OrderDesk`."""
        found = list(books.named(self.book, name))
        if not found:
            for order, why in self.book.refused.values():
                if name in {order.name, f"{order.namespace}/{order.name}"}:
                    raise RefusedError(f"{name} is not acted on, as it is refused: delete its object ({why})")
            raise UnknownError(f"there is no order {name}{like(name, [key[1] for key in self.book.entries])}")
        if len(found) > 1:
            raise RefusedError(f"{name} may be {', '.join('/'.join(one) for one in found)}; say which")
        entry = self.book.entries[found[0]]
        if entry.course.stage not in GIVES:
            raise RefusedError(f"{name} has ended already ({entry.course.why})")
        self._become(
            books.undone(self.book, found[0], f"undone by {author}", self._pace(entry.order, ending=True))
        )
        self._wake.set()
        await self.save()
        entry = self.book.entries.get(found[0], entry)
        return self._shown(entry)

    def listed(self) -> Sequence[Shown]:
        """See `OrderDesk`."""
        overlaps = self._overlaps(self.in_force(), self._replica.world.value)
        shown = [self._shown(one, overlaps.get(name, ())) for name, one in self.book.entries.items()]
        return self._sorted(shown)

    def known(self) -> Sequence[Shown]:
        """See `OrderDesk`."""
        return self._sorted([self._shown(one, looked=False) for one in self.book.entries.values()])

    def _sorted(self, shown: list[Shown]) -> list[Shown]:
        shown.sort(key=lambda one: books.strictness(ActiveOrder(one.order, one.percent)))
        refused = [
            Shown(order, "Refused", 0.0, self._now_s(), "hub", why)
            for order, why in self.book.refused.values()
        ]
        return [*shown, *refused]

    async def save(self) -> str:
        """Write what is not written yet; why that was not possible, or ""."""
        async with self._writing:
            lasting = [one for one in self.book.entries.values() if not one.over or one.to_delete]
            body = msgspec.json.encode(_Kept(lasting))
            if _steady(body) == _steady(self._saved):
                return ""
            try:
                await asyncio.to_thread(self._folder.save_document, KIND, body)
            except OSError as error:
                said = f"orders cannot be written: {error.strerror}"
                self._replica.note(
                    "orders", [Problem("Saved orders", said, "in force; a restart would forget them")]
                )
                return said
            self._saved = body
            self._replica.note("orders", ())
            return ""

    async def _looked(self, wanted: Wanted, author: str) -> Placed:
        """The order, what it would do, and why it would be refused. UnknownError."""
        world, now_s = self.world(), self._now_s()
        name = name_for(wanted, secrets.token_hex(2))
        order = wanted.order(world.root_namespace, name, author, now_s)
        if why := rules.refusal(order, world, now_s):
            raise UnknownError(why)
        health = self._replica.health()
        known = Known(self.askers(world), health.loads, health.learned)
        seen = await asyncio.to_thread(outlook, world, order, known)
        shown = self._shown(Entry(order, courses.begun(order, now_s), now_s))
        return Placed(shown, seen, _refused(order, seen), tuple(self._remarks(order, seen, world)))

    def _remarks(self, order: TrafficOrder, seen: Outlook, world: World) -> Iterator[str]:
        if order.action is not Action.FREEZE and not seen.moves:
            yield "nothing moves: no traffic goes there, or it has nowhere else to go"
        crowded = [one for one in seen.filled if one.too_much]
        if crowded:
            one = crowded[0]
            yield (
                f"{len(crowded)} places would get more than their capacity, {one.service}:{one.port} in "
                f"{one.site.cluster} {one.per_s:.0f} of {one.capacity_per_s:.0f} requests/s"
            )
        active = (*self.in_force(), ActiveOrder(order, order.percent))
        yield from rules.overlaps(active, world).get(books.name_of(order), ())

    def _overlaps(self, active: tuple[ActiveOrder, ...], world: World) -> Mapping[Name, tuple[str, ...]]:
        """Kept while nothing changes: whoever may read may ask, as often as they like."""
        if self._met is None or self._met[0] != active or self._met[1] is not world:
            self._met = active, world, rules.overlaps(active, world)
        return self._met[2]

    def world(self) -> World:
        """The newest world, with the orders as they are by now, which it may not have yet."""
        return replace(self._replica.world.value, orders=self.in_force())

    def askers(self, world: World) -> Askers:
        """Who is subscribed to which service port."""
        found: dict[tuple[ServiceKey, int], dict[str, Vantage]] = {}
        for client in self._replica.clients():
            vantage = located(world, client.client.vantage)
            same = repr(
                (vantage.locality, vantage.cluster, vantage.namespace, sorted(vantage.labels.items()))
            )
            for sent in client.sent:
                for wire in sent.versions if sent.type_url == TypeUrl.ENDPOINT else ():
                    target = parse_wire_name(wire)
                    if target is not None:
                        found.setdefault((target.service, target.port), {}).setdefault(same, vantage)
        return {name: list(vantages.values()) for name, vantages in found.items()}

    def look(self) -> None:
        """What time and the hub make of the book by now."""
        now_s, world = self._now_s(), self._replica.world.value
        self._watch()
        book = books.advanced(self.book, now_s, self._pace)
        objects = self._objects(world)
        self.objects.keep(objects.orders)
        self._become(
            books.compared(
                book,
                objects,
                now_s,
                lambda order: self.objects.refusal(order, lambda: rules.refusal(order, world, now_s)),
                lambda order: self._pace(order, ending=True),
            )
        )
        self._watch()
        self.streams.about(self.in_force(), world, now_s)

    def _watch(self) -> None:
        """See how calls end where traffic returns, now and then."""
        entries = self.book.entries.items()
        coming = [(name, one) for name, one in entries if one.course.stage is Stage.RETURNING]
        new = any(name not in self._outcomes for name, _ in coming)
        if new or not coming or self._now_s() >= self._watch_at_s:
            began_s = self._now_s()
            self._outcomes = {
                name: self.returning(one.order.target, partial(courses.watched_s, one.course))
                for name, one in coming
            }
            # of very many services it takes a while
            self._watch_at_s = began_s + max(WATCH_EVERY_S / 2, WATCH_PARTS * (self._now_s() - began_s))

    def _next_s(self) -> float | None:
        """In how long to look again, whatever happens."""
        stages = {one.course.stage for one in self.book.entries.values()}
        if Stage.RETURNING in stages or self.objects.waiting:
            return WATCH_EVERY_S
        return books.next_s(self.book, self._pace)

    def _objects(self, world: World) -> Objects:
        """The orders among the facts: the hub's, or where there is none those of all clusters."""
        hub, sources = self._config.hub, self._replica.sources()
        names = [hub] if hub is not None else list(world.clusters)
        known = [world.clusters[name] for name in names if name in world.clusters]
        fresh = all(
            name in sources and sources[name].known and sources[name].stale_since_s is None for name in names
        )
        found = tuple(order for facts in known for order in facts.orders)
        return Objects(found, fresh and world.complete and len(known) == len(names))

    def _become(self, book: Book) -> None:
        before, self.book = self.book, book
        for line in news(before, book):
            self._replica.journal.add(*line)
        if before.in_force() != book.in_force():
            self._changed()
        if any(one.to_copy or one.to_delete for one in book.entries.values()):
            self.hub_wanted.set()

    def _pace(self, order: TrafficOrder, *, ending: bool = False) -> Pace:
        """How its traffic returns: as the most careful policy of all services that it is about says."""
        entry = self.book.entries.get(books.name_of(order))
        expires_s = order.expires_at_s
        due = expires_s is not None and expires_s <= self._now_s() + LOOK_EVERY_S
        if not ending and not due and (entry is None or entry.course.stage is not Stage.RETURNING):
            return Pace(drain_s=self._drain_s)
        known = self._paces.get(order)
        if known is None:
            self._paces = {one: pace for one, pace in self._paces.items() if one in self._orders()}
            failback = rules.slowest(self._replica.world.value, order)
            known = self._paces[order] = Pace(failback, self._drain_s)
        outcomes = self._outcomes.get(books.name_of(order))
        return replace(known, outcomes=outcomes) if outcomes else known

    @property
    def _drain_s(self) -> float:
        """What Envoy has counted of an endpoint and not reported is lost with the endpoint."""
        return self._config.drain_s + self.report_every_s()

    def _orders(self) -> set[TrafficOrder]:
        return {one.order for one in self.book.entries.values()}

    def _shown(self, entry: Entry, overlaps: tuple[str, ...] = (), *, looked: bool = True) -> Shown:
        """It as it is now; `looked`: with what is open to it, for which all endpoints are looked at."""
        order, course = entry.order, entry.course
        kept = "state and hub" if entry.here and (entry.copied or entry.seen) else "state"
        if entry.here and entry.to_copy and self._config.hub is not None:
            kept = f"state, not yet in the hub{': ' if self.hub_trouble else ''}{self.hub_trouble}"
        return Shown(
            order,
            course.stage,
            course.percent,
            entry.placed_at_s,
            kept if entry.here else "hub" if self._config.hub is not None else "manifests",
            "; ".join(filter(None, (course.why, courses.held_back(course)))),
            courses.next_s(order, course, self._pace(order)),
            overlaps,
            self.streams.of(order, self._replica.world.value, self._now_s()) if looked else (),
        )


def _refused(order: TrafficOrder, seen: Outlook) -> str:
    """Why it is too dangerous, and what to do."""
    why = "" if order.force_empty else rules.emptying(seen.bereft)
    return why and f"{why}; a dry run lists them, --force-empty does it all the same"


def _odd(book: Book, now_s: float) -> Iterator[Problem]:
    """Orders that last for longer than any may: the clock was set back, and nothing else is known of time."""
    for entry in book.entries.values():
        left_s = (entry.order.expires_at_s or now_s) - now_s
        if entry.here and left_s > rules.LONGEST_S + 1:
            said = f"would expire in {left_s / 86400:.0f} days: is the clock right?"
            yield Problem(str(entry.order), said, "in force until then, or until it is undone")


def _steady(body: bytes) -> list[object]:
    """What is on the disk without the times that only count on."""
    if not body:
        return []
    return [
        (
            one.order,
            one.course.stage,
            one.course.percent,
            [(service, at.percent, at.relapses) for service, at in one.course.apart],
            (one.here, one.copied, one.seen, one.undone),
        )
        for one in msgspec.json.decode(body, type=_Kept).orders_v1
    ]
