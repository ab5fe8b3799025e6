from __future__ import annotations

import json

import numpy as np
import pytest

from soarm.cli import main
from soarm.errors import LogError
from soarm.hardware.calibration import Calibration
from soarm.runtime import log, replay
from soarm.runtime.safety import Limits
from soarm.tasks.pick_place import TASK

RECORD = log.record_type(7)


def records(n):
    made = np.zeros(n, RECORD)
    made["t_s"] = np.arange(n) / 60
    return made


def write(path, n=3, **header):
    with log.RunLog(path, TASK, header) as run:
        for record in records(n):
            run.add(record)
    return path


def test_what_is_written_is_read(tmp_path):
    run = log.read(write(tmp_path / "run.log", control_hz=30))

    np.testing.assert_array_equal(run.records, records(3))
    assert run.header["control_hz"] == 30
    assert run.n_cut_off == 0


def test_a_log_of_more_cameras_than_there_can_be_is_refused(tmp_path):
    path = write(tmp_path / "run.log")
    first, rest = path.read_bytes().split(b"\n", 1)
    for cameras in (7, ["x"] * 101):
        path.write_bytes(json.dumps({**json.loads(first), "cameras": cameras}).encode() + b"\n" + rest)
        with pytest.raises(LogError, match="it must be a list of at most 100"):
            log.read(path)


def test_a_log_cut_off_in_a_record_is_read_up_to_there(tmp_path, caplog):
    path = write(tmp_path / "run.log")
    path.write_bytes(path.read_bytes()[:-5])
    run = log.read(path)

    assert len(run.records) == 2
    assert run.n_cut_off == RECORD.itemsize
    assert "ends in the middle of a record: 2 whole ones were read" in caplog.text


def test_a_full_disk_ends_the_log_and_not_the_run(tmp_path, caplog):
    run = log.RunLog(tmp_path / "run.log", TASK, {})
    run._file.close()
    run._file = open("/dev/full", "wb")  # noqa: SIM115 - the log closes it
    for record in records(100):
        run.add(record)
    run.close()

    assert run.incomplete == f"the log {tmp_path / 'run.log'} is incomplete: No space left on device"
    assert run.n_records < 100
    assert caplog.text.count("the run goes on without it") == 1


def test_events_stand_between_the_ticks_with_their_time_and_numbers(tmp_path):
    clock = [100.0]
    with log.RunLog(tmp_path / "run.log", TASK, {}, now=lambda: clock[0]) as run:
        run.note("arm: LIMP -> HOLD: torque on where it is")
        run.add(records(1)[0])
        clock[0] = 101.5
        run.note("arm: HOLD -> ACTIVE: requested", 101.25)
        run.note("counters of the bus", requests=7, misses=0)
    found = log.read(tmp_path / "run.log")

    assert len(found.records) == 1
    assert found.events == (
        {"t_s": 0.0, "text": "arm: LIMP -> HOLD: torque on where it is"},
        {"t_s": 1.25, "text": "arm: HOLD -> ACTIVE: requested"},
        {"t_s": 1.5, "text": "counters of the bus", "requests": 7, "misses": 0},
    )


def test_what_is_older_than_half_a_second_survives_the_end_of_the_program(tmp_path):
    clock = [100.0]
    run = log.RunLog(tmp_path / "run.log", TASK, {}, now=lambda: clock[0])
    for record in records(3):
        run.add(record)
        clock[0] += 0.3
    left = log.read(tmp_path / "run.log").records
    run.close()

    assert len(left) == 3


@pytest.mark.parametrize("piece", [b"T\x03\0\0\0abc", b"E\x02\0\0\0{{", b"X\0\0\0\0"])
def test_a_log_that_is_damaged_says_where(tmp_path, piece):
    path = write(tmp_path / "run.log", n=1)
    whole = path.read_bytes()
    path.write_bytes(whole + piece)

    with pytest.raises(LogError, match=f"damaged {len(whole) - whole.index(bytes([10])) - 1} bytes after its first line"):
        log.read(path)


def test_a_log_of_the_version_before_is_refused_with_the_soarm_that_reads_it(tmp_path):
    first = {"format": "soarm-run-log", "version": 2, "record_bytes": 700, "soarm": "0.2.0"}
    (tmp_path / "run.log").write_bytes(json.dumps(first).encode() + b"\n" + bytes(1400))

    with pytest.raises(LogError, match=r"of version 2 .* reads 'soarm-run-log' of version 3 .*wrote it: 0\.2\.0"):
        log.read(tmp_path / "run.log")


def test_no_run_overwrites_another(tmp_path):
    path = write(tmp_path / "run.log")

    with pytest.raises(LogError, match="choose a file that does not exist"):
        log.RunLog(path, TASK, {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello\n", "is no log of a run: its first line is b'hello'"),
        (b"{}\n", "is no log of a run"),
        (json.dumps({"format": "soarm-run-log", "version": 9, "record_bytes": 3, "soarm": "9.1"}).encode(), "wrote it: 9.1"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path, content, message):
    (tmp_path / "run.log").write_bytes(content)

    with pytest.raises(LogError, match=message):
        log.read(tmp_path / "run.log")


def test_a_log_that_is_missing_says_how_to_make_one(tmp_path):
    with pytest.raises(LogError, match=r"cannot be read .*soarm drive --log"):
        log.read(tmp_path / "run.log")


def test_a_log_without_limits_or_of_another_calibration_cannot_be_replayed(tmp_path):
    calibration = Calibration.nominal()
    limits = replay.header_of(Limits.usual(calibration.lower, calibration.upper))

    with pytest.raises(LogError, match="names no limits"):
        replay.replay(log.read(write(tmp_path / "a.log")))
    with pytest.raises(LogError, match="written with the calibration 0123, this is"):
        replay.replay(log.read(write(tmp_path / "b.log", limits=limits, calibration="0123")), calibration)


def test_the_commands_show_and_replay(tmp_path, caplog):
    caplog.set_level("INFO")
    limits = replay.header_of(Limits.usual(*(np.full(6, x) for x in (-1.0, 1.0))))
    path = write(tmp_path / "run.log", n=3, limits=limits, soarm="0.1.0")

    assert main(["show-log", str(path)]) == 0
    assert "3 ticks in 0.0 s" in caplog.text
    # Records of zeros: the chain, given zeros, sends zeros; but a period of zero seconds divides.
    assert main(["show-log", str(write(tmp_path / "none.log", n=0))]) == 0
    assert "no tick was logged" in caplog.text
    assert main(["replay-log", str(tmp_path / "none.log")]) == 1
    assert "names no limits" in caplog.text
