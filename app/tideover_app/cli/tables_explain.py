"""The table of `explain` and `simulate`: what a vantage is sent, and the cause of each part of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .output import Document
from .tables import address

MOST_ENDPOINTS = 25  # of one locality; JSON has them all
_HEALTH = {"HEALTHY": "green", "UNHEALTHY": "red", "DRAINING": "yellow"}


def explanation(answer: Document, without: Sequence[str] = ()) -> RenderableType:
    """Priorities in the order in which traffic takes them, then what is left out. `without`: what
    `simulate` took away."""
    parts: list[RenderableType] = [*_head(answer)]
    if without:
        parts.append(Text(f"taken away: {' and '.join(without)}", style="yellow"))
    if not answer["priorities"]:
        why = (
            "all there is must be left out, see below"
            if answer.get("leftOut")
            else "nothing else is there"
            if without
            else "the facts of every cluster say that there is none"
        )
        parts.append(Text(f"no endpoint: {why}", style="red"))
    for priority in answer["priorities"]:
        share = f"{priority['expectedTrafficPercent']:g} % of the traffic"
        parts.append(Text(f"\npriority {priority['priority']}: {share}", style="bold"))
        for place in priority["localities"]:
            parts.append(_place_line(place))
            parts.append(_endpoints(place["endpoints"]))
    left_out = answer.get("leftOut") or []
    if left_out:
        parts.append(Text("\nleft out", style="bold"))
        parts += [_left_out_line(one) for one in left_out[:MOST_ENDPOINTS]]
        if len(left_out) > MOST_ENDPOINTS:
            parts.append(
                Text(f"  and {len(left_out) - MOST_ENDPOINTS} more; -o json lists them", style="dim")
            )
    remarks = answer.get("remarks") or []
    if remarks:
        parts.append(Text("\nremarks", style="bold"))
        parts += [Text(f"  {remark}", style="yellow") for remark in remarks[:MOST_ENDPOINTS]]
    return Group(*parts)


def _head(answer: Document) -> Iterator[Text]:
    vantage = answer["vantage"]
    subset = f"#{answer['subset']}" if answer.get("subset") else ""
    title = Text(f"{answer['service']}:{answer['port']}{subset}", style="bold")
    title.append(
        f" as seen from {vantage['locality']} in cluster {vantage['cluster'] or '(not said)'}, "
        f"network {vantage['network']}",
        style="not bold",
    )
    yield title
    yield Text(f"policies: {', '.join(answer['policies']) or 'none, only the defaults'}")
    factor = answer.get("overprovisioningPercent")
    spill = f"; a priority spills when less than {10000 / factor:.3g} % of it is healthy" if factor else ""
    yield Text(f"version {answer['version'] or 'none'}{spill}")


def _place_line(place: Document) -> Text:
    line = Text(f"  {place['locality']}", style="cyan")
    line.append(f"  weight {place['weight']}", style="default")
    return line.append(f"  {'; '.join(place['causes'])}", style="dim")


def _endpoints(endpoints: list[Document]) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for _ in range(6):
        table.add_column(overflow="fold")
    for one in endpoints[:MOST_ENDPOINTS]:
        health = Text(one["health"], style=_HEALTH.get(one["health"], ""))
        where = f"{one['cluster']} ({one['network']})"
        table.add_row("   ", address(one), where, health, f"weight {one['weight']}", "; ".join(one["causes"]))
    rest = Counter(one["health"] for one in endpoints[MOST_ENDPOINTS:])
    if not rest:
        return table
    counts = ", ".join(f"{count} {health}" for health, count in sorted(rest.items()))
    return Group(table, Text(f"     and {rest.total()} more ({counts}); -o json lists them", style="dim"))


def _left_out_line(one: Document) -> Text:
    line = Text(f"  {address(one)}  {one['cluster']} ({one['network']})  ")
    return line.append(one["reason"], style="yellow")
