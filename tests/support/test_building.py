"""Building the API servers of the tests: once, by one process, said; and what CI says when it cannot be."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from support.apiserver import __main__ as program
from support.apiserver import build
from support.apiserver.build import BUILT, Impossible, binaries
from support.apiserver.toolchain import Go


class Builds:
    """Stands for the compiler; counts."""

    def __init__(self) -> None:
        self.count = 0
        self.reason = ""

    def go(self, work: Path, say: object) -> Go:
        if self.reason:
            raise Impossible(self.reason)
        return Go(work / "go", {})

    def compile(self, go: Go, work: Path, out: Path, say: object) -> None:
        self.count += 1
        for name in BUILT:
            (out / name).touch()


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Builds:
    made = Builds()
    monkeypatch.setattr(build, "CACHE", tmp_path)
    monkeypatch.setattr(build, "NEEDED_BYTES", 0)
    monkeypatch.setattr(build, "find_go", made.go)
    monkeypatch.setattr(build, "_compile", made.compile)
    monkeypatch.delenv("CI", raising=False)
    return made


def test_they_are_built_once_by_one_process_and_only_the_binaries_stay(
    builds: Builds, tmp_path: Path
) -> None:
    said: list[str] = []
    threads = [threading.Thread(target=binaries, args=(said.append,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert binaries(said.append).complete()
    assert builds.count == 1
    assert sum("once: 5 to 10 minutes" in text for text in said) == 1
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert folder.name == f"apiserver-{build.key()}"
    assert {path.name for path in folder.iterdir()} == set(BUILT.values())


def test_other_versions_are_built_anew(
    builds: Builds, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = binaries(lambda text: None)
    other = tmp_path / "go"
    other.mkdir()
    (other / "go.mod").write_text("k8s.io/kubernetes v1.99.0")
    monkeypatch.setattr(build, "SOURCE", other)
    assert binaries(lambda text: None).folder != first.folder
    assert builds.count == 2


def test_where_it_cannot_be_done_the_reason_is_remembered_until_someone_asks_again(builds: Builds) -> None:
    builds.reason = "no module proxy"
    for _ in range(2):
        with pytest.raises(Impossible, match="no module proxy"):
            binaries(lambda text: None)
    builds.reason = ""
    with pytest.raises(Impossible, match="no module proxy"):
        binaries(lambda text: None)
    assert binaries(lambda text: None, again=True).complete()
    assert binaries(lambda text: None).complete()


@pytest.mark.parametrize(("ci", "code", "said"), [("", 0, "will be skipped"), ("true", 1, "are required")])
def test_tests_are_skipped_without_them_and_ci_requires_them(
    builds: Builds,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ci: str,
    code: int,
    said: str,
) -> None:
    monkeypatch.setenv("CI", ci)
    builds.reason = "no module proxy"
    assert program.main() == code
    err = capsys.readouterr().err
    assert "no API servers: no module proxy" in err
    assert said in err
