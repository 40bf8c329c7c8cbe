"""Sources while they run: exchanged live, and none takes another down."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from support.delta import CDS, delta_client, node
from support.manifests import ClusterFolder, Place, endpoint_slice, service
from support.tideover import Setup, running_tideover
from support.wait import holds, until
from tideover_app import run_sources
from tideover_app.config import Cluster
from tideover_app.run_sources import Sources
from tideover_core.latest import Latest
from tideover_core.model import ClusterFacts, Endpoint, Locality, ServiceFacts, ServiceKey, SourceStatus
from tideover_discovery.watch import Source


class Scripted:
    """A source that a test drives; `failures`: how often `run` raises at once."""

    def __init__(self, cluster: Cluster, before: ClusterFacts | None, failures: int = 0) -> None:
        self.cluster = cluster.name
        self.before = before
        self.facts: Latest[ClusterFacts | None] = Latest(before)
        self.status = Latest(SourceStatus(cluster.name, before is not None, 1.0, "not listed yet"))
        self.failures = failures
        self.running = 0

    async def run(self) -> None:
        if self.failures:
            self.failures -= 1
            raise ZeroDivisionError("a fault")
        self.running += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.running -= 1

    def say(self, generation: int = 1) -> ClusterFacts:
        facts = ClusterFacts(self.cluster, "default", Locality(), generation=generation)
        self.facts.set(facts)
        self.status.set(SourceStatus(self.cluster, known=True))
        return facts


def cluster(name: str, **more: object) -> Cluster:
    return Cluster.model_validate({"name": name, "manifests": f"./{name}", **more})


class World:
    """Sources of a test, by name; `changes` counts calls of `changed`."""

    def __init__(self, failures: int = 0) -> None:
        self.made: dict[str, Scripted] = {}
        self.changes = 0
        self.failures = failures
        self.sources = Sources(self._open, self._changed, join_grace_s=0.05)

    def _open(self, wanted: Cluster, before: ClusterFacts | None) -> Source:
        self.made[wanted.name] = Scripted(wanted, before, self.failures)
        return self.made[wanted.name]

    def _changed(self) -> None:
        self.changes += 1

    def generations(self) -> dict[str, int]:
        return {facts.cluster: facts.generation for facts in self.sources.facts()}


@asynccontextmanager
async def running(world: World) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        world.sources.start(tasks)
        yield
        world.sources.stop()


async def test_facts_appear_when_they_are_known_and_each_news_is_told() -> None:
    world = World()
    world.sources.apply([cluster("paris"), cluster("dublin")])
    async with running(world):
        assert world.generations() == {}
        assert [s.known for s in world.sources.statuses().values()] == [False, False]
        before = world.changes
        world.made["paris"].say(7)
        await until(lambda: world.changes > before)
        assert world.generations() == {"paris": 7}
        assert list(world.sources.statuses()) == ["paris", "dublin"]


async def test_facts_said_before_the_watching_began_are_told_too() -> None:
    world = World()
    world.sources.apply([cluster("paris")])
    world.made["paris"].say()
    before = world.changes
    async with running(world):
        await until(lambda: world.changes > before)


async def test_the_same_configuration_restarts_nothing() -> None:
    world = World()
    world.sources.apply([cluster("paris")])
    async with running(world):
        first = world.made["paris"]
        assert world.sources.apply([cluster("paris")]) == []
        assert world.made["paris"] is first


async def test_a_cluster_that_joins_does_not_hold_back_the_others_for_ever() -> None:
    world = World()
    world.sources.apply([cluster("paris")])
    async with running(world):
        assert not world.sources.known
        world.made["paris"].say()
        assert world.sources.known
        world.sources.apply([cluster("paris"), cluster("oslo", manifests="./mistyped")])
        assert not world.sources.known
        before = world.changes
        await until(lambda: world.sources.known)
        assert world.changes > before
        assert not world.sources.statuses()["oslo"].known


async def test_a_cluster_of_the_start_holds_back_until_it_is_known_wherever_it_moves() -> None:
    world = World()
    world.sources.apply([cluster("paris"), cluster("oslo", manifests="./mistyped")])
    async with running(world):
        world.made["paris"].say()
        world.sources.apply([cluster("paris"), cluster("oslo")])
        await holds(lambda: not world.sources.known, 0.2)
        world.made["oslo"].say()
        assert world.sources.known


async def test_clusters_come_change_and_go() -> None:
    world = World()
    world.sources.apply([cluster("paris"), cluster("dublin")])
    async with running(world):
        old_paris, old_dublin = world.made["paris"], world.made["dublin"]
        facts = old_paris.say()
        await until(lambda: old_dublin.running)
        said = world.sources.apply([cluster("oslo"), cluster("paris", manifests="./elsewhere")])
        assert said == ["cluster oslo added", "cluster paris changed", "cluster dublin removed"]
        assert world.made["paris"].before is facts
        assert list(world.sources.statuses()) == ["oslo", "paris"]
        await until(lambda: world.made["oslo"].running and world.made["paris"].running)
        await until(lambda: not old_paris.running and not old_dublin.running)


async def test_facts_are_handed_on_also_into_another_network() -> None:
    end = Endpoint("10.0.0.1", 80, "paris", "default", Locality())
    key = ServiceKey("bookinfo", "ratings")
    facts = ClusterFacts("paris", "default", Locality(), {key: ServiceFacts(key, (), {80: (end,)})})
    world = World()
    world.sources.apply([cluster("paris", network="other")], {"paris": facts})
    before = world.made["paris"].before
    assert before is not None
    assert before.network == "other"
    assert before.services[key].endpoints == {80: (replace(end, network="other"),)}
    world.sources.apply([cluster("paris")])
    assert world.made["paris"].before == facts


async def test_a_cluster_that_gets_another_name_keeps_its_facts_meanwhile() -> None:
    end = Endpoint("10.0.0.1", 80, "paris", "default", Locality())
    key = ServiceKey("bookinfo", "ratings")
    facts = ClusterFacts("paris", "default", Locality(), {key: ServiceFacts(key, (), {80: (end,)})})
    world, folder = World(), "/clusters/one"
    world.sources.apply([cluster("paris", manifests=folder)], {"paris": facts})
    assert world.sources.apply([cluster("lutetia", manifests=folder), cluster("rome")]) == [
        "cluster lutetia added, which was paris",
        "cluster rome added",
    ]
    before = world.made["lutetia"].before
    assert before is not None
    assert before.cluster == "lutetia"
    assert before.services[key].endpoints == {80: (replace(end, cluster="lutetia"),)}
    assert world.made["rome"].before is None


async def test_a_source_that_fails_keeps_its_facts_is_stale_and_is_started_again(monkeypatch: object) -> None:
    monkeypatch.setattr(run_sources, "RESTART_AFTER_S", 0.05)  # type: ignore[attr-defined]
    world = World(failures=1)
    world.sources.apply(
        [cluster("paris")], {"paris": ClusterFacts("paris", "default", Locality(), generation=3)}
    )
    world.made["paris"].status.set(SourceStatus("paris", known=True))
    async with running(world):
        await until(world.sources.problems)
        assert "ZeroDivisionError: a fault" in world.sources.problems()[0].message
        status = world.sources.statuses()["paris"]
        assert status.known
        assert status.stale_since_s is not None
        assert world.generations() == {"paris": 3}
        await until(lambda: world.made["paris"].running)
        world.made["paris"].say(4)
        await until(lambda: not world.sources.problems())


async def test_every_source_is_heard_once_each_has_spoken_of_itself() -> None:
    world = World()
    facts = ClusterFacts("paris", "default", Locality())
    world.sources.apply([cluster("paris"), cluster("dublin")], {"paris": facts})
    assert not world.sources.heard  # what is known of paris is from before
    world.made["paris"].say()
    assert not world.sources.heard
    world.made["dublin"].status.set(SourceStatus("dublin", False, 1.0, "no such folder"))
    assert world.sources.heard


SLOW = """
import asyncio, sys, threading
from pathlib import Path
from tideover_app import run, run_world

