"""What is broken stays at its last good version; what is in doubt after a restart stays as it was known."""

from __future__ import annotations

import pytest

from discovery.worlds import HOME, RATINGS, Files, dump, said
from support.manifests import Place, endpoint_slice, pod, service
from tideover_core.model import ClusterFacts, ServiceKey

REVIEWS = ServiceKey("bookinfo", "reviews")
GOOD = [service("ratings"), endpoint_slice("ratings", [Place("10.0.0.1"), Place("10.0.0.2")])]
BROKEN_SLICE = {**GOOD[1], "endpoints": "none"}
ODD_SLICE = {**GOOD[1], "addressType": "IPV4"}
ODD_PORT = {**GOOD[1], "ports": [{"name": "http", "port": 90800}]}


def addresses(found: ClusterFacts, key: ServiceKey = RATINGS) -> list[str]:
    return [e.address for e in found.services[key].endpoints[9080]]


@pytest.mark.parametrize(
    ("broken", "word"), [(BROKEN_SLICE, "endpoints"), (ODD_SLICE, "addressType"), (ODD_PORT, "ports[0].port")]
)
def test_a_broken_object_keeps_its_last_good_version_and_the_others_change(broken: object, word: str) -> None:
    files = Files()
    files.read(a=dump(*GOOD, service("reviews")))
    found = files.read(a=dump(GOOD[0], broken))
    assert addresses(found) == ["10.0.0.1", "10.0.0.2"]
    assert REVIEWS not in found.services  # left out of a list that is whole: gone
    (problem,) = found.problems
    assert problem.object == "EndpointSlice bookinfo/ratings-abcde"
    assert word in problem.message
    assert problem.consequence == "its last good version stays"
    assert files.read(a=dump(*GOOD)).problems == ()


def test_a_good_version_is_kept_however_long_it_stays_broken() -> None:
    files = Files()
    files.read(a=dump(*GOOD))
    for _ in range(3):
        found = files.read(a=dump(GOOD[0], BROKEN_SLICE))
    assert addresses(found) == ["10.0.0.1", "10.0.0.2"]


def test_a_broken_file_keeps_all_it_said_and_other_files_change() -> None:
    files = Files()
    files.read(a=dump(*GOOD), b=dump(service("reviews")))
    found = files.read(a=dump(*GOOD)[:-30], b=dump())
    assert addresses(found) == ["10.0.0.1", "10.0.0.2"]
    assert REVIEWS not in found.services
    assert said(found)[0].startswith("a: not YAML")
    assert said(found)[0].endswith("what it said before stays")


def test_a_broken_document_in_a_file_keeps_what_may_have_been_in_it() -> None:
    ratings = b"kind: Service\nmetadata: {name: ratings, namespace: bookinfo}\nspec: {ports: [{port: %d}]}\n"
    reviews = (
        b"kind: Service\nmetadata: {name: reviews, namespace: bookinfo}\nspec: {ports: [{port: 9080}]}\n"
    )
    files = Files()
    files.read(a=ratings % 9080 + b"---\n" + reviews)
    found = files.read(a=ratings % 9081 + b"---\n" + reviews[:-3])
    assert [port.number for port in found.services[RATINGS].ports] == [9081]
    assert [port.number for port in found.services[REVIEWS].ports] == [9080]
    (problem,) = found.problems
    assert (problem.object, problem.where[:2]) == ("Service bookinfo/reviews", "a:")


def test_a_file_that_turns_empty_keeps_what_it_said_and_one_with_an_empty_list_does_not() -> None:
    files = Files()
    files.read(a=dump(*GOOD), b=dump(service("reviews")))
    for text in (b"", b"# soon\n", b""):
        found = files.read(a=text)
        assert addresses(found) == ["10.0.0.1", "10.0.0.2"]
        assert len(found.problems) == 1
    assert RATINGS not in files.read(a=dump()).services


def test_a_deleted_file_takes_its_objects_with_it() -> None:
    files = Files()
    files.read(a=dump(*GOOD), b=dump(service("reviews")))
    assert set(files.read(a=None).services) == {REVIEWS}


def test_an_object_in_two_files_is_named_and_the_first_file_counts() -> None:
    files = Files()
    found = files.read(b=dump(service("ratings", ports=[{"port": 1}])), a=dump(*GOOD))
    assert [port.number for port in found.services[RATINGS].ports] == [9080]
    assert said(found) == ["Service bookinfo/ratings: occurs twice; ignored, a:1 counts"]


