"""The options that say where a client stands, as `explain` and `simulate` take them."""

from __future__ import annotations

from typing import Annotated

import typer

from tideover_core.model import Locality, Vantage

from .failure import wrong_use

From = Annotated[str, typer.Option("--from", metavar="LOCALITY", help="region/zone/subzone, tail optional.")]
Cluster = Annotated[str, typer.Option("--cluster", help="The cluster that the client runs in.")]
Network = Annotated[str, typer.Option("--network", help="Its network; default: its cluster's.")]
Namespace = Annotated[str, typer.Option("--namespace", help="Its namespace; some policies differ by it.")]
Node = Annotated[str, typer.Option("--node", help="The Kubernetes node it runs on.")]
Labels = Annotated[str, typer.Option("--labels", metavar="K=V,...", help="The labels of its pod.")]


def vantage(place: str, cluster: str, network: str, namespace: str, node: str, labels: str) -> Vantage:
    """The vantage as typed; a Failure says what is wrong with it."""
    if not (place or cluster):
        raise wrong_use("say where the client stands: --from REGION/ZONE/SUBZONE, or --cluster, or both")
    try:
        locality = Locality.parse(place)
    except ValueError as error:
        raise wrong_use(f"--from: {error}") from None
    return Vantage(locality, cluster, network, namespace, node, _labels(labels))


def _labels(text: str) -> dict[str, str]:
    labels = {}
    for pair in filter(None, text.split(",")):
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise wrong_use(f"--labels: {pair!r} is not KEY=VALUE")
        labels[key.strip()] = value.strip()
    return labels
