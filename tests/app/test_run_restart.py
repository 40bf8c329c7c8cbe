"""`tideover run` as a process, law 1: what is known survives restarts and lost sources."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from support.delta import CDS, EDS, delta_client, node
from support.running import RATINGS, addresses, happened, of, put, status, two_clusters, versions
from support.tideover import Setup, running_tideover
from support.wait import holds, until


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return two_clusters(tmp_path)


def known(path: Path, cluster: str) -> bool:
    """Whether the state folder holds facts of that cluster."""
    return (path / "state" / f"{cluster}.facts").exists()


async def test_after_kill_9_a_lost_source_is_known_from_the_snapshot(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        await until(lambda: known(setup.folder, "paris") and known(setup.folder, "dublin"))
        before = await versions(setup)
        await tideover.kill()
    setup.cluster_path("dublin").rename(setup.folder / "aside")
    async with running_tideover(setup) as tideover:
        assert await versions(setup) == before
        sources = {row.name: row for row in (await status(tideover)).clusters}
        assert sources["dublin"].known
        assert sources["dublin"].stale_since.seconds > 0
        await happened(tideover, "SourceStale Cluster dublin")
        assert (await tideover.http("/readyz"))[0] == 200
        (setup.folder / "aside").rename(setup.cluster_path("dublin"))
        await happened(tideover, "SourceFresh Cluster dublin")


@pytest.mark.parametrize("spoilt", ["torn", "corrupt", "of another version"])
async def test_a_spoilt_snapshot_is_refused_and_the_one_before_used(setup: Setup, spoilt: str) -> None:
    async with running_tideover(setup) as tideover:
        await until(lambda: known(setup.folder, "dublin"))
        put(setup, "dublin", ready=2)
        await until((setup.folder / "state" / "dublin.facts.previous").exists)
        await tideover.kill()
    newest = setup.folder / "state" / "dublin.facts"
    whole = newest.read_bytes()
    newest.write_bytes(
        {
            "torn": whole[: len(whole) // 2],
            "corrupt": whole[:-9] + b"#" + whole[-8:],
            "of another version": whole.replace(b"tideover-facts 1", b"tideover-facts 99", 1),
        }[spoilt]
    )
    setup.cluster_path("dublin").rename(setup.folder / "aside")
    async with running_tideover(setup) as tideover:
        assert await addresses(tideover) == of("paris") + of("dublin")
        problems = str((await status(tideover)).problems)
        assert "Snapshot of cluster dublin" in problems
        assert str(newest) in problems


@pytest.mark.parametrize("trouble", ["missing", "pipe"])
async def test_with_empty_state_and_a_source_that_hangs_a_returning_stream_hears_nothing_until_all_is_known(
    setup: Setup, trouble: str
) -> None:
    put(setup, "dublin", names=["ratings", "only-in-dublin"])
    async with running_tideover(setup) as tideover:
        before = await versions(setup)
        assert "bookinfo/only-in-dublin:9080" in before
        await tideover.kill()
    for path in (setup.folder / "state").iterdir():
        path.unlink()
    folder, aside = setup.cluster_path("dublin"), setup.folder / "aside"
    folder.rename(aside)
    if trouble == "pipe":
        folder.mkdir()
        os.mkfifo(folder / "a.yaml")
    setup.settings = {"startGrace": "200ms"}  # readiness is another question
    setup.write()
    async with running_tideover(setup) as tideover, delta_client(setup.xds_port, node("a")) as client:
        await client.send(CDS, initial_resource_versions=before)
        await client.send(EDS, resource_names_subscribe=[RATINGS], initial_resource_versions={RATINGS: "old"})
        hearing = asyncio.ensure_future(client.receive(30))
        await holds(lambda: not hearing.done(), 0.5)
        assert "going without cluster dublin" in (await tideover.http("/readyz"))[1]
        # a service that it never had may be told; what it has stays as it is
        put(setup, "paris", names=["ratings", "new-in-paris"])
        new = await hearing
        assert [one.name for one in new.resources] == ["bookinfo/new-in-paris:9080"]
        assert not new.removed_resources
        await client.ack(new)
        hearing = asyncio.ensure_future(client.receive(30))
        await holds(lambda: not hearing.done(), 0.5)
        if trouble == "pipe":
            (folder / "a.yaml").unlink()
            folder.rmdir()
        (aside / "only-in-dublin.json").unlink()
        aside.rename(folder)
        # complete now: what is gone for certain is removed, and nothing else
        response = await hearing
        removed, sent = set(response.removed_resources), {one.name for one in response.resources}
        while not removed or RATINGS not in sent:
            await client.ack(response)
            response = await client.receive()
            removed |= set(response.removed_resources)
            sent |= {one.name for one in response.resources}
        assert removed == {"bookinfo/only-in-dublin:9080"}


async def test_state_of_a_cluster_that_is_no_longer_configured_is_ignored(setup: Setup) -> None:
    async with running_tideover(setup):
        await until(lambda: known(setup.folder, "dublin"))
    setup.clusters = {"paris": setup.clusters["paris"]}
    setup.write()
    async with running_tideover(setup) as tideover:
        assert [row.name for row in (await status(tideover)).clusters] == ["paris"]
        assert await addresses(tideover) == of("paris")


async def test_a_state_folder_that_cannot_be_written_is_a_problem_and_all_else_goes_on(setup: Setup) -> None:
    (setup.folder / "file").write_text("in the way")
    setup.settings = {"state": "./file/state"}
    setup.write()
    async with running_tideover(setup) as tideover:
        assert len(await versions(setup)) == 1
        await happened(tideover, "ProblemFound State folder", "not saved")
        assert await tideover.terminate() == 0


async def test_without_any_cluster_nothing_is_known(setup: Setup) -> None:
    # an empty configuration must not take everything away from clients that come back
    setup.clusters = {}
    setup.write()
    async with running_tideover(setup) as tideover:

        async def incomplete() -> bool:
            return "tideover_world_complete 0.0" in (await tideover.http("/metrics"))[1]

        await holds(incomplete, 0.3)


async def test_readiness_waits_for_the_grace_and_says_for_what(setup: Setup) -> None:
    setup.cluster_path("dublin").rename(setup.folder / "aside")
    async with running_tideover(setup, wait=False) as tideover:
        code, text = await tideover.http("/readyz")
        assert code == 503
        assert "waiting for cluster dublin" in text
        (setup.folder / "aside").rename(setup.cluster_path("dublin"))
        await until(tideover.ready)
