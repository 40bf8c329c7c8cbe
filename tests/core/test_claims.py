"""Pods of two clusters at one address of one network: nobody is sent to somebody else's pod."""

from __future__ import annotations

from collections.abc import Sequence

from core.test_merge import RATINGS, REVIEWS, cluster, end, service
from tideover_core.model import ClusterFacts, Endpoint, Locality, ServiceKey, Vantage
from tideover_core.names import Target
from tideover_core.plan import plan
from tideover_core.world import World, merge

PARIS = Vantage(Locality("eu-west"), "paris")
DUBLIN = Vantage(Locality("eu-north"), "dublin")
OSLO = Vantage(Locality("eu-north"), "oslo")
SAID = "cluster paris claims the same address, and counts first here"


def paris(*addresses: str, pod: str = "reviews-1") -> ClusterFacts:
    return cluster("paris", service(REVIEWS, *(end(a, pod=pod) for a in addresses)))


def dublin(*addresses: str, pod: str = "ratings-1", network: str = "default") -> ClusterFacts:
    ends = [end(a, "dublin", pod=pod, network=network) for a in addresses]
    return cluster("dublin", service(RATINGS, *ends), network=network)


def sent(world: World, vantage: Vantage, service: ServiceKey = RATINGS) -> tuple[list[str], list[str]]:
    """(addresses sent, reasons of those left out)."""
    found = plan(world, Target(service, 9080), vantage)
    assert found is not None
    placed: Sequence[Endpoint] = [
        one.endpoint for level in found.priorities for place in level.localities for one in place.endpoints
    ]
    return [one.address for one in placed], [one.reason for one in found.left_out]


def test_an_address_that_is_another_services_pod_at_home_is_left_out() -> None:
    world = merge([paris("10.0.0.1"), dublin("10.0.0.1", "10.0.0.2")])
    assert sent(world, PARIS) == (["10.0.0.2"], [SAID])
    assert sent(world, DUBLIN) == (["10.0.0.1", "10.0.0.2"], [])
    assert sent(world, DUBLIN, REVIEWS)[0] == []
    # in a third cluster it is anybody's guess: one answer, and the same for both services
    assert sent(world, OSLO) == (["10.0.0.1", "10.0.0.2"], [])
    assert sent(world, OSLO, REVIEWS)[0] == []


def test_it_is_a_problem_of_both_services() -> None:
    problems = merge([paris("10.0.0.1", "10.0.0.3"), dublin("10.0.0.1", "10.0.0.3")]).problems
    assert [(one.object, one.message) for one in problems] == [
        (
            "Service bookinfo/ratings",
            "10.0.0.1:9080 (and 1 more) of cluster dublin, network default, is also a pod of another service "
            "in paris",
        ),
        (
            "Service bookinfo/reviews",
            "10.0.0.1:9080 (and 1 more) of cluster paris, network default, is also a pod of another service "
            "in dublin",
        ),
    ]


def test_other_networks_and_what_is_no_pod_are_no_conflict() -> None:
    assert merge([paris("10.0.0.1"), dublin("10.0.0.1", network="island")]).problems == ()
    outside = merge([paris("10.0.0.1", pod=""), dublin("10.0.0.1", pod="")])  # one database, two names
    assert outside.problems == ()
    assert sent(outside, PARIS) == (["10.0.0.1"], [])


def test_a_contest_that_begins_and_ends_changes_the_services_that_nobody_touched() -> None:
    apart = merge([paris("10.0.0.9"), dublin("10.0.0.1")])
    facts = apart.clusters["dublin"]
    contested = merge([paris("10.0.0.1"), facts], previous=apart)
    assert contested == merge([paris("10.0.0.1"), facts])
    assert contested.services[RATINGS] is not apart.services[RATINGS]
    assert sent(contested, PARIS) == ([], [SAID])
    over = merge([paris("10.0.0.9"), facts], previous=contested)
    assert over == apart
    assert over.problems == ()
    without = merge([facts], previous=contested)
    assert without == merge([facts])


def test_a_third_claimant_changes_who_wins_for_others() -> None:
    def rival(*addresses: str) -> ClusterFacts:
        ends = [end(a, "berlin", pod="details-1") for a in addresses]
        return cluster("berlin", service(ServiceKey("bookinfo", "details"), *ends))

    two = [paris("10.0.0.1"), dublin("10.0.0.1")]
    before = merge([*two, rival()])
    assert sent(before, OSLO) == (["10.0.0.1"], [])
    after = merge([*two, rival("10.0.0.1")], previous=before)
    assert after == merge([*two, rival("10.0.0.1")])
    assert sent(after, OSLO) == ([], ["cluster berlin claims the same address, and counts first here"])
