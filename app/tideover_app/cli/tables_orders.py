"""Orders and what they would do, as tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from .output import Document
from .tables_rows import rows

_FINE, _BAD, _DIM = "green", "red", "dim"
MOST_LINES = 40  # JSON has them all


def orders(answer: Document, now_s: float) -> RenderableType:
    """One order a line; below, what it overlaps and what is still open."""
    listed = answer["orders"]
    if not listed:
        return Text("no orders", style=_FINE)
    table = rows(
        ("ORDER", "ACTION", "TARGET", "PERCENT", "STATE", "ENDS", "AUTHOR", "REASON"),
        (
            [*_line(one), _state(one), _ends(one, now_s), one["author"] or "-", one["reason"]]
            for one in listed
        ),
    )
    notes = [note for one in listed for note in _notes(one)]
    return Group(table, Text(""), *notes) if notes else table


def placed(answer: Document) -> RenderableType:
    """What was taken, and what it does."""
    order = answer["order"]
    amount = "" if order["action"] == "Freeze" else f", {order['percentNow']:g} % in force"
    head = Text(f"{order['name']}: {_asks(order)}, {order['state']}{amount}; ")
    head.append(f"`tideover undo {order['name']}` ends it")
    return Group(head, *_outlook(answer["outlook"]), *_notes(order))


def dry_run(answer: Document) -> RenderableType:
    """What it would do."""
    return Group(Text(f"dry run: {_asks(answer['order'])}"), *_outlook(answer["outlook"]))


def undone(order: Document) -> RenderableType:
    """What has ended."""
    if order["state"] == "Over":
        return Text(f"{order['name']} is over{_stays(order)}")
    then = "judgements count again" if order["action"] == "Freeze" else "its traffic comes back in steps"
    return Text(f"{order['name']} has ended; {then}{_stays(order)}")


def _stays(order: Document) -> str:
    return "; its manifest stays: take it away too" if order["kept"] == "manifests" else ""


def _asks(order: Document) -> str:
    amount = "" if order["action"] == "Freeze" else f" {order['percent']:g} %"
    to = f" to {order['to']}" if order["to"] else ""
    return f"{order['action']} {order['target']}{amount}{to}"


def _line(order: Document) -> list[object]:
    to = f" -> {order['to']}" if order["to"] else ""
    percent = "-" if order["action"] == "Freeze" else f"{order['percentNow']:g} of {order['percent']:g}"
    return [order["name"], order["action"], f"{order['target']}{to}", percent]


def _state(order: Document) -> Text:
    why = f" ({order['why']})" if order["why"] else ""
    bad = order["state"] in ("Refused",)
    return Text(f"{order['state']}{why}", style=_BAD if bad else "")


def _ends(order: Document, now_s: float) -> str:
    if order.get("expiresAt") is None:
        return "when deleted"
    left_s = datetime.fromisoformat(order["expiresAt"]).timestamp() - now_s
    if left_s <= 0:
        return "expired"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if left_s >= 2 * size:
            return f"in {left_s / size:.0f} {unit}"
    return f"in {left_s:.0f} s"


def _notes(order: Document) -> Iterator[Text]:
    for said in order["overlaps"]:
        yield Text(f"{order['name']}: {said}", style=_DIM)
    for one in order["streams"]:
        least = "" if one["reporters"] > 1 else "at least "
        # no Envoy tells of what it is not sent any more
        when = "were open when it was last sent" if order["state"] == "Drained" else "still open"
        yield Text(
            f"{order['name']}: {least}{one['open']} {when} to {one['service']}:{one['port']} "
            f"({one['protocol']}) at {one['locality']}"
        )


def _outlook(seen: Document) -> Iterator[RenderableType]:
    yield Text(f"{seen['endpoints']} endpoints of service ports are meant")
    if not seen["loadsKnown"] and seen["moves"]:
        yield Text("loads are not known: every place is taken to call alike", style=_DIM)
    elif any(move["requestsPerSecond"] == 0 for move in seen["moves"]):
        yield Text(
            "of services with 0.0 requests/s nobody reports calls: every place is taken to call alike",
            style=_DIM,
        )
    if seen["moves"]:
        yield rows(
            ("SERVICE", "FROM", "TO", "PERCENT", "REQUESTS/S"),
            (
                [
                    f"{m['service']}:{m['port']}",
                    f"{m['fromCluster']} {m['fromLocality']}",
                    f"{m['toCluster']} {m['toLocality']}",
                    f"{m['percent']:.1f}",
                    _number(m["requestsPerSecond"]),
                ]
                for m in seen["moves"][:MOST_LINES]
            ),
        )
        yield from _rest(len(seen["moves"]))
    if seen["filled"]:
        yield Text("")
        yield rows(
            ("SERVICE", "GETS MORE", "BEFORE", "AFTER", "ENDPOINTS", "REQUESTS/S", "CAPACITY"),
            (
                [
                    f"{f['service']}:{f['port']}",
                    f"{f['cluster']} {f['locality']}",
                    f"{f['beforePercent']:.1f} %",
                    f"{f['afterPercent']:.1f} %",
                    f["endpoints"],
                    _number(f["requestsPerSecond"]),
                    Text(_number(f["capacity"]), style=_BAD if f["tooMuch"] else ""),
                ]
                for f in seen["filled"][:MOST_LINES]
            ),
        )
        yield from _rest(len(seen["filled"]))
    if seen["bereft"]:
        yield Text("\nleft without a healthy place", style=_BAD)
        yield rows(
            ("SERVICE", "CLIENTS AT", "IN CLUSTER"),
            (
                [f"{b['service']}:{b['port']}", b["locality"], b["cluster"]]
                for b in seen["bereft"][:MOST_LINES]
            ),
        )
        yield from _rest(len(seen["bereft"]))


def _rest(count: int) -> Iterator[Text]:
    if count > MOST_LINES:
        yield Text(f"and {count - MOST_LINES} more; -o json lists them", style=_DIM)


def _number(value: float) -> str:
    return "-" if value < 0 else f"{value:.1f}"
