from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path

import numpy as np
import pytest

from soarm import arm
from soarm.cli import main
from soarm.hardware import guide
from soarm.hardware.bus import Bus
from soarm.hardware.calibration import Calibration
from soarm.hardware.sweep import REST

SPANS = [round((j.range_rad[1] - j.range_rad[0]) * 4096 / (2 * np.pi)) for j in arm.JOINTS]
REST_SHARES = 1.0 - (REST - arm.LOWER) / (arm.UPPER - arm.LOWER)  # the twin's servos count down, as `Turn` shows
STARTS = [3000, 100, 4000, 2000, 900, 3900]


class Hand:
    """Somebody who does as the guide asks, at the twin's servos."""

    def __init__(self, twin, share=1.0):
        self.twin, self.share, self.step = twin, share, 0
        self.rest, self.at, self.answer, self.questions = REST_SHARES.copy(), np.zeros(6), "", []

    def place(self, shares):
        self.at = shares
        for servo, share, start, span in zip(self.twin.servos.values(), shares, STARTS, SPANS, strict=True):
            servo.place(round(start + share * span) % 4096)

    def done(self):
        """From the rest pose to one end, and from there to the other; a quarter of a turn is too much for one look."""
        self.step += 1
        if self.step <= 20:
            self.place(self.rest * (1.0 - self.step / 20))
        else:
            self.place(np.full(6, self.share * min(1.0, (self.step - 20) / 40)))
        return self.step > 65

    def ask(self, text):
        self.questions.append(text)
        if text.startswith("Fold"):
            self.place(self.rest)
        if text.startswith("Turn"):
            joint = next(i for i, name in enumerate(arm.JOINT_NAMES) if name in text)
            servo = self.twin.servos[joint + 1]
            servo.place((servo.actual_ticks - 100) % 4096)
        return self.answer if "keep it all the same" in text else ""


def test_a_guided_calibration_measures_ranges_and_writes_the_servos(twin):
    hand, said = Hand(twin), []
    with Bus.open(twin.ports[0], range(1, 7), timeout_s=1.0) as bus:
        calibration = guide.calibrate(bus, hand.ask, said.append, hand.done, sleep=lambda _: None)

    for i, joint in enumerate(calibration.joints):
        servo = twin.servos[i + 1]
        assert joint.range_ticks == (servo.get("min_position_limit"), servo.get("max_position_limit"))
        assert joint.homing_offset == servo.get("homing_offset")
        assert joint.sign == -1
        assert joint.firmware == "3.10"
        assert abs(joint.range_ticks[1] - joint.range_ticks[0] - SPANS[i]) <= 2
    twin.power_cycle()
    assert twin.servos[3].get("homing_offset") == calibration.joints[2].homing_offset, "it lies in the EPROM"
    assert any("shoulder_pan: homing_offset 0 -> " in line for line in said)
    rest = next(line for line in said if line.startswith("by this calibration the rest pose was missed by"))
    errors = [float(number) for number in re.findall(r"[+-]\d+\.\d", rest)]
    assert len(errors) == 6
    assert np.abs(errors).max() <= 0.2
    assert not any("keep it all the same" in question for question in hand.questions)


def test_the_commands_calibrate_check_and_release(twin, tmp_path, monkeypatch, caplog, answer):
    caplog.set_level(logging.INFO)
    hand, target = Hand(twin), tmp_path / "arm.json"
    target.write_text("an old one")
    monkeypatch.setattr("soarm.hardware.procedures.enter_was_pressed", hand.done)
    monkeypatch.setattr("soarm.hardware.guide._SAMPLE_S", 0.0)

    answer(hand.ask)
    assert main(["calibrate", "--port", twin.ports[0], str(target)]) == 0
    calibration = Calibration.load(target)
    assert target.with_name("arm.json.old").read_text() == "an old one"
    assert len(json.loads(target.read_text())["joints"]) == 6

    ticks = calibration.to_ticks([0.0] * 5 + [0.0])
    for servo, tick in zip(twin.servos.values(), ticks, strict=True):
        servo.place(int(tick + servo.get("homing_offset")) % 4096)
    answer(lambda _: "")
    pose = ["check-pose", "--port", twin.ports[0], "--calibration", str(target)]
    assert main(pose) == 0
    twin.servos[2].place((twin.servos[2].actual_ticks + 160) % 4096)
    assert main(pose) == 1
    assert "shoulder_lift are more than 5 away" in caplog.text

    for degrees, status in ((9.0, 0), (14.4, 1)):  # a printed arm, and a horn one tooth off
        ticks = calibration.to_ticks(REST - degrees * np.eye(6)[2])
        for servo, tick in zip(twin.servos.values(), ticks, strict=True):
            servo.place(int(tick + servo.get("homing_offset")) % 4096)
        assert main([*pose, "--rest"]) == status
    assert "elbow_flex are more than 12 away" in caplog.text

    twin.servos[4].write(40, b"\1")
    assert main(["release", "--port", twin.ports[0]]) == 0
    assert not twin.torque(4)


