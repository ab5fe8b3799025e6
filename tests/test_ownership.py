"""Whose a folder is, told from dvc.yaml and DVC's cache alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from soarm import ownership
from soarm.errors import DatasetError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the project's pipelines and no DVC."""
    for name in ("dvc.yaml", "study/dvc.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "stage"),
    [
        ("data/record", "record"),
        ("data/record/mine", "record"),
        ("data/train_act", "train_act"),
        ("data", "train_eye"),  # the first of the chain
        ("", "train_eye"),
        ("data/metrics", "train_eye"),
        ("data/live/train_act/plots/metrics", "train_act"),
        ("data/study/mine", "full"),
        ("data/study_summary", "study_summary"),
        ("datasets/../data/record", "record"),
    ],
)
def test_no_recording_goes_where_a_stage_writes_above_it_or_below(root: Path, folder: str, stage: str) -> None:
    with pytest.raises(DatasetError, match=rf"no place for a recording: the stage {stage} .*Take a folder .* datasets/"):
        ownership.require_free(root / folder)


@pytest.mark.parametrize("folder", ["datasets/mine", "data/mine", "mine", "data/recordings"])
def test_a_folder_of_one_s_own_is_free(root: Path, folder: str) -> None:
    ownership.require_free(root / folder)


def test_a_link_to_a_stage_s_folder_is_that_folder_and_so_is_what_the_stage_s_folder_links_to(root: Path) -> None:
    elsewhere = root.parent / f"{root.name}-elsewhere"
    elsewhere.mkdir()
    (root / "data").mkdir()
    (root / "data" / "record").symlink_to(elsewhere)
    (root / "link").symlink_to(root / "data" / "train_act")
    (root / "datasets").symlink_to(root.parent)

    for folder in (root / "link", root / "data" / "record", root / "datasets" / root.name / "data" / "export"):
        with pytest.raises(DatasetError, match="no place for a recording"):
            ownership.require_free(folder)


def test_without_a_pipeline_or_with_one_that_dvc_could_not_read_nothing_is_owned(tmp_path: Path) -> None:
    ownership.require_free(tmp_path / "data" / "record")
    for text in ("stages: [", "stages: 3", "stages: {record: }", "", "[]"):
        (tmp_path / "dvc.yaml").write_text(text)
        ownership.require_free(tmp_path / "data" / "record")


def put(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return ownership.md5(path)


def test_a_stranger_is_a_file_that_neither_the_stage_wrote_nor_the_cache_holds(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "toy"
    put(folder / "written", "w")
    ownership.note_written(tmp_path, "toy", [folder])
    cached = put(folder / "deep" / "cached", "c")
    put(tmp_path / ".dvc" / "cache" / "files" / "md5" / cached[:2] / cached[2:], "c")
    put(folder / "deep" / "mine", "m")
    (folder / "link").symlink_to(tmp_path)

    assert ownership.strangers(tmp_path, "toy", folder) == [folder / "deep" / "mine", folder / "link"]
    assert ownership.strangers(tmp_path, "other", tmp_path / "data" / "other") == []


@pytest.mark.parametrize("file", ["config", "config.local"])
def test_the_cache_is_where_dvc_s_configuration_says(tmp_path: Path, file: str) -> None:
    folder = tmp_path / "data" / "toy"
    cached = put(folder / "cached", "c")
    put(tmp_path / "shared" / "files" / "md5" / cached[:2] / cached[2:], "c")
    before = ownership.strangers(tmp_path, "toy", folder)
    put(
        tmp_path / ".dvc" / file, "[core]\n    autostage = true\n['remote \"x\"']\n    url = y\n[cache]\n    dir = ../shared\n"
    )

    assert before == [folder / "cached"]
    assert ownership.strangers(tmp_path, "toy", folder) == []
