"""The recent past: counts of five minutes, what vanished for one, what starts for four."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tideover_core.model import (
    ClusterFacts,
    Endpoint,
    Locality,
    Protocol,
    ServiceFacts,
    ServiceKey,
    ServicePort,
)
from tideover_core.names import Target
from tideover_core.plan import plan
from tideover_core.presence import History, expire, next_change_s, observe, presences
from tideover_core.world import Presence, Vantage, merge

RATINGS = ServiceKey("bookinfo", "ratings")
HERE = Locality("eu-west", "a")


def end(n: int, state: str = "ready", port: int = 9080) -> Endpoint:
    ready, serving, terminating = {
        "ready": (True, True, False),
        "not": (False, False, False),
        "leaving": (False, True, True),
    }[state]
    return Endpoint(f"10.0.0.{n}", port, "paris", "default", HERE, ready, serving, terminating)


def facts(*ends: Endpoint, **others: tuple[Endpoint, ...]) -> ClusterFacts:
    named = {RATINGS: ends} | {ServiceKey("bookinfo", name): value for name, value in others.items()}
    port = (ServicePort(9080, "http", Protocol.HTTP),)
    services = {key: ServiceFacts(key, port, {9080: value}) for key, value in named.items()}
    return ClusterFacts("paris", "default", HERE, services)


def known(history: History, service: ServiceKey = RATINGS) -> Presence:
    return presences(history).get(("paris", service), {}).get(9080, Presence())


def story(*steps: tuple[float, ClusterFacts | None]) -> History:
    """Observe one set of facts after the other."""
    history, before = History(), None
    for now_s, after in steps:
        history = observe(history, before, after, now_s)
        before = after
    return history


def test_a_steady_world_has_no_history() -> None:
    history = story((0, facts(end(1), end(2))), (10, facts(end(1), end(2))))
    assert history == History()
    assert next_change_s(history) is None


def test_the_peak_is_remembered_for_five_minutes() -> None:
    history = story((0, facts(end(1), end(2), end(3))), (10, facts(end(1), end(2, "not"), end(3, "not"))))
    assert known(history).peak_ready == {HERE: 3}
    assert next_change_s(history) == 310
    assert known(expire(history, 309.9)) == known(history)
    assert expire(history, 310).presences == {}


def test_the_peak_of_a_place_that_went_up_and_down() -> None:
    steps = [facts(*(end(n) for n in range(count))) for count in (5, 8, 6, 7, 3)]
    history = story(*((10.0 * i, step) for i, step in enumerate(steps)))
    assert known(history).peak_ready == {HERE: 8}
    assert known(expire(history, 321)).peak_ready == {HERE: 7}
    assert known(expire(history, 341)).peak_ready == {}


def test_recovery_forgets_the_peak() -> None:
    history = story((0, facts(end(1), end(2))), (10, facts(end(1))), (20, facts(end(1), end(3))))
    assert known(history).peak_ready == {}


def test_what_vanishes_while_ready_counts_for_sixty_seconds() -> None:
    history = story((0, facts(end(1), end(2))), (100, facts(end(1))))
    assert known(history).vanished == (end(2),)
    assert known(expire(history, 159)).vanished == (end(2),)
    assert known(expire(history, 160)).vanished == ()
    assert known(expire(history, 160)).peak_ready == {HERE: 2}


def test_what_terminated_first_does_not_vanish() -> None:
    history = story((0, facts(end(1), end(2))), (1, facts(end(1), end(2, "leaving"))), (2, facts(end(1))))
    assert known(history).vanished == ()


def test_what_was_not_ready_does_not_vanish() -> None:
    assert known(story((0, facts(end(1), end(2, "not"))), (1, facts(end(1))))).vanished == ()


def test_an_endpoint_that_comes_back_is_no_longer_missed() -> None:
    history = story((0, facts(end(1), end(2))), (1, facts(end(1))), (2, facts(end(1), end(2, "not"))))
    assert known(history).vanished == ()


def test_an_address_in_use_again_is_never_sent_even_by_another_service() -> None:
    history = story(
        (0, facts(end(1), end(2), reviews=(end(9),))),
        (1, facts(end(1), reviews=(end(9),))),
        (2, facts(end(1), reviews=(end(9), end(2, port=8080)))),
    )
    assert known(history).vanished == ()
    at_once = story((0, facts(end(1), end(2))), (1, facts(end(1), reviews=(end(2),))))
    assert known(at_once).vanished == ()


def test_an_address_in_use_again_by_another_cluster_of_the_network_is_never_sent() -> None:
    # clusters of one flat network take pod addresses from one range
    history = story((0, facts(end(1), end(2))), (1, facts(end(1))))

    def dublin(network: str) -> ClusterFacts:
        taken = replace(end(2), cluster="dublin", network=network)
        return replace(facts(taken), cluster="dublin", network=network)

    nobody = replace(facts(), cluster="dublin")
    assert known(observe(history, nobody, dublin("island"), 2)).vanished == (end(2),)
    assert known(observe(history, nobody, dublin("default"), 2)).vanished == ()


def test_ports_that_were_there_before_are_not_somebody_new() -> None:
    # pods on the host's network, and the demo on loopback, share an address
    shared = (end(1), end(1, port=9081))
    assert known(story((0, facts(*shared)), (1, facts(shared[0])))).vanished == (shared[1],)


def test_a_new_endpoint_is_starting_until_it_was_ready() -> None:
    history = story((0, facts(end(1))), (10, facts(end(1), end(2, "not"))))
    assert known(history).starting == {("10.0.0.2", 9080)}
    assert known(expire(history, 250)).starting == frozenset()
    ready = observe(history, facts(end(1), end(2, "not")), facts(end(1), end(2)), 20)
    fell = observe(ready, facts(end(1), end(2)), facts(end(1), end(2, "not")), 30)
    assert known(fell).starting == frozenset()
    assert known(fell).peak_ready == {HERE: 2}


def test_nothing_starts_in_a_cluster_seen_for_the_first_time() -> None:
    assert known(story((0, facts(end(1), end(2, "not"))))).starting == frozenset()


def test_nobody_waits_where_nothing_is_ready() -> None:
    reviews = ServiceKey("bookinfo", "reviews")
    history = story((0, facts(end(1))), (10, facts(end(1), reviews=(end(2, "not"),))))
    assert known(history, reviews).starting == frozenset()


def some(first: int, last: int, state: str = "ready") -> list[Endpoint]:
    return [end(n, state) for n in range(first, last + 1)]


def told(*steps: tuple[float, list[Endpoint]]) -> list[float]:
    """The share of traffic that stays in paris after each step."""
    history, before, shares = History(), None, []
    for now_s, ends in steps:
        now = facts(*ends)
        history = observe(expire(history, now_s), before, now, now_s)
        before = now
        shares.append(stays(now, history))
    return shares


def test_the_first_ready_one_of_a_place_that_comes_from_nothing_is_not_all_of_it() -> None:
    ten_minutes_of_nothing = [(0, some(1, 10)), (10, some(1, 10, "not")), (600, some(21, 30, "not"))]
    assert told(*ten_minutes_of_nothing, (620, some(21, 21) + some(22, 30, "not"))) == [100, 0, 0, 14]
    from_zero = [(0.0, list[Endpoint]()), (100, some(1, 10, "not"))]
    assert told(*from_zero, (120, some(1, 1) + some(2, 10, "not")), (125, some(1, 10)))[2:] == [14, 100]


def test_replacing_what_fails_does_not_make_what_is_left_the_whole() -> None:
    fail = [(0, some(1, 10)), (10, some(1, 1) + some(2, 10, "not"))]
    leave = [(900, some(1, 1) + some(2, 10, "leaving")), (901, some(1, 1) + some(2, 10, "leaving"))]
    come = [
        (902, some(1, 1) + some(2, 10, "leaving") + some(21, 29, "not")),
        (930, some(1, 1) + some(21, 29, "not")),
        (1500, some(1, 1) + some(31, 39, "not")),  # and those are replaced in their turn
        (2100, some(1, 1) + some(41, 49, "not")),
    ]
    assert told(*fail, *leave, *come) == [100, 14, 14, 14, 14, 14, 14, 14]


def test_a_loss_does_not_count_twice_with_who_leaves_and_who_comes() -> None:
    # maxUnavailable 50 %
    gone = [(0, some(1, 10)), (10, some(1, 5) + some(6, 10, "leaving") + some(21, 25, "not"))]
    assert told(*gone, (40, some(1, 5) + some(21, 25, "not"))) == [100, 70, 70]


def test_more_replicas_wait_as_long_as_they_may_take_to_start() -> None:
    more = some(1, 10) + some(11, 40, "not")
    assert told((0, some(1, 10)), (10, more), (249, more + some(50, 50, "not"))) == [100, 100, 100]
    assert told((0, some(1, 10)), (10, more), (251, more + some(50, 50, "not"))) == [100, 100, 35]


def test_a_restart_in_a_rolling_update_moves_nothing() -> None:
    surge, fewer = some(1, 10) + some(21, 23, "not"), some(1, 8) + some(21, 23, "not")
    history = story((0, facts(*some(1, 10))), (60, facts(*surge)))
    history = observe(history, None, facts(*surge), 62)
    assert known(history).starting == {(e.address, e.port) for e in surge[10:]}
    history = observe(history, facts(*surge), facts(*fewer, *some(9, 10, "leaving")), 63)
    assert stays(facts(*fewer, *some(9, 10, "leaving")), history) == 100


def test_at_first_sight_what_serves_while_leaving_was_ready() -> None:
    history = story((0, facts(end(1), end(2, "leaving"))))
    assert known(history).peak_ready == {HERE: 2}
    # and when that is forgotten, what still leaves no longer counts as a loss
    assert known(expire(history, 300)).peak_ready == {HERE: 1}


def test_a_service_or_cluster_that_is_gone_is_forgotten() -> None:
    history = story((0, facts(end(1), end(2), reviews=(end(9),))), (1, facts(end(1), reviews=(end(9),))))
    without = replace(facts(), services={})
    assert observe(history, facts(end(1)), without, 2).presences == {}
    assert observe(history, facts(end(1)), None, 2) == History()


def test_a_rolling_update_told_from_beginning_to_end_moves_nothing() -> None:
    old, new = [end(n) for n in range(1, 11)], [end(n) for n in range(11, 21)]

    def leaving(some: list[Endpoint]) -> list[Endpoint]:
        return [replace(e, ready=False, terminating=True) for e in some]

    def starting(some: list[Endpoint]) -> list[Endpoint]:
        return [replace(e, ready=False, serving=False) for e in some]

    steps: list[list[Endpoint]] = [old]
    done, left = 0, 10
    while left:  # 25 % surge (3) and 25 % unavailable (2), as a Deployment does it by default
        some = min(5, 10 - done)
        steps.append(old[10 - left :] + new[:done] + starting(new[done : done + some]))
        going = min(left, 2 if done == 0 else 5)
        steps.append(
            leaving(old[10 - left : 10 - left + going])
            + old[10 - left + going :]
            + new[:done]
            + starting(new[done : done + some])
        )
        left -= going
        steps.append(old[10 - left :] + new[:done] + starting(new[done : done + some]))
        done += some
        steps.append(old[10 - left :] + new[:done])
    history: History = History()
    before: ClusterFacts | None = None
    for number, ends in enumerate(steps):
        now = facts(*ends)
        history = observe(history, before, now, number * 5.0)
        before = now
        assert stays(now, history) == 100, (number, [(e.address, e.ready, e.terminating) for e in ends])


def stays(here: ClusterFacts, history: History) -> float:
    """The share of paris' own traffic that stays in paris, with dublin to go to."""
    away: Any = replace(end(99), cluster="dublin", address="10.9.0.1", locality=Locality("eu-north"))
    port = (ServicePort(9080, "http", Protocol.HTTP),)
    dublin = ClusterFacts(
        "dublin", "default", Locality("eu-north"), {RATINGS: ServiceFacts(RATINGS, port, {9080: (away,)})}
    )
    world = merge([here, dublin], presences=presences(history))
    assignment = plan(world, Target(RATINGS, 9080), Vantage(HERE, "paris"))
    assert assignment is not None
    nearest = assignment.priorities[0]
    return nearest.expected_traffic_percent if nearest.localities[0].locality == HERE else 0.0
