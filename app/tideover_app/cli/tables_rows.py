"""A plain table: titles, no lines, and names that are never cut, however narrow the terminal is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_GAP = 2
_WORDS = 20  # the least room in which the last column is worth reading


@dataclass(frozen=True, slots=True)
class Rows:
    """Cells below titles. The last column tells why, in words: it takes several lines where it must.

    When there is no room for the others, the lines go beyond the edge, and the terminal breaks them, so that
    a name can still be read and copied; with `fold` (a picture that is redrawn) every column is folded.
    """

    titles: Sequence[str]
    lines: Sequence[Sequence[Text]]
    fold: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it as wide as there is room."""
        widths = self._widths()
        names = sum(widths[:-1]) + _GAP * (len(widths) - 1)
        room = options.max_width
        if names + widths[-1] > room and (self.fold or names + min(widths[-1], _WORDS) <= room):
            yield self._table(whole=names + min(widths[-1], _WORDS) <= room)
        else:
            yield from (
                self._line(line, widths) for line in ([Text(t, "bold") for t in self.titles], *self.lines)
            )

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as its longest line, or as little as there is."""
        return Measurement(1, min(sum(self._widths()) + _GAP * (len(self.titles) - 1), options.max_width))

    def _widths(self) -> list[int]:
        columns = zip(*([cell.plain for cell in line] for line in self.lines), strict=True)
        longest = [max(map(cell_len, column)) for column in columns] or [0] * len(self.titles)
        return [max(cell_len(title), width) for title, width in zip(self.titles, longest, strict=True)]

    def _line(self, cells: Sequence[Text], widths: Sequence[int]) -> Text:
        line = Text(no_wrap=True, overflow="ignore")
        for cell, width in zip(cells, widths, strict=True):
            line.append_text(cell)
            line.append(" " * (width - cell_len(cell.plain) + _GAP))
        line.rstrip()
        return line

    def _table(self, whole: bool) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
        for title in self.titles:
            table.add_column(title, overflow="fold", no_wrap=whole and title != self.titles[-1])
        for line in self.lines:
            table.add_row(*line)
        return table


def rows(titles: Sequence[str], lines: Iterable[Sequence[object]], *, fold: bool = False) -> Rows:
    """A table of these cells; those that are no Text are written as they are."""
    cells = ([cell if isinstance(cell, Text) else Text(str(cell)) for cell in line] for line in lines)
    return Rows(titles, list(cells), fold)
