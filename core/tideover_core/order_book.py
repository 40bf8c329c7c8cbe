"""All orders that a replica knows, each with its course: those it was given itself, and objects of the hub.

Pure: orders come in, objects come in, time comes in; a new book goes out. What is over and needs no more
remembering is no longer in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from . import order_course as courses
from .order_course import Course, Pace, Stage
from .orders import Action, ActiveOrder, TrafficOrder

Name = tuple[str, str]  # namespace, name
Paces = Callable[[TrafficOrder], Pace]
DELETED = "its object was deleted"
ANOTHER = "its object asks for something else now"
STAYS = "; what it asked for before stays in force"
MOST = 200  # orders at a time
RANKS: Mapping[Action, int] = {Action.DRAIN: 0, Action.FREEZE: 1, Action.SHIFT: 2}  # who is heard first


@dataclass(frozen=True, slots=True)
class Entry:
    """One order. `here`: it was given to this replica, and the hub has a copy at most.

    `copied`: the hub took the copy. `seen`: it is among the hub's objects. `undone`: somebody undid it.
    """

    order: TrafficOrder
    course: Course
    placed_at_s: float
    here: bool = True
    copied: bool = False
    seen: bool = False
    undone: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing of it is in force any more."""
        return self.course.stage is Stage.OVER

    @property
    def to_copy(self) -> bool:
        """Whether the hub should have an object of it."""
        return self.here and not (self.copied or self.seen) and self.course.stage in courses.GIVES

    @property
    def to_delete(self) -> bool:
        """Whether the hub should not have its object any more. One made there that expires stays."""
        return (self.copied or self.seen) and (self.undone or (self.here and self.over))


@dataclass(frozen=True, slots=True)
class Book:
    """Orders by namespace and name, and why objects of the hub are not among them."""

    entries: Mapping[Name, Entry] = field(default_factory=dict)
    refused: Mapping[Name, tuple[TrafficOrder, str]] = field(default_factory=dict)

    def in_force(self) -> tuple[ActiveOrder, ...]:
        """What the world is to be told: the strictest first."""
        active = [courses.in_force(one.order, one.course) for one in self.entries.values()]
        return tuple(sorted((one for one in active if one is not None), key=strictness))


def strictness(one: ActiveOrder) -> tuple[int, float, str, str]:
    """Sorts by who wins: drains, freezes, shifts, and of two of a kind the larger percent."""
    order = one.order
    return (RANKS[order.action], -one.percent, order.namespace, order.name)


def placed(book: Book, order: TrafficOrder, now_s: float) -> Book:
    """The book with an order that was given to us."""
    entry = Entry(order, courses.begun(order, now_s), now_s)
    return replace(book, entries={**book.entries, name_of(order): entry})


def undone(book: Book, name: Name, why: str, pace: Pace) -> Book:
    """The book in which that order has ended; its object in the hub, if there is one, has to go."""
    entry = book.entries[name]
    course = courses.ended(entry.order, entry.course, why, pace)
    return _with(book, name, replace(entry, course=course, undone=True))


def copied(book: Book, name: Name, there: bool) -> Book:
    """The hub took a copy of it, or deleted it."""
    entry = book.entries.get(name)
    return book if entry is None else _with(book, name, replace(entry, copied=there))


def advanced(book: Book, now_s: float, paces: Paces) -> Book:
    """All courses by now."""
    entries = {
        name: replace(one, course=courses.advanced(one.order, one.course, now_s, paces(one.order)))
        for name, one in book.entries.items()
    }
    return replace(book, entries=entries)


@dataclass(frozen=True, slots=True)
class Objects:
    """The TrafficOrders of the hub. `current`: what is not among them is not there; else nobody knows."""

    orders: tuple[TrafficOrder, ...] = ()
    current: bool = False


