"""A network namespace of the test's own: in it the pods' addresses, 10.71.0.0/16, are on this machine.

API servers refuse loopback addresses in EndpointSlices, so real backends of real clusters need others.
The thread that enters, and all that it starts, has its own loopback interface and nothing else.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.apiserver.build import required

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
ENTERED = "TIDEOVER_TESTS_OWN_NETWORK"  # the whole process is in a namespace already
SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
IFF_UP, IFF_RUNNING = 0x1, 0x40
PODS = "10.71.0.1"  # on a loopback interface all of an address's network is local
PODS_MASK = "255.255.0.0"


class NotAllowed(Exception):  # noqa: N818 (the reason, not an error of ours)
    """Why there is no namespace, in one line."""


@contextmanager
def own_network() -> Iterator[None]:
    """This thread, and processes and threads that it starts, in a new namespace; back at the end."""
    if os.environ.get(ENTERED):
        yield
        return
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _unshare(CLONE_NEWNET)
        try:
            _loopback()
            yield
        finally:
            if _libc().setns(before, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "cannot return to the network namespace before")
    finally:
        os.close(before)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _unshare(flags: int) -> None:
    if _libc().unshare(flags):
        raise NotAllowed(f"no network namespace: {os.strerror(ctypes.get_errno())}")


def _loopback() -> None:
    with socket.socket() as any_socket:
        for name, address, mask in (("lo", "127.0.0.1", "255.0.0.0"), ("lo:pods", PODS, PODS_MASK)):
            _set(any_socket, SIOCSIFADDR, name, address)
            _set(any_socket, SIOCSIFNETMASK, name, mask)
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", name.encode(), IFF_UP | IFF_RUNNING))


def _set(any_socket: socket.socket, request: int, name: str, address: str) -> None:
    packed = struct.pack("16sHH4s8x", name.encode(), socket.AF_INET, 0, socket.inet_aton(address))
    fcntl.ioctl(any_socket, request, packed)


def main(command: list[str]) -> int:
    """Run a command in a namespace of its own, as whoever we are, where the kernel lets us."""
    try:
        _enter(os.getuid(), os.getgid())
    except (NotAllowed, OSError) as reason:
        print(f"tideover tests: {reason}; {command[-1]} is {'required' if required() else 'skipped'}")
        return int(required())
    os.environ[ENTERED] = "1"
    return subprocess.call(command)


def _enter(user: int, group: int) -> None:
    _unshare(CLONE_NEWNET | (CLONE_NEWUSER if user else 0))
    said = {"setgroups": "deny", "uid_map": f"{user} {user} 1", "gid_map": f"{group} {group} 1"}
    for name, text in said.items() if user else ():
        Path(f"/proc/self/{name}").write_text(text)
    _loopback()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
