"""Which orders are refused, and why; which of several about the same endpoints wins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from .alike import like, unknown
from .dry_run import Bereft
from .model import Vantage
from .names import Target
from .order_book import strictness
from .orders import Action, ActiveOrder, TrafficOrder
from .policy import Failback
from .resolve import resolve
from .simulate import Held, held
from .target import Aim
from .world import World

_MOST_NAMED = 5
LONGEST_S = 90 * 24 * 3600.0  # an order that is meant for ever is a policy


def refusal(order: TrafficOrder, world: World, now_s: float) -> str:
    """Why an order can not be taken, "" when it can."""
    if order.expires_at_s is not None and order.expires_at_s <= now_s:
        ended = datetime.fromtimestamp(max(0.0, order.expires_at_s), UTC)  # the same words at each look
        return f"it expired at {ended:%Y-%m-%dT%H:%M:%SZ}, before it came"
    about = order.target.service
    if order.namespace != world.root_namespace and (about is None or about.namespace != order.namespace):
        return f"outside of {world.root_namespace} an order is about a service of its own namespace"
    for aim in (order.target, order.to):
        if aim is not None and (missing := unknown(world, aim)):
            return missing
    if not held(world, order.target):
        return f"{order.target} holds no endpoint{_near_addresses(world, order.target)}"
    if order.action is Action.SHIFT and order.to is not None:
        if not held(world, replace(order.to, service=order.target.service)):
            return f"{order.to} has no endpoint of what {order.target} means"
        if _within(order.to, order.target) and not _narrower(order.to, order.target):
            return f"{order.target} and {order.to} are the same place"
    return ""


def emptying(bereft: Sequence[Bereft]) -> str:
    """Why an order that leaves these without anything healthy is too dangerous; "" when there are none."""
    if not bereft:
        return ""
    services = list(dict.fromkeys(f"{one.service}:{one.port}" for one in bereft))
    more = f" and {len(services) - _MOST_NAMED} more" if len(services) > _MOST_NAMED else ""
    some = ", ".join(services[:_MOST_NAMED])
    ports = "service port" if len(services) == 1 else "service ports"
    return f"{len(services)} {ports} would have no healthy place for some clients: {some}{more}"


def slowest(world: World, order: TrafficOrder) -> Failback:
    """The fail-back that takes longest, of all services that an order is about."""
    said = (
        resolve(world, Target(key, port.number), Vantage(namespace=key.namespace)).settings.failback
        for key, service in world.services.items()
        if order.target.service in (None, key)
        for port in service.ports
    )
    return max((one or Failback() for one in said), key=_length_s, default=Failback())


def _length_s(failback: Failback) -> float:
    return failback.step_every_s * len(failback.steps)


def _near_addresses(world: World, aim: Aim) -> str:
    """Other ports of that address, or addresses that are spelt like it."""
    if aim.address is None:
        return ""
    known = {
        f"{endpoint.address}:{endpoint.port}"
        for service in world.services.values()
        for part in service.parts
        for ends in part.facts.endpoints.values()
        for endpoint in ends
    }
    ports = sorted(one for one in known if one.rpartition(":")[0] == aim.address)
    if ports:
        return f"; {aim.address} has {', '.join(ports[:3])}"
    return like(f"{aim.address}:{aim.port}", known)


def overlaps(active: Iterable[ActiveOrder], world: World) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """For each order, by namespace and name, what it meets among the others, and who wins there."""
    ordered = sorted(active, key=strictness)
    if len(ordered) < 2:
        return {(one.order.namespace, one.order.name): () for one in ordered}
    counts = Held(world)
    found: dict[tuple[str, str], list[str]] = {(one.order.namespace, one.order.name): [] for one in ordered}
    for n, winner in enumerate(ordered):
        for loser in ordered[n + 1 :]:
            count = _common(counts, winner.order.target, loser.order.target)
            to = loser.order.to if winner.order.action is Action.DRAIN else None
            into = _common(counts, winner.order.target, to) if to is not None else 0
            for one, other in ((winner, loser), (loser, winner)):
                name = (one.order.namespace, one.order.name)
                if count:
                    said = f"{other.order.name} is about {count} of the same endpoints; {_who(winner, loser)}"
                    found[name].append(said)
                if into:
                    found[name].append(
                        f"{loser.order.name} sends to what {winner.order.name} drains, which wins"
                    )
    return {name: tuple(said) for name, said in found.items()}


def _common(counts: Held, one: Aim, other: Aim) -> int:
    both = _both(one, other)
    return counts.count(both) if both is not None else 0


def _who(winner: ActiveOrder, loser: ActiveOrder) -> str:
    if loser.order.action is Action.FREEZE and winner.order.action is Action.DRAIN:
        return "both apply: a freeze holds back judgements and shifts, not drains"
    if winner.order.action is loser.order.action and winner.percent == loser.percent:
        return "they ask for the same"
    return f"{winner.order.name} wins"


def _both(one: Aim, other: Aim) -> Aim | None:
    """What is in both; None: nothing can be."""
    merged: dict[str, object] = {}
    for name, said in _parts(one):
        merged[name] = said
    for name, said in _parts(other):
        if merged.setdefault(name, said) != said:
            return None
    return Aim(**merged)  # type: ignore[arg-type]


def _within(inner: Aim, outer: Aim) -> bool:
    """Whether all that `inner` says `outer` says too, service aside."""
    said = dict(_parts(outer))
    return all(said.get(name) == value for name, value in _parts(inner))


def _narrower(to: Aim, target: Aim) -> bool:
    """Whether the target says more than where it goes: a zone shifted to its own cluster."""
    return len(dict(_parts(replace(target, service=None, service_cluster=None)))) > len(dict(_parts(to)))


def _parts(aim: Aim) -> Iterator[tuple[str, object]]:
    names = ("cluster", "region", "zone", "service", "service_cluster", "network", "address", "port")
    yield from ((name, said) for name in names if (said := getattr(aim, name)) is not None)
