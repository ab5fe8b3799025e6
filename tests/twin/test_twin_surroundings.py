"""Places and numbers that `soarm twin` and `soarm teleoperate` cannot use, said in a line before anything runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from soarm.cli import main
from soarm.errors import DatasetError, TwinError
from soarm.tasks.pick_place import TASK
from soarm.teleop import recording
from soarm.twin.faults import Fault
from soarm.twin.port import Port
from soarm.twin.twin_config import TwinConfig
from soarm.twin.wire_log import WireLog

PARAMS = ["--params", str(Path(__file__).parents[2] / "params.yaml")]


@pytest.mark.parametrize("name", ["none/arm", "file/arm", "file", "folder", "b" * 300])
def test_a_link_that_cannot_be_made_is_said(tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    before = len(os.listdir("/proc/self/fd"))

    with pytest.raises(TwinError, match=r"choose another path"):
        Port(tmp_path / name)

    assert len(os.listdir("/proc/self/fd")) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("name", ["none/objects.json", "folder", "pipe"])
def test_a_file_of_objects_that_cannot_be_written_is_said_before_the_twin_starts(tmp_path, name, caplog):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")

    assert main(["twin", "--port", str(tmp_path / "arm"), "--objects", str(tmp_path / name), *PARAMS]) == 1
    assert "cannot be written" in caplog.text
    assert not (tmp_path / "arm").is_symlink()


def test_a_wire_log_is_not_written_into_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(OSError, match="it is a pipe"):
        WireLog(tmp_path / "pipe")


@pytest.mark.parametrize(
    "text",
    ["sag:value=nan", "sag:value=inf", "heat:servo_id=300,value=1", "mute:at_s=nan", "mute:count=-1", "mute:after_writes=-1"],
)
def test_a_fault_of_impossible_numbers_is_refused(text):
    with pytest.raises(TwinError, match=r"it must be in "):
        Fault.parse(text)


@pytest.mark.parametrize("delay", [float("nan"), float("inf"), -1.0])
def test_an_adapter_has_a_delay_that_is_a_number(delay):
    with pytest.raises(TwinError, match=r"usb_delay_s is .* must be in 0\.\.10"):
        TwinConfig(usb_delay_s=delay)


@pytest.mark.parametrize("words", [["--volts", "nan"], ["--scene", "-1"], ["--extra-servo", "999"], ["--usb-delay", "inf"]])
def test_arguments_of_impossible_numbers_are_refused(words, capsys):
    assert main(["twin", *words]) == 2
    assert "it must be a" in capsys.readouterr().err


def test_a_dataset_that_cannot_be_written_is_said_before_the_first_episode(tmp_path, monkeypatch):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text("{}")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DatasetError, match=r"cannot be written \(No space left on device\)"):
        recording.recorder(tmp_path, 30, TASK, "pick")


def test_a_session_that_could_not_write_its_timing_does_not_begin(tmp_path, caplog):
    (tmp_path / "demo.timing.json").mkdir()

    assert main(["control", "--leader", "expert", "--fast", "--dataset", str(tmp_path / "demo"), *PARAMS]) == 1
    assert "demo.timing.json cannot be written (it is a folder, not a file)" in caplog.text
    assert not (tmp_path / "demo").exists()
