"""Manifests read once; large YAML by way of a cache that may be broken, foreign or unwritable."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from discovery.worlds import HOME, RATINGS
from support.manifests import ClusterFolder, Place, endpoint_slice, service
from tideover_core.model import ClusterFacts
from tideover_discovery.files import cache, read_cluster

OBJECTS = [service("ratings"), endpoint_slice("ratings", [Place("10.0.0.1"), Place("127.0.0.1")])]
RULE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "DestinationRule",
    "metadata": {"name": "ratings", "namespace": "bookinfo"},
    "spec": {"host": "ratings", "trafficPolicy": {"outlierDetection": {}}, "odd": {"a": [1, None, 2.5]}},
}


def read(path: Path, told: list[str] | None = None, *, allow_loopback: bool = False) -> ClusterFacts:
    progress = None if told is None else told.append
    return read_cluster("paris", "default", HOME, path, allow_loopback=allow_loopback, progress=progress)


def test_a_folder_is_read_once(tmp_path: Path) -> None:
    ClusterFolder(tmp_path).write("a", *OBJECTS)
    found = read(tmp_path)
    assert [e.address for e in found.services[RATINGS].endpoints[9080]] == ["10.0.0.1"]
    assert len(found.problems) == 1
    found = read(tmp_path / "a.json", allow_loopback=True)
    assert len(found.services[RATINGS].endpoints[9080]) == 2


def test_a_folder_that_is_not_there_is_an_error_and_an_empty_one_a_problem(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read(tmp_path / "nowhere")
    (problem,) = read(tmp_path).problems
    assert "holds no manifests" in problem.message


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    ClusterFolder(tmp_path).write("a", *OBJECTS)
    for name, target in (("loop.json", "loop.json"), ("x.yaml", "/proc/self/mem")):
        (tmp_path / name).symlink_to(target)
        with pytest.raises(OSError, match=name):
            read(tmp_path)
        (tmp_path / name).unlink()


@pytest.fixture
def dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A YAML dump that is worth a cache, which is in `tmp_path/cache`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "WORTH_BYTES", 10)
    path = tmp_path / "dump.yaml"
    path.write_text(
        yaml.safe_dump({"kind": "List", "items": [*OBJECTS, RULE]}) + "---\nkind: Service\nmetadata: [\n"
    )
    return path


def kept(path: Path) -> list[Path]:
    return sorted((path.parent / "cache" / "tideover").iterdir())


def test_yaml_is_converted_once_with_progress_and_says_the_same_from_the_cache(dump: Path) -> None:
    told: list[str] = []
    first = read(dump, told)
    assert told[0].startswith(f"{dump}: converting YAML, ")
    assert told[0].endswith(" %")
    assert len(kept(dump)) == 1
    again: list[str] = []
    assert read(dump, again) == first
    assert again == []
    assert {p.where.rpartition(":")[0] for p in first.problems} == {str(dump)}
    assert any("spec.odd" in p.message for p in first.problems)
    assert any("not YAML" in p.message for p in first.problems)


def test_a_changed_file_is_converted_again(dump: Path) -> None:
    read(dump)
    dump.write_text(dump.read_text().replace("10.0.0.1", "10.0.0.2"))
    assert [e.address for e in read(dump).services[RATINGS].endpoints[9080]] == ["10.0.0.2"]
    assert len(kept(dump)) == 2


def test_a_cache_that_grew_too_large_lets_the_oldest_go(dump: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read(dump)
    (first,) = kept(dump)
    os.utime(first, (1, 1))
    monkeypatch.setattr(cache, "MOST_BYTES", first.stat().st_size * 2.5)
    for number in (2, 3):
        dump.write_text(f"# {number}\n{dump.read_text()}")
        read(dump)
        assert (first in kept(dump), len(kept(dump))) == (number == 2, 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"items": [[1, {"kind": "Pod"}]], "broken": []}',
    ],
)
def test_a_bad_cache_is_ignored_and_replaced(dump: Path, text: str) -> None:
    first = read(dump)
    (path,) = kept(dump)
    good = path.read_bytes()
    path.write_text(text)
    assert read(dump) == first
    assert path.read_bytes() == good


def test_a_cache_that_cannot_be_written_is_done_without(dump: Path) -> None:
    (dump.parent / "cache").write_text("in the way")
    assert RATINGS in read(dump).services


def test_no_home_folder_is_no_cache(dump: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    assert RATINGS in read(dump).services
