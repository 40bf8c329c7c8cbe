"""Answers as tables, for people. Each is made from the same document that `-o json` prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from tideover_app.lengths import length

from . import tables_health
from .output import Document
from .tables_rows import rows

_FINE, _BAD, _DIM = "green", "red", "dim"
MOST_LINES = 40  # of one part of the status; JSON has them all


def status(answer: Document, now_s: float, *, fold: bool = False) -> RenderableType:
    """Replicas, clusters, clients, what is failing over, what is refused. `fold`: nothing beyond the edge."""
    counts, connections = answer["services"], answer["clients"]
    parts: list[RenderableType] = [
        rows(
            ("REPLICA", "REGION", "VERSION", "UP", "READY"),
            (
                [r["name"], r["region"] or "-", r["version"], _ago(r["startedAt"], now_s), _readiness(r)]
                for r in answer["replicas"]
            ),
            fold=fold,
        ),
        rows(
            ("CLUSTER", "NETWORK", "LOCALITY", "SERVICES", "ENDPOINTS", "READY", "SOURCE", "KNOWN"),
            (
                [
                    c["name"], c["network"] or "-", _place(c["locality"]), c["services"], c["endpoints"],
                    c["readyEndpoints"], c["server"] or c["source"], _freshness(c, now_s),
                ]
                for c in answer["clusters"]
            ),
            fold=fold,
        ),
        Text(
            f"{_many(counts['services'], 'service')}, {_many(counts['endpoints'], 'endpoint')}, "
            f"{counts['readyEndpoints']} ready; {_many(connections['connected'], 'client')} connected, "
            f"{connections['refusing']} refusing, {connections['unknownVantage']} of unknown vantage\n"
        ),
    ]  # fmt: skip
    if answer["failingOver"]:
        parts.append(Text("failing over now", style=_BAD))
        parts.append(
            rows(
                ("SERVICE", "CLUSTER", "LOCALITY", "WHY"),
                (
                    [f"{f['service']}:{f['port']}", f["cluster"], _to(f), f["cause"]]
                    for f in answer["failingOver"][:MOST_LINES]
                ),
                fold=fold,
            )
        )
        parts += _rest(answer["failingOver"])
    else:
        parts.append(Text("nothing is failing over", style=_FINE))
    parts += tables_health.health(answer, now_s, fold=fold)
    orders = answer.get("orders", [])
    if orders:
        parts.append(Text("\nordered", style="yellow"))
        parts += [*(Text(one) for one in orders[:MOST_LINES]), *_rest(orders)]
    if answer["problems"]:
        parts += [
            Text(f"\n{_many(len(answer['problems']), 'problem')}", style=_BAD),
            problems(answer["problems"][:MOST_LINES]),
            *_rest(answer["problems"]),
        ]
    return Group(*parts)


def _rest(listed: Sequence[object]) -> list[RenderableType]:
    more = len(listed) - MOST_LINES
    return [Text(f"and {more} more; -o json lists them", style=_DIM)] if more > 0 else []


def problems(listed: Iterable[Document]) -> RenderableType:
    """What is refused, and what happens instead."""
    lines = []
    for one in listed:
        line = Text(f"{one['object']}: ", style="bold")
        line.append(f"{one['message']}; {one['consequence']}", style="not bold")
        lines.append(line.append(f"  ({one['where']})" if one["where"] else "", style=f"not bold {_DIM}"))
    return Group(*lines)


def below(picture: RenderableType, message: str) -> RenderableType:
    """The last picture, marked as old."""
    return Group(picture, Text(f"\nas of a moment ago: {message}", style=_BAD))


def services(answer: Document) -> RenderableType:
    """One service a line."""
    return rows(
        ("SERVICE", "PORTS", "CLUSTERS", "ENDPOINTS", "READY", ""),
        (
            [
                s["service"],
                ",".join(f"{p['number']}/{p['protocol']}" for p in s["ports"]) or "-",
                ",".join(s["clusters"]),
                s["endpoints"],
                s["readyEndpoints"],
                Text("failing over", style=_BAD) if s["failingOver"] else "",
            ]
            for s in answer["services"]
        ),
    )


def endpoints(answer: Document) -> RenderableType:
    """One endpoint a line; its network only where there are several."""
    several = len({e["network"] for e in answer["endpoints"]}) > 1
    return rows(
        (
            "PORT", "ENDPOINT", "CLUSTER", *(["NETWORK"] if several else []),
            "LOCALITY", "STATE", "WEIGHT", "POD", "NODE",
        ),
        (
            [
                e["servicePort"], address(e), e["cluster"], *([e["network"]] if several else []),
                _place(e["locality"]), _state(e), e["weight"], e["pod"] or "-", e["node"] or "-",
            ]
            for e in answer["endpoints"]
        ),
    )  # fmt: skip


def clients(answer: Document, now_s: float) -> RenderableType:
    """One stream a line."""
    return rows(
        ("CLIENT", "CLUSTER", "LOCALITY", "NAMESPACE", "AGENT", "SENT", "REPORT", "STATE"),
        (
            [
                c["id"],
                Text(c["vantage"]["cluster"] or "unknown vantage", style=_BAD if c["unknownVantage"] else ""),
                _place(c["vantage"]["locality"]),
                c["vantage"]["namespace"] or "-",
                c["userAgent"] or "-",
                " ".join(f"{_short(s['type'])}:{s['sent']}" for s in c["subscriptions"]) or "-",
                tables_health.reported(c, now_s),
                _acceptance(c),
            ]
            for c in answer["clients"]
        ),
    )


def client(answer: Document, now_s: float) -> RenderableType:
    """One client's streams, name by name."""
    parts: list[RenderableType] = [clients(answer, now_s)]
    for one in answer["clients"]:
        opened = _moment(one["openedAt"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        nacks = _many(one["nacks"], "refusal")
        parts.append(Text(f"\nstream {one['stream']} from {one['peer']}, open since {opened}, {nacks}"))
        parts += [Text(f"it proved to be {one['identity']}")] if one.get("identity") else []
        parts += [Text(f"ignored in its node: {problem}", style=_BAD) for problem in one["problems"]]
        for part in one["subscriptions"]:
            wanted = set(part["subscribed"]) - {"*"}
            names = sorted(wanted | set(part["versions"]))
            title = f"{part['type']}{' (wildcard)' if part['wildcard'] else ''}"
            parts.append(Text(f"\nstream {one['stream']}: {title}", style="bold"))
            if part["nack"]:
                parts.append(Text(f"refused: {part['nack']}", style=_BAD))
            parts.append(rows(("NAME", "VERSION"), ([n, part["versions"].get(n, "none yet")] for n in names)))
    return Group(*parts)


def events(answer: Document) -> RenderableType:
    """One event a line."""
    return Text("\n".join(event_line(event) for event in answer["events"]) or "nothing has happened yet")


def event_line(event: Document) -> str:
    """When, what, to which object, and how."""
    at = _moment(event["at"]).astimezone().strftime("%H:%M:%S")
    return f"{at}  {event['kind']:<22} {event['object']}: {event['message']}"


def address(endpoint: Document) -> str:
    """ADDRESS:PORT, with IPv6 in brackets."""
    host = endpoint["address"]
    return f"[{host}]:{endpoint['port']}" if ":" in host else f"{host}:{endpoint['port']}"


def _to(failing: Document) -> str:
    """The place; for a broken path, where its callers are too."""
    source = failing.get("source")
    return f"{source} -> {failing['locality']}" if source else str(failing["locality"])


def _place(locality: str) -> str:
    """`region/zone/subzone`; a dash where nothing is said."""
    return locality if locality.strip("/") else "-"


def _readiness(replica: Document) -> Text:
    reasons = f": {'; '.join(replica['reasons'])}" if replica["reasons"] else ""
    return Text(("yes" if replica["ready"] else "no") + reasons, style=_FINE if replica["ready"] else _BAD)


def _freshness(cluster: Document, now_s: float) -> Text:
    reason = f": {cluster['reason']}" if cluster["reason"] else ""
    if not cluster["known"]:
        return Text("not yet" + reason, style=_BAD)
    held = _held(cluster.get("held"), now_s)
    if cluster.get("staleSince") is None:
        return Text(f"fresh; {held}", style=_BAD) if held else Text("fresh", style=_FINE)
    stale = f"stale for {_ago(cluster['staleSince'], now_s)}{reason}"
    return Text(f"{stale}; {held}" if held else stale, style=_BAD)


def _held(held: Document | None, now_s: float) -> str:
    """What is held back of a cluster, and when there is another look."""
    if not held:
        return ""
    in_s = max(0, round(_moment(held["nextLook"]).timestamp() - now_s))
    again = f"looked at again in {in_s} s" if in_s else "being looked at again"
    if not held["addresses"]:  # other services have them by now
        return f"{held['services']} services that vanished are held, {again}"
    return f"{held['addresses']} of {held['of']} addresses vanished at once and are held, {again}"


def accepted(answer: Document) -> RenderableType:
    """What an operator has accepted."""
    held = answer["accepted"]
    return Text(f"{held['addresses']} addresses that vanished from {answer['cluster']} are taken away")


def _state(endpoint: Document) -> Text:
    words = ["ready" if endpoint["ready"] else "not ready"]
    if endpoint["terminating"]:
        words = ["terminating", *(["still serving"] if endpoint["serving"] else [])]
    return Text(", ".join(words), style=_FINE if endpoint["ready"] else _BAD)


def _acceptance(client: Document) -> Text:
    refused = [f"{_short(s['type'])} refused: {s['nack']}" for s in client["subscriptions"] if s["nack"]]
    if refused:
        return Text("; ".join(refused), style=_BAD)
    waiting = [_short(s["type"]) for s in client["subscriptions"] if not s["acknowledged"]]
    return Text(f"waiting for {', '.join(waiting)}", style=_DIM) if waiting else Text("accepted", style=_FINE)


def _short(kind: str) -> str:
    known = {"Cluster": "CDS", "ClusterLoadAssignment": "EDS", "Listener": "LDS", "RouteConfiguration": "RDS"}
    return known.get(kind, kind)


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _ago(text: str, now_s: float) -> str:
    return length(now_s - _moment(text).timestamp())
