"""Where the view is shown: redrawn in place on a terminal, as plain lines anywhere else."""

from __future__ import annotations

import asyncio
import io
import time

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from . import promises
from .live import View, line
from .promises import Take

REDRAW_S = 0.25
_WIDE, _HIGH = 100, 32  # a terminal with less is shown less
_SVG_WIDTH = 116


class Display:
    """Shows a view until cancelled; on a terminal its last picture stays."""

    def __init__(self, view: View, console: Console) -> None:
        self.view = view
        self.console = console
        self.redraws = console.is_terminal and not console.is_dumb_terminal
        self._scenes_over = False
        self._live: Live | None = None

    async def run(self) -> None:
        """Redraw until cancelled. Elsewhere than on a terminal nothing is redrawn."""
        if not self.redraws:
            return
        with Live(console=self.console, auto_refresh=False, vertical_overflow="crop") as live:
            self._live = live
            try:
                while True:
                    live.update(self._drawn(), refresh=True)
                    await asyncio.sleep(REDRAW_S)
            finally:
                live.update(self._drawn(), refresh=True)

    def _drawn(self) -> RenderableType:
        part = self.view.now if self._scenes_over else self.view.draw
        return part(time.monotonic(), tight=self._tight)

    @property
    def _tight(self) -> bool:
        return self.console.width < _WIDE or self.console.height < _HIGH

    def tell(self, text: str) -> None:
        """News: a line of the picture, or a line."""
        self.view.tell(text)
        if not self.redraws:
            at_s, _ = self.view.news[-1]
            self._print(f"{at_s:6.1f} s  {text}")

    def finished(self, take: Take) -> None:
        """A scene is over."""
        if not self.redraws:
            self._print(line(promises.result(take, self.view.calls, time.monotonic())))

    def hint(self, text: str) -> None:
        """What a user can do now. On a terminal it stands, like the scenes that are over, above what is
        redrawn: to copy from, and on a small one to be seen at all."""
        if self._live is not None:
            self._scenes_over = True
            self._live.update(self._drawn(), refresh=True)  # first small, so that there is room above it
            self.console.print(self.view.table(time.monotonic(), tight=self._tight))
        self._print(text)

    def _print(self, text: str) -> None:
        self.console.print(Text(text))


def picture(view: View, now_s: float) -> str:
    """The view as an SVG that loads nothing from anywhere."""
    console = Console(record=True, width=_SVG_WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(view.draw(now_s))
    return console.export_svg(title="tideover demo", code_format=_without_fonts())


def _without_fonts() -> str:
    """Rich's format without the web font that it loads from a content network."""
    from rich._export_format import CONSOLE_SVG_FORMAT

    begin = CONSOLE_SVG_FORMAT.index("@font-face")
    end = CONSOLE_SVG_FORMAT.index(".{unique_id}-matrix")
    return CONSOLE_SVG_FORMAT[:begin] + CONSOLE_SVG_FORMAT[end:]
