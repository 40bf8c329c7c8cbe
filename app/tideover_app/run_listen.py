"""Taking the listeners' addresses, with errors that name the address and the key."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .config import Config
from .config_address import UNIX, split

_REASONS = {
    errno.EADDRINUSE: "it is in use by another process",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "this user may not",
}


class ListenError(Exception):
    """An address that cannot be listened on; the text names the address, the key and the reason."""


def bound(config: Config, key: str) -> socket.socket:
    """A socket bound to the address of that key. ListenError when it cannot be had."""
    address: str = getattr(config.listen, key)
    host, port = split(address)
    try:
        family, _, _, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _refused(config, key, error) from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        sock.listen(128)  # without it two sockets may be bound to one address
    except OSError as error:
        sock.close()
        raise _refused(config, key, error) from error
    return sock


def listen(config: Config, key: str, add_port: Callable[[str], int]) -> str:
    """Have a gRPC server listen on the address of that key; the address with the port it took."""
    address: str = getattr(config.listen, key)
    if address.startswith(UNIX):
        with _private_socket(config, key, Path(address.removeprefix(UNIX))):
            _add(config, key, lambda: add_port(address))
        return address
    bound(config, key).close()  # gRPC does not say why it cannot listen; this does
    port = _add(config, key, lambda: add_port(address))
    return f"{address.rpartition(':')[0]}:{port}"


def listen_privately(path: Path, add_port: Callable[[], int]) -> None:
    """Have a gRPC server listen on a Unix socket that only its owner may use, in a folder that is ours."""
    path.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        add_port()
    finally:
        os.umask(before)


def _add(config: Config, key: str, add: Callable[[], int]) -> int:
    try:
        return add()
    except OSError as error:
        raise _refused(config, key, error) from error


@contextmanager
def _private_socket(config: Config, key: str, path: Path) -> Iterator[None]:
    """Make room for a Unix socket that only its owner may use. ListenError when someone answers there."""
    probe = socket.socket(socket.AF_UNIX)
    try:
        probe.connect(str(path))
        raise _refused(config, key, OSError(errno.EADDRINUSE, "in use"))
    except (FileNotFoundError, ConnectionRefusedError):
        pass  # nobody is there; gRPC removes a socket that a dead process left
    except OSError as error:
        raise _refused(config, key, error) from error
    finally:
        probe.close()
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


def _refused(config: Config, key: str, error: OSError) -> ListenError:
    address: str = getattr(config.listen, key)
    reason = _REASONS.get(error.errno or 0) or error.strerror or str(error)
    flaw = config.flaw(f"cannot listen on {address}: {reason}", "listen", key)
    return ListenError(str(flaw))
