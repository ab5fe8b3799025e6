"""What a computer may lack: a name for the user, a home, a place where files can be written."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from soarm.cli import main
from soarm.errors import BusError
from soarm.hardware import ports
from soarm.hardware.backups import back_up, default_folder
from soarm.hardware.calibration import Calibration
from soarm.hardware.lerobot_file import write_lerobot


def nobody(uid: int) -> None:
    raise KeyError(f"getpwuid(): uid not found: {uid}")


def test_a_user_without_a_name_is_told_why_a_port_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "port").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)

    assert f"the user {os.getuid()} may not use" in str(ports.forbidden(str(tmp_path / "port")))


def test_without_a_home_the_folder_for_registers_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)

    with pytest.raises(BusError, match=f"the user {os.getuid()} has no home folder .* set HOME or XDG_STATE_HOME"):
        default_folder()


class Silent:
    port, servo_ids = "port", (1,)

    def read_block(self, servo_id: int, address: int, n_bytes: int) -> bytes:
        raise BusError("no answer")


def test_registers_that_cannot_be_saved_are_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "state").touch()

    with pytest.raises(BusError, match=r"registers\.json cannot be written \(Not a directory\)"):
        back_up(Silent(), [1], tmp_path / "state" / "soarm" / "registers.json")  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["folder", "pipe", "a" * 300, "file/arm.json"])
def test_a_calibration_that_could_not_be_saved_is_said_before_anything_is_measured(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, target: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")

    assert main(["calibrate", "--port", str(tmp_path / "none"), str(tmp_path / target)]) == 1
    assert "cannot be written" in caplog.text or "there is no folder" in caplog.text
    assert "the port" not in caplog.text


@pytest.mark.parametrize("command", ["import-calibration", "export-calibration"])
def test_a_calibration_is_not_written_where_it_cannot_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, command: str
) -> None:
    write_lerobot(Calibration.nominal(), tmp_path / "lerobot.json")
    assert main(["import-calibration", str(tmp_path / "lerobot.json"), str(tmp_path / "arm.json")]) == 0
    source = tmp_path / ("lerobot.json" if command == "import-calibration" else "arm.json")

    assert main([command, str(source), str(tmp_path)]) == 1
    assert "cannot be written (it is a folder, not a file)" in caplog.text


def test_a_pose_of_no_numbers_is_not_checked(capsys: pytest.CaptureFixture[str]) -> None:
    pose = ["--pose", "nan", "0", "0", "0", "0", "0"]

    assert main(["check-pose", "--port", "none", "--calibration", "none", *pose]) == 2
    assert "it is 'nan'; it must be a number in -360..360" in capsys.readouterr().err
