"""Folders that are no readable v3.0 dataset are called what they are."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from soarm.dataset import checks, edit
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.errors import DatasetError

DATA, EPISODES = "data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet"


def _set(path, **values) -> None:
    info = json.loads((path / "meta/info.json").read_text())
    (path / "meta/info.json").write_text(json.dumps({**info, **values}))


@pytest.mark.parametrize("version", ["v2.1", "v2.0", "v1.6"])
def test_an_older_format_is_named_first_with_the_converter_of_lerobot(tmp_path, record, version):
    path = record(tmp_path / "d")
    (path / EPISODES).unlink()
    (path / "meta/episodes.jsonl").touch()
    _set(path, codebase_version=version)

    for look in (Dataset.open, checks.examine, Recorder.resume, lambda path: edit.delete_episodes(path, [0])):
        with pytest.raises(DatasetError) as caught:
            look(path)
        lines = str(caught.value).splitlines()
        assert f"codebase_version is '{version}'; this reader knows 'v3.0'" in lines[0]
        assert ("LeRobot 0.3.3" in lines[0]) == (version != "v2.1")
        assert lines[1].endswith(
            f"-m lerobot.datasets.v30.convert_dataset_v21_to_v30 --repo-id=d --root={tmp_path} --push-to-hub=false"
        )
        assert lines[2].endswith(
            f"-m lerobot.scripts.convert_dataset_v21_to_v30 --repo-id=local/d --root={path} --push-to-hub=false"
        )


def _never_finalized(path) -> None:
    whole = (path / DATA).read_bytes()
    (path / DATA).write_bytes(whole[:-200])


def test_a_recording_of_lerobot_that_was_never_finalized_is_called_that(tmp_path, record):
    path = record(tmp_path / "d")
    _never_finalized(path)
    (path / EPISODES).unlink()

    with pytest.raises(DatasetError, match=rf"never finalized: {DATA} has no end.*3 of 3 episodes.*record the episodes again"):
        Dataset.open(path)


def test_a_session_that_was_not_finalized_after_earlier_ones_is_called_that_too(tmp_path, record):
    path = record(tmp_path / "d", range(4))
    table = pq.read_table(path / EPISODES)
    pq.write_table(table.slice(0, 1), path / EPISODES)
    _never_finalized(path)

    with pytest.raises(DatasetError, match=r"never finalized: .*3 of 4 episodes are missing in meta/episodes"):
        Dataset.open(path)


def test_a_whole_fps_may_be_written_with_a_point(tmp_path, record):
    path = record(tmp_path / "d")
    _set(path, fps=30.0)

    dataset = Dataset.open(path)
    assert (dataset.fps, type(dataset.fps)) == (30, int)
    assert edit.delete_episodes(path, [0]).info["fps"] == 30


def test_no_error_about_a_dataset_advises_a_command_of_the_chain(tmp_path, record):
    messages = []
    for number, harm in enumerate(
        [
            lambda path: (path / "meta/info.json").write_text("{"),
            lambda path: _set(path, features=None),
            lambda path: _set(path, fps=29.97),
            lambda path: (path / DATA).unlink(),
            lambda path: path.rename(path.with_name("elsewhere")),
            lambda path: (path / "meta/info.json").unlink(),
        ]
    ):
        path = record(tmp_path / str(number))
        harm(path)
        with pytest.raises(DatasetError) as caught:
            Dataset.open(path)
        messages.append(str(caught.value))
        if (tmp_path / "elsewhere").exists():
            (tmp_path / "elsewhere").rename(tmp_path / "moved")

    assert not [message for message in messages if "dvc" in message]
    assert "control steps come at whole rates" in messages[2]
