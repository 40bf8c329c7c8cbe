"""What happened to orders between two looks, as lines for the journal."""

from __future__ import annotations

from collections.abc import Iterator

from tideover_core.order_book import Book, Entry, Name
from tideover_core.order_course import Stage
from tideover_core.orders import Action

from .replica import Kind

Line = tuple[Kind, str, str]
_TOLD = {
    Stage.IN_FORCE: Kind.ORDER_IN_FORCE,
    Stage.DRAINING: Kind.ORDER_IN_FORCE,
    Stage.DRAINED: Kind.ORDER_DRAINED,
    Stage.RETURNING: Kind.ORDER_ENDED,
    Stage.OVER: Kind.ORDER_OVER,
}


def news(before: Book, after: Book) -> Iterator[Line]:
    """One line for each order that came, moved on or is gone; and for each object that is refused."""
    for name, entry in after.entries.items():
        was = before.entries.get(name)
        if was is not None and (was.order.action, was.order.target) != (
            entry.order.action,
            entry.order.target,
        ):
            was = None  # its object is about something else now
        if was is None and entry.course.stage is not Stage.RETURNING:
            yield Kind.ORDER_PLACED, str(entry.order), described(entry)
        if was is None or was.course.stage is not entry.course.stage:
            yield from _stage(entry)
        if was is not None:
            yield from _steps_back(was, entry)
    for name, entry in before.entries.items():
        if name not in after.entries and not entry.over:
            yield Kind.ORDER_OVER, str(entry.order), "its traffic is as it would be without it"
    for name, (order, why) in after.refused.items():
        if _refused(before, name) != why:
            yield Kind.ORDER_REFUSED, str(order), why


def described(entry: Entry) -> str:
    """Who asked for what, and why."""
    order = entry.order
    amount = "" if order.to is None and order.percent >= 100 else f" {order.percent:g} %"
    to = f" to {order.to}" if order.to is not None else ""
    return (
        f"{order.action}{amount} {order.target}{to}, as {order.author or 'its object'} said: {order.reason}"
    )


def _stage(entry: Entry) -> Iterator[Line]:
    kind, frozen = _TOLD.get(entry.course.stage), entry.order.action is Action.FREEZE
    if kind is None:
        return
    message = {
        Stage.IN_FORCE: "in force" if frozen else f"{entry.course.percent:g} % in force",
        Stage.DRAINING: "no new calls; those that run may end",
        Stage.DRAINED: "drained: what it emptied is not sent any more",
        Stage.RETURNING: f"ended ({entry.course.why}); its traffic returns in steps",
        Stage.OVER: f"over ({entry.course.why})",
    }[entry.course.stage]
    yield kind, str(entry.order), message


def _steps_back(before: Entry, after: Entry) -> Iterator[Line]:
    """Errors came back with the traffic of some services."""
    known = dict(before.course.apart)
    for service, ramp in after.course.apart:
        if ramp.relapses > known.get(service, before.course.ramp).relapses:
            said = f"{after.order} has ended, but errors came back with the traffic: "
            said += f"{ramp.percent:g} % of its share for {ramp.hold_s:g} s"
            yield Kind.STEP_ABORTED, f"Service {service}", said


def _refused(book: Book, name: Name) -> str:
    return book.refused[name][1] if name in book.refused else ""
