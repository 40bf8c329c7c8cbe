"""What holds endpoints back from one vantage: verdicts, drains, clusters that leave. With its causes.

Facts say who is healthy; this says how much of its traffic each of them is admitted. Of several the
smallest counts, and all are named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .assignment import Health, LeftOut, Placed
from .leaving import Leaving
from .model import Endpoint, Locality, ServiceKey, Vantage
from .orders import Action, ActiveOrder
from .steering import Admission, EndpointKey, PortSteering, Site
from .world import Service, World

WHOLE = 100.0
UNSTEERED = PortSteering()


@dataclass(frozen=True, slots=True)
class Hold:
    """Percent of its traffic that verdicts (`judged`) and orders (`ordered`) admit to an endpoint, and why.

    `emptied`: whom orders leave nothing need not be sent any more. `forced`: not even to those who have
    nothing else.
    """

    judged: float = WHOLE
    ordered: float = WHOLE
    emptied: bool = False
    forced: bool = False
    judgements: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()

    @property
    def admitted(self) -> float:
        """What both of them admit."""
        return min(self.judged, self.ordered)

    def with_admission(self, admission: Admission | None) -> Hold:
        """With one more verdict."""
        percent = percent_of(admission.percent) if admission is not None else WHOLE
        if admission is None or percent >= WHOLE:
            return self
        return replace(
            self, judged=min(self.judged, percent), judgements=_one_more(self.judgements, admission.cause)
        )

    def with_drain(self, percent: float, why: str, *, emptied: bool, forced: bool) -> Hold:
        """With one more order that takes `percent` away."""
        left = WHOLE - percent_of(percent)
        if left >= WHOLE:
            return self
        return replace(
            self,
            ordered=min(self.ordered, left),
            emptied=self.emptied or (emptied and left <= 0),
            forced=self.forced or (forced and left <= 0),
            orders=_one_more(self.orders, why),
        )


FREE = Hold()
Holds = Mapping[EndpointKey, Hold]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is sent, with what was decided, and what is not."""

    sent: Sequence[Placed]
    left_out: Sequence[LeftOut]


def percent_of(said: float) -> float:
    """A percentage in tenths, so that few differ; what is no number counts as all."""
    if not said < WHOLE:
        return WHOLE
    return max(0.1, min(99.9, round(said, 1))) if said > 0 else 0.0


def by_order(active: ActiveOrder) -> str:
    """An order and its reason in words."""
    order = active.order
    verb = {Action.DRAIN: "drains", Action.SHIFT: "shifts", Action.FREEZE: "freezes"}[order.action]
    amount = "" if order.action is Action.FREEZE else f" {active.percent:g} %"
    return f"{order} {verb} {order.target}{amount}" + (f" ({order.reason})" if order.reason else "")


@dataclass(frozen=True, slots=True)
class Holding:
    """All that may hold endpoints of one service port back from one vantage."""

    service: ServiceKey
    steering: PortSteering
    drains: Sequence[ActiveOrder]
    leaving: Mapping[str, Leaving]

    def holds(self, placed: Iterable[Placed], vantage: Vantage) -> Holds:
        """Who is held back, and how; the others are absent."""
        home = Locality(vantage.locality.region, vantage.locality.zone)
        sites: dict[Site, Hold] = {}
        single = [drain for drain in self.drains if not of_places(drain)]
        by_place = not single and not self.steering.endpoints
        found: dict[EndpointKey, Hold] = {}
        last, locality, cluster = FREE, None, ""
        for one in placed:
            endpoint = one.endpoint
            if endpoint.locality is not locality or endpoint.cluster != cluster:
                locality, cluster = endpoint.locality, endpoint.cluster
                site = Site(cluster, locality)
                if site not in sites:
                    sites[site] = self._site(site, endpoint, home)
                last = sites[site]
            hold = last
            if not by_place:
                hold = hold.with_admission(self.steering.endpoints.get(endpoint.key))
                hold = self._drained(hold, single, endpoint)
            if hold is not FREE:
                found[endpoint.key] = hold
        return found

    def _site(self, site: Site, endpoint: Endpoint, home: Locality) -> Hold:
        hold = FREE.with_admission(self.steering.sites.get(site))
        hold = hold.with_admission(self.steering.pairs.get((home, site)))
        stage = self.leaving.get(site.cluster, Leaving.NO)
        if stage:
            why = f"cluster {site.cluster} is leaving"
            hold = hold.with_drain(WHOLE, why, emptied=stage is Leaving.DRAINED, forced=False)
        return self._drained(hold, [drain for drain in self.drains if of_places(drain)], endpoint)

    def _drained(self, hold: Hold, drains: Iterable[ActiveOrder], endpoint: Endpoint) -> Hold:
        for drain in drains:
            if drain.order.target.holds(self.service, endpoint):
                forced = drain.order.force_empty
                hold = hold.with_drain(drain.percent, by_order(drain), emptied=drain.emptied, forced=forced)
        return hold


