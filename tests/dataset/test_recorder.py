from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soarm import smallfile, spec
from soarm.dataset import layout, storage, writer
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.errors import DatasetError, ObservationError


def test_what_was_recorded_is_read_back(tmp_path, start, tape):
    recorder = start(tmp_path / "d")
    numbers = [recorder.save_episode(*tape(i)) for i in range(3)]
    recorder.finalize()
    dataset = Dataset.open(tmp_path / "d")

    assert numbers == [0, 1, 2]
    for i in numbers:
        observations, actions = tape(i)
        values = dataset.episode(i).values
        assert np.array_equal(values[spec.ACTION], actions)
        assert all(np.array_equal(values[key], observations[key]) for key in observations)


@settings(max_examples=10)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5), tasks=st.lists(st.sampled_from("äbc"), min_size=5, max_size=5)
)
def test_any_lengths_and_tasks_survive_the_disk(tmp_path_factory, lengths, tasks):
    features = {"observation.state": spec.Feature((1,), ("x",), ("m",)), "action": spec.Feature((2,), ("a", "b"), ("m", "m"))}
    path = tmp_path_factory.mktemp("hypothesis") / "d"
    recorder = Recorder.create(path, features, 10, "point", "go")
    for i, length in enumerate(lengths):
        recorder.save_episode({"observation.state": np.full((length, 1), i)}, np.full((length, 2), -i), task=tasks[i])
    cut_off = Dataset.open(path)
    recorder.finalize()
    dataset = Dataset.open(path)

    assert np.diff(dataset.episode_starts).tolist() == lengths
    assert [dataset.task(i) for i in range(len(lengths))] == tasks[: len(lengths)]
    assert dataset.columns["action"][:, 1].tolist() == [-float(i) for i, n in enumerate(lengths) for _ in range(n)]
    assert dataset.hash == cut_off.hash


def test_equal_episodes_give_equal_bytes(tmp_path, record, content):
    assert content(record(tmp_path / "a")) == content(record(tmp_path / "b"))


def test_appending_gives_the_bytes_of_one_recording(tmp_path, record, tape, content):
    record(tmp_path / "d", range(2))
    for i in range(2, 5):
        with Recorder.resume(tmp_path / "d") as recorder:
            assert recorder.save_episode(*tape(i)) == i

    assert content(tmp_path / "d") == content(record(tmp_path / "whole", range(5)))


def test_a_recording_that_was_cut_off_goes_on(tmp_path, start, record, tape, content):
    recorder = start(tmp_path / "d")
    recorder.save_episode(*tape(0))
    recorder.close()
    recorder = Recorder.resume(tmp_path / "d")
    recorder.save_episode(*tape(1))
    recorder.finalize()

    assert content(tmp_path / "d") == content(record(tmp_path / "whole", range(2)))


def test_a_recording_without_episodes_goes_on(tmp_path, start, tape):
    start(tmp_path / "d")
    with Recorder.resume(tmp_path / "d", task="Lift the cube.") as recorder:
        recorder.save_episode(*tape(0))

    assert Dataset.open(tmp_path / "d").tasks == ("Lift the cube.",)


def test_the_folder_holds_what_lerobot_expects_and_nothing_else(tmp_path, record, content):
    path = record(tmp_path / "d")

    assert set(content(path)) == {
        "meta/info.json",
        "meta/soarm.json",
        "meta/stats.json",
        "meta/tasks.parquet",
        "meta/episodes/chunk-000/file-000.parquet",
        "data/chunk-000/file-000.parquet",
    }
    assert [entry.name for entry in tmp_path.iterdir()] == ["d"]


def test_one_row_group_per_episode(tmp_path, record):
    file = pq.ParquetFile(record(tmp_path / "d") / "data/chunk-000/file-000.parquet")

    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [4, 5, 6]


def test_a_full_data_file_is_followed_by_another(tmp_path, monkeypatch, record):
    monkeypatch.setattr(layout, "DATA_FILE_MB", 1e-3)
    monkeypatch.setattr(layout, "CHUNKS_SIZE", 2)
    path = record(tmp_path / "d", range(5))
    dataset = Dataset.open(path)

    files = sorted(str(file.relative_to(path / "data")) for file in path.glob("data/*/*.parquet"))
    assert files == [f"chunk-00{i // 2}/file-00{i % 2}.parquet" for i in range(len(files))]
    assert len(files) > 2
    assert dataset.n_episodes == 5


