"""`tideover explain`: what a vantage is sent, asked of a running control plane."""

from __future__ import annotations

from typing import Annotated

import typer

from . import vantage as where
from .connection import DEFAULT_SERVER, Server, ask
from .output import Format, Output, document, show


def explain_command(  # noqa: PLR0913, PLR0917 (one parameter per option is how typer reads them)
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="NAMESPACE/NAME[:PORT][#SUBSET]")],
    place: where.From = "",
    cluster: where.Cluster = "",
    network: where.Network = "",
    namespace: where.Namespace = "",
    node: where.Node = "",
    labels: where.Labels = "",
    server: Server = DEFAULT_SERVER,
    output: Output = Format.TABLE,
) -> None:
    """Explain what a client there is sent.

    With the cause of each priority, weight and status."""
    vantage = where.vantage(place, cluster, network, namespace, node, labels)
    from tideover_proto.admin.v1 import admin_pb2 as pb

    from . import tables_explain

    request = pb.ExplainRequest(
        service=service,
        vantage=pb.Vantage(
            locality=str(vantage.locality),
            cluster=cluster,
            network=network,
            namespace=namespace,
            node=node,
            labels=dict(vantage.labels),
        ),
    )
    answer = ask(server, lambda stub: stub.Explain, request)
    show(document(answer), output, tables_explain.explanation)


def add_to(program: typer.Typer) -> None:
    """Make `explain` a command of `program`."""
    program.command("explain")(explain_command)
