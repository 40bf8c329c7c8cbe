"""The answer for one service port and one vantage."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from .assignment import Assignment, LeftOut, Placed
from .holds import UNSTEERED, holding, of_service
from .levels import Levelling
from .mixture import Mixed, Steer, mixed
from .model import Locality, Vantage
from .names import Target
from .order import Order, order_of
from .orders import Action
from .policy import Scope, Spill
from .reach import Asked, reach
from .resolve import known, node_labels, resolve, subset_of
from .shifting import Shifting
from .traffic import overprovisioning
from .world import Service, World

PANIC_PERCENT = 1.0  # healthy_panic_threshold of every cluster that is sent


def plan(world: World, target: Target, vantage: Vantage) -> Assignment | None:
    """The assignment; None when the world has no such service, port or subset.

    `vantage` is complete (see `world.located`). A service whose complete facts say zero gives an
    assignment without priorities.
    """
    service = world.services.get(target.service)
    if service is None or not known(world, target, vantage):
        return None
    subset = subset_of(world, target, vantage) if target.subset else None
    resolved = resolve(world, target, vantage)
    settings = resolved.settings
    asked = Asked(
        target.port,
        subset.labels if subset is not None else None,
        settings.scope or Scope.ANYWHERE,
        resolved.cause("scope"),
        target.hostname,
    )
    reached = reach(service, asked, vantage)
    spill = settings.spill or Spill()
    order = order_of(resolved, vantage, partial(node_labels, world))
    usable, excluded = _usable(reached.placed, order)
    levelling = Levelling(
        order,
        overprovisioning(spill.below_healthy_percent),
        max(PANIC_PERCENT, settings.outlier.min_health_percent if settings.outlier else 0),
        spill.min_healthy_endpoints,
        resolved.cause("spill"),
    )
    steer = _steer(world, service, target.port, vantage, usable)
    found = mixed(usable, steer, levelling) if steer else Mixed(levelling.priorities(usable), ())
    return Assignment(
        service=target.service,
        port=target.port,
        priorities=found.priorities,
        subset=target.subset,
        left_out=(*reached.left_out, *excluded, *found.left_out),
        overprovisioning_percent=levelling.overprovisioning_percent,
        policies=resolved.policies,
    )


def _steer(
    world: World, service: Service, port: int, vantage: Vantage, usable: Sequence[Placed]
) -> Steer | None:
    """What steers this answer; None, as nearly always: nothing does."""
    hold = holding(world, service, port)
    orders = of_service(world.orders, service.key)
    if hold.steering is UNSTEERED and not orders and not hold.leaving:
        return None
    holds = hold.holds(usable, vantage)
    others = [
        one
        for one in orders
        if one.order.action is not Action.DRAIN
        and any(one.order.target.holds(service.key, placed.endpoint) for placed in usable)
    ]
    home = Locality(vantage.locality.region, vantage.locality.zone)
    shares = hold.steering.shares.get(home)
    if not holds and not others and not shares:
        return None
    return Steer(holds, Shifting(service.key, others), shares or None)


def _usable(placed: Sequence[Placed], order: Order) -> tuple[Sequence[Placed], list[LeftOut]]:
    """Without the places that the order excludes."""
    if order.others:
        return placed, []
    ranked = [(one, order.rank(one.endpoint).excluded) for one in placed]
    excluded = [LeftOut(one.endpoint, reason) for one, reason in ranked if reason]
    return [one for one, reason in ranked if not reason], excluded