def test_an_object_that_moves_to_another_file_is_the_same() -> None:
    files = Files()
    before = files.read(a=dump(*GOOD), b=dump())
    after = files.read(a=dump(), b=dump(*GOOD))
    assert after.services == before.services
    assert after.problems == ()


def test_first_look_a_broken_object_leaves_the_source_not_completely_known() -> None:
    for broken in (dump(GOOD[0], BROKEN_SLICE), dump(*GOOD)[:-30], b"kind: Service\nmetadata: {name: [}\n"):
        files = Files()
        files.read(a=broken, b=dump(service("reviews")))
        assert files.listing.doubt.startswith("a:")
        assert set(files.assembler.facts.services) >= {REVIEWS}
        files.read(b=dump(service("reviews"), service("details")))
        assert files.listing.doubt.startswith("a:")  # as long as it is broken
        files.read(a=dump(*GOOD))
        assert files.listing.doubt == ""


def test_first_look_what_cannot_hide_endpoints_does_not_hold_back_the_source() -> None:
    nameless = {**endpoint_slice("ratings", []), "metadata": {"name": "x", "namespace": "b"}}
    policy = {
        "apiVersion": "tideover.dev/v1alpha1",
        "kind": "FailoverPolicy",
        "metadata": {"name": "x"},
        "spec": {"a": 1},
    }
    files = Files()
    found = files.read(a=dump(*GOOD, nameless, policy), b=b"")
    assert files.listing.doubt == ""
    assert len(found.problems) == 3


def known() -> ClusterFacts:
    """Facts of an earlier life."""
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "ratings", "namespace": "bookinfo"},
        "spec": {"host": "ratings"},
    }
    objects = [*GOOD, service("reviews"), endpoint_slice("reviews", [Place("10.0.0.9", pod="p9")]), rule]
    return Files().read(a=dump(*objects, pod("p9", labels={"version": "v1"})))


def test_after_a_restart_a_file_that_cannot_be_read_takes_nothing_away() -> None:
    files = Files(known())
    found = files.read(services=dump(GOOD[0], service("reviews")), slices=b'{"items": [')
    assert addresses(found) == ["10.0.0.1", "10.0.0.2"]
    assert addresses(found, REVIEWS) == ["10.0.0.9"]
    assert [str(rule) for rule in found.destination_rules] == ["DestinationRule bookinfo/ratings"]
    moved = endpoint_slice("ratings", [Place("10.0.0.2", ready=False), Place("10.0.0.3")])
    found = files.read(more=dump(moved))
    assert addresses(found) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert [e.ready for e in found.services[RATINGS].endpoints[9080]] == [True, False, True]
    found = files.read(slices=dump(), more=dump(moved))
    assert addresses(found) == ["10.0.0.2", "10.0.0.3"]
    assert addresses(found, REVIEWS) == []
    assert found.destination_rules == ()


def test_after_a_restart_a_broken_slice_keeps_the_endpoints_of_its_service_only() -> None:
    files = Files(known())
    found = files.read(a=dump(GOOD[0], BROKEN_SLICE, service("reviews")))
    assert addresses(found) == ["10.0.0.1", "10.0.0.2"]
    assert addresses(found, REVIEWS) == []
    assert addresses(files.read(a=dump(GOOD[0])), RATINGS) == []


def test_after_a_restart_a_broken_policy_stays_as_it_was() -> None:
    broken = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "ratings", "namespace": "bookinfo"},
        "spec": {},
    }
    files = Files(known())
    found = files.read(a=dump(*GOOD, broken))
    assert [str(rule) for rule in found.destination_rules] == ["DestinationRule bookinfo/ratings"]
    assert files.read(a=dump(*GOOD)).destination_rules == ()


def test_after_a_restart_pods_that_cannot_be_read_leave_labels_as_they_were() -> None:
    files = Files(known())
    slices = [service("reviews"), endpoint_slice("reviews", [Place("10.0.0.9", pod="p9")])]
    found = files.read(a=dump(*GOOD, *slices), pods=b"{")
    (endpoint,) = found.services[REVIEWS].endpoints[9080]
    assert endpoint.labels == {"version": "v1"}


def test_after_a_restart_the_generation_goes_on() -> None:
    before = known()
    assert Files(before).read(a=dump(service("new"))).generation > before.generation
    assert before.locality == HOME
