"""`tideover cluster`: what an operator does with one of the clusters."""

from __future__ import annotations

from typing import Annotated

import typer

from .cluster_join import join_command
from .cluster_leave import leave_command
from .cluster_list import list_command
from .connection import DEFAULT_SERVER, Server, ask
from .output import Format, Output, document, show

cluster_commands = typer.Typer(help="Join, leave, list clusters; accept what one lost.", no_args_is_help=True)
cluster_commands.command("join")(join_command)
cluster_commands.command("leave")(leave_command)
cluster_commands.command("list")(list_command)


@cluster_commands.command("accept")
def accept_command(
    cluster: Annotated[str, typer.Argument(metavar="NAME", help="The cluster, as `status` prints it.")],
    server: Server = DEFAULT_SERVER,
    output: Output = Format.TABLE,
) -> None:
    """Say that what vanished at once, and is held, is really gone.

    Needs the control plane's Unix socket (--server unix:STATE/admin.sock), or a certificate or token that its
    `admins` name."""
    from tideover_proto.admin.v1 import admin_pb2 as pb

    from . import tables

    answer = ask(server, lambda stub: stub.AcceptRemovals, pb.AcceptRemovalsRequest(cluster=cluster))
    show({"cluster": cluster, **document(answer)}, output, tables.accepted)


def add_to(program: typer.Typer) -> None:
    """Make these commands of `program`."""
    program.add_typer(cluster_commands, name="cluster")
