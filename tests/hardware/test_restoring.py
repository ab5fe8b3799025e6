"""A calibration that is ended by force gives the servos back what they had, or a command does; the twin plays the servos."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from soarm.cli import main
from soarm.errors import BusError
from soarm.hardware import backups, guide
from soarm.hardware.bus import Bus

IDS = range(1, 7)
LIMITS = ("homing_offset", "min_position_limit", "max_position_limit")
OPEN = [0, 0, 4095]


@pytest.fixture(autouse=True)
def here(caplog, monkeypatch, tmp_path, answer):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("soarm.hardware.guide._SAMPLE_S", 0.0)
    monkeypatch.setattr("soarm.hardware.guide._TRY_S", 0.001)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def limits(twin):
    return [[twin.servos[i].get(name) for name in LIMITS] for i in IDS]


def calibrate(twin, tmp_path, monkeypatch, during):
    """Run the command, have something happen in the middle of the sweep, and return the exit status."""

    def sweeping():
        assert limits(twin) == [OPEN] * 6
        during()
        return False

    monkeypatch.setattr("soarm.hardware.procedures.enter_was_pressed", sweeping)
    return main(["calibrate", "--port", twin.ports[0], str(tmp_path / "arm.json")])


def killed(twin, tmp_path, monkeypatch):
    """Leave the servos open, as SIGKILL or a cable that stays away does."""
    monkeypatch.setattr("soarm.hardware.guide._TRIES", 3)
    assert calibrate(twin, tmp_path, monkeypatch, twin.unplug) == 1
    twin.replug()
    assert limits(twin) == [OPEN] * 6


def restore(twin, *more):
    return main(["restore-registers", "--port", twin.ports[0], *map(str, more)])


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_during_the_sweep_gives_the_servos_back_what_they_had(twin, tmp_path, monkeypatch, caplog, name, times):
    signum = getattr(signal, name)
    written = Bus.write_eprom

    def write_eprom(bus, servo_id, registers):
        if registers != backups.OPEN and times == 2:
            signal.raise_signal(signum)  # a terminal that is closed says so more than once
        return written(bus, servo_id, registers)

    monkeypatch.setattr(Bus, "write_eprom", write_eprom)
    before, handlers = limits(twin), [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]

    assert calibrate(twin, tmp_path, monkeypatch, lambda: signal.raise_signal(signum)) == 128 + signum
    assert limits(twin) == before
    assert "stopped; `soarm calibrate` was not finished" in caplog.text
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == handlers


def test_a_terminal_that_is_closed_while_a_question_waits_leaves_no_servo_open(twin, tmp_path):
    before = limits(twin)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "soarm", "calibrate", "--port", twin.ports[0], "arm.json"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        overdue = threading.Timer(60.0, process.kill)
        overdue.start()
        process.stdin.write("\n")
        process.stdin.flush()
        heard = ""
        while heard.count("press Enter. ") < 2 and (piece := process.stdout.read(1)):
            heard += piece
        time.sleep(0.2)  # Python sees no signal that strikes between two questions of its own and a read that waits
        assert limits(twin) == [OPEN] * 6
        process.send_signal(signal.SIGHUP)
        status = process.wait()
        overdue.cancel()

    assert status == 129, heard
    assert limits(twin) == before


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_while_a_motor_gets_its_id_waits_until_it_is_locked_again(make_twin, monkeypatch, name):
    twin = make_twin(registers={"phase": 0b0001_1100})
    signum = getattr(signal, name)
    for servo in list(twin.servos.values())[1:]:
        servo.put("baud_rate", 1)  # deaf: as if it was not plugged in
    write = Bus.write_block

    def write_block(bus, servo_id, address, data):
        write(bus, servo_id, address, data)
        if address == 55 and data == b"\0":
            signal.raise_signal(signum)

    monkeypatch.setattr(Bus, "write_block", write_block)

    assert main(["setup-motors", "--port", twin.ports[0]]) == 128 + signum
    assert twin.servos[1].get("id") == 6
    assert twin.servos[1].get("lock") == 1


def test_a_cable_that_is_plugged_in_again_gives_the_servos_back_what_they_had(twin, tmp_path, monkeypatch, caplog):
    before, waited = limits(twin), []

    def wait(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            twin.replug()

    with Bus.open(twin.ports[0], IDS, timeout_s=0.1) as bus, pytest.raises(BusError, match="was lost"):
        guide.calibrate(bus, lambda _: "", logging.getLogger().info, twin.unplug, sleep=wait)

    assert limits(twin) == before
    assert "plug the cable in again, and the servos' registers are restored" in caplog.text


def test_a_cable_that_stays_away_is_told_with_the_command_that_restores(twin, tmp_path, monkeypatch, caplog):
    killed(twin, tmp_path, monkeypatch)

    assert "could not be put back:\n  servo 1 had {'homing_offset': 0, 'min" in caplog.text
    assert f"soarm restore-registers --port {twin.ports[0]}" in caplog.text


def test_nobody_has_to_wait_for_the_cable(twin, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("soarm.hardware.guide._TRY_S", 3600.0)

    def pulled():
        twin.unplug()
        threading.Timer(0.2, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()

    assert calibrate(twin, tmp_path, monkeypatch, pulled) == 1
    assert "soarm restore-registers" in caplog.text


def test_the_newest_registers_that_were_not_open_come_back_after_what_differs_was_shown(
    twin, answer, tmp_path, monkeypatch, caplog
):
    before, asked = limits(twin), []
    for _ in range(2):  # the second one saves the registers as the first one left them
        killed(twin, tmp_path, monkeypatch)
    caplog.clear()

    def ask(text):
        asked.append(text)
        assert f"servo 2: max_position_limit 4095 -> {before[1][2]}" in caplog.text
        assert limits(twin) == [OPEN] * 6
        return ""

    answer(ask)
    assert main(["restore-registers", "--port", twin.ports[0]]) == 0
    assert limits(twin) == before
    assert len(asked) == 1
    twin.power_cycle()
    assert limits(twin) == before
    assert restore(twin) == 0
    assert "nothing is to be restored" in caplog.text


def test_what_is_shown_is_not_written_before_it_is_agreed_to(twin, tmp_path, monkeypatch, answer):
    killed(twin, tmp_path, monkeypatch)

    def ask(text):
        raise KeyboardInterrupt

    answer(ask)
    assert main(["restore-registers", "--port", twin.ports[0]]) == 130
    assert limits(twin) == [OPEN] * 6


def test_another_arm_s_registers_are_refused(twin, make_twin, tmp_path, monkeypatch, caplog):
    killed(twin, tmp_path, monkeypatch)
    (path, *_) = sorted(backups.default_folder().glob("*.json"))
    other = make_twin()
    other.servos[4].put("homing_offset", 77)
    before = limits(other)

    assert restore(other) == 1
    assert f"was saved on {twin.ports[0]} at " in caplog.text
    assert restore(other, path) == 1
    assert "of another arm than the one on" in caplog.text
    assert "servo 4 (wrist_flex) has homing_offset 77 instead of 0" in caplog.text
    assert limits(other) == before
    twin.servos[5].put("firmware_minor", 9)
    assert restore(twin) == 1
    assert "servo 5 (wrist_roll) has firmware_minor 9 instead of 10" in caplog.text


def test_an_arm_that_came_back_on_another_port_takes_the_file_that_is_named(twin, make_twin, tmp_path, monkeypatch):
    before = limits(twin)
    killed(twin, tmp_path, monkeypatch)
    (path, *_) = sorted(backups.default_folder().glob("*.json"))
    moved = make_twin()
    for servo in moved.servos.values():
        for name, value in backups.OPEN.items():
            servo.put(name, value)

    assert restore(moved, path) == 0
    assert limits(moved) == before


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda data: data["registers"].pop("3"), "servo 3: its registers are None"),
        (lambda data: data["registers"].update({"3": None}), "servo 3: its registers are None"),
        (lambda data: data["registers"]["3"].update(homing_offset=9999), "servo 3: homing_offset .* cannot be 9999"),
        (lambda data: data["registers"]["3"].update(homing_offset="1"), "homing_offset is '1', not a whole number"),
        (lambda data: data["registers"]["3"].pop("p_coefficient"), "p_coefficient is None"),
        (lambda data: data.pop("port"), "port is None, not a text"),
    ],
)
def test_a_damaged_file_is_refused(twin, tmp_path, change, fault, caplog):
    with Bus.open(twin.ports[0], IDS, timeout_s=0.1) as bus:
        backups.back_up(bus, bus.servo_ids, tmp_path / "mine.json")
    data = json.loads((tmp_path / "mine.json").read_text())
    change(data)
    (tmp_path / "mine.json").write_text(json.dumps(data))

    assert restore(twin, tmp_path / "mine.json") == 1
    assert "mine.json does not hold the registers" in caplog.text
    with pytest.raises(backups.CalibrationError, match=fault):
        backups.Backup.load(tmp_path / "mine.json")


def test_without_any_file_it_is_said(twin, tmp_path, caplog):
    assert restore(twin) == 1
    assert "there are no files at all" in caplog.text
    assert restore(twin, tmp_path / "none.json") == 1
    assert "none.json cannot be read (No such file or directory)" in caplog.text


def test_nothing_is_opened_where_the_registers_cannot_be_saved(twin, tmp_path, monkeypatch, caplog):
    (tmp_path / "state").write_text("a file in the way")
    before = limits(twin)

    assert main(["calibrate", "--port", twin.ports[0], str(tmp_path / "arm.json")]) == 1
    assert "cannot be written" in caplog.text
    assert limits(twin) == before
