"""What the viewer sees while it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from . import promises
from .layout import AWAY, HOME, SERVICES
from .measure import Call, ended_between, served_share, timeline
from .promises import Result, Scene, Take

STYLES = {HOME: "cyan", AWAY: "yellow", "": "red"}
_QUIET = "bright_black"
_NOW_S = 0.5  # what "now" averages over
_HISTORY_S, _HISTORY_BIN_S = 30.0, 0.5
_NEWS, _TIGHT_NEWS = 6, 4  # lines
_BAR = 6  # characters
_BLOCKS = " ▁▂▃▄▅▆▇█"


@dataclass(slots=True)
class View:
    """What the live display is drawn from. `tell` is for everybody who has news."""

    scenes: Sequence[Scene]
    takes: list[Take]
    calls: list[Call]
    began_s: float
    news: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=_NEWS))
    judged: dict[str, Result] = field(default_factory=dict)

    def tell(self, text: str) -> None:
        """A line of news."""
        self.news.append((time.monotonic() - self.began_s, text))

    def results(self, now_s: float) -> list[Result]:
        """All takes so far, judged; those that are over only once."""
        found = []
        for take in self.takes:
            letter = take.scene.letter
            if letter not in self.judged or take.ended_s is None or take is self.takes[-1]:
                self.judged[letter] = promises.result(take, self.calls, now_s)
            found.append(self.judged[letter])
        return found

    def draw(self, now_s: float, *, tight: bool = False) -> RenderableType:
        """The whole display; `tight` is for a terminal of 80 columns and 24 lines."""
        return Group(self.table(now_s, tight=tight), self.now(now_s, tight=tight))

    def now(self, now_s: float, *, tight: bool = False) -> RenderableType:
        """What changes all the time: where the calls go, and the news."""
        return Group(self._traffic(now_s), self._news(_TIGHT_NEWS if tight else _NEWS))

    def table(self, now_s: float, *, tight: bool = False) -> Table:
        """The scenes, one a line."""
        table = Table(
            title="tideover demo: two clusters, real Envoys, faults one after another",
            title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0),
            show_edge=not tight,
        )  # fmt: skip
        table.add_column("", no_wrap=True)
        table.add_column("scene")
        table.add_column("served from", no_wrap=True)
        for name in ("calls", "failed", "cut", *(() if tight else ("retried",)), "moved in"):
            table.add_column(name, justify="right", no_wrap=True)
        rows = zip(self.takes, self.results(now_s), strict=True)
        done = {take.scene.letter: self._row(take, result, now_s, tight) for take, result in rows}
        for scene in self.scenes:
            table.add_row(*done.get(scene.letter, [Text(), Text(_title(scene), _QUIET)]))
        return table

    def _row(self, take: Take, result: Result, now_s: float, tight: bool) -> list[RenderableType]:
        over = take.ended_s is not None
        title = Text(_title(take.scene), "default" if over else "bold")
        if over and result.broken:
            title.append("\n" + "\n".join(result.broken), "red")
        numbers = result.count
        return [
            Text("✔" if result.kept else "✘", "green" if result.kept else "red") if over else Text("…"),
            title,
            self._served(take, result.moved_s, now_s, 0 if tight else _BAR),
            Text(str(numbers.calls)),
            Text(str(numbers.failed), "red" if numbers.failed else "green"),
            Text(str(numbers.cut), "yellow" if numbers.cut else ""),
            *(() if tight else (Text(str(take.retried)),)),
            Text("" if result.moved_s is None else f"{result.moved_s:.2f} s"),
        ]

    def _served(self, take: Take, moved_s: float | None, now_s: float, bar: int) -> Text:
        """A bar of where the calls in question were served: just now, or from when they moved to the end."""
        if take.changed_s is None:
            begin_s, end_s = take.began_s, now_s
        elif take.until_s is None:
            begin_s, end_s = now_s - _NOW_S, now_s
        else:
            begin_s, end_s = take.changed_s + (moved_s or 0.0), take.until_s
        calls = [c for c in ended_between(self.calls, begin_s, end_s) if take.scene.scope.holds(c)]
        return share_bar(served_share(calls), bar)

    def _traffic(self, now_s: float) -> Panel:
        """For each service: where the callers in paris are served, over the last half minute."""
        begin_s = now_s - _HISTORY_S
        recent = [c for c in ended_between(self.calls, begin_s, now_s) if c.caller == HOME]
        lines = Text()
        for service in SERVICES:
            bins = timeline([c for c in recent if c.service == service], begin_s, now_s, _HISTORY_BIN_S)
            lines.append(f"{service:<12}")
            for one in bins:
                lines.append(*_block(one.per_second))
            lines.append("\n")
        lines.append("served from ", _QUIET)
        for place in (HOME, AWAY):
            lines.append("█ ", STYLES[place])
            lines.append(f"{place}  ", _QUIET)
        lines.append("█ ", STYLES[""])
        lines.append("failed", _QUIET)
        title = f"calls from {HOME}, last {_HISTORY_S:.0f} s"
        return Panel(lines, title=title, title_align="left", border_style=_QUIET, expand=False)

    def _news(self, most: int) -> Text:
        lines = [f"{at_s:6.1f} s  {text}" for at_s, text in list(self.news)[-most:]]
        return Text("\n".join(lines), _QUIET)


def share_bar(share: dict[str, float], length: int = _BAR) -> Text:
    """`██████ paris 100 %`: a bar whose parts are the places."""
    bar = Text()
    places = [place for place in STYLES if share.get(place)]
    for place in places:
        bar.append("█" * round(length * share[place]), STYLES[place])
    for place in places:
        percent = 100 * share[place]
        shown = f"{percent:.0f}" if percent == 100 or 1 <= percent <= 99 else f"{percent:.1f}"
        bar.append(f"{' ' if bar else ''}{place or 'failed'} {shown} %", STYLES[place])
    return bar


def _block(per_second: dict[str, float]) -> tuple[str, str]:
    """One character of the history: its height is how many calls, its colour where most (or any failed)."""
    total = sum(per_second.values())
    if not total:
        return (" ", "")
    where = "" if per_second.get("") else max(per_second, key=lambda place: per_second[place])
    height = min(len(_BLOCKS) - 1, max(1, round(total / 10)))
    return (_BLOCKS[height], STYLES.get(where, ""))


def _title(scene: Scene) -> str:
    return f"({scene.letter}) {scene.name}"


def line(result: Result) -> str:
    """A scene's outcome in one plain line."""
    numbers = result.count
    moved = "never" if result.moved_s is None else f"in {result.moved_s:.2f} s"
    cut = f", {numbers.cut} cut in flight" if numbers.cut else ""
    verdict = "kept" if result.kept else "NOT KEPT: " + "; ".join(result.broken)
    return (
        f"{_title(result.scene)}: {numbers.calls} calls, {numbers.failed} failed{cut}, "
        f"{result.retried} retried, moved {moved}: {verdict}"
    )
