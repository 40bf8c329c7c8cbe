"""A real API server that dies, hangs and forgets: nothing known is lost, and nobody needs to help."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from discovery.live import TWO, access_to, addresses, fresh, has, hurried, running, service, slice_of, stale
from support.apiserver import ApiServer
from support.apiserver.build import Binaries
from support.wait import holds, until
from tideover_discovery.kubernetes.watch import KubernetesSource


@pytest.fixture(scope="module")
def server(built_servers: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One for all tests here; each leaves it running, and has a namespace of its own."""
    server = ApiServer(tmp_path_factory.mktemp("faults"), "faults", built_servers)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch)


def made(server: ApiServer, namespace: str) -> None:
    server.admin.namespace(namespace)
    server.admin.create(service(namespace), slice_of(namespace, TWO))


def lists(source: KubernetesSource) -> dict[str, int]:
    return {r.resource.kind: r.lists for r in source.reflectors}


async def test_a_server_that_is_killed_makes_its_facts_stale_and_nothing_else(
    server: ApiServer, tmp_path: Path
) -> None:
    made(server, "killed")
    async with running(access_to(server, tmp_path)) as source:
        await fresh(source)
        before = source.facts.value
        server.kill()
        reason = await stale(source, "connection refused")
        assert server.url in reason
        assert source.facts.value is before
        await asyncio.to_thread(server.start)
        # a restarted server has forgotten our versions: what changed since is found all the same
        server.admin.apply(slice_of("killed", ["10.0.0.3"], suffix="y"))
        server.admin.delete("EndpointSlice", "ratings-x", "killed")
        await fresh(source)
        await has(source, "killed", ["10.0.0.3"])


async def test_a_server_that_hangs_is_stale_within_seconds_and_goes_on_afterwards(
    server: ApiServer, tmp_path: Path
) -> None:
    made(server, "hangs")
    async with running(access_to(server, tmp_path)) as source:
        await fresh(source)
        listed = lists(source)
        server.pause()
        try:
            await stale(source, "in time")
            assert addresses(source.facts.value, "hangs") == TWO
        finally:
            server.resume()
        await fresh(source)
        server.admin.apply(slice_of("hangs", ["10.0.0.3"], suffix="y"))
        await has(source, "hangs", [*TWO, "10.0.0.3"])
        assert lists(source) == listed, "watches go on without a new list"


async def test_without_contact_from_the_start_what_is_known_stays_and_is_replaced_by_whole_lists(
    server: ApiServer, tmp_path: Path
) -> None:
    made(server, "before")
    async with running(access_to(server, tmp_path)) as earlier:
        await fresh(earlier)
        known = earlier.facts.value
    server.kill()
    async with running(access_to(server, tmp_path), initial=known) as source:
        await stale(source, "connection refused")
        assert source.status.value.known
        assert source.facts.value is known
        await asyncio.to_thread(server.start)
        server.admin.delete("EndpointSlice", "ratings-x", "before")
        server.admin.create(slice_of("before", ["10.0.0.9"], suffix="y"))
        await fresh(source)
        await has(source, "before", ["10.0.0.9"])


async def test_a_crd_that_is_installed_later_is_noticed(server: ApiServer, tmp_path: Path) -> None:
    made(server, "later")
    policy = {
        "apiVersion": "tideover.dev/v1alpha1",
        "kind": "FailoverPolicy",
        "metadata": {"name": "ratings", "namespace": "later"},
        "spec": {"scope": "Region"},
    }
    async with running(access_to(server, tmp_path)) as source:
        await fresh(source)
        await asyncio.to_thread(server.admin.apply_crds)
        server.admin.create(policy)
        await until(lambda: source.facts.value and source.facts.value.failover_policies)
        await holds(lambda: source.status.value.stale_since_s is None, 0.2)


async def test_a_server_that_forgot_everything_empties_nothing_before_a_second_look(
    server: ApiServer, tmp_path: Path
) -> None:
    made(server, "wiped")
    async with running(access_to(server, tmp_path), removal_hold_s=2.0) as source:
        await fresh(source)
        before = source.facts.value
        await asyncio.to_thread(server.wipe)
        await until(lambda: source.held.value, 30, lambda: source.status.value)
        assert source.facts.value is not None
        assert any(
            "its history went back" in one.message or "another cluster" in one.message
            for one in source.facts.value.problems
        )
        assert before is not None
        assert addresses(source.facts.value, "wiped") == TWO
        assert "vanished at once" in str(source.held.value)
        await until(lambda: "vanished" in source.status.value.reason, what=lambda: source.status.value)
        await has(source, "wiped", [])
        await fresh(source)
        assert source.held.value is None


async def test_an_operator_may_accept_that_it_is_gone(server: ApiServer, tmp_path: Path) -> None:
    for name in ("one", "two"):
        made(server, name)
    async with running(access_to(server, tmp_path)) as source:
        await fresh(source)
        facts = source.facts.value
        assert facts is not None
        for key in facts.services:  # all of them, also what other tests left: few of many would not be held
            if key.name == "ratings":
                server.admin.delete_all("Service", key.namespace)
                server.admin.delete_all("EndpointSlice", key.namespace)
        # a watch that is silent, just after the server was wiped, is noticed within 75 s
        await until(lambda: source.held.value, 90, lambda: (source.status.value, lists(source)))
        assert addresses(source.facts.value, "one") == TWO
        source.accept_removals()
        await has(source, "one", [])
        await until(lambda: source.held.value is None)
