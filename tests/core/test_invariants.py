"""What holds for every world, vantage and policy (issue 3: the invariants)."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.strategies import PORT, SERVICE, TARGET, clusters, meshes, presences, steered_meshes, vantages
from tideover_core.assignment import Assignment, Health
from tideover_core.model import ClusterFacts, Endpoint, Vantage
from tideover_core.plan import plan
from tideover_core.policy import DistributeRule, FailoverPolicy, Place, Settings, Share
from tideover_core.resolve import projection, resolve
from tideover_core.simulate import without
from tideover_core.target import Aim
from tideover_core.world import Mesh, Presences, Sameness, World, located, merge

# the same examples on every machine; TIDEOVER_SEARCH=1000 looks at that many others
SEARCH = os.environ.get("TIDEOVER_SEARCH")
settings.register_profile(
    "core",
    max_examples=int(SEARCH or 40),
    derandomize=SEARCH is None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("core")


def planned(world: World, vantage: Vantage) -> Assignment:
    assignment = plan(world, TARGET, located(world, vantage))
    assert assignment is not None
    return assignment


def priority_of(assignment: Assignment) -> dict[tuple[str, tuple[str, str, int]], int]:
    """Priority by cluster and wire identity."""
    return {
        (placed.endpoint.cluster, placed.endpoint.key): number
        for number, priority in enumerate(assignment.priorities)
        for locality in priority.localities
        for placed in locality.endpoints
    }


def shuffled(facts: ClusterFacts, seed: int) -> ClusterFacts:
    service = facts.services[SERVICE]
    ends = list(service.endpoints[PORT])
    random.Random(seed).shuffle(ends)
    return replace(
        facts, services={**facts.services, SERVICE: replace(service, endpoints={PORT: tuple(ends)})}
    )


@given(clusters(), presences(), steered_meshes(), vantages, st.integers(0, 5))
def test_the_order_of_input_does_not_matter(
    found: list[ClusterFacts], past: Presences, mesh: Mesh, vantage: Vantage, seed: int
) -> None:
    other = [shuffled(facts, seed) for facts in found]
    random.Random(seed).shuffle(other)
    turned = replace(
        mesh,
        destination_rules=mesh.destination_rules[::-1],
        failover_policies=mesh.failover_policies[::-1],
    )
    names = [(r.namespace, r.name) for r in (*mesh.destination_rules, *mesh.failover_policies)]
    if len(set(names)) < len(names):
        turned = mesh  # two objects of one name in one place do not exist
    one = planned(merge(found, mesh, past), vantage)
    two = planned(merge(other, turned, past), vantage)
    assert one.priorities == two.priorities
    assert sorted(map(repr, one.left_out)) == sorted(map(repr, two.left_out))


@given(clusters(), presences(), steered_meshes(), vantages)
def test_every_endpoint_is_in_at_most_one_priority_or_left_out_with_a_reason(
    found: list[ClusterFacts], past: Presences, mesh: Mesh, vantage: Vantage
) -> None:
    assignment = planned(merge(found, mesh, past), vantage)
    placed = [
        one.endpoint for p in assignment.priorities for place in p.localities for one in place.endpoints
    ]
    assert len({endpoint.key for endpoint in placed}) == len(placed)
    out = [(left.endpoint.cluster, left.endpoint.key) for left in assignment.left_out]
    inside = [(endpoint.cluster, endpoint.key) for endpoint in placed]
    there = [(e.cluster, e.key) for facts in found for e in facts.services[SERVICE].endpoints[PORT]]
    assert set(there) <= {*out, *inside}
    assert all(left.reason for left in assignment.left_out)
    # only what vanished can be there twice: it came back before the history knew
    assert any(past.values()) or not set(out) & set(inside)


@given(clusters(), presences(), steered_meshes(), vantages)
def test_what_is_sent_is_well_formed(
    found: list[ClusterFacts], past: Presences, mesh: Mesh, vantage: Vantage
) -> None:
    assignment = planned(merge(found, mesh, past), vantage)
    for priority in assignment.priorities:
        assert priority.localities
        names = [place.locality for place in priority.localities]
        assert len(set(names)) == len(names)
        for place in priority.localities:
            assert place.weight >= 1
            assert place.causes
            assert place.endpoints
            assert all(one.weight >= 1 for one in place.endpoints)
            assert all(one.causes or one.health == "HEALTHY" for one in place.endpoints)
    expected = [priority.expected_traffic_percent for priority in assignment.priorities]
    assert not expected or sum(expected) == pytest.approx(100)
    assert all(0 <= percent <= 100 for percent in expected)
    assert 100 <= assignment.overprovisioning_percent <= 1_000_000


def nearness(vantage: Vantage, endpoint: Endpoint) -> int:
    """Region, zone, subzone, said once more and differently. (All that is reached is of one network.)"""
    if endpoint.locality.region != vantage.locality.region:
        return 0
    if endpoint.locality.zone != vantage.locality.zone:
        return 1
    return 2 if endpoint.locality.subzone != vantage.locality.subzone else 3


@given(clusters(), presences(), vantages)
def test_nearer_is_never_behind_farther_without_a_policy(
    found: list[ClusterFacts], past: Presences, vantage: Vantage
) -> None:
    world = merge(found, presences=past)
    home = located(world, vantage)
    by_priority: list[set[int]] = [
        {nearness(home, one.endpoint) for place in priority.localities for one in place.endpoints}
        for priority in planned(world, vantage).priorities
    ]
    assert all(len(distances) == 1 for distances in by_priority)
    distances = [next(iter(one)) for one in by_priority]
    assert distances == sorted(distances, reverse=True)


@given(
    clusters(),
    vantages,
    st.lists(st.sampled_from((1, 5, 12.5, 20, 33.3, 60)), min_size=2, max_size=2),
)
def test_weights_sum_to_what_the_policy_says(
    found: list[ClusterFacts], vantage: Vantage, percents: Sequence[float]
) -> None:
    split = tuple(
        Share(Place(region=region), percent)
        for region, percent in zip(("eu-west", "eu-north"), percents, strict=True)
    )
    policy = FailoverPolicy("bookinfo", "split", (), Settings(distribute=(DistributeRule(Place(), split),)))
    assignment = planned(merge(found, Mesh(failover_policies=(policy,))), vantage)
    if not assignment.priorities:
        return
    sums = {share.place.region: 0 for share in split}
    for place in assignment.priorities[0].localities:
        if place.locality.region not in sums:
            return  # nobody is in a place of a share
        sums[place.locality.region] += place.weight
    served = {share.place.region: share.percent for share in split if sums[share.place.region]}
    for region, percent in served.items():
        wanted = percent / sum(served.values())
        assert sums[region] / sum(sums.values()) == pytest.approx(wanted, abs=0.005)


@given(clusters(), presences(), meshes(), vantages, st.data())
def test_removing_a_place_never_changes_the_order_of_others(
    found: list[ClusterFacts], past: Presences, mesh: Mesh, vantage: Vantage, data: st.DataObject
) -> None:
    world = merge(found, mesh, past)
    names = [facts.cluster for facts in found]
    aim = data.draw(
        st.sampled_from(
            [*(Aim(cluster=name) for name in names), Aim(region="eu-west"), Aim(region="eu-west", zone="a")]
        )
    )
    before = priority_of(planned(world, vantage))
    after = priority_of(planned(without(world, [aim]), vantage))
    both = [key for key in before if key in after]
    for one in both:
        for other in both:
            if before[one] < before[other]:
                assert after[one] < after[other]
            if before[one] == before[other]:
                assert after[one] == after[other]


@given(clusters(), presences(), steered_meshes(), vantages)
def test_same_world_same_answer(
    found: list[ClusterFacts], past: Presences, mesh: Mesh, vantage: Vantage
) -> None:
    one, two = merge(found, mesh, past), merge(found, mesh, past)
    assert planned(one, vantage) == planned(two, vantage)
    assert repr(planned(one, vantage)) == repr(planned(two, vantage))
    assert merge(found, mesh, past, one) is one


@given(
    st.lists(
        st.tuples(clusters(), presences(), steered_meshes(), st.sampled_from(list(Sameness))), max_size=4
    )
)
def test_merging_step_by_step_gives_what_merging_at_once_gives(
    steps: list[tuple[list[ClusterFacts], Presences, Mesh, Sameness]],
) -> None:
    world: World | None = None
    for found, past, mesh, sameness in steps:
        settled = replace(mesh, sameness=sameness)
        world = merge(found, settled, past, world)
        assert world == merge(found, settled, past)


@given(clusters(), presences(), steered_meshes(), vantages)
def test_equal_projections_mean_equal_answers(
    found: list[ClusterFacts], past: Presences, mesh: Mesh, vantage: Vantage
) -> None:
    world = merge(found, mesh, past)
    home = located(world, vantage)
    cut = projection(world, TARGET, home)
    assert plan(world, TARGET, cut) == plan(world, TARGET, home)
    assert resolve(world, TARGET, cut) == resolve(world, TARGET, home)
    assert projection(world, TARGET, cut) == cut


def healthy(assignment: Assignment) -> set[tuple[str, tuple[str, str, int]]]:
    return {
        (one.endpoint.cluster, one.endpoint.key)
        for priority in assignment.priorities
        for place in priority.localities
        for one in place.endpoints
        if one.health is Health.HEALTHY
    }


@given(clusters(), presences(), meshes(), vantages)
def test_a_cluster_that_leaves_takes_nobodys_last_choice(
    found: list[ClusterFacts], past: Presences, mesh: Mesh, vantage: Vantage
) -> None:
    before = healthy(planned(merge(found, replace(mesh, leaving={}), past), vantage))
    after = healthy(planned(merge(found, mesh, past), vantage))
    assert after <= before or after
    assert bool(after) == bool(before)
    gone = {one for one in after if one[0] in mesh.leaving}
    assert not gone or gone == after, "drained ones are used only where nothing else is"


@given(clusters(), presences(), meshes(), vantages)
def test_what_a_leaving_cluster_has_is_sent_or_left_out_with_a_reason(
    found: list[ClusterFacts], past: Presences, mesh: Mesh, vantage: Vantage
) -> None:
    def said(leaving: Mesh) -> set[tuple[str, tuple[str, str, int]]]:
        assignment = planned(merge(found, leaving, past), vantage)
        out = {(left.endpoint.cluster, left.endpoint.key) for left in assignment.left_out}
        return out | priority_of(assignment).keys()

    assert said(mesh) == said(replace(mesh, leaving={}))
