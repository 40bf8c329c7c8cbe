"""Commands that ask a running control plane: all but `explain` and `status`, which have their own files."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Annotated, Any

import typer

from .connection import ANSWER_WITHIN_S, DEFAULT_SERVER, Server, ask, connected
from .failure import wrong_use
from .output import Format, Output, document, printable, show, yaml_text

client_commands = typer.Typer(help="List the clients that are connected.")


def services_command(
    server: Server = DEFAULT_SERVER,
    namespace: Annotated[str, typer.Option("-n", "--namespace", help="Only of this namespace.")] = "",
    output: Output = Format.TABLE,
) -> None:
    """List the services over all clusters."""
    from tideover_proto.admin.v1 import admin_pb2 as pb

    from . import tables

    request = pb.ListServicesRequest(namespace=namespace)
    show(document(ask(server, lambda stub: stub.ListServices, request)), output, tables.services)


def endpoints_command(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="NAMESPACE/NAME[:PORT]")],
    server: Server = DEFAULT_SERVER,
    output: Output = Format.TABLE,
) -> None:
    """List the endpoints of a service.

    All of them, as the clusters describe them."""
    from tideover_proto.admin.v1 import admin_pb2 as pb

    from . import tables

    request = pb.ListEndpointsRequest(service=service)
    show(document(ask(server, lambda stub: stub.ListEndpoints, request)), output, tables.endpoints)


@client_commands.callback(invoke_without_command=True)
def clients_command(
    context: typer.Context, server: Server = DEFAULT_SERVER, output: Output = Format.TABLE
) -> None:
    """List the clients that are connected; `clients show ID` tells what one of them was sent."""
    if context.invoked_subcommand is not None:
        return
    from tideover_proto.admin.v1 import admin_pb2 as pb

    from . import tables

    answer = ask(server, lambda stub: stub.ListClients, pb.ListClientsRequest())
    show(document(answer), output, lambda told: tables.clients(told, time.time()))


@client_commands.command("show")
def client_command(
    client: Annotated[str, typer.Argument(metavar="ID", help="The id of its node, as `clients` prints it.")],
    server: Server = DEFAULT_SERVER,
    output: Output = Format.TABLE,
) -> None:
    """Show what one client asked for and was sent, name by name."""
    from tideover_proto.admin.v1 import admin_pb2 as pb

    from . import tables

    answer = ask(server, lambda stub: stub.ShowClient, pb.ShowClientRequest(id=client))
    show(document(answer), output, lambda told: tables.client(told, time.time()))


def events_command(
    server: Server = DEFAULT_SERVER,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Wait for more, until Ctrl-C.")] = False,
    after: Annotated[int, typer.Option(help="Only events with a greater number.")] = 0,
    output: Output = Format.TABLE,
) -> None:
    """Print what happened.

    Followed as JSON it is one object a line, as YAML one document each."""
    from tideover_proto.admin.v1 import admin_pb2 as pb

    from . import tables

    if not 0 <= after < 2**32:
        raise wrong_use(f"--after {after} is no number of an event")
    with connected(server) as stub:
        # the past first, with a deadline: a control plane that hangs is noticed before it is followed
        past = stub.ListEvents(pb.ListEventsRequest(after=after), timeout=ANSWER_WITHIN_S)
        events = [document(event) for event in past]
        if not follow:
            show({"events": events}, output, tables.events)
            return
        for event in events:
            _print_event(event, output)
        last = events[-1]["number"] if events else after
        with suppress(KeyboardInterrupt):  # the way to end it
            for message in stub.ListEvents(pb.ListEventsRequest(follow=True, after=last)):
                _print_event(document(message), output)


def _print_event(event: dict[str, Any], output: Format) -> None:
    from . import tables

    match output:
        case Format.JSON:
            typer.echo(json.dumps(event, ensure_ascii=False))
        case Format.YAML:
            typer.echo("---\n" + yaml_text(event), nl=False)
        case Format.TABLE:
            typer.echo(tables.event_line(printable(event)))


def add_to(program: typer.Typer) -> None:
    """Make these commands of `program`."""
    program.command("services")(services_command)
    program.command("endpoints")(endpoints_command)
    program.add_typer(client_commands, name="clients")
    program.command("events")(events_command)
