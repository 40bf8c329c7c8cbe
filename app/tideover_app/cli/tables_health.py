"""What `status` shows of health: how well services are seen, and what is judged of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from operator import itemgetter

from rich.console import RenderableType
from rich.text import Text

from tideover_app.lengths import length

from .output import Document
from .tables_rows import rows

_STATES = {"suspect": "yellow", "down": "red", "holding": "red", "ramping": "yellow"}
MOST_LINES, MOST_NAMES = 40, 5  # JSON has them all
_DROPPED = {
    "name": "of services that are not known",
    "locality": "of places where the service is not",
    "address": "of endpoints that are not known",
    "numbers": "with numbers that cannot be",
    "interval": "with an interval that cannot be",
    "rows": "beyond 20,000 of one report",
    "destinations": "of too many destinations",
    "reporters": "of clients that never reported calls, or of too many",
}


def health(answer: Document, now_s: float, *, fold: bool = False) -> list[RenderableType]:
    """Below what fails over: alarms, verdicts, and how they come about."""
    about: Document = answer.get("health") or {}
    parts: list[RenderableType] = [
        Text(
            f"ALARM  {one['service']}:{one['port']} {_since(one, now_s)}: {one['message']}", style="bold red"
        )
        for one in about.get("alarms", [])[:MOST_LINES]
    ]
    judged, with_places = _told(answer.get("verdicts", []))
    if judged:
        parts.append(Text("\njudged", style="yellow"))
        parts.append(
            rows(
                ("SERVICE", "STATE", "GIVEN", "WHAT AND WHY"),
                (
                    [
                        f"{one['service']}:{one['port']}",
                        Text(one["state"], style=_STATES.get(one["state"], "")),
                        f"{one['percent']:g} %",
                        one["text"],
                    ]
                    for one in judged[:MOST_LINES]
                ),
                fold=fold,
            )
        )
        if len(judged) > MOST_LINES:
            parts.append(Text(f"and {len(judged) - MOST_LINES} more; -o json lists them", style="dim"))
        if with_places:
            said = f"and {with_places} endpoints that look bad as all of their place does; -o json lists them"
            parts.append(Text(said, style="dim"))
    for one in about.get("capacity", [])[:MOST_LINES]:
        parts.append(Text(f"{one['service']} {one['text']}", style="yellow"))
    parts.append(Text(_seen(about), style="dim"))
    parts += [Text(line, style="dim") for line in (*_checked(about), *_refused(about))]
    return parts


def _told(verdicts: list[Document]) -> tuple[list[Document], int]:
    """Those that have a line each, and how many endpoints only look bad as all of their place does."""
    name = itemgetter("service", "port", "cluster", "locality")
    places = {name(one) for one in verdicts if one["kind"] == "site"}
    told = [
        one
        for one in verdicts
        if one["kind"] != "endpoint" or one["state"] != "suspect" or name(one) not in places
    ]
    return told, len(verdicts) - len(told)


def _seen(about: Document) -> str:
    """How well services are seen, in one line."""
    if not about.get("enabled"):
        return "health is not judged (health.enabled: false)"
    proven, unproven = about["provenReporters"], about["unprovenReporters"]
    if not proven and not unproven:
        return "nobody reports calls"
    shared = f" and {unproven} unproven, which share one vote" if unproven else ""
    closely = about["reportersByEndpoint"]
    doubted = f"; {closely} of them by endpoint: {_some(about['doubted'])}" if closely else ""
    return (
        f"{proven} proven reporters{shared}, every {about['reportIntervalSeconds']:g} s: "
        f"where enough is called, what they see is judged within {about['detectionSeconds']:.3g} s{doubted}"
    )


def _some(doubted: list[str]) -> str:
    """The services of which some calls or checks fail."""
    if not doubted:
        return "nothing is in doubt any more"
    more = f" and {len(doubted) - MOST_NAMES} more" if len(doubted) > MOST_NAMES else ""
    return f"some calls or checks of {', '.join(doubted[:MOST_NAMES])}{more} fail"


def _checked(about: Document) -> Iterator[str]:
    """Who else looks at endpoints, where anybody does, and what is not looked at as asked."""
    own, envoys, told = (about.get(name) or {} for name in ("activeChecks", "envoyChecks", "envoyMetrics"))
    if own.get("endpoints"):
        text = (
            f"this replica checks {own['endpoints']} endpoints, {about['checksPerSecond']:g} checks a second"
        )
        if own["stretch"] > 1:
            text += (
                f"; {own['wantedPerSecond']:.4g} are asked for: where most are, they are "
                f"{own['stretch']:.3g} times rarer (health.activeChecks.perSecond)"
            )
        if own["notLooked"]:
            text += f"; {own['notLooked']} checks said nothing, as the trouble was ours"
        yield text
    for reason, count in sorted(own.get("unasked", {}).items()):
        yield f"{count} endpoints are not checked by this replica: {reason}"
    if envoys.get("checkers"):
        yield (
            f"{envoys['working']} of {envoys['checkers']} Envoys that offer it check {envoys['endpoints']} "
            f"endpoints, and say so every {envoys['reportEverySeconds']:g} s"
        )
    if told.get("streams"):
        lost = f"; {told['dropped']} messages were too many to be read" if told["dropped"] else ""
        yield f"{told['streams']} Envoys send statistics{lost}"


def _refused(about: Document) -> Iterator[str]:
    """What was reported and does not count."""
    if dropped := about.get("dropped"):
        said = ", ".join(f"{count} {_DROPPED.get(why, why)}" for why, count in sorted(dropped.items()))
        yield f"reported, but not counted since the start: {said}"


def _since(alarm: Document, now_s: float) -> str:
    lasts_s = now_s - datetime.fromisoformat(alarm["since"]).timestamp()
    return f"for {length(lasts_s)}"


def reported(client: Document, now_s: float) -> str:
    """When a client last told of its calls."""
    at = client.get("lastReport")
    if at is None:
        return "-"
    return f"{max(0.0, now_s - datetime.fromisoformat(at).timestamp()):.0f} s ago"
