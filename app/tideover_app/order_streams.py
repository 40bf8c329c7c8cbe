"""Calls and connections that are still open to what is drained, as load reports tell.

Only services that a drain is about are remembered, and of them what was reported in the last seconds. Of what
is drained and not sent any more no Envoy tells: of that the last word stands, until the order is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tideover_core.model import Locality
from tideover_core.names import parse_wire_name
from tideover_core.order_book import Name, name_of
from tideover_core.orders import Action, ActiveOrder, TrafficOrder
from tideover_core.world import Service, World
from tideover_health.signals import Report, Row, Signal

from .ordering import OpenCalls

KEPT_S = 5.0  # at least, and two of the reporter's own intervals
MOST = 10_000
_Of = tuple[str, str, Locality, tuple[str, int] | None]  # voter, wire name, place, endpoint


class OpenStreams:
    """The newest number of each reporter, by wire name, place and endpoint."""

    def __init__(self) -> None:
        self._open: dict[_Of, tuple[int, float]] = {}  # how many, until when it counts
        self._last: dict[Name, dict[_Of, int]] = {}  # of what is not sent any more
        self._drains: tuple[TrafficOrder, ...] = ()

    def about(self, orders: Iterable[ActiveOrder], world: World, now_s: float) -> None:
        """These are the orders now; what none of the drains is about is forgotten."""
        drains = [one for one in orders if one.order.action is Action.DRAIN]
        self._drains = tuple(one.order for one in drains)
        emptied = {name_of(one.order): one.order for one in drains if one.emptied}
        self._last = {
            name: self._last.get(name) or dict(self._held(order, world, now_s))
            for name, order in emptied.items()
        }
        if not self._drains:
            self._open.clear()

    def take(self, signal: Signal, now_s: float) -> None:
        """Somebody reported."""
        if not self._drains or not isinstance(signal, Report):
            return
        until_s = now_s + max(KEPT_S, 2 * signal.interval_s)
        for row in signal.rows:
            name = (signal.voter.id, row.name, row.locality, row.address)
            if row.in_progress and self._is_meant(row) and (name in self._open or len(self._open) < MOST):
                self._open[name] = (row.in_progress, until_s)
            else:
                self._open.pop(name, None)

    def of(self, order: TrafficOrder, world: World, now_s: float) -> tuple[OpenCalls, ...]:
        """What is open to what this order drains, by service port and place."""
        if order.action is not Action.DRAIN:
            return ()
        counts = {**self._last.get(name_of(order), {}), **dict(self._held(order, world, now_s))}
        found: dict[tuple[str, Locality], list[int]] = {}
        for (_, wire, locality, _), count in counts.items():
            found.setdefault((wire, locality), []).append(count)
        return tuple(
            one
            for (wire, place), counts in sorted(found.items())
            for one in _shown(world, wire, place, counts)
        )

    def _held(self, order: TrafficOrder, world: World, now_s: float) -> Iterator[tuple[_Of, int]]:
        """What is told of now."""
        self._open = {name: one for name, one in self._open.items() if one[1] > now_s}
        for name, (count, _) in self._open.items():
            _, wire, locality, address = name
            if self._holds(order, world, wire, (locality, address)):
                yield name, count

    def _is_meant(self, row: Row) -> bool:
        target = parse_wire_name(row.name)
        return target is not None and any(
            drain.target.service in (None, target.service) for drain in self._drains
        )

    def _holds(
        self, order: TrafficOrder, world: World, wire: str, at: tuple[Locality, tuple[str, int] | None]
    ) -> bool:
        target = parse_wire_name(wire)
        service = world.services.get(target.service) if target is not None else None
        if target is None or service is None:
            return False
        locality, address = at
        return any(
            order.target.holds(service.key, endpoint)
            for part in service.parts
            for endpoint in part.facts.endpoints.get(target.port, ())
            if endpoint.locality == locality and address in (None, (endpoint.address, endpoint.port))
        )


def _shown(world: World, wire: str, place: Locality, counts: Sequence[int]) -> Iterator[OpenCalls]:
    target = parse_wire_name(wire)
    service: Service | None = world.services.get(target.service) if target is not None else None
    port = service.port(target.port) if service is not None and target is not None else None
    if target is not None and port is not None:
        yield OpenCalls(target.service, target.port, port.protocol, place, sum(counts), len(counts))