def test_files_of_others_are_kept(tmp_path, record, tape):
    path = record(tmp_path / "d")
    (path / "README.md").write_text("mine")
    with Recorder.resume(path) as recorder:
        recorder.save_episode(*tape(3))

    assert (path / "README.md").read_text() == "mine"


@pytest.fixture
def _disk_without_locks(monkeypatch):
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)


def test_a_second_recorder_is_refused_before_anything_is_written(tmp_path, start, tape, content, record):
    for path, begin in ((tmp_path / "new", start), (record(tmp_path / "old", range(1)), Recorder.resume)):
        with begin(path) as first:
            first.save_episode(*tape(1))
            before = content(tmp_path)
            for other in (start, Recorder.resume):
                with pytest.raises(
                    DatasetError, match=rf"another program \(process {os.getpid()}\) records into it.*choose another"
                ):
                    other(path)
            assert content(tmp_path) == before
            first.save_episode(*tape(2))
        assert not (path / "recording").exists()

    assert [Dataset.open(tmp_path / name).n_episodes for name in ("new", "old")] == [2, 3]


def test_a_recorder_that_was_killed_or_closed_locks_nothing(tmp_path, start, tape):
    script = """
        import os, signal, sys
        from soarm import spec
        from soarm.dataset.recorder import Recorder

        features = {spec.STATE: spec.JOINT_FEATURE, spec.ACTION: spec.JOINT_FEATURE}
        recorder = Recorder.create(sys.argv[1], features, 30, "so100_follower", "go")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert (
        subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "killed")], check=False).returncode == -9
    )
    assert (tmp_path / "killed/recording/recording.lock").exists()
    Recorder.resume(tmp_path / "killed").close()
    closed = start(tmp_path / "closed")
    closed.close()

    assert Recorder.resume(tmp_path / "closed").n_episodes == 0
    assert not list(tmp_path.glob("killed/recording/*.lock"))
    with pytest.raises(DatasetError, match="finalized or closed"):
        closed.save_episode(*tape(0))


def test_a_recorder_that_replaces_the_folder_keeps_its_lock(tmp_path, monkeypatch, record, tape):
    path = record(tmp_path / "d", range(1))
    refused = []

    def replace(old: Path, new: Path) -> None:
        for _ in range(2):  # before and after each rename
            if len(refused) % 2 == 1:
                rename(old, new)
            with pytest.raises(DatasetError) as error:
                Recorder.resume(path)
            refused.append("records into it" in str(error.value))

    with Recorder.resume(path) as recorder:
        recorder.save_episode(*tape(1))
        rename = os.replace
        with monkeypatch.context() as patch:
            patch.setattr(storage.os, "replace", lambda old, new: replace(old, new) if old == path else rename(old, new))
            recorder.finalize()

    assert refused == [True, True]
    assert Dataset.open(path).n_episodes == 2


def test_a_dataset_that_is_refused_holds_nothing_of_the_lock(tmp_path, record, content):
    path = record(tmp_path / "d", splits={"train": range(2), "val": range(2, 3)})
    with pytest.raises(DatasetError):
        Recorder.resume(path)
    with pytest.raises(DatasetError):
        Recorder.resume(tmp_path / "none")

    assert not (path / "recording").exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["d"]


@pytest.mark.usefixtures("_disk_without_locks")
def test_what_another_recorder_kept_and_finished_is_not_written_over(tmp_path, start, tape):
    with start(tmp_path / "d") as first:
        with Recorder.resume(tmp_path / "d") as second:
            second.save_episode(*tape(1))
            second.save_episode(*tape(2))
        with pytest.raises(DatasetError, match="was finished by another recorder meanwhile: its episodes are kept"):
            first.save_episode(*tape(0))

    assert Dataset.open(tmp_path / "d").n_episodes == 2


def test_the_context_finalizes_even_when_it_is_left_by_an_error(tmp_path, start, tape):
    def interrupted() -> None:
        with start(tmp_path / "d") as recorder:
            recorder.save_episode(*tape(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert not Dataset.open(tmp_path / "d").is_recording


def test_splits_are_stored(tmp_path, record):
    dataset = Dataset.open(record(tmp_path / "d", splits={"train": range(2), "val": range(2, 3)}))

    assert dataset.splits == {"train": range(2), "val": range(2, 3)}
    assert dataset.info["splits"] == {"train": "0:2", "val": "2:3"}


def test_splits_that_do_not_fit_are_refused_and_the_recording_stays(tmp_path, start, tape):
    recorder = start(tmp_path / "d")
    recorder.save_episode(*tape(0))
    with pytest.raises(DatasetError, match=r"split val is '1:2'; it must be 'first:end' within 0:1"):
        recorder.finalize({"train": range(1), "val": range(1, 2)})
    recorder.finalize()

    assert Dataset.open(tmp_path / "d").splits == {"train": range(1)}


def test_appending_to_several_splits_is_refused_before_recording(tmp_path, record, content):
    path = record(tmp_path / "d", splits={"train": range(2), "val": range(2, 3)})
    before = content(path)

    with pytest.raises(DatasetError, match="not clear which one new episodes belong to"):
        Recorder.resume(path)
    assert content(path) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda o, a: (o, np.where(np.arange(6) == 2, np.nan, a)),
            r"action has 4 values that are not finite, first at frame 0, elbow_flex.pos: nan",
        ),
        (lambda o, a: ({**o, spec.STATE: o[spec.STATE] * np.inf}, a), r"observation.state has 24 values that are not finite"),
        (lambda o, a: (o, a.astype(np.float64) * 1e40), r"action has 24 values that are not finite"),
        (lambda o, a: (o, a[:, :5]), r"action has shape \(4, 5\); expected \(T, 6\)"),
        (lambda o, a: (o, a[:3]), r"lengths differ: .*drop the last observation"),
        (lambda o, a: ({key: value[:0] for key, value in o.items()}, a[:0]), r"the episode has no frames"),
        (lambda o, a: ({spec.STATE: o[spec.STATE]}, a), r"observation.environment_state is missing"),
        (lambda o, a: ({**o, "observation.effort": a}, a), r"observation.effort is unknown; this dataset has"),
        (lambda o, a: (o, a.astype(str)), r"action is of type <U32; it must hold real numbers"),
        (lambda o, a: (o, np.float32(1)), r"action has shape \(\); expected \(T, 6\)"),
    ],
)
def test_a_bad_episode_is_refused_before_anything_is_written(tmp_path, start, tape, content, change, message):
    recorder = start(tmp_path / "d")
    recorder.save_episode(*tape(0))
    before = content(tmp_path)

    with pytest.raises(ObservationError, match=message):
        recorder.save_episode(*change(*tape(0)))
    assert content(tmp_path) == before
    assert recorder.save_episode(*tape(1)) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": {spec.ACTION: spec.JOINT_FEATURE}}, "at least one observation"),
        ({"features": {"a/b": spec.JOINT_FEATURE, spec.ACTION: spec.JOINT_FEATURE}}, "may hold no '/'"),
        ({"features": {"index": spec.JOINT_FEATURE, spec.ACTION: spec.JOINT_FEATURE}}, "not be one of"),
        (
            {"features": {"x": spec.Feature((2, 3), ("a", "b"), ("m", "m")), spec.ACTION: spec.JOINT_FEATURE}},
            "it must be a vector",
        ),
        (
            {"features": {"x": spec.Feature((2,), ("a",), ("m",)), spec.ACTION: spec.JOINT_FEATURE}},
            "1 names and 1 units; it needs 2",
        ),
        (
            {"features": {"observation.images.front": spec.Feature.image(97, 128), spec.ACTION: spec.JOINT_FEATURE}},
            r"observation.images.front is 128 x 97 pixels; videos \(yuv420p\) need even numbers of both: 128 x 96",
        ),
        ({"fps": 29.97}, "fps is 29.97; it must be a whole number above 0"),
        ({"fps": 0}, "fps is 0"),
        ({"task": " "}, "the task is empty"),
    ],
)
def test_a_bad_definition_is_refused(tmp_path, changes, message):
    features = {spec.STATE: spec.JOINT_FEATURE, spec.ACTION: spec.JOINT_FEATURE}
    arguments = {"features": features, "fps": 30, "robot_type": "so100_follower", "task": "go"} | changes

    with pytest.raises(DatasetError, match=message):
        Recorder.create(tmp_path / "d", **arguments)
    assert not (tmp_path / "d").exists()


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path, start, record, content):
    before = content(record(tmp_path / "d"))

    with pytest.raises(DatasetError, match=r"is not empty .*`soarm control --dataset .*/d` goes on"):
        start(tmp_path / "d")
    assert content(tmp_path / "d") == before


def test_a_finalized_recorder_says_how_to_go_on(tmp_path, start, tape):
    recorder = start(tmp_path / "d")
    recorder.save_episode(*tape(0))
    recorder.finalize()

    with pytest.raises(DatasetError, match="is finalized"):
        recorder.save_episode(*tape(1))


def test_finalizing_nothing_is_refused(tmp_path, start):
    with pytest.raises(DatasetError, match="holds no finished episode"):
        start(tmp_path / "d").finalize()


@pytest.mark.usefixtures("_disk_without_locks")
def test_a_second_recorder_cannot_overwrite_an_episode(tmp_path, start, tape):
    first = start(tmp_path / "d")
    second = Recorder.resume(tmp_path / "d")
    first.save_episode(*tape(0))

    with pytest.raises(DatasetError, match="another recorder is writing"):
        second.save_episode(*tape(1))
    assert np.array_equal(Dataset.open(tmp_path / "d").columns[spec.ACTION], tape(0)[1])


class _FullDisk(io.FileIO):
    """Takes a few bytes, then none."""

    def write(self, data) -> int:
        super().write(bytes(data)[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _fill_disk(monkeypatch, module) -> None:
    monkeypatch.setattr(module, "open", lambda path, mode: _FullDisk(path, mode), raising=False)


def test_a_full_disk_costs_one_episode_at_most(tmp_path, monkeypatch, start, tape, content):
    recorder = start(tmp_path / "d")
    recorder.save_episode(*tape(0))
    before = content(tmp_path)
    with monkeypatch.context() as patch:
        _fill_disk(patch, smallfile)
        with pytest.raises(DatasetError, match=r"cannot write .*episode-000001.parquet: No space left on device.*Free space"):
            recorder.save_episode(*tape(1))

    assert content(tmp_path) == before
    assert recorder.save_episode(*tape(1)) == 1
    recorder.finalize()
    assert Dataset.open(tmp_path / "d").n_episodes == 2


@pytest.mark.parametrize("module", [smallfile, writer])
def test_a_disk_that_fills_while_finalizing_leaves_the_recording(tmp_path, monkeypatch, record, tape, content, module):
    path = record(tmp_path / "d")
    recorder = Recorder.resume(path)
    recorder.save_episode(*tape(3))
    before = content(tmp_path)
    with monkeypatch.context() as patch:
        _fill_disk(patch, module)
        with pytest.raises(DatasetError, match=r"cannot write .*No space left on device.*Free space"):
            recorder.finalize()

    assert content(tmp_path) == before
    recorder.finalize()
    assert Dataset.open(path).n_episodes == 4


def test_a_disk_that_fills_on_the_last_flush_is_reported_too(tmp_path, monkeypatch, start, tape, content):
    recorder = start(tmp_path / "d")
    before = content(tmp_path)

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(DatasetError, match="No space left on device"):
            recorder.save_episode(*tape(0))
    assert content(tmp_path) == before


def test_timestamps_follow_the_frame_rate(tmp_path, record):
    table = pq.read_table(record(tmp_path / "d") / "data/chunk-000/file-000.parquet")

    assert table["timestamp"].to_numpy()[:5] == pytest.approx([0, 1 / 30, 2 / 30, 3 / 30, 0])
    assert table["index"].to_pylist() == list(range(15))
    assert table["episode_index"].to_pylist() == [0] * 4 + [1] * 5 + [2] * 6


def test_units_travel_in_a_file_of_their_own(tmp_path, record):
    path = record(tmp_path / "d")
    info, ours = (json.loads((path / "meta" / name).read_text()) for name in ("info.json", "soarm.json"))

    assert info["robot_type"] == "so100_follower"
    assert "soarm" not in info
    assert ours["features"]["action"]["units"] == ["deg"] * 5 + ["percent"]
    assert info["features"]["action"] == {
        "dtype": "float32",
        "shape": [6],
        "names": [
            f"{joint}.pos" for joint in ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
        ],
    }


def test_recording_and_reading_do_without_pandas(tmp_path):
    """Importing pandas takes a second, which a recording at 30 Hz does not have at its first episode."""
    script = """
        import sys
        import numpy as np
        from soarm import spec
        from soarm.dataset.reader import Dataset
        from soarm.dataset.recorder import Recorder

        features = {spec.STATE: spec.JOINT_FEATURE, spec.ACTION: spec.JOINT_FEATURE}
        with Recorder.create(sys.argv[1], features, 30, "so100_follower", "go") as recorder:
            recorder.save_episode({spec.STATE: np.zeros((2, 6))}, np.zeros((2, 6)))
        Dataset.open(sys.argv[1])
        print(sorted({"pandas", "torch", "mujoco"} & set(sys.modules)))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "d")]

    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
