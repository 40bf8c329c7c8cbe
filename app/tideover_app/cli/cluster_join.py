"""`tideover cluster join`: access to a cluster, and the Secret that registers it in the hub."""

from __future__ import annotations

import base64
import ipaddress
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from . import cluster_server
from .cluster_hub import FIELD, NAMESPACE, HubContext, Kubeconfig, Namespace, registered
from .failure import Code, Failure, wrong_use

if TYPE_CHECKING:
    from tideover_discovery.kubernetes.client import Api

TOKEN_WITHIN_S = 30.0
LOOK_EVERY_S = 0.2
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Joining:
    """What was asked for."""

    name: str
    namespace: str
    network: str
    locality: str
    trust_domain: str = ""


def join_command(  # noqa: PLR0913, PLR0917 (a command line)
    context: Annotated[str, typer.Option("--context", help="The cluster that joins, in your kubeconfig.")],
    name: Annotated[str, typer.Option("--name", help="Its name from now on; default: the context's.")] = "",
    network: Annotated[str, typer.Option(help="The network of its pods.")] = "default",
    locality: Annotated[str, typer.Option(help="REGION/ZONE/SUBZONE, for what does not say it.")] = "",
    trust_domain: Annotated[str, typer.Option(help="Of its workloads' SPIFFE IDs.")] = "",
    server: Annotated[
        str, typer.Option("--server", help="The URL of its API server as the hub reaches it.")
    ] = "",
    hub_context: HubContext = "",
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="yaml", help="Print the Secret instead, with its token."),
    ] = "",
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = NAMESPACE,
    rotate: Annotated[bool, typer.Option("--rotate", help="Make a new token; the old one ends.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also when its name stands for another API server so far.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print all that would be made.")] = False,
) -> None:
    """Register a cluster in the hub.

    It gets an account that may do no more than it needs."""
    asked = _checked(Joining(name or context, namespace, network, locality, trust_domain))
    path = cluster_server.file_with(context, kubeconfig)
    target = _target(context, path, server)
    if output not in ("", "yaml"):
        raise wrong_use("-o takes yaml")
    if dry_run:
        _print(*_everything(asked, target))
        return
    if bool(hub_context) == bool(output):
        raise wrong_use("say where the Secret goes: --hub-context CONTEXT applies it, -o yaml prints it")
    hub = cluster_server.file_with(hub_context, kubeconfig) if hub_context else None
    import asyncio  # slow to import, and no other command needs it

    asyncio.run(_join(asked, (context, path), target, (hub_context, hub), rotate=rotate, replace=replace))


def _checked(asked: Joining) -> Joining:
    from tideover_discovery.kubernetes.objects import Refusal, is_label
    from tideover_discovery.kubernetes.registration import domain_of, is_name, locality_of

    if not is_label(asked.name):
        raise wrong_use(f"{asked.name!r} cannot be a name here; give --name with a-z, 0-9 and '-'")
    if not is_name(asked.network):
        raise wrong_use(f"--network {asked.network!r} is no name")
    try:
        locality_of(asked.locality)
    except Refusal as refusal:
        raise wrong_use(f"--locality: {refusal}") from None
    try:
        domain_of(asked.trust_domain)
    except Refusal as refusal:
        raise wrong_use(f"--trust-domain: {refusal}") from None
    return asked


def _target(context: str, path: Path, server: str) -> dict[str, str]:
    """The cluster's part of the new kubeconfig, from the operator's own."""
    chosen = cluster_server.chosen(context, path)
    said = chosen.cluster
    url = server or str(said["server"])
    if urlsplit(url).scheme != "https":
        raise wrong_use(f"server {url!r} is not https; give --server")
    if not server and _is_loopback(urlsplit(url).hostname or ""):
        raise wrong_use(
            f"{url} is this machine alone, and the hub would not find the cluster there; "
            "give --server with the URL that the hub reaches"
        )
    target = {"server": url}
    if said.get("certificate-authority-data"):
        target["certificate-authority-data"] = str(said["certificate-authority-data"])
    elif said.get("certificate-authority"):
        authority = chosen.folder / str(said["certificate-authority"])
        try:
            target["certificate-authority-data"] = base64.b64encode(authority.read_bytes()).decode()
        except OSError as error:
            raise wrong_use(f"cannot read {authority}: {error.strerror}") from None
    if said.get("tls-server-name"):
        target["tls-server-name"] = str(said["tls-server-name"])
    if said.get("proxy-url"):
        typer.echo("the hub does not use the proxy of your kubeconfig", err=True)
    return target


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _everything(asked: Joining, target: dict[str, str]) -> list[dict[str, Any]]:
    from tideover_discovery.kubernetes import member_access as made

    text = made.kubeconfig(asked.name, target, made.REDACTED)
    secret = made.registration(asked.name, asked.namespace, text, _annotations(asked))
    return [*made.grants(asked.namespace), made.token_secret(asked.namespace), made.redacted(secret)]


