"""What is remembered of registrations, and how far a cluster is that leaves."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import cast

import pytest

from support.wait import until
from tideover_app import run_registrations
from tideover_app.config import Cluster, Config, Kubeconfig
from tideover_app.run_registrations import FILE, Registrations
from tideover_core.leaving import Leaving
from tideover_core.model import Problem
from tideover_discovery.kubernetes.client import Api, KubeconfigFile
from tideover_discovery.kubernetes.watch import registrations as registrations_module

ROW = {"name": "dublin", "network": "blue", "locality": "eu-north//", "origin": "Secret a/b"}
EARLIER = json.dumps({"registeredV1": [{**ROW, "created": "", "leaving": "", "trustDomain": ""}]})


def made(state: Path, noted: list[Problem], hub: str | None = "hub") -> Registrations:
    hub_row = Cluster(name="hub", kubeconfig=Kubeconfig.model_construct(path=state / "none", context=""))
    config = Config(clusters=(hub_row,), hub=hub).model_copy(update={"state": state})
    return Registrations(config, lambda rows: [], lambda topic, problems: noted.extend(problems))


def test_without_a_hub_there_are_none(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    assert (made(tmp_path, [], hub=None).load(), made(tmp_path, [], hub=None).known) == ((), True)


def test_a_first_start_waits_for_the_hub(tmp_path: Path) -> None:
    noted: list[Problem] = []
    registrations = made(tmp_path, noted)
    assert (registrations.load(), registrations.known, noted) == ((), False, [])


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"registeredV1": [{}]}', '{"registeredV1": 1}', '{"registeredV1": [1]}', "\xff"],
)
def test_what_is_torn_is_a_problem_and_waits_for_the_hub(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_bytes(text.encode("latin-1"))
    noted: list[Problem] = []
    registrations = made(tmp_path, noted)
    assert registrations.load() == ()
    assert not registrations.known
    assert [problem.where for problem in noted] == [str(tmp_path / FILE)]


def test_an_earlier_life_is_known(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(EARLIER)
    registrations = made(tmp_path, [])
    (found,) = registrations.load()
    assert registrations.known
    assert (found.name, found.network, found.locality.region, found.kubeconfig) == (
        "dublin", "blue", "eu-north", "",
    )  # fmt: skip
    assert "not been read since the start" in found.missing


def test_a_cluster_drains_and_then_is_drained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registrations = made(tmp_path, [])
    registrations._since_s = {"dublin": 100.0}
    for now_s, stage in ((100.0, Leaving.DRAINING), (129.9, Leaving.DRAINING), (130.0, Leaving.DRAINED)):
        monkeypatch.setattr(run_registrations.time, "monotonic", lambda now_s=now_s: now_s)
        assert registrations.leaving() == {"dublin": stage}


async def test_a_disk_that_refuses_is_said_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_registrations, "AGAIN_AFTER_S", 0.05)
    state, noted = tmp_path / "state", list[Problem]()
    state.mkdir()
    (state / FILE).write_text(EARLIER)
    registrations = made(state, noted)
    registrations.load()
    shutil.rmtree(state)
    task = asyncio.create_task(registrations.run())
    try:
        await until(lambda: any("cannot be written" in problem.message for problem in noted))
        state.mkdir()
        await until((state / FILE).exists)
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert json.loads((state / FILE).read_text()) == json.loads(EARLIER)


async def test_other_credentials_of_the_hub_are_used_and_what_is_known_stays_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / FILE).write_text(EARLIER)
    watching: list[Path] = []

    class Watch:
        found, complete = (), False

        def __init__(self, api: Api, *_: object) -> None:
            self._path = cast(KubeconfigFile, api._access).path

        async def run(self) -> None:
            watching.append(self._path)
            try:
                await asyncio.Event().wait()
            finally:
                watching.remove(self._path)

        def problems(self) -> list[Problem]:
            return []

    monkeypatch.setattr(registrations_module, "RegistrationWatch", Watch)
    registrations = made(tmp_path, [])
    registrations.load()
    config = registrations._config
    task = asyncio.create_task(registrations.run())
    try:
        await until(lambda: watching == [tmp_path / "none"])
        kubeconfig = Kubeconfig.model_construct(path=tmp_path / "other", context="")
        moved = config.clusters[0].model_copy(update={"kubeconfig": kubeconfig})
        registrations.configure(config.model_copy(update={"clusters": ()}))
        await until(lambda: watching == [])
        registrations.configure(config.model_copy(update={"clusters": (moved,)}))
        await until(lambda: watching == [tmp_path / "other"])
        assert [row.name for row in registrations.rows] == ["dublin"]
    finally:
        task.cancel()
        await asyncio.wait({task})
