"""Sources that follow real files: what changes on disk is what they say, and what vanishes is stale."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from discovery.worlds import HOME, RATINGS
from support.manifests import ClusterFolder, Place, endpoint_slice, service
from support.wait import holds, until
from tideover_core.model import ClusterFacts, ServiceKey, SourceStatus
from tideover_discovery.files import ManifestSource, PolicySource, follow
from tideover_discovery.watch import Source

REVIEWS = ServiceKey("bookinfo", "reviews")
FRESH = SourceStatus("paris", known=True)


@asynccontextmanager
async def running(source: ManifestSource | PolicySource) -> AsyncIterator[None]:
    task = asyncio.create_task(source.run())
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def source(path: Path, initial: ClusterFacts | None = None) -> ManifestSource:
    return ManifestSource("paris", "default", HOME, path, initial=initial, clock=lambda: 100.0)


def write(folder: ClusterFolder, *, ready: bool) -> None:
    folder.write("ratings", service("ratings"), endpoint_slice("ratings", [Place("10.0.0.1", ready=ready)]))


def ready(found: Source) -> bool | None:
    facts = found.facts.value
    if facts is None or RATINGS not in facts.services:
        return None
    return facts.services[RATINGS].endpoints[9080][0].ready


@pytest.fixture
def folder(tmp_path: Path) -> ClusterFolder:
    made = ClusterFolder(tmp_path / "paris")
    write(made, ready=True)
    made.write("reviews", service("reviews"))
    return made


async def test_it_lists_and_then_follows_atomic_replacements(folder: ClusterFolder) -> None:
    paris: Source = source(folder.path)
    assert not paris.status.value.known
    assert paris.facts.value is None
    async with running(paris):
        await until(lambda: paris.status.value == FRESH)
        assert ready(paris) is True
        for number in range(6):
            write(folder, ready=bool(number % 2))
            await until(lambda n=number: ready(paris) is bool(n % 2))
        folder.remove("reviews")
        await until(lambda: paris.facts.value and REVIEWS not in paris.facts.value.services)
        assert paris.status.value == FRESH


async def test_unchanged_services_keep_their_identity(folder: ClusterFolder) -> None:
    paris = source(folder.path)
    async with running(paris):
        await until(lambda: paris.status.value == FRESH)
        before = paris.facts.value
        write(folder, ready=False)
        await until(lambda: ready(paris) is False)
        after = paris.facts.value
        assert before is not None
        assert after is not None
        assert after.services[REVIEWS] is before.services[REVIEWS]
        assert after.generation == before.generation + 1


def remove_all(path: Path) -> None:
    for file in path.iterdir():
        file.unlink()


def vanish(path: Path) -> None:
    path.rename(path.with_name("away"))


@pytest.mark.parametrize(("lose", "words"), [(vanish, "does not exist"), (remove_all, "holds no manifests")])
async def test_a_folder_that_vanishes_or_turns_empty_is_stale_and_returns(
    folder: ClusterFolder, lose: Callable[[Path], None], words: str
) -> None:
    paris = source(folder.path)
    async with running(paris):
        await until(lambda: paris.status.value == FRESH)
        facts = paris.facts.value
        lose(folder.path)
        await until(lambda: paris.status.value.stale_since_s == 100.0)
        assert words in paris.status.value.reason
        assert paris.status.value.known
        await holds(lambda: paris.facts.value is facts, 1.3)  # longer than a deletion is waited for
        write(ClusterFolder(folder.path), ready=False)
        await until(lambda: paris.status.value == FRESH)
        await until(lambda: ready(paris) is False)


async def test_a_folder_that_appears_later_is_read(tmp_path: Path) -> None:
    paris = source(tmp_path / "later")
    async with running(paris):
        await until(lambda: "does not exist" in paris.status.value.reason)
        assert paris.facts.value is None
        assert not paris.status.value.known
        write(ClusterFolder(tmp_path / "later"), ready=True)
        await until(lambda: paris.status.value == FRESH)
        write(ClusterFolder(tmp_path / "later"), ready=False)
        await until(lambda: ready(paris) is False)


async def test_a_folder_that_is_exchanged_by_a_link_is_followed(tmp_path: Path) -> None:
    one, two = ClusterFolder(tmp_path / "one"), ClusterFolder(tmp_path / "two")
    write(one, ready=True)
    write(two, ready=False)
    link = tmp_path / "paris"
    link.symlink_to(one.path)
    paris = source(link)
    async with running(paris):
        await until(lambda: ready(paris) is True)
        (tmp_path / "new").symlink_to(two.path)
        os.replace(tmp_path / "new", link)
        await until(lambda: ready(paris) is False)
        write(two, ready=True)
        await until(lambda: ready(paris) is True)


async def test_a_file_whose_name_is_no_text_does_not_end_the_watch(folder: ClusterFolder) -> None:
    """watchfiles says so by an error in a group."""
    paris = source(folder.path)
    async with running(paris):
        await until(lambda: paris.status.value == FRESH)
        odd = folder.path / os.fsdecode(b"\xff.yaml")
        for number in range(4):
            odd.write_text(f"# {number}")
            odd.unlink()
            write(folder, ready=bool(number % 2))
            await until(lambda n=number: ready(paris) is bool(n % 2))


async def test_a_path_that_no_system_call_takes_is_a_status(tmp_path: Path) -> None:
    """As is one in a folder that nobody may look into, which root cannot try."""
    paris = source(tmp_path / ("x" * 300))
    async with running(paris):
        await until(lambda: "cannot be read: File name too long" in paris.status.value.reason)
        await holds(lambda: not paris.status.value.known, 0.3)


async def test_a_single_file_that_is_replaced_is_followed(tmp_path: Path) -> None:
    folder = ClusterFolder(tmp_path)
    write(folder, ready=True)
    paris = source(tmp_path / "ratings.json")
    async with running(paris):
        for number in range(6):
            write(folder, ready=bool(number % 2))
            await until(lambda n=number: ready(paris) is bool(n % 2))
        folder.remove("ratings")
        await until(lambda: "does not exist" in paris.status.value.reason)
        assert ready(paris) is True
        write(folder, ready=False)
        await until(lambda: ready(paris) is False)
        assert paris.status.value == FRESH


async def test_a_broken_document_is_a_problem_and_the_rest_goes_on(folder: ClusterFolder) -> None:
    paris = source(folder.path)
    async with running(paris):
        await until(lambda: paris.status.value == FRESH)
        folder.write_text("reviews.json", '{"kind": "List", "items": [{"kind": "Serv')
        facts = await until(lambda: paris.facts.value and paris.facts.value.problems and paris.facts.value)
        assert REVIEWS in facts.services
        (problem,) = facts.problems
        assert problem.where == f"{folder.path}/reviews.json:1"
        write(folder, ready=False)
        await until(lambda: ready(paris) is False)
        assert paris.status.value == FRESH
        folder.write("reviews", service("reviews"))
        await until(lambda: paris.facts.value and not paris.facts.value.problems)


async def test_a_source_that_was_never_listed_whole_is_not_known_but_says_what_it_can(
    folder: ClusterFolder,
) -> None:
    folder.write_text("slices.json", '{"items": [')
    paris = source(folder.path)
    async with running(paris):
        await until(lambda: ready(paris) is True)
        await until(lambda: "not completely known" in paris.status.value.reason)
        assert not paris.status.value.known
        folder.write("slices")
        await until(lambda: paris.status.value == FRESH)


async def test_facts_from_the_snapshot_are_known_and_stale_until_listed(folder: ClusterFolder) -> None:
    before = source(folder.path)
    async with running(before):
        known = await until(lambda: before.facts.value)
    vanish(folder.path)
    paris = source(folder.path, known)
    assert paris.facts.value is known
    assert paris.status.value == SourceStatus("paris", True, 100.0, "from the snapshot, not listed yet")
    async with running(paris):
        await until(lambda: "does not exist" in paris.status.value.reason)
        assert (paris.facts.value is known, paris.status.value.known) == (True, True)
        folder.path.with_name("away").rename(folder.path)
        await until(lambda: paris.status.value == FRESH)
        assert paris.facts.value is known  # nothing changed: not even the generation


async def test_a_folder_that_hangs_holds_up_nobody_else(
    folder: ClusterFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    stuck, paris = source(folder.path), source(folder.path)
    monkeypatch.setattr(stuck, "look", lambda: released.wait(60))
    try:
        async with running(stuck), running(paris):
            await until(lambda: paris.status.value == FRESH)
            write(folder, ready=False)
            await until(lambda: ready(paris) is False)
            assert not stuck.status.value.known
    finally:
        released.set()


@pytest.mark.parametrize("kind", [ManifestSource, PolicySource])
async def test_a_listed_folder_that_hangs_is_stale_until_it_is_read_again(
    kind: type, folder: ClusterFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "HANGS_AFTER_S", 0.05)
    released, hanging = threading.Event(), threading.Event()
    followed = source(folder.path) if kind is ManifestSource else PolicySource(folder.path)
    look = followed.look

    def slow() -> object:
        if hanging.is_set():
            released.wait(60)
        return look()

    monkeypatch.setattr(followed, "look", slow)

    def reasons() -> list[str]:
        if isinstance(followed, ManifestSource):
            return [followed.status.value.reason]
        return [problem.message for problem in followed.policies.value.problems]

    def hangs() -> bool:
        return any("its file system hangs" in reason for reason in reasons())

    try:
        async with running(followed):
            await until(lambda: known(followed))
            hanging.set()
            write(folder, ready=False)
            await until(hangs)
            assert known(followed)  # what it said stays
            released.set()
            await until(lambda: not hangs())
    finally:
        released.set()


def known(followed: ManifestSource | PolicySource) -> bool:
    if isinstance(followed, ManifestSource):
        return followed.status.value.known
    return followed.policies.value.known


async def test_a_change_while_the_watch_only_begins_is_heard(folder: ClusterFolder) -> None:
    paris = source(folder.path)
    async with running(paris):
        while paris.facts.value is None:
            await asyncio.sleep(0)
        write(folder, ready=False)  # listed, and not watched yet
        await until(lambda: ready(paris) is False)


async def test_a_source_may_run_again(folder: ClusterFolder) -> None:
    paris = source(folder.path)
    async with running(paris):
        await until(lambda: paris.status.value == FRESH)
    write(folder, ready=False)
    async with running(paris):
        await until(lambda: ready(paris) is False)


POLICY = """\
apiVersion: tideover.dev/v1alpha1
kind: FailoverPolicy
metadata: {name: ratings, namespace: bookinfo}
spec: {scope: %s}
---
apiVersion: networking.istio.io/v1beta1
kind: DestinationRule
metadata: {name: ratings, namespace: bookinfo}
spec: {host: ratings, trafficPolicy: {loadBalancer: {localityLbSetting: {distribute: [
  {from: "*", to: {"eu/*": %d, "us/*": 20}}]}}}}
