"""`tideover simulate`: the answer of `explain`, from files, with places or services taken away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tideover_core.world import World

from . import vantage as where
from .failure import Code, Failure, wrong_use
from .local import DEFAULT_CONFIG, ConfigFile
from .output import Format, Output, show


def simulate_command(  # noqa: PLR0913, PLR0917 (one parameter per option is how typer reads them)
    service: Annotated[
        str, typer.Option("--service", metavar="SERVICE", help="NAMESPACE/NAME[:PORT][#SUBSET].")
    ],
    config: ConfigFile = DEFAULT_CONFIG,
    place: where.From = "",
    cluster: where.Cluster = "",
    network: where.Network = "",
    namespace: where.Namespace = "",
    node: where.Node = "",
    labels: where.Labels = "",
    without: Annotated[
        list[str] | None,
        typer.Option(
            "--without",
            metavar="TARGET",
            help="Take away cluster/C, region/R, zone/Z, service/NS/NAME[@CLUSTER] or "
            "endpoint/[NETWORK/]ADDRESS:PORT; commas mean 'and'; repeat.",
        ),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Explain what a client would be sent, offline.

    From the manifests that the configuration names, with places or services taken away.
    """
    from tideover_core.target import parse_target

    vantage = where.vantage(place, cluster, network, namespace, node, labels)
    try:
        aims = [parse_target(text) for text in without or ()]
    except ValueError as error:
        raise wrong_use(f"--without: {error}") from None

    from tideover_app.explain import Asked, UnknownError, answer
    from tideover_app.simulate import bereft, odd_place

    try:
        asked = Asked.parse(service)
    except ValueError as error:
        raise wrong_use(f"--service: {error}") from None
    world = _world(config)
    try:
        left, remarks = bereft(world, aims)
        remarks = (*remarks, *odd_place(world, vantage.locality))
        explanation = answer(left, asked, vantage)
    except UnknownError as error:
        raise Failure(Code.NO, str(error)) from None
    for remark in remarks:
        typer.echo(f"tideover: {remark}", err=True)
    from . import tables_explain

    show(explanation, output, lambda shown: tables_explain.explanation(shown, without or ()))


def _world(path: Path) -> World:
    from .offline import SlowOnly, load_config, read

    config = load_config(path)
    offline = read(config, SlowOnly())
    if offline.unreadable:
        # an answer without a cluster that was asked for would look like a failover
        raise Failure(Code.NO, "; ".join(map(str, offline.unreadable)))
    if offline.problems:
        count = f"{len(offline.problems)} problem{'s' if len(offline.problems) > 1 else ''}"
        typer.echo(f"tideover: {count} in the manifests; `tideover check -c {path}` lists them", err=True)
    return offline.world


def add_to(program: typer.Typer) -> None:
    """Make `simulate` a command of `program`."""
    program.command("simulate")(simulate_command)