class Slow:
    # looks at its files only once `go` is there; keeps a thread until then
    def __init__(self, config, cluster, before):
        self.real = run._manifests(config, cluster, before)
        self.cluster, self.facts, self.status = cluster.name, self.real.facts, self.real.status
        self.ended = threading.Event()
    async def run(self):
        await asyncio.to_thread(self.wait)
        await self.real.run()
    def wait(self):
        while not Path("go").exists():
            self.ended.wait(0.01)

run_world.SETTLE_S = float(sys.argv[2])
run.SOURCES = (run.SourceKind(lambda cluster: True, Slow),)
sys.exit(run.run(sys.argv[1]))
"""


@asynccontextmanager
async def slow(setup: Setup, settle_s: float) -> AsyncIterator[asyncio.subprocess.Process]:
    """`tideover run` with sources that wait for a file named `go`."""
    arguments = ["-c", SLOW, str(setup.config), str(settle_s)]
    log = setup.folder / "log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=out, stderr=out, cwd=setup.folder
        )
    try:
        await until(lambda: "Listening" in log.read_text(), 20, log.read_text)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_source_that_hangs_in_a_thread_does_not_hold_up_the_end(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    async with slow(setup, 60) as process:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 15) == 0
    assert "a read or write hangs" in (tmp_path / "log").read_text()


async def restarted_while_clients_know_more(setup: Setup) -> None:
    """A state folder that does not know `younger` yet, which is on disk."""
    folder = ClusterFolder(setup.cluster_path("paris"))
    folder.write("older", service("older"), endpoint_slice("older", [Place("10.0.0.1")]))
    async with running_tideover(setup) as tideover:
        await until((setup.folder / "state" / "paris.facts").exists)
        await tideover.kill()
    folder.write("younger", service("younger"), endpoint_slice("younger", [Place("10.0.0.2")]))


CLAIM = {"bookinfo/older:9080": "1", "bookinfo/younger:9080": "1"}


async def test_clients_that_know_more_than_the_snapshot_lose_nothing_before_the_first_look(
    tmp_path: Path,
) -> None:
    setup = Setup(tmp_path, clusters={"paris": {"locality": {"region": "eu-west"}}})
    await restarted_while_clients_know_more(setup)
    async with slow(setup, 60), delta_client(setup.xds_port, node("a")) as client:
        await client.send(CDS, initial_resource_versions=CLAIM)
        hearing = asyncio.ensure_future(client.receive(30))
        await holds(lambda: not hearing.done(), 0.5)
        (tmp_path / "go").touch()
        assert list((await hearing).removed_resources) == []


async def test_a_source_that_is_not_looked_at_in_time_counts_as_the_snapshot_knows_it(tmp_path: Path) -> None:
    setup = Setup(tmp_path, clusters={"paris": {"locality": {"region": "eu-west"}}})
    await restarted_while_clients_know_more(setup)
    async with slow(setup, 0.05), delta_client(setup.xds_port, node("a")) as client:
        await client.send(CDS, initial_resource_versions={**CLAIM, "bookinfo/gone:9080": "1"})
        while not (response := await client.receive()).removed_resources:
            await client.ack(response)
        assert set(response.removed_resources) == {"bookinfo/younger:9080", "bookinfo/gone:9080"}
