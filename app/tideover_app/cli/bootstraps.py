"""`tideover bootstrap envoy|grpc`: a bootstrap on stdout."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from tideover_app.bootstrap import (
    Bootstrap,
    Json,
    Server,
    Tls,
    colliding,
    port_number,
    server_groups,
    tcp_port,
)
from tideover_app.bootstrap_envoy import EnvoyOptions, envoy, secrets
from tideover_app.bootstrap_grpc import grpc
from tideover_core.model import Locality

from .failure import Code, Failure, wrong_use

A = TypeVar("A")
T = TypeVar("T")
CALL_CREDENTIALS = "GRPC_EXPERIMENTAL_XDS_BOOTSTRAP_CALL_CREDS"
commands = typer.Typer(help="Print a bootstrap for a client.", no_args_is_help=True)

Cluster = Annotated[str, typer.Option("--cluster", help="The cluster that the client runs in.")]
Network = Annotated[str, typer.Option("--network", help="Its network; default: its cluster's.")]
Namespace = Annotated[str, typer.Option("--namespace", help="Its namespace.")]
Place = Annotated[str, typer.Option("--locality", help="region/zone/subzone; default: its cluster's.")]
NodeId = Annotated[str, typer.Option("--node-id", help="Its name; default: made from the host name.")]
NodeName = Annotated[str, typer.Option("--node-name", help="The Kubernetes node it runs on.")]
LabelList = Annotated[list[str] | None, typer.Option("--label", metavar="K=V", help="Of its pod; repeat.")]
ServerList = Annotated[
    list[str] | None,
    typer.Option("--server", metavar="HOST:PORT", help="Nearest first; repeat. A comma joins equally near."),
]
Ca = Annotated[Path | None, typer.Option("--ca", help="TLS: who signs the control plane's certificates.")]
Cert = Annotated[Path | None, typer.Option("--cert", help="TLS: the client's certificate.")]
Key = Annotated[Path | None, typer.Option("--key", help="TLS: its private key.")]
ServerName = Annotated[
    str, typer.Option("--server-name", help="TLS: a name in the servers' certificates; default: their hosts.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", help="A service account token for the audience tideover; read anew."),
]


@commands.command("envoy")
def envoy_command(  # noqa: PLR0913, PLR0917 (one parameter per option is how typer reads them)
    cluster: Cluster = "",
    network: Network = "",
    namespace: Namespace = "",
    locality: Place = "",
    node_id: NodeId = "",
    node_name: NodeName = "",
    label: LabelList = None,
    server: ServerList = None,
    http_port: Annotated[int, typer.Option(help="Local port for outbound HTTP calls.")] = 15001,
    tcp_ports: Annotated[
        list[str] | None, typer.Option("--tcp-port", metavar="NS/SERVICE:PORT=LOCAL", help="Repeat.")
    ] = None,
    admin_port: Annotated[int, typer.Option(help="Envoy's admin page on 127.0.0.1; 0: a free port.")] = 15000,
    sotw: Annotated[bool, typer.Option("--sotw", help="State of the world instead of delta.")] = False,
    hds: Annotated[bool, typer.Option("--hds", help="Offer to check endpoints for the fleet.")] = False,
    metrics_every: Annotated[
        str,
        typer.Option(metavar="TIME", help="Tell of ejections and slow answers; keeps no other statistics."),
    ] = "",
    keepalive_interval: Annotated[str, typer.Option(help="Ping the control plane this often.")] = "5s",
    keepalive_timeout: Annotated[str, typer.Option(help="No answer for this long: the next one.")] = "3s",
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    server_name: ServerName = "",
    token_file: TokenFile = None,
    secrets_folder: Annotated[
        Path, typer.Option(help="TLS: where the files that Envoy reloads certificates by are written.")
    ] = Path("tideover-secrets"),
) -> None:
    """Print a bootstrap for Envoy, in JSON."""
    wanted = Bootstrap(
        node_id=node_id or f"envoy-{socket.gethostname()}-{http_port}",
        servers=_read(server_groups, tuple(server or ["127.0.0.1:18000"])),
        cluster=cluster,
        network=network,
        namespace=namespace,
        node_name=node_name,
        locality=_read(Locality.parse, locality),
        labels=_labels(label or ()),
        http_port=_read(lambda n: port_number(str(n), "--http-port"), http_port),
        tcp_ports=_unique(_read(tcp_port, text) for text in tcp_ports or ()),
    )
    wanted = _with_token(_secured(wanted, ca, cert, key, server_name), token_file)
    if admin_port:
        _read(lambda n: port_number(str(n), "--admin-port"), admin_port)
    if collision := colliding(wanted, admin_port):
        raise wrong_use(collision)
    options = EnvoyOptions(
        admin_port, sotw, _duration("--keepalive-interval", keepalive_interval),
        _duration("--keepalive-timeout", keepalive_timeout), str(secrets_folder.absolute()), hds,
        _duration("--metrics-every", metrics_every) if metrics_every else "",
    )  # fmt: skip
    if wanted.tls is not None:
        _write_secrets(secrets_folder.absolute(), wanted.tls)
    if any(not one.is_address for group in wanted.servers for one in group):
        _say("host names are resolved by DNS: a changed record does not move an open stream")
    _remark_unplaced(wanted)
    _print(envoy(wanted, options))


@commands.command("grpc")
def grpc_command(  # noqa: PLR0913, PLR0917 (one parameter per option is how typer reads them)
    cluster: Cluster = "",
    network: Network = "",
    namespace: Namespace = "",
    locality: Place = "",
    node_id: NodeId = "",
    node_name: NodeName = "",
    label: LabelList = None,
    server: ServerList = None,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    token_file: TokenFile = None,
) -> None:
    """Print a bootstrap for proxyless gRPC clients (GRPC_XDS_BOOTSTRAP)."""
    wanted = Bootstrap(
        node_id=node_id or f"grpc-{socket.gethostname()}",
        servers=_read(server_groups, tuple(server or ["127.0.0.1:18000"])),
        cluster=cluster,
        network=network,
        namespace=namespace,
        node_name=node_name,
        locality=_read(Locality.parse, locality),
        labels=_labels(label or ()),
    )
    wanted = _with_token(_secured(wanted, ca, cert, key, ""), token_file)
    if wanted.token_file:
        if wanted.tls is None:
            raise wrong_use("--token-file needs --ca: gRPC sends no token without TLS")
        _say(f"set {CALL_CREDENTIALS}=true for the client, or gRPC sends no token")
    made = _read(grpc, wanted)
    _remark_unplaced(wanted)
    _print(made)


def add_to(program: typer.Typer) -> None:
    """Make `bootstrap` a command of `program`."""
    program.add_typer(commands, name="bootstrap")


def _remark_unplaced(wanted: Bootstrap) -> None:
    if not wanted.cluster:
        _say("without --cluster the control plane does not know where this client stands")


def _read(parse: Callable[[A], T], given: A) -> T:
    try:
        return parse(given)
    except ValueError as error:
        raise wrong_use(str(error)) from None


def _labels(texts: Iterable[str]) -> dict[str, str]:
    labels = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise wrong_use(f"label {text!r} is not KEY=VALUE")
        labels[name] = value
    return labels


def _unique(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    ports: dict[str, int] = {}
    for name, port in pairs:
        if name in ports:
            raise wrong_use(f"--tcp-port names {name} twice")
        ports[name] = port
    return ports


def _duration(option: str, text: str) -> str:
    """In Envoy's words: seconds, whatever the unit was."""
    from tideover_discovery.durations import seconds

    try:
        found_s = seconds(text)
    except ValueError as error:
        raise wrong_use(f"{option}: {error}") from None
    if not found_s:
        raise wrong_use(f"{option}: {text!r} is no duration above zero")
    return f"{found_s:.9f}".rstrip("0").rstrip(".") + "s"


