"""The state folder: what is kept comes back, what is torn or strange is refused."""

from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from tideover_app.run_world import steady_clock
from tideover_app.snapshot import StateFolder, StateInUseError
from tideover_app.snapshot_format import BadSnapshotError, Saved, decode, encode
from tideover_app.snapshot_past import kept, remembered
from tideover_core import presence
from tideover_core.exports import Export, ExportedPort, Offered
from tideover_core.model import (
    ClusterFacts,
    Endpoint,
    Locality,
    Problem,
    Protocol,
    ServiceFacts,
    ServiceKey,
    ServicePort,
)
from tideover_core.orders import Action, TrafficOrder
from tideover_core.policy import (
    DestinationRule,
    DistributeRule,
    FailoverPolicy,
    Outlier,
    Place,
    Settings,
    Share,
    Subset,
)
from tideover_core.target import Aim

RATINGS = ServiceKey("bookinfo", "ratings")
HERE = Locality("eu-west", "eu-west-a")


def endpoint(number: int, ready: bool = True) -> Endpoint:
    return Endpoint(
        f"10.0.0.{number}", 9080, "paris", "default", HERE, ready, pod=f"p{number}", labels={"app": "ratings"}
    )


def facts(endpoints: tuple[Endpoint, ...] = (endpoint(1), endpoint(2)), generation: int = 7) -> ClusterFacts:
    """Something in every field."""
    share = DistributeRule(Place(region="eu-west"), (Share(Place(zone="a"), 100.0),))
    settings = Settings(distribute=(share,), outlier=Outlier())
    ports = (ServicePort(9080, "http", Protocol.HTTP),)
    return ClusterFacts(
        "paris",
        "default",
        Locality("eu-west"),
        {RATINGS: ServiceFacts(RATINGS, ports, {9080: endpoints}, created="2026-01-01T00:00:00Z")},
        (
            DestinationRule(
                "bookinfo", "r", "ratings", settings, {9080: settings}, (Subset("v1", {"v": "1"}),)
            ),
        ),
        (FailoverPolicy("bookinfo", "p", (RATINGS,), settings),),
        {RATINGS: Export("2026-01-02T00:00:00Z", Offered((ExportedPort(9080, "http"),)), "", {"a": "b"})},
        {"node-1": HERE},
        {"node-1": {"rack": "7"}},
        (Problem("Service a/b", "is odd", "ignored", "a.yaml:3"),),
        generation,
        (TrafficOrder("ops", "kernel", Action.SHIFT, Aim(cluster="paris"), 50.0, Aim(region="us"), 1.5),),
    )


def test_all_of_the_facts_come_back() -> None:
    saved = Saved(facts(), 1000.5)
    assert decode(encode(saved), "paris") == saved
    empty = [f.name for f in dataclasses.fields(ClusterFacts) if not getattr(saved.facts, f.name)]
    assert empty == [], "a field that this test does not fill may be one that the snapshot forgets"


def test_what_vanished_a_moment_ago_comes_back() -> None:
    before, after = facts(), facts((endpoint(1, ready=False),))
    history = presence.observe(presence.observe(presence.History(), None, before, 100), before, after, 110)
    assert history.presences
    saved = Saved(after, 111, tuple(kept(history, "paris")))
    back = remembered([("paris", decode(encode(saved), "paris").past)], 112)
    assert back == history
    assert presence.next_change_s(back) == presence.next_change_s(history)
    # seeing the restored facts for the first time forgets nothing of it
    again = presence.observe(back, None, after, 112)
    assert again.presences[("paris", RATINGS)][9080].vanished == (endpoint(2),)


def test_a_clock_that_was_set_back_does_not_lengthen_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = facts(), facts((endpoint(1),))
    history = presence.observe(presence.observe(presence.History(), None, before, 7200), before, after, 7210)
    past = tuple(kept(history, "paris"))
    assert remembered([("paris", past)], 7200) == history  # a few seconds are no reason to forget
    assert remembered([("paris", past)], 3600) == presence.History()
    now_s = steady_clock()
    started_s = now_s()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert now_s() >= started_s


def test_a_past_of_another_shape_is_forgotten_and_the_facts_stay() -> None:
    before, after = facts(), facts((endpoint(1),))
    history = presence.observe(presence.observe(presence.History(), None, before, 100), before, after, 110)
    raw = encode(Saved(after, 111, tuple(kept(history, "paris"))))
    body = raw.partition(b"\n")[2].replace(b'"vanished"', b'"unheard-of"')
    back = decode(f"tideover-facts 1 {sha256(body).hexdigest()} {len(body)}\n".encode() + body, "paris")
    assert back.facts == after
    assert back.past == ()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda raw: b"", "no snapshot, or torn"),
        (lambda raw: raw[:20], "no snapshot, or torn"),
        (lambda raw: raw[:-1], "is torn"),
        (lambda raw: raw + b" ", "is torn"),
        (lambda raw: raw[:-30] + b"X" + raw[-29:], "is corrupt"),
        (lambda raw: raw.replace(b"tideover-facts 1 ", b"tideover-facts 2 "), "has version '2'"),
        (lambda raw: b"\x00" * len(raw), "no snapshot, or torn"),
        (lambda raw: raw.replace(b"tideover", b"\xffideover", 1), "no snapshot, or torn"),
    ],
)
def test_spoilt_bytes_are_refused(spoil: object, message: str) -> None:
    with pytest.raises(BadSnapshotError, match=message):
        decode(spoil(encode(Saved(facts(), 1))), "paris")  # type: ignore[operator]


