"""The mesh's policies at the start: read, remembered, or not known yet."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.delta import CDS, delta_client, node
from support.manifests import ClusterFolder, Place, endpoint_slice, service
from support.tideover import Setup
from support.wait import holds, until
from tideover_app.run_policies import PolicyWatch


async def test_policies_that_stayed_the_same_are_heard_too(tmp_path: Path) -> None:
    (tmp_path / "stay.yaml").write_text(STAY)
    first = PolicyWatch(tmp_path, None, lambda: None)
    async with following(first):
        await until(lambda: first.known)
    second = PolicyWatch(tmp_path, first.facts(), lambda: None)
    assert second.known
    assert not second.heard
    async with following(second):
        await until(lambda: second.heard)
    assert second.value.failover_policies == first.value.failover_policies


STAY = """
apiVersion: tideover.dev/v1alpha1
kind: FailoverPolicy
metadata: {name: stay, namespace: bookinfo}
spec: {scope: Cluster}
"""


@asynccontextmanager
async def following(policies: PolicyWatch) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        policies.start(tasks)
        yield
        policies.stop()


SLOW = """
import asyncio, sys
from pathlib import Path
from tideover_app import run, run_policies, run_world

class Slow(run_policies.PolicySource):
    # reads its folder only once `go` is there
    async def run(self):
        while not Path("go").exists():
            await asyncio.sleep(0.01)
        await super().run()

run_world.SETTLE_S = float(sys.argv[2])
run_policies.PolicySource = Slow
sys.exit(run.run(sys.argv[1]))
"""


@asynccontextmanager
async def slow_policies(setup: Setup, settle_s: float) -> AsyncIterator[None]:
    """`tideover run` whose policies wait for a file named `go`."""
    (setup.folder / "policies").mkdir()
    (setup.folder / "policies" / "stay.yaml").write_text(STAY)
    ratings = (service("ratings"), endpoint_slice("ratings", [Place("10.0.0.1")]))
    ClusterFolder(setup.cluster_path("paris")).write("ratings", *ratings)
    setup.settings = {"policies": "./policies"}
    setup.write()
    log = setup.folder / "log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SLOW, str(setup.config), str(settle_s),
            stdout=out, stderr=out, cwd=setup.folder,
        )  # fmt: skip
    try:
        await until((setup.folder / "state" / "paris.facts").exists, 20, log.read_text)
        yield
    finally:
        process.kill()
        await process.wait()


async def test_a_new_client_gets_nothing_in_the_moment_before_the_policies_are_read(tmp_path: Path) -> None:
    setup = Setup(tmp_path, clusters={"paris": {"locality": {"region": "eu-west"}}})
    async with slow_policies(setup, 60), delta_client(setup.xds_port, node("a")) as client:
        await client.send(CDS)
        hearing = asyncio.ensure_future(client.receive(30))
        await holds(lambda: not hearing.done(), 0.5)
        (tmp_path / "go").touch()
        assert [resource.name for resource in (await hearing).resources] == ["bookinfo/ratings:9080"]


async def test_policies_that_cannot_be_read_hold_new_clients_back_for_a_moment_only(tmp_path: Path) -> None:
    setup = Setup(tmp_path, clusters={"paris": {"locality": {"region": "eu-west"}}})
    async with slow_policies(setup, 0.05), delta_client(setup.xds_port, node("a")) as client:
        await client.send(CDS)
        assert [resource.name for resource in (await client.receive()).resources] == ["bookinfo/ratings:9080"]
