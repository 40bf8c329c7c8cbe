"""What a vantage can reach of a service port: candidates with their health, and what is left out, why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from .assignment import Health, LeftOut, Placed
from .exports import is_clusters_own
from .model import Endpoint, Labels, Locality, Vantage
from .policy import Scope
from .readiness import STARTING, Known, judged, last_resort, still_counting
from .world import Part, Presence, Service

Choice = Callable[[Endpoint], bool]
_NOTHING_KNOWN = Presence()


@dataclass(frozen=True, slots=True)
class Reached:
    """What is sent, each address once, and what is not, each with its reason."""

    placed: tuple[Placed, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a service: one port, maybe one subset or pod, within a scope."""

    port: int
    subset_labels: Labels | None
    scope: Scope
    scope_cause: str = ""
    hostname: str = ""


def reach(service: Service, asked: Asked, vantage: Vantage) -> Reached:
    """Everything that this vantage is sent, each address once: its own cluster's first.

    With nothing ready in all of it, endpoints that serve while terminating count as healthy.
    """
    own = next((part for part in service.parts if part.cluster == vantage.cluster), None)
    placed: dict[tuple[str, str, int], Placed] = {}
    left_out: list[LeftOut] = []
    for part in sorted(service.parts, key=lambda part: (part.cluster != vantage.cluster, part.cluster)):
        refusal = _part_refused(part, own, vantage)
        for found in _endpoints(part, asked):
            endpoint = found.endpoint
            reason = refusal or _refused(endpoint, part, own, asked, vantage)
            winner = placed.get(endpoint.key)
            if reason:
                left_out.append(LeftOut(endpoint, reason))
            elif winner is None:
                placed[endpoint.key] = found
            else:
                left_out.append(LeftOut(endpoint, _claimed(winner.endpoint, endpoint)))
    found_all = list(placed.values())
    return _settled(_own(found_all, left_out, vantage) if asked.hostname else found_all, left_out)


def _own(placed: list[Placed], left_out: list[LeftOut], vantage: Vantage) -> list[Placed]:
    """One pod is meant: who has it in its own cluster is not sent to another's of that name, well or not."""
    own = [found for found in placed if found.endpoint.cluster == vantage.cluster]
    if not own:
        return placed
    reason = f"cluster {vantage.cluster} has a pod of this hostname itself"
    left_out += [
        LeftOut(found.endpoint, reason) for found in placed if found.endpoint.cluster != vantage.cluster
    ]
    return own


def _endpoints(part: Part, asked: Asked) -> Iterator[Placed]:
    choice = None
    if asked.hostname:
        choice = partial(_is_called, asked.hostname)
    elif asked.subset_labels is not None:
        choice = partial(_has_labels, asked.subset_labels)
    for _, placed in places(part, asked.port, choice):
        yield from placed


def _settled(placed: list[Placed], left_out: list[LeftOut]) -> Reached:
    if any(found.health is Health.HEALTHY for found in placed):
        waiting = [found for found in placed if found.weight == 0]
        left_out += [LeftOut(found.endpoint, STARTING) for found in waiting]
        return Reached(tuple(found for found in placed if found.weight), tuple(left_out))
    gone = [found for found in placed if found.endpoint.ready]
    # nothing but endpoints that vanished: there is nobody to send anything to
    if len(gone) == len(placed):
        left_out += [LeftOut(found.endpoint, "vanished, and nothing else is left") for found in gone]
        placed = []
    return Reached(tuple(last_resort(found) for found in placed), tuple(left_out))


def places(part: Part, port: int, choice: Choice | None = None) -> Iterator[tuple[Locality, list[Placed]]]:
    """The endpoints of one cluster with their health, place by place, in the order of their addresses."""
    presence = part.presence.get(port, _NOTHING_KNOWN)
    present = _by_locality(part.facts.endpoints.get(port, ()))
    vanished = _by_locality(presence.vanished)
    for locality in sorted(present.keys() | vanished.keys()):
        endpoints = present.get(locality, [])
        usual = presence.usual.get(locality)
        peak = presence.peak_ready.get(locality, 0)
        gone = still_counting(vanished.get(locality, ()), len(endpoints), peak)
        if choice is not None:
            # it counts the whole service, so it says nothing of a part of it
            usual = None
            endpoints, gone = list(filter(choice, endpoints)), list(filter(choice, gone))
        yield locality, judged(sorted(endpoints, key=_listing), Known(gone, usual, presence.starting))


def _by_locality(endpoints: Iterable[Endpoint]) -> dict[Locality, list[Endpoint]]:
    places: dict[Locality, list[Endpoint]] = {}
    for endpoint in endpoints:
        places.setdefault(endpoint.locality, []).append(endpoint)
    return places


def _has_labels(labels: Labels, endpoint: Endpoint) -> bool:
    return all(endpoint.labels.get(name) == value for name, value in labels.items())


def _is_called(hostname: str, endpoint: Endpoint) -> bool:
    return endpoint.hostname == hostname


def _listing(endpoint: Endpoint) -> tuple[str, int, bool, bool]:
    # an address may be in two slices for a moment: the ready one counts
    return (endpoint.address, endpoint.port, not endpoint.ready, endpoint.terminating)


def _part_refused(part: Part, own: Part | None, vantage: Vantage) -> str:
    """Why nothing of a cluster is for this vantage; "" when it is."""
    if part.cluster == vantage.cluster:
        return ""
    if not part.exported:
        if is_clusters_own(part.facts.key):
            return f"each cluster has its own {part.facts.key}"
        return f"cluster {part.cluster} does not export it (sameness: exported)"
    if own is not None and not own.exported:
        return f"cluster {vantage.cluster} has a service of this name that it does not export, another one"
    return ""


def _refused(endpoint: Endpoint, part: Part, own: Part | None, asked: Asked, vantage: Vantage) -> str:
    """Why one endpoint is not for this vantage; "" when it is."""
    if endpoint.network != vantage.network:
        return f"no path: network {endpoint.network} has no gateway here"
    claimants = part.contested.get(endpoint.key, ())
    if claimants and part.cluster != (winner := _winner(claimants, vantage)):
        return _claimed_by(winner)
    if asked.scope is not Scope.ANYWHERE and not _in_scope(endpoint, asked.scope, vantage):
        return f"{endpoint.locality} is outside the scope {asked.scope} ({asked.scope_cause})"
    local = part.facts.internal_traffic_local or (own is not None and own.facts.internal_traffic_local)
    if local and (endpoint.cluster != vantage.cluster or not vantage.node or endpoint.node != vantage.node):
        return f"internalTrafficPolicy Local: not on this client's node ({vantage.node or 'unknown'})"
    return ""


def _winner(claimants: Sequence[str], vantage: Vantage) -> str:
    """Whose pod a client reaches at an address: its own cluster's, else as good a guess as any."""
    return vantage.cluster if vantage.cluster in claimants else claimants[0]


def _in_scope(endpoint: Endpoint, scope: Scope, vantage: Vantage) -> bool:
    match scope:
        case Scope.REGION:
            return endpoint.locality.region == vantage.locality.region
        case Scope.NETWORK:
            return endpoint.network == vantage.network
        case Scope.CLUSTER:
            return endpoint.cluster == vantage.cluster
        case _:
            return True


def _claimed(winner: Endpoint, loser: Endpoint) -> str:
    if winner.cluster == loser.cluster:
        return "listed twice"
    return _claimed_by(winner.cluster)


def _claimed_by(cluster: str) -> str:
    return f"cluster {cluster} claims the same address, and counts first here"