def compared(
    book: Book, objects: Objects, now_s: float, refusal: Callable[[TrafficOrder], str | None], paces: Paces
) -> Book:
    """The book after a look at the objects: new ones are taken or refused, lost ones end.

    `refusal` says why not, "" when nothing speaks against it, None when that is not known yet: then it is
    as it was. An object that is about something else now is a new order, and what it was about comes back.
    """
    entries = dict(book.entries)
    refused: dict[Name, tuple[TrafficOrder, str]] = {}
    found = {name_of(order): order for order in objects.orders}
    for name, order in found.items():
        entry = entries.get(name)
        if entry is not None and _about(order) == _about(entry.order):
            asked = _followed(entry, order)
            why = refusal(replace(asked.order, expires_at_s=None)) if _takes_more(asked, entry) else ""
            if why == "":
                entries[name] = asked
            elif why is None:
                refused |= _as_before(book, name)
            else:
                refused[name] = (order, why + STAYS)
            continue
        if entry is not None:
            del entries[name]
            aside = _aside(entry, entries)
            entries[name_of(aside.order)] = replace(
                aside, course=courses.ended(aside.order, aside.course, ANOTHER, paces(entry.order))
            )
        why = refusal(order)
        if why is None:
            refused |= _as_before(book, name)
            continue
        if why := why or _too_many(entries):
            refused[name] = (order, why)
            continue
        began_s = _unix(order.created, now_s)
        course = courses.begun(order, now_s, now_s - began_s)
        entries[name] = Entry(order, course, began_s, here=False, seen=True)
    for name, entry in book.entries.items():
        if entry.seen and name not in found and objects.current:
            course = courses.ended(entry.order, entry.course, DELETED, paces(entry.order))
            entries[name] = replace(entry, course=course, copied=False, seen=False)
    kept = {name: entry for name, entry in entries.items() if not _forgotten(entry)}
    return Book(kept, refused)


def _about(order: TrafficOrder) -> tuple[object, ...]:
    """What can not be edited without being another order."""
    return (order.action, order.target, order.to)


def _takes_more(asked: Entry, before: Entry) -> bool:
    """Whether an edited order may empty what it did not empty before."""
    return asked.course.stage in courses.GIVES and (
        asked.order.percent > before.order.percent
        or (before.order.force_empty and not asked.order.force_empty)
    )


def _as_before(book: Book, name: Name) -> Mapping[Name, tuple[TrafficOrder, str]]:
    return {name: book.refused[name]} if name in book.refused else {}


def _aside(entry: Entry, entries: Mapping[Name, Entry]) -> Entry:
    """The same by a name that is free, so that its traffic can come back; the hub has no object of it."""
    order, number = entry.order, 1
    while (order.namespace, name := f"{order.name}-before{number if number > 1 else ''}") in entries:
        number += 1
    return replace(entry, order=replace(order, name=name), here=True, copied=False, seen=False, undone=False)


def next_s(book: Book, paces: Paces) -> float | None:
    """In how many seconds time alone changes something."""
    waits = [courses.next_s(one.order, one.course, paces(one.order)) for one in book.entries.values()]
    return min((one for one in waits if one is not None), default=None)


def name_of(order: TrafficOrder) -> Name:
    """What orders are told apart by."""
    return (order.namespace, order.name)


def _followed(entry: Entry, order: TrafficOrder) -> Entry:
    """What the object says now counts; who asked for it first, and when, stays."""
    order = replace(order, author=entry.order.author, created=entry.order.created)
    if entry.seen and order == entry.order:
        return entry
    return replace(entry, order=order, course=courses.edited(order, entry.course, entry.order), seen=True)


def _forgotten(entry: Entry) -> bool:
    """Over, and no object of it is left that has to go. One made in the hub stays there, as expired."""
    return entry.over and not entry.to_delete


def _too_many(entries: Mapping[Name, Entry]) -> str:
    if sum(not one.over for one in entries.values()) < MOST:
        return ""
    return f"there are {MOST} orders already"


def _unix(created: str, now_s: float) -> float:
    """When an object was made; now where it does not say, or says a time that has not come."""
    try:
        return min(now_s, datetime.fromisoformat(created).timestamp())
    except ValueError:
        return now_s


def _with(book: Book, name: Name, entry: Entry) -> Book:
    return replace(book, entries={**book.entries, name: entry})


def named(book: Book, text: str) -> Iterable[Name]:
    """The orders that a person may mean: NAMESPACE/NAME, or a NAME alone."""
    namespace, slash, name = text.rpartition("/")
    return [key for key in book.entries if key[1] == name and (not slash or key[0] == namespace)]


@dataclass(frozen=True, slots=True)
class Standing:
    """What is told of an order at its object: whether it is accepted, and how far it is in force."""

    accepted: bool
    reason: str
    message: str = ""
    in_force: bool = False
    state: str = ""
    progress: str = ""


def standing(book: Book, name: Name) -> Standing | None:
    """Of that order; None: nothing is known of it yet."""
    if name in book.refused:
        return Standing(False, "Refused", book.refused[name][1])
    entry = book.entries.get(name)
    if entry is None:
        return None
    course = entry.course
    if course.stage not in courses.GIVES:
        return Standing(False, "Ended", course.why, state=course.stage, progress=f"{course.percent:g} % left")
    whole = course.percent >= entry.order.percent
    said = f"{course.percent:g} of {entry.order.percent:g} %"
    return Standing(True, "Accepted", "", whole, course.stage, said)
