"""`tideover cluster list`: what the hub's Secrets register."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from . import cluster_server
from .cluster_hub import NAMESPACE, HubContext, Kubeconfig, Namespace, Registration, registered
from .failure import wrong_use
from .output import Document, Format, Output, show

if TYPE_CHECKING:
    from rich.console import RenderableType


def list_command(
    hub_context: HubContext = "",
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = NAMESPACE,
    output: Output = Format.TABLE,
) -> None:
    """List the clusters that Secrets of the hub register."""
    import asyncio  # slow to import, and no other command needs it

    if not hub_context:
        raise wrong_use("give --hub-context: the hub keeps the registrations")
    path = cluster_server.file_with(hub_context, kubeconfig)
    found = asyncio.run(_registered(hub_context, path, namespace))
    show({"registrations": [asdict(one) for one in found]}, output, _table)


async def _registered(context: str, path: Path, namespace: str) -> list[Registration]:
    async with cluster_server.connected(context, path) as api:
        return await registered(api, namespace)


def _table(answer: Document) -> RenderableType:
    from rich.text import Text

    from .tables_rows import rows

    if not answer["registrations"]:
        return Text("no Secret there registers a cluster")
    titles = ("CLUSTER", "SECRET", "KIND", "NETWORK", "LOCALITY", "SINCE", "STATE")
    return rows(titles, (_line(one) for one in answer["registrations"]))


def _line(one: Document) -> list[str]:
    state = one["trouble"] or (f"leaving since {one['leaving']}" if one["leaving"] else "registered")
    cells = (one[key] for key in ("cluster", "secret", "kind", "network", "locality", "created"))
    return [*(cell or "-" for cell in cells), state]
