"""What verdicts and orders make of an answer, for every world: the mixture, as Envoy computes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from core.strategies import (
    PORT,
    SERVICE,
    clusters,
    localities,
    meshes,
    presences,
    steered_meshes,
    vantages,
)
from core.test_invariants import healthy, planned
from tideover_core.assignment import Assignment, Health, Placed, WeightedLocality
from tideover_core.holds import Hold, percent_of, seen
from tideover_core.model import ClusterFacts, Endpoint, Locality, Vantage
from tideover_core.steering import Admission, PortSteering, Site
from tideover_core.world import Mesh, Presences, located, merge

Shares = Mapping[tuple[str, str, int], float]
ROUNDING = 0.004  # whole hundredths of a percent by locality, thousandths of the heaviest endpoint


def as_envoy_sends(assignment: Assignment) -> dict[tuple[str, str, int], float]:
    """The fraction of calls that each endpoint gets of what was sent, written down once more from Envoy's
    source: priorities by healthy hosts, localities by effective weight, hosts by weight. Without panic."""
    factor = assignment.overprovisioning_percent
    loads, left = [], 100
    counts = [
        (
            sum(one.health is Health.HEALTHY for place in p.localities for one in place.endpoints),
            sum(one.health is not Health.DRAINING for place in p.localities for one in place.endpoints),
        )
        for p in assignment.priorities
    ]
    health = [min(100, factor * well // counted) if counted else 0 for well, counted in counts]
    available = min(100, sum(health))
    if available < 100:
        reject()  # Envoy may panic
    for value in health:
        loads.append(min(left, value))
        left -= loads[-1]
    shares: dict[tuple[str, str, int], float] = {}
    for load, priority in zip(loads, assignment.priorities, strict=True):
        weights = [effective(place, factor) for place in priority.localities]
        for place, weight in zip(priority.localities, weights, strict=True):
            well = [one for one in place.endpoints if one.health is Health.HEALTHY]
            for one in well if load and weight else ():
                part = load / 100 * weight / sum(weights) * one.weight / sum(other.weight for other in well)
                shares[one.endpoint.key] = shares.get(one.endpoint.key, 0.0) + part
    return shares


def effective(place: WeightedLocality, factor: int) -> float:
    well = sum(one.health is Health.HEALTHY for one in place.endpoints)
    counted = sum(one.health is not Health.DRAINING for one in place.endpoints)
    return place.weight * min(1.0, factor / 100 * well / counted) if well else 0.0


@pytest.mark.parametrize(
    ("said", "percent"),
    [(-5, 0), (0, 0), (0.01, 0.1), (50.04, 50), (99.97, 99.9), (100, 100), (150, 100), (float("nan"), 100)],
)
def test_a_percentage_is_in_tenths_and_no_number_is_all(said: float, percent: float) -> None:
    assert percent_of(said) == percent


@pytest.mark.parametrize(
    ("hold", "health", "causes"),
    [
        (Hold(judged=0, judgements=("503",)), Health.HEALTHY, ("503, but nothing else is healthy",)),
        (Hold(judged=0, judgements=("503",)), Health.UNHEALTHY, ("503", "not ready")),
        (Hold(judged=25, judgements=("a step",)), Health.HEALTHY, ("admitted 25 %: a step",)),
        (Hold(ordered=0, orders=("a drain",)), Health.HEALTHY, ("a drain, but nothing else is healthy",)),
    ],
)
def test_who_is_held_back_and_sent_all_the_same_says_why(
    hold: Hold, health: Health, causes: tuple[str, ...]
) -> None:
    end = Endpoint("10.0.0.1", 80, "paris", "default", Locality("eu-west"))
    placed = Placed(end, health, 1, () if health is Health.HEALTHY else ("not ready",))
    (sent,) = seen([placed], {end.key: hold}, 0.0).sent
    assert (sent.health, sent.causes) == (health, causes)


def steered(mesh: Mesh, steering: PortSteering) -> Mesh:
    return replace(mesh, steering={SERVICE: {PORT: steering}}, orders=(), leaving={})


def at(steering: PortSteering, percent: float) -> PortSteering:
    """What the part of the traffic sees that is between admissions there: everything or nothing."""

    def seen(found: Mapping[object, Admission]) -> dict[object, Admission]:
        return {
            key: Admission(100.0 if one.percent > percent else 0.0, one.cause) for key, one in found.items()
        }

    return PortSteering(seen(steering.endpoints), seen(steering.sites), seen(steering.pairs))  # type: ignore[arg-type]


def some_admitted(steering: PortSteering, facts: list[ClusterFacts], mesh: Mesh, vantage: Vantage) -> float:
    """The highest admission of anyone healthy, found by asking: 0 when there is none."""
    levels = sorted(
        {
            one.percent
            for found in (steering.endpoints, steering.sites, steering.pairs)
            for one in found.values()
        }
        | {100.0}
    )
    for percent in reversed(levels):
        below = at(steering, percent - 0.01)
        world = merge(facts, steered(mesh, below))
        assignment = planned(world, vantage)
        used = [
            one
            for p in assignment.priorities
            for place in p.localities
            for one in place.endpoints
            if one.health is Health.HEALTHY
        ]
        if used and not any("but nothing else is healthy" in cause for one in used for cause in one.causes):
            return percent
    return 0.0


STEPS = (0.0, 5.0, 25.0, 50.0, 100.0)


def verdicts(found: list[ClusterFacts]) -> st.SearchStrategy[PortSteering]:
    """About endpoints and sites that there are."""
    ends = [end for facts in found for end in facts.services[SERVICE].endpoints[PORT]]
    percents = st.sampled_from(STEPS).map(lambda percent: Admission(percent, "503"))
    sites = sorted({Site(end.cluster, end.locality) for end in ends})
    keys = sorted({end.key for end in ends})
    return st.builds(
        PortSteering,
        st.fixed_dictionaries({}, optional=dict.fromkeys(keys, percents)),
        st.fixed_dictionaries({}, optional=dict.fromkeys(sites, percents)),
    )


def spread(one: Shares, other: Shares) -> float:
    return max(
        (abs(one.get(key, 0.0) - other.get(key, 0.0)) for key in one.keys() | other.keys()), default=0.0
    )


@given(clusters(), meshes(), vantages, st.data())
def test_what_is_sent_is_the_mixture(
    found: list[ClusterFacts], mesh: Mesh, vantage: Vantage, data: st.DataObject
) -> None:
    steering = data.draw(verdicts(found))
    assignment = planned(merge(found, steered(mesh, steering)), vantage)
    most = some_admitted(steering, found, mesh, vantage)
    assume(most > 0)
    expected: dict[tuple[str, str, int], float] = {}
    bounds = [step for step in STEPS if step < most] + [most]
    for low, high in pairwise(bounds):
        part = as_envoy_sends(planned(merge(found, steered(mesh, at(steering, low))), vantage))
        for key, share in part.items():
            expected[key] = expected.get(key, 0.0) + share * (high - low) / most
    assert spread(as_envoy_sends(assignment), expected) < ROUNDING


@given(clusters(), presences(), steered_meshes(), vantages, st.data())
def test_verdicts_leave_nobody_without(
    found: list[ClusterFacts], past: Presences, mesh: Mesh, vantage: Vantage, data: st.DataObject
) -> None:
    steering = data.draw(verdicts(found))
    judged = replace(mesh, steering={SERVICE: {PORT: steering}})
    without = healthy(planned(merge(found, replace(mesh, steering={}), past), vantage))
    assert bool(healthy(planned(merge(found, judged, past), vantage))) == bool(without)


@given(clusters(), meshes(), vantages, st.data())
def test_a_step_moves_no_more_than_the_step(
    found: list[ClusterFacts], mesh: Mesh, vantage: Vantage, data: st.DataObject
) -> None:
    """Whatever one admission does: neither who is admitted nor anybody else gets or loses more."""
    steering = data.draw(verdicts(found))
    places = sorted({Site(e.cluster, e.locality) for f in found for e in f.services[SERVICE].endpoints[PORT]})
    assume(places)
    site = data.draw(st.sampled_from(places))
    start, step = (
        data.draw(st.sampled_from((5.0, 20.0, 45.0, 75.0))),
        data.draw(st.sampled_from((-5.0, 5.0, 20.0))),
    )
    before = replace(steering, sites={**steering.sites, site: Admission(start, "step")})
    after = replace(steering, sites={**steering.sites, site: Admission(start + step, "step")})
    most = min(some_admitted(one, found, mesh, vantage) for one in (before, after))
    assume(most > 0)
    one = planned(merge(found, steered(mesh, before)), vantage)
    other = planned(merge(found, steered(mesh, after)), vantage)
    assert spread(as_envoy_sends(one), as_envoy_sends(other)) <= abs(step) / most + ROUNDING


@given(clusters(), meshes(), vantages, localities)
def test_a_pair_is_for_its_clients_only(
    found: list[ClusterFacts], mesh: Mesh, vantage: Vantage, source: Locality
) -> None:
    world = merge(found, replace(mesh, leaving={}))
    home = located(world, vantage).locality
    pairs = {
        (source, Site(e.cluster, e.locality)): Admission(0.0, "503")
        for facts in found
        for e in facts.services[SERVICE].endpoints[PORT]
    }
    assume((source.region, source.zone) != (home.region, home.zone))
    gray = merge(found, steered(mesh, PortSteering(pairs=pairs)))
    assert planned(gray, vantage) == planned(world, vantage)


def test_the_arithmetic_of_this_test_is_envoys() -> None:
    """As measured: 98.3/1.7 at 70 % healthy, 71/29 at 50 %, 27/73 at 20 %."""
    from support.golden import load_cases

    case = next(one for one in load_cases() if "six of ten judged down" in one.name)
    shares = as_envoy_sends(planned(case.world, case.vantage))
    there = sum(share for key, share in shares.items() if key[1].startswith("10.0."))
    assert there == pytest.approx(0.56)
