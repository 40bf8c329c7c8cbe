"""`tideover status`, once or watched."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from .connection import DEFAULT_SERVER, Server, ask
from .failure import Code, Failure, wrong_use
from .output import Document, Format, Output, console, document, printable, show

if TYPE_CHECKING:
    from rich.console import RenderableType

EVERY_S = 1.0


def status_command(
    server: Server = DEFAULT_SERVER,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Keep it up to date, until Ctrl-C.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Show what is failing over now, and why.

    Also replicas, clusters, clients and problems."""
    if not watch:
        show(_asked(server), output, _table)
        return
    if output != Format.TABLE:
        raise wrong_use("--watch is a table that changes; for programs use `events --follow -o json`")
    with suppress(KeyboardInterrupt):  # the way to end it
        _watch(server)


def _asked(server: str) -> Document:
    from tideover_proto.admin.v1 import admin_pb2 as pb

    return document(ask(server, lambda stub: stub.GetStatus, pb.GetStatusRequest()))


def _table(answer: Document, *, fold: bool = False) -> RenderableType:
    from . import tables

    return tables.status(answer, time.time(), fold=fold)


def _watch(server: str) -> None:
    """Show the status until interrupted: in place, or one below the other where that is no terminal."""
    from rich.live import Live

    screen = console()
    first = _table(printable(_asked(server)), fold=True)  # not reachable at the start: say so, and end
    if not screen.is_terminal:

        def print_it(picture: RenderableType) -> None:
            screen.print(picture)
            screen.file.flush()

        _draw(server, first, print_it)
    with Live(first, console=screen, auto_refresh=False, vertical_overflow="crop") as live:
        _draw(server, first, lambda picture: live.update(picture, refresh=True))


def _draw(server: str, picture: RenderableType, draw: Callable[[RenderableType], object]) -> NoReturn:
    """Once a second; a control plane that went away is waited for."""
    from . import tables

    draw(picture)
    while True:
        time.sleep(EVERY_S)
        try:
            picture = _table(printable(_asked(server)), fold=True)
        except Failure as failure:
            if failure.code != Code.NOT_REACHABLE:
                raise
            draw(tables.below(picture, failure.message))
        else:
            draw(picture)


def add_to(program: typer.Typer) -> None:
    """Make `status` a command of `program`."""
    program.command("status")(status_command)
