"""All commands in one program, and how each of them ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
import typer.core

from . import bootstraps, checking, cluster, explaining, local, ordering, reading, simulating, status
from .failure import Code, Failure

_ORDER = (
    "run", "demo", "check", "bootstrap", "status", "cluster", "services", "endpoints", "clients", "events",
    "explain", "simulate", "drain", "shift", "freeze", "orders", "undo", "config",
)  # fmt: skip


class _InOrder(typer.core.TyperGroup):
    """Commands in the order of interfaces.md."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=_ORDER.index)


program = typer.Typer(
    name="tideover",
    cls=_InOrder,
    help="Failover control plane: keeps calls succeeding when instances, clusters or regions fail.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: rich takes longer to import than all the rest
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for commands in (local, checking, bootstraps, status, cluster, reading, explaining, simulating, ordering):
    commands.add_to(program)


def _version(wanted: bool) -> None:
    if wanted:
        from tideover_core import __version__

        typer.echo(f"tideover {__version__}")
        raise typer.Exit


@program.callback()
def everything(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line; every end, good or bad, becomes an exit code."""
    try:
        result = typer.main.get_command(program).main(
            list(arguments), prog_name="tideover", standalone_mode=False
        )
        sys.stdout.flush()
    except Failure as failure:
        return _bad_end(failure.code, failure.message)
    except typer.TyperException as error:
        message = error.format_message().replace(" Value error, ", " ")  # pydantic's words, not ours
        if "\n" in message:  # no command given: the help is the message
            typer.echo(message, err=True)
            return Code.WRONG_USE
        return _bad_end(Code.WRONG_USE, f"{message.rstrip('.')} (see --help)")
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # the reader went away (`| head`): nothing to say, and nothing more to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Code.DONE
    return result if isinstance(result, int) else Code.DONE


def _bad_end(code: int, message: str) -> int:
    typer.echo(f"tideover: {message}", err=True)
    return code