def holding(world: World, service: Service, port: int) -> Holding:
    """All that may hold endpoints of this port back in that world."""
    drains = [one for one in of_service(world.orders, service.key) if one.order.action is Action.DRAIN]
    leaving = {part.cluster: part.leaving for part in service.parts if part.leaving}
    return Holding(service.key, service.steering.get(port, UNSTEERED), drains, leaving)


def of_service(orders: Iterable[ActiveOrder], service: ServiceKey) -> list[ActiveOrder]:
    """Those that may be about it, as they are in force for it."""
    found = [one for one in orders if one.order.target.service in (None, service)]
    if not any(one.apart for one in found):
        return found
    own = [replace(one, percent=one.percent_for(service), apart=()) for one in found]
    return [one for one in own if one.percent > 0]


def of_places(active: ActiveOrder) -> bool:
    """Whether an order holds all or nothing of what a cluster has in a locality."""
    aim = active.order.target
    return aim.network is None and aim.address is None and aim.port is None


def seen(placed: Sequence[Placed], holds: Holds, at_percent: float) -> Seen:
    """What the part of the traffic is sent that sees whoever is admitted more than `at_percent`.

    Verdicts make unhealthy. Drains make DRAINING, which leaves Envoy's denominator, so that what is drained
    moves no traffic of its neighbours; an UNHEALTHY one would count as lost, and Envoy keeps counting one
    that turns from UNHEALTHY to DRAINING in place: so what is not healthy is left out at once.
    Nobody is left without anything healthy, but by facts and by orders that are forced: verdicts are
    ignored first, then drains.
    """
    if not holds:
        return Seen(placed, ())
    judging, ordering = _in_force(placed, holds, at_percent)
    sent: list[Placed] = []
    left_out: list[LeftOut] = []
    for one in placed:
        hold = holds.get(one.endpoint.key)
        if hold is None:
            sent.append(one)
            continue
        ill = hold.judged <= at_percent and judging
        if hold.ordered <= at_percent and (ordering or hold.forced):
            why = "; ".join(hold.orders)
            if hold.emptied or one.health is Health.UNHEALTHY or ill:
                left_out.append(LeftOut(one.endpoint, f"drained: {why}"))
            else:
                cause = f"draining: {why}, so it gets no new calls"
                sent.append(replace(one, health=Health.DRAINING, causes=(cause, *one.causes)))
        elif ill and one.health is Health.HEALTHY:
            sent.append(replace(one, health=Health.UNHEALTHY, causes=(*hold.judgements, *one.causes)))
        else:
            causes = (*_words(hold, at_percent, one.health), *one.causes)
            sent.append(replace(one, causes=causes, on_trial=0 < hold.judged < WHOLE))
    return Seen(sent, left_out)


def _in_force(placed: Sequence[Placed], holds: Holds, at_percent: float) -> tuple[bool, bool]:
    """(whether verdicts count, whether drains that are not forced do): the first way that leaves anyone."""
    healthy = [holds.get(one.endpoint.key, FREE) for one in placed if one.health is Health.HEALTHY]
    for judging, ordering in ((True, True), (False, True), (True, False), (False, False)):
        if any(
            (hold.judged > at_percent or not judging)
            and (hold.ordered > at_percent or not (ordering or hold.forced))
            for hold in healthy
        ):
            return judging, ordering
    return True, False  # facts, or forced orders, leave nobody


def _words(hold: Hold, at_percent: float, health: Health) -> Iterator[str]:
    """Why an endpoint that is held back is sent as it is."""
    for percent, causes in ((hold.ordered, hold.orders), (hold.judged, hold.judgements)):
        for cause in causes:
            if percent > at_percent:
                yield f"admitted {percent:g} %: {cause}"
            else:
                yield f"{cause}, but nothing else is healthy" if health is Health.HEALTHY else cause


def _one_more(causes: tuple[str, ...], cause: str) -> tuple[str, ...]:
    return causes if cause in causes else (*causes, cause)
