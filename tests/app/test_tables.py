"""Tables on narrow terminals: a name is never cut, and only words are broken."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tideover_app.cli.tables_rows import rows

TITLES = ("SERVICE", "CLUSTER", "WHY")
LINE = [
    "production-checkout/payment-gateway:8080",
    "prod-eu-west-1",
    "0 of 2 ready: 100 % of its traffic leaves",
]
BARE = len(LINE[0]) + len(LINE[1]) + 4


def drawn(width: int, *, fold: bool = False) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(rows(TITLES, [LINE], fold=fold), crop=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_where_there_is_room_a_line_is_a_line_and_nothing_trails() -> None:
    title, line = drawn(200)
    assert line == "  ".join(LINE)
    assert title == title.rstrip()
    assert title.index("WHY") == line.index("0 of 2")


def test_only_the_reason_is_broken() -> None:
    _, first, *more = drawn(BARE + 25)
    assert first.startswith("  ".join(LINE[:2]))
    assert more
    assert all(line.startswith(" " * BARE) for line in more)


def test_without_room_for_the_names_the_terminal_breaks_the_line() -> None:
    assert drawn(60)[1] == "  ".join(LINE)


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_picture_that_is_redrawn_stays_inside_and_says_all(width: int) -> None:
    lines = drawn(width, fold=True)
    assert all(len(line) <= width for line in lines)
    letters = sorted("".join(lines).replace(" ", ""))
    assert letters == sorted("".join([*TITLES, *LINE]).replace(" ", ""))


def test_no_lines_are_titles_alone() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(rows(TITLES, []), crop=False)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "SERVICE  CLUSTER  WHY\n"
