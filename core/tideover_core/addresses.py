"""Which addresses may be sent anything: decision 0009, for those who serve them and those who probe them."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_IPV4 = re.compile(r"(?:{0}\.){{3}}{0}\Z".format(r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"), re.ASCII)
_ODD_IPV4 = ("0.", "127.", "169.254.", "100.100.100.", "192.0.0.", "168.63.", "22", "23", "24", "25")
# Where clouds answer their machines with credentials, as far as it is not link-local anyway
_METADATA = frozenset({"fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"})
_NAT64 = IPv6Network("64:ff9b::/96")


def usable_address(address: str, *, allow_loopback: bool) -> str:
    """The address in its canonical form. ValueError for nonsense, and for what must not be sent traffic:

    loopback (where Envoys and replicas of ours listen: a cluster may not steer others to their own local
    ports), 0.0.0.0/8, link-local, multicast, and where clouds hand out credentials.
    """
    if _IPV4.match(address) and not address.startswith(_ODD_IPV4):
        return address
    try:
        parsed = ip_address(address)
    except ValueError:
        raise ValueError(f"{address[:80]!a} is no IP address") from None
    if "%" in address:
        raise ValueError(f"{address!r} names an interface, which means nothing elsewhere")
    inner = _inner(parsed)
    if inner.is_loopback:
        if not allow_loopback:
            raise ValueError(f"{address} is a loopback address")
    elif inner.is_link_local:
        raise ValueError(f"{address} is a link-local address")
    elif inner.is_multicast or str(inner).startswith("0.") or str(inner) in ("::", "255.255.255.255"):
        raise ValueError(f"{address} is no address of one host")
    elif str(inner) in _METADATA:
        raise ValueError(f"{address} is where a cloud hands out credentials")
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one leads to, where it is made of one."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address