def test_whole_bytes_of_another_shape_are_refused() -> None:
    body = b'{"cluster": 5}'
    raw = f"tideover-facts 1 {sha256(body).hexdigest()} {len(body)}\n".encode() + body
    with pytest.raises(BadSnapshotError, match="cannot be read"):
        decode(raw, "paris")


def test_facts_of_another_cluster_are_refused() -> None:
    with pytest.raises(BadSnapshotError, match="is of cluster 'paris'"):
        decode(encode(Saved(facts(), 1)), "dublin")


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    state = StateFolder(tmp_path / "deep" / "state")
    assert state.open() is None
    return state


def test_the_newest_is_loaded_and_nothing_of_other_clusters(folder: StateFolder) -> None:
    for generation in (1, 2, 3):
        folder.save(Saved(facts(generation=generation), generation))
    found, problems = folder.load(["dublin", "paris"])
    assert {name: saved.facts.generation for name, saved in found.items()} == {"paris": 3}
    assert problems == []
    assert folder.load(["dublin"]) == ({}, [])


def test_a_torn_newest_gives_way_to_the_one_before(folder: StateFolder) -> None:
    for generation in (1, 2):
        folder.save(Saved(facts(generation=generation), generation))
    newest = folder.folder / "paris.facts"
    newest.write_bytes(newest.read_bytes()[:-5])
    found, problems = folder.load(["paris"])
    assert found["paris"].facts.generation == 1
    assert [(p.object, p.where) for p in problems] == [("Snapshot of cluster paris", str(newest))]
    assert "is torn" in problems[0].message


def test_a_torn_newest_never_replaces_the_good_one_before(folder: StateFolder) -> None:
    for generation in (1, 2):
        folder.save(Saved(facts(generation=generation), generation))
    (folder.folder / "paris.facts").write_bytes(b"torn")
    later = StateFolder(folder.folder)
    later.load(["paris"])
    later.save(Saved(facts(generation=3), 3))
    (folder.folder / "paris.facts").write_bytes(b"torn again")
    found, _ = later.load(["paris"])
    assert found["paris"].facts.generation == 1


def test_two_torn_files_are_two_problems_and_nothing_known(folder: StateFolder) -> None:
    for name in ("paris.facts", "paris.facts.previous"):
        (folder.folder / name).write_bytes(b"rubbish")
    found, problems = folder.load(["paris"])
    assert found == {}
    assert len(problems) == 2


def test_a_write_that_was_cut_off_leaves_the_old_whole(folder: StateFolder) -> None:
    folder.save(Saved(facts(generation=1), 1))
    (folder.folder / ".paris.facts.new").write_bytes(encode(Saved(facts(generation=2), 2))[:40])
    found, problems = folder.load(["paris"])
    assert found["paris"].facts.generation == 1
    assert problems == []
    folder.save(Saved(facts(generation=3), 3))
    assert folder.load(["paris"])[0]["paris"].facts.generation == 3


def test_a_folder_in_use_by_another_process_is_refused(folder: StateFolder) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from tideover_app.snapshot import StateFolder, StateInUseError\n"
        "try: StateFolder(Path(sys.argv[1])).open()\n"
        "except StateInUseError as error: sys.exit(str(error))"
    )
    run = [sys.executable, "-c", code, str(folder.folder)]
    other = subprocess.run(run, capture_output=True, text=True, check=False)
    assert other.returncode == 1
    assert f"is in use by process {os.getpid()}" in other.stderr
    folder.close()
    assert subprocess.run(run, check=False).returncode == 0


def test_a_second_life_in_one_process_is_refused_too(folder: StateFolder) -> None:
    with pytest.raises(StateInUseError):
        StateFolder(folder.folder).open()


def test_a_folder_that_cannot_be_made_is_a_problem_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    state = StateFolder(tmp_path / "file" / "state")
    problem = state.open()
    assert problem is not None
    assert "cannot be written" in problem.message
    assert state.load(["paris"])[0] == {}
    with pytest.raises(OSError, match="Not a directory"):
        state.save(Saved(facts(), 1))


def test_a_full_disk_is_no_reason_not_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = StateFolder(tmp_path / "state")
    with monkeypatch.context() as disk:
        disk.setattr(os, "write", full)
        assert folder.open() is None
    try:
        with pytest.raises(StateInUseError):
            StateFolder(tmp_path / "state").open()
    finally:
        folder.close()


def test_exports_of_an_earlier_program_still_count() -> None:
    body = encode(Saved(facts(), 5.0)).partition(b"\n")[2].replace(b'"exported":', b'"unknown":')
    body = body.replace(b'"services":', b'"exports":[{"namespace":"bookinfo","name":"ratings"}],"services":')
    header = f"tideover-facts 1 {sha256(body).hexdigest()} {len(body)}\n"
    assert decode(header.encode() + body, "paris").facts.exports == {RATINGS: Export()}


def test_a_document_is_kept_beside_the_facts_and_its_predecessor_is_the_fallback(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    assert folder.load_document("verdicts") == (None, [])
    folder.save_document("verdicts", b'{"first": 1}')
    folder.save_document("verdicts", b'{"second": 2}')
    assert StateFolder(tmp_path).load_document("verdicts") == (b'{"second": 2}', [])
    newest = tmp_path / "verdicts.state"
    newest.write_bytes(newest.read_bytes()[:-1])
    body, problems = StateFolder(tmp_path).load_document("verdicts")
    assert body == b'{"first": 1}'
    assert [(one.object, one.where) for one in problems] == [("Saved verdicts", str(newest))]
    assert "is torn" in problems[0].message
