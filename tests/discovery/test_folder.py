"""A folder on disk, looked at with a clock in hand: what is read, kept, waited for and let go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.manifests import ClusterFolder, Place, endpoint_slice, service
from tideover_discovery.files import folder as module
from tideover_discovery.files.folder import REMOVAL_GRACE_S, SETTLE_S, Folder, Outcome
from tideover_discovery.kubernetes.objects import Key


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Looks:
    """A folder of files, and what a look at it gives."""

    def __init__(self, path: Path) -> None:
        self.files = ClusterFolder(path)
        self.clock = Clock()
        self.folder = Folder(path, self.clock)

    def look(self, after_s: float = 0.0) -> Outcome:
        self.clock.now += after_s
        return self.folder.look()

    def names(self, after_s: float = 0.0) -> list[str]:
        outcome = self.look(after_s)
        assert outcome.listing is not None
        return sorted(str(key) for key in outcome.listing.items)


@pytest.fixture
def looks(tmp_path: Path) -> Looks:
    return Looks(tmp_path / "paris")


RATINGS, REVIEWS = "Service bookinfo/ratings", "Service bookinfo/reviews"


def test_folders_below_and_all_suffixes_are_read(looks: Looks) -> None:
    looks.files.write("a", service("a"))
    (looks.files.path / "below" / "deeper").mkdir(parents=True)
    text = "kind: Service\napiVersion: v1\nmetadata: {name: %s}\n"
    looks.files.write_text("b.yaml", text % "b")
    (looks.files.path / "below" / "c.yml").write_text(text % "c")
    (looks.files.path / "below" / "deeper" / "d.yaml").write_text(text % "d")
    assert [name[-1] for name in looks.names()] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "name",
    [
        ".x.yaml",
        "..data.yaml",
        "x.yaml~",
        ".x.yaml.swp",
        "#x.yaml#",
        ".#x.yaml",
        "x.yaml.tmp",
        "x.yaml.bak",
        "4913",
        "README.md",
    ],
)
def test_temporary_hidden_and_backup_files_are_not_manifests(looks: Looks, name: str) -> None:
    looks.files.write("a", service("a"))
    (looks.files.path / name).write_text("kind: Service\napiVersion: v1\nmetadata: {name: b}\n")
    assert looks.names() == ["Service bookinfo/a"]


def test_a_hidden_folder_is_not_read_and_a_link_out_of_it_is(looks: Looks) -> None:
    """How Kubernetes mounts a ConfigMap: every file is a link into a folder that is exchanged at once."""
    for version in ("v1", "v2"):
        ClusterFolder(looks.files.path / f"..{version}").write("a", service(version))
    (looks.files.path / "..data").symlink_to("..v1")
    (looks.files.path / "a.json").symlink_to("..data/a.json")
    assert looks.names() == ["Service bookinfo/v1"]
    (looks.files.path / "..new").symlink_to("..v2")
    os.replace(looks.files.path / "..new", looks.files.path / "..data")
    assert looks.names() == ["Service bookinfo/v2"]


def test_only_files_that_changed_are_read_again(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    looks.files.write("a", service("ratings"))
    looks.files.write("b", service("reviews"))
    first = looks.look()
    read: list[str] = []
    original = module.read_bytes

    def counting(path: Path) -> bytes:
        read.append(path.name)
        return original(path)

    monkeypatch.setattr(module, "read_bytes", counting)
    assert looks.look().listing is first.listing
    looks.files.write("b", service("reviews", ports=[{"port": 1}]))
    second = looks.look()
    assert read == ["b.json"]
    assert first.listing is not None
    assert second.listing is not None
    ratings = Key("Service", "bookinfo", "ratings")
    assert second.listing.items[ratings] is first.listing.items[ratings]


def test_a_file_replaced_by_its_equal_changes_nothing(looks: Looks) -> None:
    looks.files.write("a", service("ratings"))
    first = looks.look()
    looks.files.write("a", service("ratings"))
    assert looks.look().listing is first.listing


def test_a_replaced_file_is_read_at_once_and_one_written_in_place_when_it_keeps_still(looks: Looks) -> None:
    path = looks.files.write("a", service("ratings"))
    assert looks.names() == [RATINGS]
    path.write_text(path.read_text().replace("ratings", "reviews")[:-20])
    outcome = looks.look()
    assert outcome.again_in_s == pytest.approx(SETTLE_S)
    path.write_text(path.read_text().replace("ratings", "reviews") + " " * 3)
    os.utime(path, ns=(1, 1))
    assert looks.names(SETTLE_S) == [RATINGS]  # still moving
    looks.files.write("a", service("reviews"))
    assert looks.names() == [REVIEWS]


def test_a_file_written_in_place_is_read_after_a_moment(looks: Looks) -> None:
    path = looks.files.write("a", service("ratings"))
    looks.look()
    path.write_text(path.read_text().replace("ratings", "reviews"))
    assert looks.names() == [RATINGS]
    assert looks.names(SETTLE_S) == [REVIEWS]


def test_a_new_file_is_read_after_a_moment(looks: Looks) -> None:
    looks.files.write("a", service("ratings"))
    looks.look()
    looks.files.write("b", service("reviews"))
    assert looks.names() == [RATINGS]
    assert looks.names(SETTLE_S) == [RATINGS, REVIEWS]


def test_a_deleted_file_is_let_go_after_the_grace_while_others_stay(looks: Looks) -> None:
    looks.files.write("a", service("ratings"))
    looks.files.write("b", service("reviews"))
    looks.look()
    looks.files.remove("b")
    outcome = looks.look()
    assert outcome.again_in_s == pytest.approx(REMOVAL_GRACE_S)
    assert looks.names(REMOVAL_GRACE_S * 0.9) == [RATINGS, REVIEWS]
    assert looks.names(REMOVAL_GRACE_S * 0.2) == [RATINGS]


@pytest.mark.parametrize("other", ["", "x", '{"kind": "List", "items": [{"kind": ', "# nothing"])
def test_a_deleted_file_is_kept_while_no_other_says_anything(looks: Looks, other: str) -> None:
    looks.files.write("a", service("ratings"))
    looks.look()
    looks.files.remove("a")
    looks.files.write_text("b.json", other)
    for _ in range(5):
        assert looks.names(REMOVAL_GRACE_S) == [RATINGS]
    looks.files.write("b", service("reviews"))
    looks.look()
    assert looks.names(REMOVAL_GRACE_S) == [REVIEWS]


def test_a_deleted_file_is_kept_while_a_new_one_that_may_hold_the_same_is_broken(looks: Looks) -> None:
    """Converted to YAML, say, and a mistake made."""
    looks.files.write("a", service("ratings"))
    looks.files.write("b", service("reviews"))
    looks.look()
    looks.files.remove("b")
    looks.files.write_text("c.yaml", "kind: Service\nmetadata: [\n")
    for _ in range(5):
        assert looks.names(REMOVAL_GRACE_S) == [RATINGS, REVIEWS]
    looks.files.write_text("c.yaml", "kind: List\nitems: []\n")
    looks.look()
    assert looks.names(REMOVAL_GRACE_S) == [RATINGS]


def test_a_file_that_is_renamed_and_changed_counts_at_once(looks: Looks) -> None:
    looks.files.write("a", service("ratings"))
    looks.files.write("z", service("reviews"))
    looks.look()
    looks.files.write("b", service("ratings", ports=[{"port": 1}]))
    looks.files.remove("a")
    looks.look()
    outcome = looks.look(SETTLE_S)
    assert outcome.listing is not None
    assert outcome.listing.problems == ()
    assert outcome.listing.items[Key("Service", "bookinfo", "ratings")].file.endswith("b.json")
    assert looks.names(2 * REMOVAL_GRACE_S) == [RATINGS, REVIEWS]


def test_a_folder_deleted_file_by_file_is_never_seen_half(looks: Looks) -> None:
    for name in "abcd":
        looks.files.write(name, service(name))
    before = looks.names()
    for name in "abcd":
        looks.files.remove(name)
        assert looks.names(REMOVAL_GRACE_S * 0.7) == before
    assert looks.names(100) == before
    looks.files.path.rmdir()
    assert looks.names(100) == before


def test_a_file_that_comes_back_in_time_was_never_away(looks: Looks) -> None:
    """Editors move the old file away before they write the new one."""
    looks.files.write("a", service("ratings"))
    path = looks.files.write("b", service("reviews"))
    first = looks.names()
    path.rename(path.with_suffix(".json~"))
    assert looks.names() == first
    path.with_suffix(".json~").rename(path)
    assert looks.names(REMOVAL_GRACE_S) == first
    assert looks.names(REMOVAL_GRACE_S) == first


@pytest.mark.parametrize("how", ["vanish", "empty", "a file in its place"])
def test_a_folder_that_vanishes_or_turns_empty_keeps_what_it_said(looks: Looks, how: str) -> None:
    looks.files.write("a", service("ratings"))
    first = looks.look()
    assert first.trouble == ""
    looks.files.remove("a")
    words = "holds no manifests"
    if how != "empty":
        looks.files.path.rmdir()
        words = "does not exist"
    if how == "a file in its place":
        looks.files.path.symlink_to("nowhere")
    outcome = looks.look(100)
    assert words in outcome.trouble
    assert outcome.listing is first.listing


def test_a_folder_that_comes_back_is_read(looks: Looks) -> None:
    looks.files.path.rmdir()
    assert looks.look().listing is None
    looks.files = ClusterFolder(looks.files.path)
    looks.files.write("a", service("ratings"))
    assert looks.names() == [RATINGS]
    looks.files.path.rename(looks.files.path.with_name("away"))
    assert looks.look().trouble
    looks.files = ClusterFolder(looks.files.path)
    looks.files.write("a", service("reviews"))
    assert looks.names() == [REVIEWS]
    assert looks.look().trouble == ""


def test_a_file_that_cannot_be_read_keeps_what_it_said(looks: Looks) -> None:
    # readable for stat, and EIO when read: it fails for root too
    looks.files.write("a", service("ratings"), endpoint_slice("ratings", [Place("10.0.0.1")]))
    looks.files.write("b", service("reviews"))
    first = looks.look()
    assert first.listing is not None
    (looks.files.path / ".a").symlink_to("/proc/self/mem")
    os.replace(looks.files.path / ".a", looks.files.path / "a.json")
    outcome = looks.look()
    assert outcome.listing is not None
    assert outcome.listing.items == first.listing.items
    (problem,) = outcome.listing.problems
    assert problem.object.endswith("paris/a.json")
    assert "cannot be read" in problem.message
    assert problem.consequence == "what it said before stays"


def test_a_file_that_could_not_be_read_is_tried_again_though_nothing_in_it_changed(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks.files.write("a", service("ratings"))
    looks.files.write("b", service("reviews"))

    def failing(path: Path) -> bytes:
        raise OSError(24, "Too many open files", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(module, "read_bytes", failing)
        outcome = looks.look()
        assert outcome.listing is not None
        assert len(outcome.listing.problems) == 2
        assert looks.look().listing is outcome.listing
    assert looks.names() == [RATINGS, REVIEWS]
    listing = looks.look().listing
    assert listing is not None
    assert listing.problems == ()


def test_a_file_whose_name_is_no_text_is_read_and_named_in_text(looks: Looks) -> None:
    looks.files.write("a", service("ratings"))
    (looks.files.path / os.fsdecode(b"\xff.yaml")).write_text("kind: Service\nmetadata: [\n")
    outcome = looks.look()
    assert outcome.listing is not None
    (problem,) = outcome.listing.problems
    assert problem.where.encode().endswith(rb"paris/\xff.yaml:2")
    (looks.files.path / "a.json").rename(looks.files.path / os.fsdecode(b"\xfe.json"))
    assert looks.names(REMOVAL_GRACE_S) == [RATINGS]


def test_a_file_without_permission_is_named_and_read_when_it_has_it(looks: Looks) -> None:
    path = looks.files.write("a", service("ratings"))
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root may read everything")
    outcome = looks.look()
    assert outcome.listing is not None
    assert "Permission denied" in outcome.listing.problems[0].message
    path.chmod(0o600)
    looks.look()
    assert looks.names(SETTLE_S) == [RATINGS]


def test_a_folder_below_that_cannot_be_listed_is_named_and_nothing_is_gone(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks.files.write("a", service("ratings"))
    first = looks.look()
    below = looks.files.path / "lost+found"
    below.mkdir()
    listed = os.listdir

    def refusing(path: Path) -> list[str]:
        if path == below:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "listdir", refusing)
    outcome = looks.look()
    assert outcome.listing is first.listing
    assert outcome.trouble == f"{below} cannot be read: Permission denied"


def test_a_link_to_itself_is_named_and_the_others_are_read(looks: Looks) -> None:
    looks.files.write("a", service("ratings"))
    (looks.files.path / "loop.json").symlink_to("loop.json")
    outcome = looks.look()
    assert outcome.listing is not None
    assert outcome.trouble == ""
    assert [str(key) for key in outcome.listing.items] == [RATINGS]
    (problem,) = outcome.listing.problems
    assert problem.object.endswith("loop.json")
    looks.files.write("loop", service("reviews"))
    assert looks.names() == [RATINGS, REVIEWS]


def test_pipes_and_devices_are_not_opened(looks: Looks) -> None:
    looks.files.write("a", service("ratings"))
    os.mkfifo(looks.files.path / "b.yaml")
    (looks.files.path / "c.yaml").symlink_to("/dev/zero")
    assert looks.names() == [RATINGS]


def test_a_folder_that_links_to_itself_ends(looks: Looks) -> None:
    looks.files.write("a", service("ratings"))
    (looks.files.path / "loop").symlink_to(".")
    outcome = looks.look()
    assert outcome.listing is not None
    assert [str(key) for key in outcome.listing.items] == [RATINGS]
    assert outcome.listing.problems == ()


def test_a_file_that_is_too_large_is_refused(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 10)
    looks.files.write("a", service("ratings"))
    outcome = looks.look()
    assert outcome.listing is not None
    assert "more than 10 bytes" in outcome.listing.problems[0].message


def test_one_file_instead_of_a_folder(tmp_path: Path) -> None:
    files = ClusterFolder(tmp_path)
    path = files.write("cluster", service("ratings"))
    folder = Folder(path)
    first = folder.look()
    assert first.listing is not None
    assert [str(key) for key in first.listing.items] == [RATINGS]
    path.unlink()
    gone = folder.look()
    assert (gone.listing, "does not exist" in gone.trouble) == (first.listing, True)