def _secured(
    wanted: Bootstrap, ca: Path | None, cert: Path | None, key: Path | None, server_name: str
) -> Bootstrap:
    """The bootstrap with TLS, when a CA was given; paths become absolute, as clients run elsewhere."""
    if ca is None:
        if cert is not None or key is not None or server_name:
            raise wrong_use("--cert, --key and --server-name need --ca: without it nothing is encrypted")
        return wanted
    if (cert is None) != (key is None):
        raise wrong_use("--cert and --key go together")
    names = (server_name,) if server_name else tuple(one.host for group in wanted.servers for one in group)
    tls = Tls(_absolute(ca), _absolute(cert), _absolute(key), tuple(dict.fromkeys(names)))
    return replace(wanted, tls=tls)


def _with_token(wanted: Bootstrap, token_file: Path | None) -> Bootstrap:
    """The bootstrap of a client that sends a token; in plain text never past its own machine."""
    if token_file is None:
        return wanted
    path = _absolute(token_file)
    if any(one in path for one in "():%"):
        raise wrong_use(f"--token-file: Envoy cannot name {path}; use a path without ( ) : %")
    if wanted.tls is None and not all(_is_here(one) for group in wanted.servers for one in group):
        raise wrong_use("--token-file needs --ca: a token must not cross the network unencrypted")
    return replace(wanted, token_file=path)


def _is_here(server: Server) -> bool:
    return server.is_address and ip_address(server.host).is_loopback


def _absolute(path: Path | None) -> str:
    return str(path.absolute()) if path else ""


def _write_secrets(folder: Path, tls: Tls) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in secrets(tls).items():
            (folder / name).write_text(json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise Failure(Code.NO, f"cannot write {folder} ({error.strerror}); see --secrets-folder") from None
    _say(f"wrote {', '.join(str(folder / name) for name in secrets(tls))}, which Envoy reads")


def _say(text: str) -> None:
    typer.echo(f"tideover: {text}", err=True)


def _print(bootstrap: Json) -> None:
    typer.echo(json.dumps(bootstrap, indent=2))
