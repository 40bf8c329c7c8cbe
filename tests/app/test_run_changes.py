"""`tideover run` as a process: a changed configuration and changed policies apply live."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from support.manifests import ClusterFolder
from support.running import RATINGS, addresses, happened, of, put, status, two_clusters, versions
from support.tideover import Setup, Tideover, running_tideover
from support.wait import holds, until


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return two_clusters(tmp_path)


async def test_clusters_come_and_go_with_the_file(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        put(setup, "oslo", names=["only-in-oslo"])
        paris = setup.clusters["paris"]
        setup.clusters = {"paris": paris, "oslo": {"locality": {"region": "eu-north"}}}
        setup.write()
        await happened(tideover, "ConfigurationApplied", "cluster oslo added", "cluster dublin removed")

        async def served() -> bool:
            return set(await versions(setup)) == {RATINGS, "bookinfo/only-in-oslo:9080"}

        await until(served)
        assert [row.name for row in (await status(tideover)).clusters] == ["paris", "oslo"]


async def test_a_cluster_that_moves_to_another_folder_keeps_its_facts_meanwhile(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        before = await versions(setup)
        moved = {**setup.clusters["dublin"], "manifests": "./not-there-yet"}
        setup.clusters = {**setup.clusters, "dublin": moved}
        setup.write()
        await happened(tideover, "ConfigurationApplied", "cluster dublin changed")
        await happened(tideover, "SourceStale Cluster dublin")
        assert await versions(setup) == before
        assert await addresses(tideover) == of("paris") + of("dublin")


async def test_a_broken_file_keeps_the_old_configuration_and_says_so(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        good = setup.config.read_text()
        setup.config.write_text(good.replace('"paris"', '"paris", "nonsense": 1'))
        await happened(tideover, "ConfigurationRefused", "nonsense: unknown key", "stays in use")
        assert "nonsense" in str((await status(tideover)).problems)
        assert len(await versions(setup)) == 1
        setup.config.unlink()
        await happened(tideover, "ConfigurationRefused", "cannot be read")
        setup.config.write_text("")
        await happened(tideover, "ConfigurationRefused", "taking the last cluster away needs a restart")
        assert len(await versions(setup)) == 1
        setup.config.write_text(good)

        async def no_problems() -> bool:
            return not (await status(tideover)).problems

        await until(no_problems)


async def test_sighup_reads_it_again_and_says_what_needs_a_restart(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        tideover.process.send_signal(signal.SIGHUP)
        await happened(tideover, "ConfigurationApplied", "SIGHUP: nothing changed")
        setup.settings = {"region": "eu-east", "rootNamespace": "mesh", "startGrace": "5s"}
        setup.write()
        said = "; ".join(f"{key} needs a restart" for key in ("region", "rootNamespace", "startGrace"))
        await happened(tideover, "ConfigurationApplied", said)
        assert (await status(tideover)).replicas[0].region == "eu-west"
        problems = str((await status(tideover)).problems)
        assert "region needs a restart" in problems


async def test_how_closely_is_looked_applies_live_and_a_wrong_value_keeps_the_old_one(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        looks = {"loadReports": {"interval": "3s"}, "activeChecks": {"perSecond": 7}}
        setup.settings = {"health": {"enabled": False, "learnCapacity": True, **looks}}
        setup.write()
        changed = ("loadReports.interval", "activeChecks.perSecond", "learnCapacity")
        said = [*(f"health.{key} changed" for key in changed), "health.enabled needs a restart"]
        await happened(tideover, "ConfigurationApplied", *said)

        async def applied() -> bool:
            health = (await status(tideover)).health
            assert health.enabled
            return (health.report_interval_seconds, health.active_checks.most_per_second) == (3.0, 7.0)

        await until(applied)
        setup.settings = {"health": {"loadReports": {"interval": "3h"}}}
        setup.write()
        await happened(tideover, "ConfigurationRefused", "health.loadReports.interval", "stays in use")
        assert await applied()


async def test_policies_of_another_folder_apply_live(setup: Setup) -> None:
    policies = ClusterFolder(setup.folder / "policies")
    policies.write(
        "cluster-only",
        {
            "apiVersion": "tideover.dev/v1alpha1",
            "kind": "FailoverPolicy",
            "metadata": {"name": "stay", "namespace": "bookinfo"},
            "spec": {"scope": "Cluster"},
        },
    )

    async def sent(tideover: Tideover) -> str:
        place = ["--from", "eu-west/paris-a", "--cluster", "paris", "-o", "json"]
        return json.dumps((await tideover.cli("explain", "bookinfo/ratings", *place)).json()["priorities"])

    async with running_tideover(setup) as tideover:
        assert "10.2.0." in await sent(tideover)
        setup.settings = {"policies": "./policies"}
        setup.write()

        async def stays() -> bool:
            return "10.2.0." not in await sent(tideover)

        await until(stays)
        await until(lambda: b"stay" in (setup.folder / "state" / "@policies.facts").read_bytes())
        await tideover.kill()
    # a policy that says where data may go counts after a restart too, before it could be read again
    (setup.folder / "policies").rename(setup.folder / "aside")
    async with running_tideover(setup) as tideover:
        assert "10.2.0." not in await sent(tideover)
        assert (await tideover.http("/metrics"))[1].count("tideover_world_complete 1.0") == 1


async def test_policies_that_were_never_read_are_not_remembered_as_none(setup: Setup) -> None:
    # not there: a share that is not mounted yet, say
    setup.settings = {"policies": "./policies", "startGrace": "500ms"}
    setup.write()

    async def incomplete(tideover: Tideover) -> bool:
        return "tideover_world_complete 0.0" in (await tideover.http("/metrics"))[1]

    for _ in range(2):
        async with running_tideover(setup) as tideover:
            await until((setup.folder / "state" / "dublin.facts").exists)
            await holds(lambda: incomplete(tideover), 0.3)
        assert not (setup.folder / "state" / "@policies.facts").exists()


async def test_an_empty_policies_folder_holds_nothing_back(setup: Setup) -> None:
    (setup.folder / "policies").mkdir()
    setup.settings = {"policies": "./policies"}
    setup.write()
    async with running_tideover(setup) as tideover:

        async def complete() -> bool:
            return "tideover_world_complete 1.0" in (await tideover.http("/metrics"))[1]

        await until(complete)
