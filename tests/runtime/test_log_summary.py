"""What a log says of a run, for a person and for a program."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from soarm import arm
from soarm.cli import main
from soarm.runtime.log import RunLog, read, record_type
from soarm.runtime.log_summary import summarise
from soarm.tasks.pick_place import TASK


def write(path: Path, lateness_s: list[float]) -> Path:
    """Write a log of a run that succeeds, with a tick for each lateness."""
    with RunLog(path, TASK, {"soarm": "0", "started": "today", "which": "base"}) as log:
        log.note("loop: the run begins", log._began_s)
        for i, late_s in enumerate(lateness_s):
            record = np.zeros((), record_type(7))
            record["t_s"], record["lateness_s"], record["sent"] = 0.1 * i, late_s, i > 0
            record["q_sent"], record["q_present"] = 2.0, 1.0
            record["voltage_v"], record["temperature_c"] = 7.4, 31
            record["reasons"][0] = i == 0
            log.add(record)
        log.note(f"loop: {TASK.goal.words}", log._began_s + 1.5, scene=3)
    return path


def test_a_log_is_counted(tmp_path: Path) -> None:
    found = summarise(read(write(tmp_path / "run.log", [0.001, 0.002, 0.003])))

    assert (found.ticks, found.sent, found.success_s) == (3, 2, pytest.approx(1.5))
    assert found.late is not None
    assert found.late.p50_ms == pytest.approx(2.0)
    assert list(found.joints) == list(arm.JOINT_NAMES)
    first = found.joints["shoulder_pan"]
    assert (first.lag_max, first.clamped_share, first.volts) == (1.0, pytest.approx(1 / 3), pytest.approx((7.4, 7.4)))
    assert "success: the cube lies in the bin, 1.5 s after the start" in found.lines()
    assert any(line.endswith("loop: the cube lies in the bin: scene 3") for line in found.lines())


def test_a_log_without_ticks_says_so_and_is_json_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "run.log", [])

    assert summarise(read(path)).lines()[-1] == "no tick was logged"
    assert main(["show-log", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["late"] is None


def test_numbers_that_are_none_are_null_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show-log", str(write(tmp_path / "run.log", [math.nan])), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["late"]["max_ms"] is None
