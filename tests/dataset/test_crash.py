"""A kill at any instant: every state of the disk on the way is a dataset with all finished episodes."""

from __future__ import annotations

import io
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from soarm import spec
from soarm.dataset import edit, storage, writer
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.errors import DatasetError


def _content(folder: Path) -> dict[str, bytes | None]:
    """Return what lies below a folder: files with their bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


class _Camera:
    """Copies a folder before each system call that changes it and inside writes: the states a kill can leave."""

    _EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")

    def __init__(self) -> None:
        self.taking: Callable[[], None] | None = None
        sys.addaudithook(self._hook)  # a hook cannot be removed: it is made once and switched

    def _hook(self, event: str, args: tuple[object, ...]) -> None:
        if self.taking is None or event not in self._EVENTS:
            return
        if event == "open" and isinstance(args[1], str) and "w" not in args[1]:
            return
        self.take()

    def take(self) -> None:
        if self.taking is not None:
            take, self.taking = self.taking, None
            take()
            self.taking = take

    def states_of(self, folder: Path, into: Path, action: Callable[[], object]) -> list[Path]:
        """Run `action` and return copies of `folder`: before each call, and after the last; one of what stays as it was."""
        states: list[Path] = []
        last: dict[str, bytes | None] | None = None

        def take() -> None:
            nonlocal last
            before, last = last, _content(folder)
            if last != before:
                states.append(Path(shutil.copytree(folder, into / str(len(states)))))

        self.taking = take
        try:
            action()
        finally:
            self.taking = None
        take()
        return states


_camera = _Camera()


class _SlowFile(io.FileIO):
    """Is looked at when half of what it was first given is written."""

    def write(self, data) -> int:
        whole = bytes(data)
        is_first = self.tell() == 0
        super().write(whole[: len(whole) // 2])
        if is_first:
            _camera.take()
        super().write(whole[len(whole) // 2 :])
        return len(whole)


@pytest.fixture(autouse=True)
def _slow_files(monkeypatch):
    for module in (storage, writer):
        monkeypatch.setattr(module, "open", _SlowFile, raising=False)


def _actions(dataset: Dataset) -> list[list[float]]:
    return [dataset.episode(i).values[spec.ACTION][0].tolist() for i in range(dataset.n_episodes)]


def _expected(tape, numbers) -> list[list[float]]:
    return [tape(i)[1][0].tolist() for i in numbers]


def test_a_kill_while_saving_costs_the_unfinished_episode_only(tmp_path, start, tape):
    recorder = start(tmp_path / "disk" / "d")
    recorder.save_episode(*tape(0))
    states = _camera.states_of(tmp_path / "disk", tmp_path / "states", lambda: recorder.save_episode(*tape(1)))

    found = [_actions(Dataset.open(state / "d")) for state in states]
    assert all(one in (_expected(tape, [0]), _expected(tape, [0, 1])) for one in found)
    assert found[0] == _expected(tape, [0])
    assert found[-1] == _expected(tape, [0, 1])
    for state, before in zip(states, found, strict=True):
        with Recorder.resume(state / "d") as again:
            again.save_episode(*tape(2))
        assert _actions(Dataset.open(state / "d")) == before + _expected(tape, [2])


def test_a_kill_while_starting_leaves_a_folder_that_can_be_started_again(tmp_path, start, tape):
    (tmp_path / "disk").mkdir()
    states = _camera.states_of(tmp_path / "disk", tmp_path / "states", lambda: start(tmp_path / "disk" / "d"))

    assert len(states) >= 4
    for state in states:
        try:
            recorder = start(state / "d")
        except DatasetError:  # the header was complete already
            recorder = Recorder.resume(state / "d")
        recorder.save_episode(*tape(0))
        assert _actions(Dataset.open(state / "d")) == _expected(tape, [0])


def test_a_kill_while_finalizing_loses_nothing(tmp_path, record, tape):
    record(tmp_path / "disk" / "d", range(1))
    recorder = Recorder.resume(tmp_path / "disk" / "d")
    recorder.save_episode(*tape(1))
    states = _camera.states_of(tmp_path / "disk", tmp_path / "states", recorder.finalize)

    assert len(states) > 15
    for state in states:
        assert _actions(Dataset.open(state / "d")) == _expected(tape, [0, 1])
        Recorder.resume(state / "d").finalize()
        dataset = Dataset.open(state / "d")
        assert _actions(dataset) == _expected(tape, [0, 1])
        assert not dataset.is_recording
        assert [entry.name for entry in state.iterdir()] == ["d"]


def test_a_kill_while_deleting_leaves_the_dataset_before_or_after(tmp_path, record, tape):
    path = record(tmp_path / "disk" / "d", range(3))
    states = _camera.states_of(tmp_path / "disk", tmp_path / "states", lambda: edit.delete_episodes(path, [1]))

    found = [_actions(Dataset.open(state / "d")) for state in states]
    assert found[0] == _expected(tape, range(3))
    assert found[-1] == _expected(tape, [0, 2])
    assert all(one in (found[0], found[-1]) for one in found)
    for state in states:
        edit.delete_episodes(state / "d", [0])
        assert [entry.name for entry in state.iterdir()] == ["d"]


def test_a_damaged_last_episode_is_put_aside_on_resuming(tmp_path, start, tape, caplog):
    recorder = start(tmp_path / "d")
    for i in range(3):
        recorder.save_episode(*tape(i))
    last = tmp_path / "d/recording/episode-000002.parquet"
    last.write_bytes(last.read_bytes()[:500])
    with pytest.raises(
        DatasetError, match=r"episode-000002.parquet: it is truncated.*`soarm control --dataset .*/d` puts it aside"
    ):
        Dataset.open(tmp_path / "d")
    recorder.close()
    Recorder.resume(tmp_path / "d")

    assert _actions(Dataset.open(tmp_path / "d")) == _expected(tape, [0, 1])
    assert "put aside as episode-000002.parquet.damaged" in caplog.text


_RECORDING = """
    import sys
    import numpy as np
    from soarm import spec
    from soarm.dataset.recorder import Recorder

    features = {spec.STATE: spec.JOINT_FEATURE, spec.ACTION: spec.JOINT_FEATURE}
    recorder = Recorder.create(sys.argv[1], features, 30, "so100_follower", "go")
    print("started", flush=True)
    for i in range(100_000):
        values = np.full((20, 6), float(i))
        recorder.save_episode({spec.STATE: values}, values)
        print(i, flush=True)
        if i % 10 == 9:
            recorder.finalize()
            recorder = Recorder.resume(sys.argv[1])
"""


@pytest.mark.parametrize("seed", range(4))
def test_a_recording_killed_at_a_random_moment_holds_every_finished_episode(tmp_path, seed):
    command = [sys.executable, "-c", textwrap.dedent(_RECORDING), str(tmp_path / "d")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        assert process.stdout.readline() == "0\n"
        time.sleep(random.Random(seed).uniform(0.0, 0.5))
        process.send_signal(signal.SIGKILL)
        n_finished = 1 + len(process.stdout.read().splitlines())
    dataset = Dataset.open(tmp_path / "d")
    with Recorder.resume(tmp_path / "d") as recorder:
        recorder.save_episode({spec.STATE: np.zeros((1, 6))}, np.zeros((1, 6)))
    after = Dataset.open(tmp_path / "d")

    assert dataset.n_episodes in (n_finished, n_finished + 1)  # one may be on the disk and not yet reported
    assert dataset.columns[spec.ACTION][::20, 0].tolist() == list(range(dataset.n_episodes))
    assert after.n_episodes == dataset.n_episodes + 1