def _annotations(asked: Joining) -> dict[str, str]:
    from tideover_discovery.kubernetes import member_access as made

    return made.places(asked.network, asked.locality, asked.trust_domain)


def _print(*objects: dict[str, Any]) -> None:
    import yaml

    typer.echo(yaml.safe_dump_all(objects, sort_keys=False), nl=False)


async def _join(
    asked: Joining,
    member: tuple[str, Path],
    target: dict[str, str],
    hub: tuple[str, Path | None],
    *,
    rotate: bool,
    replace: bool,
) -> None:
    from tideover_discovery.kubernetes import member_access as made

    if hub[1] is not None:  # before anything is made: may it be registered at all
        async with cluster_server.connected(hub[0], hub[1]) as api:
            await _check_free(api, asked, "" if replace else target["server"])
    async with cluster_server.connected(*member) as api:
        for one in made.grants(asked.namespace):
            await _apply(api, one)
        token, authority = await _token(api, asked.namespace, rotate=rotate)
    if "certificate-authority-data" not in target:
        target["certificate-authority-data"] = base64.b64encode(authority.encode()).decode()
    text = made.kubeconfig(asked.name, target, token)
    await _try(text)
    secret = made.registration(asked.name, asked.namespace, text, _annotations(asked))
    if hub[1] is None:
        _print(secret)
        return
    async with cluster_server.connected(hub[0], hub[1]) as api:
        await _register(api, secret, asked.namespace)
        await api.send(
            "PATCH",
            made.path_of(secret),
            made.leaving(None),
            content_type="application/merge-patch+json",
            query=FIELD,
        )
    typer.echo(f"cluster {asked.name} is registered; `tideover status` shows when it is listed", err=True)


async def _check_free(api: Api, asked: Joining, server: str) -> None:
    """Whether the name is free, or stands for that server; "" for any."""
    from tideover_discovery.kubernetes.member_access import secret_name

    for one in await registered(api, asked.namespace):
        if one.cluster == asked.name and one.secret != secret_name(asked.name):
            taken = f"Secret {asked.namespace}/{one.secret} registers a cluster {asked.name} already"
            raise Failure(Code.NO, f"{taken}; give another --name")
        if one.cluster == asked.name and server and one.server not in ("", server):
            taken = f"cluster {asked.name} is registered already, at {one.server} and not at {server}"
            raise Failure(Code.NO, f"{taken}; give another --name, or --replace when it has moved")


async def _register(api: Api, secret: dict[str, Any], namespace: str) -> None:
    """Apply the Secret; its namespace too, where it is missing: the hub may run nothing of ours."""
    from tideover_discovery.kubernetes.client import ApiError
    from tideover_discovery.kubernetes.member_access import grants

    try:
        await _apply(api, secret)
    except ApiError as error:
        if error.status != 404:
            raise
        await _apply(api, grants(namespace)[0])
        await _apply(api, secret)


async def _apply(api: Api, one: dict[str, Any]) -> None:
    from tideover_discovery.kubernetes.member_access import called, path_of

    if one["kind"] == "Namespace" and await cluster_server.found(api, path_of(one)) is not None:
        return  # it is somebody's, whose pods may not be able to live with our pod security
    await api.send("PATCH", path_of(one), one, content_type=APPLY, query={**FIELD, "force": "true"})
    typer.echo(f"applied {called(one)} ({api.name})", err=True)


async def _token(api: Api, namespace: str, *, rotate: bool) -> tuple[str, str]:
    """The account's token and the cluster's authority, once the token controller has made them."""
    import asyncio

    from tideover_discovery.kubernetes import member_access as made

    secret = made.token_secret(namespace)
    path = made.path_of(secret)
    if rotate and await cluster_server.found(api, path) is not None:
        await api.send("DELETE", path)
    await _apply(api, secret)
    began_s = told_s = time.monotonic()
    while True:
        token, authority = made.token_of(await cluster_server.found(api, path) or {})
        if token:
            return token, authority
        now_s = time.monotonic()
        if now_s - began_s > TOKEN_WITHIN_S:
            why = "does kube-controller-manager run there, with its token controller?"
            raise Failure(Code.NO, f"no token came into {made.called(secret)} in {TOKEN_WITHIN_S:g} s; {why}")
        if now_s - told_s > 2:
            told_s = now_s
            typer.echo(f"waiting for the token of {made.called(secret)} ...", err=True)
        await asyncio.sleep(LOOK_EVERY_S)


async def _try(text: str) -> None:
    """Whether the new credentials work from here; the hub may reach what we do not."""
    from tideover_discovery.kubernetes.client import Api, ApiError, BadKubeconfig, KubeconfigText

    try:
        api = Api(KubeconfigText(text))
    except BadKubeconfig as error:
        raise Failure(Code.NO, f"the hub would refuse these credentials: {error}") from None
    try:
        await api.get("/api/v1/services", {"limit": "1"}, timeout_s=10)
    except ApiError as error:
        typer.echo(f"the new credentials do not work from here: {error.reason}", err=True)
    finally:
        await api.close()
