"""The demo's files are what the control plane reads: its own parsers find nothing to complain about."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tideover_app import config
from tideover_app.demo import disk
from tideover_app.demo.layout import SERVICES, layout
from tideover_core.model import ClusterFacts, Locality, ServiceKey
from tideover_discovery.files import read_cluster

RATINGS = ServiceKey("bookinfo", "ratings")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def paris(folder: Path) -> ClusterFacts:
    plan = layout(folder)
    where = Locality("eu-west")
    return read_cluster("paris", "default", where, plan.manifests("paris"), allow_loopback=True)


def test_each_cluster_is_read_as_it_was_meant(tmp_path: Path) -> None:
    disk.prepare(layout(tmp_path))
    facts = paris(tmp_path)
    assert facts.problems == ()
    assert {key.name: len(s.endpoints[9080]) for key, s in facts.services.items()} == SERVICES
    endpoints = [e for s in facts.services.values() for e in s.endpoints[9080]]
    assert {e.locality for e in endpoints} == {Locality("eu-west", "eu-west-a")}
    assert all(e.ready and not e.terminating for e in endpoints)
    assert len({e.address for e in endpoints}) == sum(SERVICES.values())


def test_unready_is_unready_for_the_named_service_only(tmp_path: Path) -> None:
    plan = layout(tmp_path)
    disk.prepare(plan)
    disk.set_ready(plan, "paris", "ratings", ready=False)
    services = paris(tmp_path).services
    unready = {key.name for key, s in services.items() if not any(e.ready for e in s.endpoints[9080])}
    assert unready == {"ratings"}


def test_policies_are_understood_completely(tmp_path: Path) -> None:
    plan = layout(tmp_path)
    disk.prepare(plan)
    facts = read_cluster("policies", "default", Locality(), plan.run_folder / "policies")
    assert facts.problems == ()
    (rule,) = facts.destination_rules
    policy, judged = sorted(facts.failover_policies, key=lambda one: one.name)  # demo, judged
    assert judged.settings.active_check is not None
    assert judged.settings.fleet_health is not None
    assert rule.settings.outlier is not None
    assert rule.settings.outlier.split_local_origin is False
    assert policy.settings.retry is not None
    assert policy.settings.retry.per_try_timeout_s == 1.0


def test_the_configuration_loads(tmp_path: Path) -> None:
    plan = layout(tmp_path)
    disk.prepare(plan)
    loaded = config.load(plan.config)
    assert [cluster.name for cluster in loaded.clusters] == ["paris", "dublin"]


def test_a_second_run_starts_from_nothing(tmp_path: Path) -> None:
    plan = layout(tmp_path)
    disk.prepare(plan)
    (plan.run_folder / "state").mkdir()
    disk.set_ready(plan, "paris", "ratings", ready=False)
    disk.prepare(plan)
    assert not (plan.run_folder / "state").exists()
    assert all(e.ready for e in paris(tmp_path).services[RATINGS].endpoints[9080])


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "demo-run" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    with pytest.raises(disk.UnusableFolderError, match="was not made by a demo"):
        disk.prepare(layout(tmp_path))
    assert precious.read_text() == "years of work"


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(disk.UnusableFolderError, match=r"demo-run cannot be written: .*Not a directory"):
        disk.prepare(layout(tmp_path / "file"))


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "ratings.yaml"
    disk.replace(path, "before")
    with path.open() as reader:
        disk.replace(path, "after")
        assert reader.read() == "before"  # whoever is reading gets the old file whole
    assert path.read_text() == "after"
    assert os.listdir(tmp_path) == ["ratings.yaml"]


def test_two_runs_can_live_side_by_side(tmp_path: Path) -> None:
    first, second = (set(layout(tmp_path, shift).listening()) for shift in (0, 1))
    assert not {(a, p) for _, a, p in first} & {(a, p) for _, a, p in second}
