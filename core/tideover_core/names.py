"""Names on the wire: `namespace/service:port`, with `#subset` where there is one.

`#@hostname` is a single pod of a headless service: DNS labels and names of subsets have no `@`.
"""

from __future__ import annotations

from typing import NamedTuple

from .model import ServiceKey


class Target(NamedTuple):
    """What a CDS or EDS name says."""

    service: ServiceKey
    port: int
    subset: str = ""

    @property
    def hostname(self) -> str:
        """The pod that is meant, "" when it is not one of a headless service."""
        return self.subset[1:] if self.subset.startswith(POD) else ""


POD = "@"
_PART = "~"


def wire_name(service: ServiceKey, port: int, subset: str = "") -> str:
    """The CDS and EDS name of one service port. No dots, so that Envoy's statistics keep it whole."""
    return f"{service}:{port}#{subset}" if subset else f"{service}:{port}"


def parse_wire_name(name: str) -> Target | None:
    """The inverse of `wire_name`; None for a name that is not ours (clients may ask for anything)."""
    rest, _, subset = name.partition("#")
    service, colon, port = rest.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or len(port) > 5:
        return None
    try:
        key = ServiceKey.parse(service)
    except ValueError:
        return None
    target = Target(key, int(port), subset)
    return target if wire_name(*target) == name else None


def part_of(subzone: str, number: int) -> str:
    """The name of a part of a place, for clients that must be told parts apart; the first has its own.

    No label can have the mark.
    """
    return f"{subzone}{_PART}{number}" if number else subzone


def whole_of(subzone: str) -> str:
    """The subzone of which that is a part, or all."""
    whole, mark, number = subzone.rpartition(_PART)
    return whole if mark and number.isascii() and number.isdigit() else subzone
