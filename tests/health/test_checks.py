"""Which endpoints are checked, when, and by which Envoys: pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tideover_core.model import (
    ClusterFacts,
    Endpoint,
    Locality,
    Protocol,
    ServiceFacts,
    ServiceKey,
    ServicePort,
)
from tideover_core.policy import ActiveCheck, CheckKind, FailoverPolicy, Settings
from tideover_core.world import Mesh, World, merge
from tideover_health.active.checkers import MOST_PER_CHECKER, Checker, assign
from tideover_health.active.checks import MOST_IN_DOUBT, Target, Targets, signals, unasked
from tideover_health.active.outcome import status
from tideover_health.active.schedule import next_due_s, pace

RATINGS, DETAILS = ServiceKey("bookinfo", "ratings"), ServiceKey("bookinfo", "details")
CHECK = ActiveCheck(CheckKind.HTTP, "/healthz")
POLICY = FailoverPolicy("bookinfo", "ratings", (RATINGS,), Settings(active_check=CHECK))
WEST_A = Locality("eu-west", "eu-west-a")


def endpoint(address: str, cluster: str = "paris", network: str = "default", **more: object) -> Endpoint:
    return replace(Endpoint(address, 80, cluster, network, WEST_A), **more)  # type: ignore[arg-type]


def facts(cluster: str, *endpoints: Endpoint, key: ServiceKey = RATINGS) -> ClusterFacts:
    port = ServicePort(9080, "http", Protocol.HTTP)
    network = endpoints[0].network if endpoints else "default"
    return ClusterFacts(cluster, network, WEST_A, {key: ServiceFacts(key, (port,), {9080: endpoints})})


def world(*clusters: ClusterFacts, policies: tuple[FailoverPolicy, ...] = (POLICY,)) -> World:
    return merge(clusters, Mesh(failover_policies=policies))


def addresses(targets: tuple[Target, ...]) -> list[str]:
    return [target.address for target in targets]


def test_endpoints_of_services_with_a_check_are_checked_and_no_others() -> None:
    other = facts("paris", endpoint("10.0.1.9"), key=DETAILS)
    both = replace(other, services={**other.services, **facts("paris", endpoint("10.0.1.1")).services})
    targets = Targets().of(world(both, facts("dublin", endpoint("10.1.1.1", "dublin"))))
    assert addresses(targets) == ["10.1.1.1", "10.0.1.1"]
    one = targets[0]
    assert (one.name, one.check, one.host) == ("bookinfo/ratings:9080", CHECK, "ratings.bookinfo:9080")


def test_what_is_a_fact_already_or_anybodys_is_not_checked() -> None:
    found = Targets().of(
        world(
            facts(
                "paris",
                endpoint("10.0.1.1"),
                endpoint("10.0.1.2", ready=False, serving=False),
                endpoint("10.0.1.3", ready=False, terminating=True),
                endpoint("10.0.1.4", pod="one"),
            ),
            facts("dublin", endpoint("10.0.1.4", "dublin", pod="two")),
        )
    )
    assert addresses(found) == ["10.0.1.1"], "10.0.1.4 is claimed by two clusters of one network"


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "fe80::1", "::1", "100.100.100.200"])
def test_addresses_that_must_not_be_probed(address: str) -> None:
    assert Targets().of(world(facts("paris", endpoint(address)))) == ()


def test_loopback_is_checked_when_that_is_asked_for_by_name() -> None:
    somewhere = world(facts("paris", endpoint("127.0.0.1"), endpoint("169.254.169.254")))
    assert addresses(Targets(allow_loopback=True).of(somewhere)) == ["127.0.0.1"]


def test_doubts_ask_for_a_few_of_each_place_and_only_whether_somebody_listens() -> None:
    many = [endpoint(f"10.0.1.{number}") for number in range(1, 101)]
    aims, here = Targets(), world(facts("paris", *many), policies=())
    assert aims.of(here) == ()
    found = aims.of(here, frozenset({"bookinfo/ratings:9080#v1", "nonsense", "bookinfo/none:1"}))
    assert len(found) == MOST_IN_DOUBT
    assert {(one.check.kind, one.in_doubt) for one in found} == {(CheckKind.TCP, True)}
    # a policy says more, and then all are checked
    found = aims.of(world(facts("paris", *many)), frozenset({"bookinfo/ratings:9080"}))
    assert len(found) == 100
    assert not any(one.in_doubt for one in found)
    assert aims.of(here) == ()


def test_an_equal_answer_is_the_same_one_and_a_changed_policy_is_noticed() -> None:
    aims, paris = Targets(), facts("paris", endpoint("10.0.1.1"))
    first = aims.of(world(paris))
    assert aims.of(world(paris)) is first
    other = replace(POLICY, settings=Settings(active_check=replace(CHECK, path="/other")))
    assert aims.of(world(paris, policies=(other,)))[0].check.path == "/other"


TARGET = Target("bookinfo/ratings:9080", "default", "10.0.1.1", 80, CHECK)


@pytest.mark.parametrize(
    ("kind", "protocol", "asked"),
    [
        (CheckKind.HTTP, Protocol.HTTP, True),
        (CheckKind.HTTP, Protocol.TLS, True),
        (CheckKind.HTTP, Protocol.HTTP2, False),
        (CheckKind.HTTP, Protocol.GRPC, False),
        (CheckKind.GRPC, Protocol.GRPC, True),
        (CheckKind.GRPC, Protocol.TLS, False),
        (CheckKind.TCP, Protocol.TLS, True),
    ],
)
def test_what_our_prober_cannot_speak_it_does_not_call_sick(
    kind: CheckKind, protocol: Protocol, asked: bool
) -> None:
    assert (unasked(replace(TARGET, check=ActiveCheck(kind), protocol=protocol)) == "") is asked


def test_that_somebody_listens_is_only_news_after_nobody_did() -> None:
    said, left, doubted = [], 0, replace(TARGET, in_doubt=True)
    for passed in (True, False, True, True, True):
        counts, left = signals(doubted, passed, left)
        said.append(counts)
    assert said == [False, True, True, True, False]
    assert signals(TARGET, True, 0)[0], "a check of a policy is"


@pytest.mark.parametrize(
    ("line", "passed", "detail"),
    [
        (b"HTTP/1.1 200 OK\r\n", True, "HTTP 200"),
        (b"HTTP/1.0 204\r\n", True, "HTTP 204"),
        (b"HTTP/1.1 302 Found\r\n", False, "HTTP 302: a redirect, not followed"),
        (b"HTTP/1.1 503 Service Unavailable\r\n", False, "HTTP 503"),
        (b"HTTP/1.1 100 Continue\r\n", False, "HTTP 100"),
        (b"HTTP/1.1 2000 OK\r\n", False, "no HTTP answer: b'HTTP/1.1 2000 OK\\r\\n'"),
        (b"HTTP/1.1 \xb2\xb2\xb2\r\n", False, "no HTTP answer: b'HTTP/1.1 \\xb2\\xb2\\xb2\\r\\n'"),
        (b"SSH-2.0-OpenSSH_9\r\n", False, "no HTTP answer: b'SSH-2.0-OpenSSH_9\\r\\n'"),
        (b"", False, "closed without an answer"),
    ],
)
def test_the_first_line_of_an_answer(line: bytes, passed: bool, detail: str) -> None:
    assert status(line) == (passed, detail)


def targets(count: int, **check: float) -> list[Target]:
    return [
        replace(TARGET, address=f"10.0.{n // 250}.{n % 250}", check=replace(CHECK, **check))
        for n in range(count)
    ]


def test_checks_are_spread_evenly_and_each_comes_once_in_its_period() -> None:
    some = targets(1000, interval_s=1.0)
    paced = pace(some, most_per_s=2000)
    assert paced.stretch == 1
    bins = Counter(int(next_due_s(one, paced, 100.0) * 10) for one in some)
    assert max(bins.values()) < 150, "ten bins of 100"
    one, now_s, dues = some[0], 100.0, []
    for _ in range(50):
        now_s = next_due_s(one, paced, now_s)
        dues.append(now_s)
    gaps = [b - a for a, b in pairwise(dues)]
    assert 0.9 <= min(gaps) <= max(gaps) <= 1.1
    assert len({round(gap, 6) for gap in gaps}) > 10, "jitter"
    assert next_due_s(one, paced, 100.0, "replica-1") != next_due_s(one, paced, 100.0, "replica-2")


def test_more_than_the_rate_is_spread_longer() -> None:
    some = targets(1000, interval_s=1.0)
    paced = pace(some, most_per_s=100)
    assert (paced.wanted_per_s, paced.stretch, paced.period_s(some[0])) == (pytest.approx(1000), 10, 10)


def test_who_asks_for_most_is_checked_less_often_and_not_the_others() -> None:
    flood = targets(10_000, interval_s=1.0)
    few = [replace(one, name="shop/cart:80") for one in targets(10, interval_s=1.0)]
    paced = pace([*flood, *few], most_per_s=100)
    assert paced.period_s(few[0]) == 1.0
    assert sum(1 / paced.period_s(one) for one in (*flood, *few)) == pytest.approx(100)


@given(st.floats(0, 1e10), st.floats(0, 1e9), st.floats(0.1, 1e4))
def test_the_next_check_is_always_later_and_never_a_busy_loop(
    now_s: float, interval_s: float, most: float
) -> None:
    one = replace(TARGET, check=replace(CHECK, interval_s=interval_s, timeout_s=0))
    paced = pace([one], most)
    due_s = next_due_s(one, paced, now_s)
    assert now_s < due_s <= now_s + paced.period_s(one) * 1.2 + 1e-3
    assert paced.period_s(one) >= 0.05


def checker(number: int, zone: str = "a", network: str = "default", **more: object) -> Checker:
    where = Locality("eu-west", zone)
    return replace(Checker(number, f"e{number}", network, where, f"node-{number}"), **more)  # type: ignore[arg-type]


def checkers_of(work: object, target: Target) -> set[int]:
    assert isinstance(work, dict)
    return {number for number, mine in work.items() if target in mine}


fleets = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["n1", "n2", "n3", "n4"]), st.booleans()), max_size=30
)


@given(fleets, st.integers(0, 30))
def test_a_few_for_each_from_different_places_and_nodes_the_same_every_time(
    fleet: list[tuple[str, str, bool]], count: int
) -> None:
    checkers = [checker(n, zone, node=node, proven=proven) for n, (zone, node, proven) in enumerate(fleet)]
    some = targets(count)
    work = assign(checkers, some)
    assert work == assign(checkers[::-1], some)
    proven = [one for one in checkers if one.proven] or checkers
    zones, nodes = {one.locality for one in proven}, {one.node for one in proven}
    for target in some:
        chosen = [checkers[number] for number in checkers_of(work, target)]
        assert len(chosen) == min(3, len(proven))
        assert set(chosen) <= set(proven)
        if len(zones) >= 3:
            # neither a place nor a node is all there is; three of both is not always possible
            assert len({one.locality for one in chosen}) >= 2
            assert len({one.node for one in chosen}) >= min(2, len(nodes))
        elif len(nodes) == 1:
            assert len({one.locality for one in chosen}) == min(len(zones), len(chosen)) or len(zones) > 1


def test_who_leaves_changes_only_what_it_checked() -> None:
    fleet, some = [checker(n, "abcde"[n % 5]) for n in range(40)], targets(300)
    before, after = assign(fleet, some), assign(fleet[1:], some)
    for target in some:
        if 0 not in checkers_of(before, target):
            assert checkers_of(after, target) == checkers_of(before, target)


def test_only_in_its_own_network_and_never_too_many() -> None:
    fleet = [checker(1), checker(2, network="island")]
    work = assign(fleet, targets(MOST_PER_CHECKER + 50))
    assert (len(work[1]), len(work[2])) == (MOST_PER_CHECKER, 0)


def test_the_work_is_spread() -> None:
    fleet, some = [checker(n, "abc"[n % 3]) for n in range(30)], targets(300)
    loads = [len(mine) for mine in assign(fleet, some).values()]
    assert sum(loads) == 900
    assert max(loads) < 100
