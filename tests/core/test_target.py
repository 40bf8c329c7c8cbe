"""TARGET as users type it, and worlds without what it holds."""

from __future__ import annotations

import pytest

from support.golden import Case, load_cases
from tideover_core.model import Endpoint, Locality, ServiceKey
from tideover_core.plan import plan
from tideover_core.simulate import held, without
from tideover_core.target import Aim, parse_target

RATINGS = ServiceKey("bookinfo", "ratings")


@pytest.mark.parametrize(
    ("text", "aim"),
    [
        ("cluster/paris", Aim(cluster="paris")),
        ("region/eu-west", Aim(region="eu-west")),
        ("zone/eu-west-a", Aim(zone="eu-west-a")),
        ("service/bookinfo/ratings", Aim(service=RATINGS)),
        ("service/bookinfo/ratings@paris", Aim(service=RATINGS, service_cluster="paris")),
        ("endpoint/10.0.0.1:9080", Aim(address="10.0.0.1", port=9080)),
        ("endpoint/island/10.0.0.1:9080", Aim(network="island", address="10.0.0.1", port=9080)),
        ("endpoint/[fd00::1]:9080", Aim(address="fd00::1", port=9080)),
        ("zone/a,service/bookinfo/ratings", Aim(zone="a", service=RATINGS)),
        ("cluster/paris,region/eu-west", Aim(cluster="paris", region="eu-west")),
    ],
)
def test_a_target_is_read_and_said_again(text: str, aim: Aim) -> None:
    assert parse_target(text) == aim
    assert parse_target(str(aim)) == aim


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "is no target"),
        ("paris", "'paris' is no target; write cluster/NAME"),
        ("pod/x", "'pod/x' is no target"),
        ("cluster/", "'cluster/' is no target"),
        ("cluster/paris,,", "'' is no target"),
        ("zone/eu/west", "has a slash"),
        ("zone/a,zone/b", "names two of zone"),
        ("service/ratings", "'ratings' is no service"),
        ("service/bookinfo/ratings@", "names no cluster"),
        ("endpoint/10.0.0.1", "is no address and port"),
        ("endpoint/ratings:80", "is no address and port"),
        ("endpoint/10.0.0.1:0", "is no port"),
        ("endpoint/10.0.0.1:99999", "is no port"),
    ],
)
def test_a_bad_target_says_what_is_wrong(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong.replace("'", "['\"]")):
        parse_target(text)


def test_joined_parts_mean_and() -> None:
    aim = parse_target("zone/a,service/bookinfo/ratings@paris")
    here = Endpoint("10.0.0.1", 9080, "paris", "default", Locality("eu-west", "a"))
    elsewhere = Endpoint("10.0.0.1", 9080, "dublin", "default", Locality("eu-west", "a"))
    assert aim.holds(RATINGS, here)
    assert not aim.holds(RATINGS, elsewhere)
    assert not aim.holds(ServiceKey("bookinfo", "reviews"), here)


def case(name: str) -> Case:
    return next(found for found in load_cases() if name in found.name)


def test_a_zone_that_is_lost_moves_its_traffic_to_the_next_nearest() -> None:
    found = case("the zone first, then the region")
    left = without(found.world, [parse_target("zone/a,region/eu-west")])
    assignment = plan(left, found.target, found.located)
    assert assignment is not None
    assert [str(p.localities[0].locality) for p in assignment.priorities] == ["eu-west/b/", "eu-north/a/"]


def test_all_that_is_lost_leaves_an_empty_assignment() -> None:
    found = case("the zone first, then the region")
    left = without(found.world, [parse_target("cluster/paris"), parse_target("cluster/dublin")])
    assignment = plan(left, found.target, found.located)
    assert assignment is not None
    assert assignment.priorities == ()


def test_what_is_not_touched_stays_the_same_object() -> None:
    found = case("two namespaces with a service of one name")
    staging = ServiceKey("staging", "ratings")
    left = without(found.world, [parse_target("service/bookinfo/ratings")])
    assert left.services[staging] is found.world.services[staging]
    assert left.services[RATINGS] is not found.world.services[RATINGS]
    assert without(found.world, [parse_target("cluster/nowhere")]) is found.world


def test_a_target_says_how_much_it_holds() -> None:
    world = case("the zone first, then the region").world
    assert held(world, parse_target("cluster/paris")) == 5
    assert held(world, parse_target("cluster/pairs")) == 0


def test_a_lost_place_is_not_counted_as_vanished() -> None:
    found = case("what vanished while ready counts")
    left = without(found.world, [parse_target("cluster/paris")])
    assignment = plan(left, found.target, found.located)
    assert assignment is not None
    assert [p.expected_traffic_percent for p in assignment.priorities] == [100]
