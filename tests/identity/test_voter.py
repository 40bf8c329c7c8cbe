"""One vote for each Envoy of proven identity, and no more for whoever invents names (decision 11)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.admin import facts
from tideover_core.model import ClusterFacts, Endpoint, Locality, Vantage
from tideover_identity.caller import (
    LOCAL,
    NOBODY,
    Caller,
    Proof,
    TrustDomains,
    by_certificate,
    by_token,
    contradictions,
    corrected,
)
from tideover_identity.voter import SHARED, Pods, address_of, from_loopback, vote
from tideover_wire.node import Client

DOMAINS = TrustDomains({"paris.example": ["paris"], "dublin.example": ["dublin"]})
ANYWHERE = "ipv4:192.0.2.9:4000"  # of no pod


def ends(cluster: str, *addresses: str, node: str = "node-{}", pod: str = "pod-{}") -> tuple[Endpoint, ...]:
    place = Locality("eu", f"{cluster}-a")
    return tuple(
        Endpoint(one, 9080, cluster, "default", place, node=node.format(n), pod=pod.format(n))
        for n, one in enumerate(addresses, 1)
    )


def pods(*clusters: ClusterFacts) -> Pods:
    known = Pods()
    known.update({one.cluster: one for one in clusters})
    return known


PARIS = facts("paris", "eu", ends("paris", "10.0.0.1", "10.0.0.2"))
DUBLIN = facts("dublin", "eu", ends("dublin", "10.1.0.1"))
PODS = pods(PARIS, DUBLIN)


def by(account: str = "reviews", domain: str = "paris.example", namespace: str = "bookinfo") -> Caller:
    return by_certificate([f"spiffe://{domain}/ns/{namespace}/sa/{account}"], "", DOMAINS)


def token(pod: str = "pod-1", cluster: str = "paris", account: str = "reviews") -> Caller:
    name = f"system:serviceaccount:bookinfo:{account}"
    return by_token(Proof(name, pod, f"uid of {pod}" if pod else "", "node-1" if pod else ""), cluster)


def client(node_id: str = "envoy-1", cluster: str = "", namespace: str = "", node: str = "") -> Client:
    return Client(node_id, Vantage(cluster=cluster, namespace=namespace, node=node))


def at(address: str) -> str:
    return f"ipv4:{address}:4321"


def test_a_hundred_node_ids_of_one_certificate_are_one_vote() -> None:
    for peer in (ANYWHERE, at("10.0.0.1"), "ipv4:127.0.0.1:1"):
        assert len({vote(by(), client(f"envoy-{n}", "paris"), peer, PODS).id for n in range(100)}) == 1


def test_pods_that_share_an_identity_have_a_vote_each_by_their_address() -> None:
    votes = [vote(by(), client(), at(f"10.0.0.{n}"), PODS) for n in (1, 2)]
    assert [one.id for one in votes] == ["pod paris/bookinfo/pod-1", "pod paris/bookinfo/pod-2"]
    assert [(one.cluster, one.node, one.locality.zone) for one in votes] == [
        ("paris", "node-1", "paris-a"),
        ("paris", "node-2", "paris-a"),
    ]


def test_from_an_unknown_address_an_identity_is_one_vote() -> None:
    found = vote(by(), client(), ANYWHERE, PODS)
    assert (found.id, found.cluster, found.node) == (by().id, "paris", "")
    assert vote(by("ratings"), client(), ANYWHERE, PODS).id != found.id


def test_a_pod_is_one_vote_however_it_proves_itself() -> None:
    assert vote(token(), client(), ANYWHERE, PODS).id == vote(by(), client(), at("10.0.0.1"), PODS).id


@pytest.mark.parametrize("claims", [{"cluster": "dublin"}, {"namespace": "shop"}, {"node": "node-9"}])
def test_whoever_claims_other_than_it_proved_shares_the_vote_of_the_unproven(claims: dict[str, str]) -> None:
    assert vote(token(), client(**claims), ANYWHERE, PODS) == SHARED
    assert vote(by(), client(**claims), at("10.0.0.1"), PODS) == SHARED
    said = corrected(client(**claims), token())
    assert (said.vantage.cluster, said.vantage.namespace, said.vantage.node) == (
        "paris",
        "bookinfo",
        "node-1",
    )
    assert len(said.problems) == len(contradictions(token(), client(**claims))) == 1
    assert "token proves" in said.problems[0]


def test_the_address_of_another_clusters_pod_is_no_vote_of_that_pod() -> None:
    assert (
        vote(by(domain="dublin.example"), client(), at("10.0.0.1"), PODS).id == by(domain="dublin.example").id
    )


def test_the_address_of_another_namespaces_pod_is_no_vote_of_that_pod() -> None:
    evil = by("evil", namespace="shop")
    assert vote(evil, client(), at("10.0.0.1"), PODS).id == evil.id


def test_where_two_clusters_have_an_address_and_neither_is_proven_nobody_is_that_pod() -> None:
    both = pods(PARIS, facts("dublin", "eu", ends("dublin", "10.0.0.1")))
    caller = replace(by(), cluster="")
    for claimed in ("", "paris", "dublin"):  # claiming one and then the other would be two votes
        assert vote(caller, client(cluster=claimed), at("10.0.0.1"), both).id == caller.id
    assert vote(by(), client(), at("10.0.0.1"), both).id == "pod paris/bookinfo/pod-1"


def test_pods_of_the_hosts_network_share_an_address_and_a_vote() -> None:
    shared = pods(facts("paris", "eu", ends("paris", "10.0.0.1", "10.0.0.1")))
    assert vote(by(), client(), at("10.0.0.1"), shared).id == by().id


@pytest.mark.parametrize(
    "caller",
    [
        NOBODY,
        LOCAL,
        token(pod=""),  # of an account: whoever may ask for one may ask for many
        by_certificate([], "alice", DOMAINS),
        by_certificate(["spiffe://paris.example/vm/1"], "", DOMAINS),
        by_certificate(["spiffe://evil.example/ns/bookinfo/sa/reviews"], "", DOMAINS),
        by_token(Proof(problem="it has expired"), "paris"),
        by_token(Proof("kubernetes-admin"), "paris"),
    ],
)
def test_everybody_else_shares_one_vote(caller: Caller) -> None:
    assert vote(caller, client("envoy-1", "paris"), at("10.0.0.1"), PODS) == SHARED


def test_pods_come_and_go_with_the_facts() -> None:
    known = pods(PARIS)
    assert [one.name for one in known.at("10.0.0.2")] == ["pod-2"]
    known.update({"paris": facts("paris", "eu", ends("paris", "10.0.0.1")), "dublin": DUBLIN})
    assert known.at("10.0.0.2") == []
    assert [one.cluster for one in known.at("10.1.0.1")] == ["dublin"]
    known.update({})
    assert known.at("10.0.0.1") == known.at("10.1.0.1") == []
    assert known._by_address == {}


@pytest.mark.parametrize(
    ("peer", "address", "here"),
    [
        ("ipv4:10.0.0.1:4000", "10.0.0.1", False),
        ("ipv4:127.0.0.1:4000", "127.0.0.1", True),
        ("ipv6:%5B::1%5D:4000", "::1", True),
        ("ipv6:[fd00::1]:4000", "fd00::1", False),
        ("ipv6:%5B::ffff:10.0.0.1%5D:4000", "10.0.0.1", False),
        ("ipv6:%5Bfe80::1%25eth0%5D:4000", "fe80::1", False),
        ("unix:/run/x.sock", "", True),
        ("nonsense", "", False),
        ("", "", False),
    ],
)
def test_the_other_end_as_grpc_writes_it(peer: str, address: str, here: bool) -> None:
    assert (address_of(peer), from_loopback(peer)) == (address, here)
