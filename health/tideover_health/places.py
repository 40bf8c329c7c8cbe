"""What the world has of one service port: where it is, what policies say of its health, what orders hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import is_

from tideover_core.budget import MAX_DRAINED_PERCENT
from tideover_core.holds import by_order
from tideover_core.model import Endpoint, Locality, ServiceKey, Vantage
from tideover_core.names import Target
from tideover_core.orders import Action, ActiveOrder
from tideover_core.policy import ActiveCheck, Failback, FleetHealth, Outlier
from tideover_core.resolve import resolve
from tideover_core.steering import EndpointKey, Site
from tideover_core.world import Part, Service, World

from .verdict import Subject

Address = tuple[str, int]


class Places:
    """Kept up to date by `update`; what only endpoint rows and checks need is made when they come."""

    def __init__(self, service: ServiceKey, port: int) -> None:
        self.service, self.port = service, port
        self.health, self.failback = FleetHealth(), Failback()
        self.check: ActiveCheck | None = None
        self.max_drained_percent = MAX_DRAINED_PERCENT
        self.http = True
        self.ejection_s = 0.0  # how long each Envoy keeps away from what it ejected; 0: it ejects nothing
        self.ready: Mapping[Site, int] = {}  # endpoints that could serve
        self.sites_of: Mapping[Locality, tuple[Site, ...]] = {}
        self._parts: tuple[Part, ...] = ()
        self._ends: dict[Address, tuple[Endpoint, ...]] | None = None
        self._of_site: dict[Site, list[Endpoint]] | None = None
        self._orders: tuple[ActiveOrder, ...] = ()

    def update(self, service: Service, world: World) -> None:
        """Read what has changed; cheap when the parts are those of before."""
        found = resolve(world, Target(self.service, self.port), Vantage()).settings
        self.health = found.fleet_health or FleetHealth()
        self.failback = found.failback or Failback()
        self.check = found.active_check
        outlier = found.outlier or Outlier()
        self.ejection_s = outlier.base_ejection_s if outlier.ejects else 0.0
        percent = found.max_drained_percent
        self.max_drained_percent = MAX_DRAINED_PERCENT if percent is None else percent
        port = service.port(self.port)
        self.http = port is not None and port.protocol.is_http
        if len(self._parts) == len(service.parts) and all(map(is_, self._parts, service.parts)):
            return
        self._parts, self._ends, self._of_site = service.parts, None, None
        ready: dict[Site, int] = {}
        for part in service.parts:
            for end in part.facts.endpoints.get(self.port, ()):
                site = Site(end.cluster, end.locality)
                ready[site] = ready.get(site, 0) + (1 if end.ready else 0)
        self.ready = ready
        places: dict[Locality, tuple[Site, ...]] = {}
        for site in sorted(ready):
            places[site.locality] = (*places.get(site.locality, ()), site)
        self.sites_of = places

    def hear(self, orders: tuple[ActiveOrder, ...]) -> None:
        """The orders in force."""
        self._orders = orders

    def end(self, address: Address, locality: Locality | None = None) -> Endpoint | None:
        """The endpoint of that address; networks may share addresses, then the locality decides."""
        if self._ends is None:
            ends: dict[Address, tuple[Endpoint, ...]] = {}
            for site_ends in self.ends().values():
                for end in site_ends:
                    key = (end.address, end.port)
                    ends[key] = (*ends.get(key, ()), end)
            self._ends = ends
        found = self._ends.get(address, ())
        if len(found) > 1 and locality is not None:
            found = tuple(end for end in found if end.locality == locality)
        return found[0] if len(found) == 1 else None

    def ends(self) -> Mapping[Site, Sequence[Endpoint]]:
        """All endpoints, by site."""
        if self._of_site is None:
            self._of_site = {}
            for part in self._parts:
                for end in part.facts.endpoints.get(self.port, ()):
                    self._of_site.setdefault(Site(end.cluster, end.locality), []).append(end)
        return self._of_site

    def usable(self) -> set[Site]:
        """The sites that could take traffic: something is ready there, and no order or leaving empties it."""
        leaving = {part.cluster for part in self._parts if part.leaving}
        drains = [
            one.order.target
            for one in self._orders
            if one.order.action is Action.DRAIN and one.percent_for(self.service) >= 100.0
        ]
        return {
            site
            for site, count in self.ready.items()
            if count
            and site.cluster not in leaving
            and not any(
                all(aim.holds(self.service, end) for end in self.ends().get(site, ())) for aim in drains
            )
        }

    def has(self, subject: Subject) -> bool:
        """Whether that is still there."""
        if subject.endpoint is not None:
            return self.located(subject.endpoint) == subject.site
        return subject.site in self.ready

    def located(self, key: EndpointKey) -> Site | None:
        """Where an endpoint is."""
        self.end(("", 0))
        ends = self._ends or {}
        found = (end for end in ends.get((key[1], key[2]), ()) if end.key == key)
        return next((Site(end.cluster, end.locality) for end in found), None)

    def freezer(self, subject: Subject) -> str:
        """The Freeze that holds this subject, in words, or ""."""
        for one in self._orders:
            if one.order.action is Action.FREEZE and any(
                one.order.target.holds(self.service, end)
                for end in self.ends().get(subject.site, ())
                if subject.endpoint is None or end.key == subject.endpoint
            ):
                return by_order(one)
        return ""
