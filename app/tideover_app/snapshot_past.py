"""The recent past of a cluster's service ports, in the shape that the state folder keeps.

JSON has no keys but strings, so mappings become pairs. Times are Unix time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from tideover_core.model import Endpoint, Locality, ServiceKey
from tideover_core.past import Past
from tideover_core.presence import History


class KeptPast(msgspec.Struct, omit_defaults=True):
    """`Past` of one service port."""

    service: ServiceKey
    port: int
    ready: list[tuple[Locality, int]] = []
    peaks: list[tuple[Locality, tuple[tuple[float, int], ...]]] = []
    terminating: list[Locality] = []
    vanished: tuple[tuple[float, Endpoint], ...] = ()
    starting: list[tuple[str, int, float]] = []


def kept(history: History, cluster: str) -> Iterator[KeptPast]:
    """What is to be kept of one cluster."""
    for (owner, service), ports in history.pasts.items():
        if owner != cluster:
            continue
        for port, past in ports.items():
            yield KeptPast(
                service,
                port,
                list(past.ready.items()),
                list(past.peaks.items()),
                sorted(past.terminating),
                past.vanished,
                [(address, number, end) for (address, number), end in past.starting.items()],
            )


def remembered(clusters: Iterable[tuple[str, Iterable[KeptPast]]]) -> History:
    """The history that was kept; `presence.expire` drops what no longer counts."""
    pasts: dict[tuple[str, ServiceKey], dict[int, Past]] = {}
    for cluster, ports in clusters:
        for one in ports:
            pasts.setdefault((cluster, one.service), {})[one.port] = Past(
                dict(one.ready),
                dict(one.peaks),
                frozenset(one.terminating),
                one.vanished,
                {(address, number): end for address, number, end in one.starting},
            )
    presences = {
        owner: {port: past.presence() for port, past in ports.items()} for owner, ports in pasts.items()
    }
    return History(pasts, presences)
