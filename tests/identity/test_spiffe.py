"""SPIFFE IDs: what is one, and what a certificate with URI names proves."""

from __future__ import annotations

import pytest

from support.certificates import Authority
from tideover_identity.caller import Caller, How, TrustDomains, by_certificate
from tideover_identity.certificate import names
from tideover_identity.spiffe import NotSpiffeError, SpiffeId

REVIEWS = "spiffe://cluster.local/ns/bookinfo/sa/reviews"


def test_a_workload_of_kubernetes() -> None:
    found = SpiffeId.parse(REVIEWS)
    assert (found.trust_domain, found.namespace, found.service_account) == (
        "cluster.local",
        "bookinfo",
        "reviews",
    )
    assert str(found) == REVIEWS


def test_another_path_is_an_id_without_a_namespace() -> None:
    found = SpiffeId.parse("spiffe://example.org/vm/db-1")
    assert (found.namespace, found.service_account) == ("", "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://cluster.local/ns/bookinfo/sa/reviews",
        "SPIFFE://cluster.local/ns/bookinfo/sa/reviews",
        "spiffe://",
        "spiffe://cluster.local",
        "spiffe://cluster.local/",
        "spiffe:///ns/bookinfo/sa/reviews",
        "spiffe://Cluster.Local/ns/bookinfo/sa/reviews",
        "spiffe://cluster.local:443/ns/bookinfo/sa/reviews",
        "spiffe://user@cluster.local/ns/bookinfo/sa/reviews",
        "spiffe://cluster.local/ns/bookinfo/sa/",
        "spiffe://cluster.local/ns//sa/reviews",
        "spiffe://cluster.local/ns/bookinfo/sa/reviews/",
        "spiffe://cluster.local/ns/shop/../bookinfo/sa/reviews",
        "spiffe://cluster.local/ns/./sa/reviews",
        "spiffe://cluster.local/ns/book%69nfo/sa/reviews",
        "spiffe://cluster.local/ns/bookinfo/sa/reviews?x=1",
        "spiffe://cluster.local/ns/bookinfo/sa/reviews#x",
        "spiffe://cluster.local/ns/bookinfo/sa/reviews\n",
        "spiffe://cluster.local/ns/bookınfo/sa/reviews",
        "spiffe://cluster.local/ns/bookinfo/sa/" + "x" * 2048,
    ],
)
def test_what_can_be_read_in_two_ways_is_none(text: str) -> None:
    with pytest.raises(NotSpiffeError):
        SpiffeId.parse(text)


DOMAINS = TrustDomains({"paris.example": ["paris"], "shared.example": ["dublin", "virginia"]})


@pytest.mark.parametrize(
    ("domain", "cluster"), [("paris.example", "paris"), ("shared.example", ""), ("evil.example", None)]
)
def test_a_trust_domain_proves_its_cluster_where_it_is_of_one(domain: str, cluster: str | None) -> None:
    found = by_certificate([f"spiffe://{domain}/ns/bookinfo/sa/reviews"], "", DOMAINS)
    if cluster is None:
        assert not found.proven
        assert "trust domain evil.example, of no cluster here" in found.problem
    else:
        assert (found.how, found.cluster, found.namespace) == (How.CERTIFICATE, cluster, "bookinfo")


def test_domains_of_registered_clusters_alone_take_nothing_from_others() -> None:
    domains = TrustDomains({"dublin.example": ["dublin"]}, others=True)
    for domain, cluster in (("dublin.example", "dublin"), ("cluster.local", "")):
        found = by_certificate([f"spiffe://{domain}/ns/bookinfo/sa/reviews"], "", domains)
        assert (found.proven, found.cluster) == (True, cluster)


def test_without_trust_domains_all_that_the_ca_has_signed_count_and_prove_no_cluster() -> None:
    found = by_certificate([REVIEWS], "", TrustDomains())
    assert (found.id, found.cluster, found.namespace, found.service_account) == (
        REVIEWS,
        "",
        "bookinfo",
        "reviews",
    )


@pytest.mark.parametrize(
    ("uris", "common_name", "who"),
    [
        ([], "alice", "user:alice"),
        ([], "", ""),
        ([REVIEWS], "alice", REVIEWS),  # a common name beside a SPIFFE ID is nobody's
        ([REVIEWS, REVIEWS], "alice", ""),
        ([REVIEWS, "https://other"], "alice", ""),
        (["https://other"], "alice", ""),
    ],
)
def test_a_certificate_is_of_one_subject_or_of_nobody(uris: list[str], common_name: str, who: str) -> None:
    found = by_certificate(uris, common_name, TrustDomains())
    assert (found.id, bool(found.problem)) == (who, not who)


def test_names_are_read_by_their_type() -> None:
    authority = Authority()
    assert names(authority.workload(REVIEWS).cert)[:2] == ((REVIEWS,), "")
    # a DNS name that looks like an ID is none
    assert names(authority.issue("alice", dns=REVIEWS).cert)[:2] == ((), "alice")
    assert names(b"nonsense").problem
    assert Caller().proven is False
