"""Talking to a running control plane, and what to say when that fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .failure import Code, Failure, wrong_use

if TYPE_CHECKING:
    import grpc

    from tideover_proto.admin.v1.admin_pb2_grpc import AdminStub

DEFAULT_SERVER = "127.0.0.1:18001"
ANSWER_WITHIN_S = 10.0
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),  # a large world is a large answer
    ("grpc.keepalive_time_ms", 10_000),  # a follower must notice a machine that is gone
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.enable_http_proxy", 0),  # a control plane is asked directly, whatever the environment says
]
Server = Annotated[
    str,
    typer.Option(
        "--server",
        envvar="TIDEOVER_SERVER",
        help="The admin address: HOST:PORT or unix:PATH. For TLS see docs/cli.md.",
    ),
]


@contextmanager
def connected(server: str) -> Iterator[AdminStub]:
    """A stub for the admin API there; what goes wrong in the block becomes a Failure."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC's own log lines would stand beside ours
    import grpc

    from tideover_proto.admin.v1.admin_pb2_grpc import AdminStub

    channel = _channel(server)
    try:
        with channel:
            yield AdminStub(_with_token(channel, server))
    except grpc.RpcError as error:
        raise failure(error, server) from None


def ask(server: str, call: Callable[[AdminStub], Callable[..., Any]], request: Any) -> Any:
    """One question, one answer."""
    with connected(server) as stub:
        return call(stub)(request, timeout=ANSWER_WITHIN_S)


def failure(error: grpc.RpcError, server: str) -> Failure:
    """The end of a command that an RPC error means."""
    import grpc

    code, details = error.code(), error.details() or ""
    if code == grpc.StatusCode.NOT_FOUND:
        return Failure(Code.NO, details)
    if code in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.PERMISSION_DENIED):
        return Failure(Code.NO, details)
    if code == grpc.StatusCode.INVALID_ARGUMENT:
        return wrong_use(details)
    if code == grpc.StatusCode.UNAVAILABLE:
        hint = "is `tideover run` up there? Name another admin address with --server or TIDEOVER_SERVER"
        return Failure(
            Code.NOT_REACHABLE, f"no control plane answers at {server} ({_cause(details)}); {hint}"
        )
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        hint = "is it overloaded or stopped?"
        return Failure(Code.NOT_REACHABLE, f"{server} gave no answer in {ANSWER_WITHIN_S:.0f} s; {hint}")
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return Failure(Code.NOT_REACHABLE, f"{server} is no admin API of Tideover, or of another version")
    return Failure(Code.NO, f"{server} refuses: {code.name} {details}")


def _cause(details: str) -> str:
    """The last part of gRPC's chain of causes, which is the one that a person needs."""
    return details.rpartition("; last error: ")[2].rpartition(": ")[2].strip() or "no connection"


def _channel(server: str) -> grpc.Channel:
    import grpc

    from tideover_app.config_address import UNIX, check_address

    path = server.removeprefix(UNIX)
    if path and server.startswith(UNIX):
        server = UNIX + os.path.abspath(path)  # from the folder one stands in, as any path that is typed
    try:
        check_address(server)
    except ValueError as error:
        raise wrong_use(f"--server: {error}") from None
    paths = [os.environ.get(f"TIDEOVER_{name}", "") for name in ("CA", "CERT", "KEY")]
    if not any(paths):
        return grpc.insecure_channel(server, options=_OPTIONS)
    ca, cert, key = (_read(path) for path in paths)
    if ca is None or (cert is None) != (key is None):
        raise wrong_use("TLS needs TIDEOVER_CA; TIDEOVER_CERT and TIDEOVER_KEY go together")
    name = os.environ.get("TIDEOVER_SERVER_NAME", "")
    options = [*_OPTIONS, ("grpc.ssl_target_name_override", name)] if name else _OPTIONS
    return grpc.secure_channel(server, grpc.ssl_channel_credentials(ca, key, cert), options=options)


def _with_token(channel: grpc.Channel, server: str) -> grpc.Channel:
    """The channel, sending the token in TIDEOVER_TOKEN_FILE with each call, when there is one."""
    token = _read(os.environ.get("TIDEOVER_TOKEN_FILE", ""))
    if token is None:
        return channel
    import grpc

    from tideover_app.config_address import is_loopback

    from .token_client import SendsToken

    if not is_loopback(server) and not os.environ.get("TIDEOVER_CA"):
        raise wrong_use(
            "TIDEOVER_TOKEN_FILE needs TIDEOVER_CA: a token must not cross the network in plain text"
        )
    return grpc.intercept_channel(channel, SendsToken(token.decode("latin-1").strip()))


def _read(path: str) -> bytes | None:
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise wrong_use(f"cannot read {path}: {error.strerror}") from None
