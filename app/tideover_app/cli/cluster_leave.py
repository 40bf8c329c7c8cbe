"""`tideover cluster leave`: a cluster is emptied first, and only then taken away."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import cluster_server
from .cluster_hub import FIELD, NAMESPACE, HubContext, Kubeconfig, Namespace, Registration, registered
from .connection import ask
from .failure import Code, Failure, wrong_use

if TYPE_CHECKING:
    from tideover_discovery.kubernetes.client import Api

MARGIN_S = 5.0  # until every replica has seen it
MERGE = "application/merge-patch+json"


def leave_command(  # noqa: PLR0913, PLR0917 (a command line)
    name: Annotated[str, typer.Argument(metavar="NAME", help="The cluster, as `cluster list` prints it.")],
    hub_context: HubContext = "",
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = NAMESPACE,
    drain_s: Annotated[
        float | None,
        typer.Option("--drain-seconds", min=0, help="How long it may empty itself; default: 35."),
    ] = None,
    server: Annotated[
        str, typer.Option("--server", help="An admin address: wait until that replica has drained it.")
    ] = "",
    undo: Annotated[bool, typer.Option("--undo", help="It stays after all.")] = False,
    secret_gone: Annotated[
        bool, typer.Option("--secret-gone", help="Its Secret was deleted by hand; it leaves all the same.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --server: also when services live only there.")
    ] = False,
    clean_context: Annotated[
        str, typer.Option("--clean-context", help="The cluster: delete there what join made, too.")
    ] = "",
) -> None:
    """Drain a cluster, then end its registration.

    No client loses its last choice while it drains; what lives only there is lost with it."""
    import asyncio  # slow to import, and no other command needs it

    from tideover_core.leaving import DRAIN_S

    if not hub_context:
        raise wrong_use("give --hub-context: the hub keeps the registrations")
    hub = cluster_server.file_with(hub_context, kubeconfig)
    member = cluster_server.file_with(clean_context, kubeconfig) if clean_context else None
    if server and not force and not undo:
        _check_elsewhere(server, name)
    leaving = _Leaving(name, namespace, DRAIN_S + MARGIN_S if drain_s is None else drain_s, server)
    asyncio.run(leaving.run(hub_context, hub, undo=undo, secret_gone=secret_gone))
    if member is not None and not undo:
        asyncio.run(_clean(clean_context, member, namespace))


class _Leaving:
    def __init__(self, name: str, namespace: str, drain_s: float, server: str) -> None:
        self._name, self._namespace, self._drain_s, self._server = name, namespace, drain_s, server

    async def run(self, context: str, path: Path, *, undo: bool, secret_gone: bool) -> None:
        async with cluster_server.connected(context, path) as api:
            one = await self._find(api, secret_gone=secret_gone)
            where = f"/api/v1/namespaces/{self._namespace}/secrets/{one.secret}"
            if undo:
                await self._mark(api, where, None)
                typer.echo(f"cluster {self._name} stays", err=True)
                return
            if not one.leaving:
                await self._mark(api, where, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
            await self._wait()
            only = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": one.uid}}
            await api.send("DELETE", where, only)
        typer.echo(f"cluster {self._name} has left", err=True)

    async def _find(self, api: Api, *, secret_gone: bool) -> Registration:
        known = await registered(api, self._namespace)
        mine = [one for one in known if one.cluster == self._name]
        if not mine and secret_gone:
            await self._stand_in(api)
            mine = [one for one in await registered(api, self._namespace) if one.cluster == self._name]
        if not mine:
            names = ", ".join(sorted({one.cluster for one in known if one.cluster})) or "none"
            gone = "; if its Secret was deleted by hand, add --secret-gone"
            raise Failure(Code.NO, f"no Secret registers cluster {self._name}; registered: {names}{gone}")
        if mine[0].kind == "istio":
            raise Failure(
                Code.NO,
                f"Istio's Secret {self._namespace}/{mine[0].secret} registers {self._name}: delete it "
                "with istioctl, which takes nothing away here, then run this with --secret-gone",
            )
        return mine[0]

    async def _stand_in(self, api: Api) -> None:
        """A Secret without credentials, so that there is something to mark."""
        from tideover_discovery.kubernetes.member_access import path_of, registration

        secret = registration(self._name, self._namespace, "", {})
        await api.send("POST", path_of(secret).rpartition("/")[0], secret, query=FIELD)

    async def _mark(self, api: Api, where: str, since: str | None) -> None:
        from tideover_discovery.kubernetes.member_access import leaving

        await api.send("PATCH", where, leaving(since), content_type=MERGE, query=FIELD)

    async def _wait(self) -> None:
        """Until it is drained: as a replica says it, or for as long as that takes."""
        import asyncio

        began_s = time.monotonic()
        told = ""
        while True:
            passed_s = time.monotonic() - began_s
            if self._server:
                stage = await asyncio.to_thread(_stage, self._server, self._name)
                over = stage == "drained"
                if passed_s > 4 * self._drain_s and not over:
                    raise Failure(
                        Code.NO,
                        f"after {passed_s:.0f} s {self._server} says {stage or 'nothing'} of cluster "
                        f"{self._name}; it stays, marked as leaving. Run this again, or with --undo",
                    )
                said = f"cluster {self._name}: {stage or 'not seen yet'}"
            else:
                over = passed_s >= self._drain_s
                left = max(0, 5 * -(-int(self._drain_s - passed_s) // 5))
                said = f"cluster {self._name}: draining, about {left} s to go"
            if said != told:
                typer.echo(said, err=True)
                told = said
            if over:
                return
            await asyncio.sleep(min(0.5, max(0.05, self._drain_s - passed_s)))


def _check_elsewhere(server: str, name: str) -> None:
    """Whether every service of the cluster lives in another one, too."""
    from tideover_proto.admin.v1 import admin_pb2 as pb

    listed: Any = ask(server, lambda stub: stub.ListServices, pb.ListServicesRequest())
    only = sorted(str(one.service) for one in listed.services if list(one.clusters) == [name])
    if only:
        some = ", ".join(only[:5]) + (f" and {len(only) - 5} more" if len(only) > 5 else "")
        raise Failure(
            Code.NO,
            f"{len(only)} services live only in cluster {name}, and would be gone: {some}; see --force",
        )


def _stage(server: str, name: str) -> str:
    """How far a replica is: "draining", "drained", or "" when it has not seen it."""
    from tideover_proto.admin.v1 import admin_pb2 as pb

    status: Any = ask(server, lambda stub: stub.GetStatus, pb.GetStatusRequest())
    for problem in status.problems:
        if problem.object == f"Cluster {name}" and problem.message.startswith("is leaving: "):
            return str(problem.message).removeprefix("is leaving: ")
    return ""


async def _clean(context: str, path: Path, namespace: str) -> None:
    """Delete what join made there; the namespace stays, others may live in it."""
    from tideover_discovery.kubernetes import member_access as made

    async with cluster_server.connected(context, path) as api:
        for one in (made.token_secret(namespace), *reversed(made.grants(namespace))):
            if one["kind"] == "Namespace" or await cluster_server.found(api, made.path_of(one)) is None:
                continue
            await api.send("DELETE", made.path_of(one))
            typer.echo(f"deleted {made.called(one)} ({context})", err=True)
