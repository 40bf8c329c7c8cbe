"""Addresses of listeners: `HOST:PORT`, `[IPV6]:PORT` or `unix:/PATH`."""

from __future__ import annotations

import ipaddress

UNIX = "unix:"


def split(address: str) -> tuple[str, int]:
    """Host (without brackets) and port. ValueError when it is no such address."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{address!r} is no address; write HOST:PORT, with a port up to 65535")
    if not host:
        raise ValueError(f"{address!r} has no host; write 0.0.0.0:{port} for every interface")
    if host.startswith("[") and host.endswith("]"):
        return str(ipaddress.IPv6Address(host[1:-1])), int(port)
    if ":" in host or "/" in host or " " in host:
        raise ValueError(f"{address!r} is no address; write HOST:PORT, and IPv6 hosts in brackets")
    return host, int(port)


def check_address(value: object) -> str:
    """The address, unchanged. ValueError when it is none."""
    if not isinstance(value, str) or not value.startswith(UNIX):
        return check_tcp_address(value)
    if not value.removeprefix(UNIX).startswith("/"):
        raise ValueError(f"{value!r} needs an absolute path: unix:/run/tideover.sock")
    return value


def check_tcp_address(value: object) -> str:
    """The address, unchanged. ValueError when it is none, or a Unix socket."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no address; write HOST:PORT")  # noqa: TRY004 - pydantic takes ValueErrors
    split(value)
    return value


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach the address. A host name other than localhost counts as outside."""
    if address.startswith(UNIX):
        return True
    host, _ = split(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
