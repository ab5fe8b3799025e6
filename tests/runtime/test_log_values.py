"""Logs that were cut, damaged or written by somebody else, through every command that reads one."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from soarm import arm
from soarm.cli import main
from soarm.errors import LogError
from soarm.runtime import log, replay
from soarm.runtime.limits import Limits
from soarm.tasks.pick_place import TASK
from soarm.teleop.convert import pieces
from soarm.teleop.replayer import actions_of

LIMITS = replay.header_of(Limits.usual(arm.LOWER, arm.UPPER))
RECORD = log.record_type(7)
HEADER = {"control_hz": 30, "limits": LIMITS, "approach": 45.0}


def write(path, events=(), n=0, **header):
    with log.RunLog(path, TASK, HEADER | header) as run:
        for record in np.zeros(n, RECORD):
            record["control"], record["dt_s"] = 1, 1 / 60
            run.add(record)
        for event in events:
            run._append(b"E", event if isinstance(event, bytes) else json.dumps(event).encode())
    return path


@pytest.mark.parametrize(
    "event",
    [
        [],
        7,
        "text",
        None,
        {},
        {"t_s": 1.0},
        {"text": "x"},
        {"t_s": "1", "text": "x"},
        {"t_s": True, "text": "x"},
        {"t_s": 1.0, "text": ["x"]},
        b"",
        b"\xff",
        b"{",
        b'{"a":' * 50_000,
    ],
)
def test_an_event_of_a_wrong_shape_is_a_damaged_log(tmp_path, event, caplog):
    path = write(tmp_path / "run.log", [event])

    with pytest.raises(LogError, match="the log is damaged 0 bytes after its first line"):
        log.read(path)
    for words in (["show-log"], ["replay-log"]):
        assert main([*words, str(path)]) == 1
    assert main(["control", "--from-log", str(path), "--dataset", str(tmp_path / "data")]) == 1
    assert caplog.text.count("the log is damaged") == 3


def test_an_event_may_hold_any_further_number(tmp_path):
    path = write(tmp_path / "run.log", [{"t_s": 1.0, "text": "x", "load": math.nan, "more": [1]}])

    assert main(["show-log", str(path)]) == 0


def test_a_log_cut_anywhere_is_read_up_to_there_or_refused(tmp_path):
    content = write(tmp_path / "run.log", [{"t_s": 1.0, "text": "x"}], n=3).read_bytes()
    first = content.index(b"\n")
    for end in (*range(0, first, 97), first, *range(first + 1, len(content), 53)):
        (tmp_path / "cut.log").write_bytes(content[:end])
        if end < first:
            with pytest.raises(LogError, match="is no log of a run"):
                log.read(tmp_path / "cut.log")
        else:
            assert len(log.read(tmp_path / "cut.log").records) <= 3


@pytest.mark.parametrize("control_hz", [0, -30, 10**9, "30", True, 30.5, None, [30]])
def test_a_log_of_an_impossible_rate_becomes_no_dataset(tmp_path, control_hz):
    run = log.read(write(tmp_path / "run.log", n=20, control_hz=control_hz))

    with pytest.raises(LogError, match=r"control_hz .*it must be a whole number in 1\.\.1000"):
        pieces(run)


def test_a_log_without_ticks_becomes_no_dataset_and_cannot_be_played(tmp_path, caplog):
    empty = str(write(tmp_path / "run.log"))
    dataset = ["--dataset", str(tmp_path / "data")]

    assert main(["control", "--from-log", empty, *dataset]) == 1
    assert "the log holds no control period" in caplog.text
    assert not (tmp_path / "data").exists()
    with pytest.raises(LogError, match="the log holds no control period"):
        actions_of(tmp_path / "run.log", 0, 30)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"approach": "fast"}, "approach 'fast'; it must be a number above 0"),
        ({"approach": -1}, "approach -1"),
        ({"limits": 3}, "names no limits"),
        ({"limits": LIMITS | {"velocity": "fast"}}, "names no limits"),
        ({"limits": LIMITS | {"lead": [[1]]}}, "names no limits"),
        ({"limits": LIMITS | {"table_m": "low"}}, "names no limits"),
    ],
)
def test_a_log_of_impossible_limits_cannot_be_replayed(tmp_path, change, fault):
    run = log.read(write(tmp_path / "run.log", n=2, **change))

    with pytest.raises(LogError, match=fault):
        replay.replay(run)


@pytest.mark.parametrize(("name", "value"), [("dt_s", 0.0), ("dt_s", math.nan), ("last_q", math.inf), ("q_present", math.nan)])
def test_records_that_no_loop_wrote_cannot_be_replayed(tmp_path, name, value):
    with log.RunLog(tmp_path / "run.log", TASK, HEADER) as run:
        record = np.zeros((), RECORD)
        record["dt_s"] = 1 / 60
        record[name] = value
        run.add(record)

    with pytest.raises(LogError, match=rf"cannot be replayed: {name} must be finite, and periods above 0"):
        replay.replay(log.read(tmp_path / "run.log"))
