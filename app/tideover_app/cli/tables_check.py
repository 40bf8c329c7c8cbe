"""The table of `check`."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from .output import Document
from .tables import problems
from .tables_rows import rows


def check(answer: Document) -> RenderableType:
    """Errors first, then what was read, then what is refused of it."""
    parts: list[RenderableType] = []
    for error in answer["errors"]:
        line = Text("error ", style="red")
        line.append(f"{error['where']}: " if error["where"] else "", style="default")
        line.append(f"{error['key']}: " if error["key"] else "", style="bold default")
        parts.append(line.append(error["message"], style="not bold default"))
    if answer["sources"]:
        titles = ("SOURCE", "FROM", "VERSION", "SERVICES", "ENDPOINTS", "READY", "POLICIES", "")
        parts.append(rows(titles, (_source(source) for source in answer["sources"])))
    if answer["problems"]:
        count = len(answer["problems"])
        parts += [
            Text(f"\n{count} problem{'s' if count > 1 else ''}, the rest is used", style="yellow"),
            problems(answer["problems"]),
        ]
    verdict = (
        "is sound" if answer["ok"] else "has errors; `tideover run` would not start or go without a part"
    )
    parts.append(Text(f"\n{answer['configuration']} {verdict}", style="green" if answer["ok"] else "red"))
    return Group(*parts)


def _source(source: Document) -> list[object]:
    counts = [source[key] for key in ("services", "endpoints", "readyEndpoints", "policies")]
    readable = Text("readable", style="green") if source["readable"] else Text("not readable", style="red")
    origin = source["manifests"] or source.get("server") or "-"
    return [source["name"], origin, source.get("version") or "-", *counts, _may(source, readable)]


def _may(source: Document, readable: Text) -> Text:
    """Of a live cluster, what we may, too."""
    asked = source.get("permissions")
    if asked:
        allowed = sum(one["allowed"] for one in asked)
        readable.append(f", {allowed} of {len(asked)} permissions", style="default")
    return readable
