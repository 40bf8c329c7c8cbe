"""The status conditions of FailoverPolicies and TrafficOrders, from what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from tideover_core import policy as core
from tideover_core.conflicts import OLDER_WINS
from tideover_core.model import Problem, ServiceKey, Vantage
from tideover_core.names import wire_name
from tideover_core.order_book import Standing
from tideover_core.resolve import subsets
from tideover_core.world import World

from .conditions import Condition, status_write
from .decoding import decode
from .manifest import Item, item_of
from .objects import Key, Refusal
from .resources import Resource
from .writes import Write
from .writing import Object, Scene, read

# Of the clients subscribed to any of these names (None: to anything), which this version of a policy is
# about: (how many acknowledged, how many)
Acknowledged = Callable[[frozenset[str] | None, core.FailoverPolicy], tuple[int, int]]
POLICIES = Resource("FailoverPolicy", "tideover.dev", ("v1alpha1",), "failoverpolicies", read, required=False)
ORDERS = Resource("TrafficOrder", "tideover.dev", ("v1alpha1",), "trafficorders", read, required=False)


class PolicyStatus:
    """A `Writer` of what became of each FailoverPolicy: Accepted, Conflicted, Programmed.

    Programmed counts the clients of this `replica`; it is said of a version of the policy only once the
    world has that version.
    """

    name = "conditions of FailoverPolicies"
    resources: tuple[Resource[Object], ...] = (POLICIES,)

    def __init__(self, replica: str, acknowledged: Acknowledged) -> None:
        self._replica = replica
        self._acknowledged = acknowledged
        self._read = _Reading()
        self._first = 0

    def writes(self, scene: Scene) -> Iterator[Write | None]:
        """See `Writer`."""
        served = {str(p): p for p in _policies_of(scene)}
        problems: dict[str, list[Problem]] = {}
        for problem in scene.world.problems:
            problems.setdefault(problem.object, []).append(problem)
        policies = list(scene.seen.get("FailoverPolicy", {}).items())
        self._first = (self._first + 1) % max(1, len(policies))  # counting takes time: each is first once
        for key, seen in policies[self._first :] + policies[: self._first]:
            item, name = self._read(key, seen), str(key)
            wanted = self._conditions(scene.world, item, served.get(name), problems.get(name, ()))
            yield status_write(key, POLICIES, seen, wanted, scene.now)

    def _conditions(
        self, world: World, item: Item | str, served: core.FailoverPolicy | None, said: Sequence[Problem]
    ) -> list[Condition]:
        if isinstance(item, str):
            stays = "; what was last good of it, if anything, stays in use" if served is not None else ""
            return [
                Condition("Accepted", "False", "Invalid", f"{item}{stays}"),
                Condition("Conflicted", "Unknown", "Invalid", "it cannot be read"),
                Condition("Programmed", "False", "Invalid", "this version of it is in use nowhere"),
            ]
        accepted = Condition("Accepted", "True", "Accepted", "; ".join(item.unsupported))
        if item.policy != served or served is None:
            return [accepted]  # the world has not got it yet, and will say so
        return [accepted, _conflicted(said), self._programmed(world, served)]

    def _programmed(self, world: World, policy: core.FailoverPolicy) -> Condition:
        names = names_of(world, policy)
        if names is not None and not names:
            said = "none of the services that it is about is known"
            return Condition("Programmed", "Unknown", "NoServices", said)
        acknowledged, clients = self._acknowledged(names, policy)
        if not clients:
            said = f"no client of {self._replica} is subscribed to what it is about"
            return Condition("Programmed", "Unknown", "NoClients", said, volatile=True)
        said = f"{acknowledged} of {clients} clients of {self._replica}"
        if acknowledged == clients:
            return Condition("Programmed", "True", "Acknowledged", said, volatile=True)
        return Condition("Programmed", "False", "NotAcknowledged", said, volatile=True)


class OrderStatus:
    """A `Writer` of what became of each TrafficOrder: Accepted, Programmed.

    `standing`: what the replica made of it, by namespace and name; None while it has not looked.
    """

    name = "conditions of TrafficOrders"
    resources: tuple[Resource[Object], ...] = (ORDERS,)

    def __init__(self, standing: Callable[[str, str], Standing | None]) -> None:
        self._read = _Reading()
        self._standing = standing

    def writes(self, scene: Scene) -> Iterator[Write | None]:
        """See `Writer`."""
        for key, seen in list(scene.seen.get("TrafficOrder", {}).items()):
            item = self._read(key, seen)
            found = self._standing(key.namespace, key.name)
            if isinstance(item, str):
                stays = "; what was last good of it stays in force" if found and found.accepted else ""
                wanted = [
                    Condition("Accepted", "False", "Invalid", f"{item}{stays}"),
                    Condition("Programmed", "False", "Invalid", "this version of it is in force nowhere"),
                ]
            elif found is None:
                continue  # the world has not got it yet
            else:
                wanted = _conditions_of(found)
            yield status_write(key, ORDERS, seen, wanted, scene.now)


def _conditions_of(found: Standing) -> list[Condition]:
    accepted = Condition("Accepted", "True" if found.accepted else "False", found.reason, found.message)
    reason = found.state or "NotInForce"
    said = "True" if found.in_force else "False"
    return [accepted, Condition("Programmed", said, reason, found.progress, volatile=not found.in_force)]


def names_of(world: World, policy: core.FailoverPolicy) -> frozenset[str] | None:
    """The clusters on the wire that a policy is about; None: of every service."""
    if not policy.targets and policy.namespace == world.root_namespace:
        return None
    if policy.targets:
        keys = [target for target in policy.targets if target in world.services]
    else:
        keys = [key for key in world.services if key.namespace == policy.namespace]
    return frozenset(name for key in keys for name in _names(world, key))


def _names(world: World, key: ServiceKey) -> Iterator[str]:
    parts = ("", *subsets(world, key, Vantage(namespace=key.namespace)))
    for port in world.services[key].ports:
        for part in parts:
            yield wire_name(key, port.number, part)


def _policies_of(scene: Scene) -> Sequence[core.FailoverPolicy]:
    facts = scene.world.clusters.get(scene.cluster)
    return facts.failover_policies if facts is not None else ()


def _conflicted(problems: Sequence[Problem]) -> Condition:
    """What the merge of all clusters' policies says of this one."""
    older = [problem for problem in problems if problem.consequence == OLDER_WINS]
    if older:
        said = "; ".join(f"{problem.message}; {problem.consequence}" for problem in older)
        return Condition("Conflicted", "True", "OlderPolicyWins", said)
    for problem in problems:
        return Condition(
            "Conflicted", "True", "DiffersBetweenClusters", f"{problem.message}; {problem.consequence}"
        )
    return Condition("Conflicted", "False", "NoConflict")


class _Reading:
    """Objects as the facts have them, or why they are refused; each version is read once."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[Object, Item | str]] = {}

    def __call__(self, key: Key, seen: Object) -> Item | str:
        known = self._known.get(key)
        if known is not None and known[0] is seen:
            return known[1]
        try:
            found: Item | str = item_of(decode(msgspec.json.encode(seen), key.kind))
        except Refusal as refusal:
            found = str(refusal)
        self._known[key] = (seen, found)
        return found
