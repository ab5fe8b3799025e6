"""What a task needs, as one archive: its key, and what lies in it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from soarm.cluster import archive
from soarm.cluster.package import package
from soarm.errors import StageError
from soarm.provenance import committed, git_revision

NUMBERS = Path("data", "numbers")


def test_the_key_follows_from_code_inputs_and_revision_and_from_nothing_else(counting: Path) -> None:
    first = package(counting, [NUMBERS])
    (counting / "data" / "numbers" / "all").touch()
    (counting / "data" / "other").write_text("not asked for")
    (counting / "notes.md").write_text("no code")
    assert "-dirty" in package(counting, [NUMBERS]).revision
    (counting / "notes.md").write_text("")
    same = package(counting, [NUMBERS])
    keys = set()
    for name in ("data/numbers/all", "soarm/arm.py", "soarm/new.py", "params.yaml"):
        with (counting / name).open("a") as file:
            file.write("\n")
        keys.add(package(counting, [NUMBERS]).key)

    assert same == first
    assert len(keys - {first.key}) == 4


def test_a_copy_that_was_sent_says_the_revision_and_the_committed_parameters(counting: Path, tmp_path: Path) -> None:
    (counting / "params.yaml").write_text("seed: 1\n")
    packed = package(counting, [NUMBERS])
    archive.unpack_once(packed.data(counting), tmp_path / "cached")
    archive.unpack_once(packed.data(counting), tmp_path / "cached")  # by a second worker
    archive.linked(tmp_path / "cached", tmp_path / "copy")
    copy = tmp_path / "copy"

    assert packed.revision.endswith("-dirty")
    assert git_revision(copy) == git_revision(counting) == packed.revision
    assert committed(copy) == committed(counting) == "seed: 0\n"
    assert (copy / "params.yaml").read_text() == "seed: 1\n"
    assert (copy / "data" / "numbers" / "all").read_text() == "1 2 3"
    assert not (copy / "notes.md").exists()


def test_a_dataset_outside_of_the_repository_counts_and_is_not_sent(counting: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("1")
    packed = package(counting, [tmp_path / "mine"])

    assert packed.key != package(counting, []).key
    with pytest.raises(StageError, match=r"copy the dataset to datasets/mine and say so in params\.yaml"):
        packed.data(counting)


def test_what_arrives_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    for root, name in ((tmp_path / "from", "new"), (tmp_path / "to", "old")):
        (root / "data" / "folder").mkdir(parents=True)
        (root / "data" / "folder" / name).write_text(name)
    sent = archive.pack(tmp_path / "from", ["data/folder", "data/absent"])

    archive.put(sent, tmp_path / "to", ["data/folder", "data/absent"])

    assert [path.name for path in (tmp_path / "to" / "data" / "folder").iterdir()] == ["new"]
    assert list((tmp_path / "to" / "data" / ".scratch").iterdir()) == []


def test_the_package_of_the_project_holds_its_code() -> None:
    root = Path(__file__).parents[2]
    inside = subprocess.run(["git", "rev-parse", "--is-inside-work-tree"], cwd=root, capture_output=True, check=False)
    if inside.returncode:
        pytest.skip("no git repository")

    content = package(root, []).content

    assert {"soarm/stage.py", "stages/study.py", "params.yaml", "soarm/params.yaml"} <= set(content)
    assert content["soarm/params.yaml"] == "-> ../params.yaml"
    assert not [name for name in content if name.startswith(("docs/", "tests/"))]