def test_a_sweep_that_stops_half_way_is_no_calibration(twin, tmp_path, monkeypatch, caplog, answer):
    hand = Hand(twin, share=0.4)
    monkeypatch.setattr("soarm.hardware.procedures.enter_was_pressed", hand.done)
    monkeypatch.setattr("soarm.hardware.guide._SAMPLE_S", 0.0)

    answer(hand.ask)
    assert main(["calibrate", "--port", twin.ports[0], str(tmp_path / "arm.json")]) == 1
    assert "this sweep is no calibration" in caplog.text
    assert not (tmp_path / "arm.json").exists()


def test_a_stop_that_was_not_reached_shows_in_the_rest_pose(twin, tmp_path, monkeypatch, caplog, answer):
    """The range alone cannot tell: 85 % of the model's may be a good arm's. Its middle is 15 degrees off all the same."""
    caplog.set_level(logging.INFO)
    hand, target = Hand(twin, share=0.85), tmp_path / "arm.json"
    monkeypatch.setattr("soarm.hardware.procedures.enter_was_pressed", hand.done)
    monkeypatch.setattr("soarm.hardware.guide._SAMPLE_S", 0.0)
    hand.rest = np.minimum(hand.rest, 0.85)
    before = [twin.servos[i].get("homing_offset") for i in range(1, 7)]

    answer(hand.ask)
    assert main(["calibrate", "--port", twin.ports[0], str(target)]) == 1
    assert hand.questions[-1].startswith("shoulder_pan -16.5 deg, shoulder_lift +15.0 deg, ")
    assert "a stop was not reached" in caplog.text
    assert not target.exists()
    assert [twin.servos[i].get("homing_offset") for i in range(1, 7)] == before


def test_a_rest_pose_that_does_not_fit_may_be_kept(twin, tmp_path, monkeypatch, answer):
    hand, target = Hand(twin), tmp_path / "arm.json"
    monkeypatch.setattr("soarm.hardware.procedures.enter_was_pressed", hand.done)
    monkeypatch.setattr("soarm.hardware.guide._SAMPLE_S", 0.0)
    hand.rest[0] += 15.0 / np.degrees(3.84)
    hand.answer = "keep"

    answer(hand.ask)
    assert main(["calibrate", "--port", twin.ports[0], str(target)]) == 0
    assert hand.questions[-1].startswith("shoulder_pan -15.")
    assert Calibration.load(target).joints[0].sign == -1


def test_a_calibration_that_cannot_be_saved_is_not_in_the_servos_either(twin, tmp_path, monkeypatch, caplog, answer):
    hand, target = Hand(twin), tmp_path / "arm.json"
    monkeypatch.setattr("soarm.hardware.procedures.enter_was_pressed", hand.done)
    monkeypatch.setattr("soarm.hardware.guide._SAMPLE_S", 0.0)
    target.write_text("an old one")
    replace = os.replace

    def full(source, place):  # only now, when all is measured
        if Path(place).parent == tmp_path:
            raise OSError(28, "No space left on device")
        replace(source, place)

    monkeypatch.setattr("os.replace", full)
    before = [twin.servos[i].get("max_position_limit") for i in range(1, 7)]

    answer(hand.ask)
    assert main(["calibrate", "--port", twin.ports[0], str(target)]) == 1
    assert "cannot be written" in caplog.text
    assert target.read_text() == "an old one"
    assert [twin.servos[i].get("max_position_limit") for i in range(1, 7)] == before


@pytest.mark.parametrize("name", arm.JOINT_NAMES)
def test_every_joint_has_its_direction_in_words(name):
    assert guide.POSITIVE[name]