"""


@pytest.mark.parametrize("broken", ["Moon", "{["])
async def test_policies_of_an_earlier_life_count_where_a_file_is_broken_from_the_start(
    tmp_path: Path, broken: str
) -> None:
    folder = ClusterFolder(tmp_path / "policies")
    folder.write_text("a.yaml", POLICY % ("Region", 80))
    before = PolicySource(folder.path)
    async with running(before):
        known = await until(lambda: before.policies.value.known and before.policies.value)
    folder.write_text("a.yaml", POLICY % (broken, 80))
    found = PolicySource(folder.path, initial=known)
    assert found.policies.value is known
    async with running(found):
        await until(lambda: found.policies.value.problems)
        assert found.policies.value.failover_policies == known.failover_policies
        assert found.policies.value.destination_rules == known.destination_rules
        folder.write_text("a.yaml", (POLICY % ("Cluster", 80)).partition("---")[0])
        await until(lambda: not found.policies.value.problems)
        (policy,) = found.policies.value.failover_policies
        assert str(policy.settings.scope) == "Cluster"
        assert found.policies.value.destination_rules == ()


async def test_policies_are_followed_and_a_refused_one_keeps_its_last_good_version(tmp_path: Path) -> None:
    folder = ClusterFolder(tmp_path / "policies")
    found = PolicySource(folder.path)
    async with running(found):
        await until(lambda: found.policies.value.problems)
        assert "holds no manifests" in found.policies.value.problems[0].message
        assert not found.policies.value.known
        folder.write_text("a.yaml", POLICY % ("Region", 80))
        await until(lambda: found.policies.value.known)
        (rule,) = found.policies.value.destination_rules
        folder.write_text("a.yaml", POLICY % ("Moon", 70))
        await until(lambda: len(found.policies.value.problems) == 2)
        assert found.policies.value.destination_rules == (rule,)
        (policy,) = found.policies.value.failover_policies
        assert str(policy.settings.scope) == "Region"
        problems = {p.object: p for p in found.policies.value.problems}
        assert "adds up to 90 %" in problems["DestinationRule bookinfo/ratings"].message
        assert problems["DestinationRule bookinfo/ratings"].consequence == "its last good version stays"
        assert "spec.scope" in problems["FailoverPolicy bookinfo/ratings"].message
        vanish(folder.path)
        await until(lambda: len(found.policies.value.problems) == 3)
        assert found.policies.value.destination_rules == (rule,)


async def test_an_order_among_the_policies_does_not_count_and_that_is_said(tmp_path: Path) -> None:
    folder = ClusterFolder(tmp_path / "policies")
    order = "{action: Drain, target: {cluster: paris}, reason: x}"
    folder.write_text(
        "o.yaml",
        f"apiVersion: tideover.dev/v1alpha1\nkind: TrafficOrder\nmetadata: {{name: out}}\nspec: {order}\n",
    )
    found = PolicySource(folder.path)
    async with running(found):
        (problem,) = await until(lambda: found.policies.value.problems)
    assert problem.object == "TrafficOrder default/out"
    assert problem.message == "an order does not count in the folder of policies"
