"""What goes wrong while somebody calibrates by hand; the twin plays the servos."""

from __future__ import annotations

import io

import numpy as np
import pytest

from soarm import arm
from soarm.errors import BusError, CalibrationError
from soarm.hardware import guide
from soarm.hardware.bus import Bus
from soarm.hardware.procedures import LiveLine
from soarm.hardware.sweep import REST, SPAN_TICKS
from soarm.twin.faults import Fault

REST_SHARES = (REST - arm.LOWER) / (arm.UPPER - arm.LOWER)


@pytest.fixture
def bus(twin):
    with Bus.open(twin.ports[0], range(1, 7), timeout_s=0.06) as bus:
        yield bus


def calibrated(bus, said, n_readings):
    """Sweep for so many readings, and do as the guide asks, but for turning the joints."""
    left = iter(range(n_readings))
    return guide.calibrate(bus, lambda _: "", said.append, lambda: next(left, None) is None, sleep=lambda _: None)


def test_nothing_is_written_while_a_servo_keeps_its_torque(twin, bus):
    twin.servos[3].write(40, b"\1")
    twin.servos[3].deaf = True
    before = twin.servos[1].get("max_position_limit")

    with pytest.raises(BusError, match=r"servos \[3\] do not confirm that their torque is off; cut their power"):
        calibrated(bus, [], 0)
    assert twin.servos[1].get("max_position_limit") == before


def test_a_servo_that_falls_silent_during_the_sweep_is_named(twin, bus):
    n = iter(range(100))

    def done():
        if next(n) == 5:
            twin.inject(Fault("mute", servo_id=3, count=None))
        return False

    with pytest.raises(BusError, match="elbow_flex fell silent during the sweep"):
        guide.calibrate(bus, lambda _: "", lambda _: None, done, sleep=lambda _: None)


class Sweeper:
    """Somebody who sweeps joints that are asked for, and turns them when told to; the servos count up."""

    def __init__(self, twin, only=(), lazy=()):
        self.twin, self.lazy, self.step = twin, list(lazy), 0
        self.skips, self.asked = set(only), []
        self.place(REST_SHARES)
        self.begin = self.at

    def place(self, shares):
        self.at = shares
        for servo, share, span in zip(self.twin.servos.values(), shares, SPAN_TICKS, strict=True):
            servo.place(round(500 + share * span) % 4096)

    def done(self):
        """Move all joints to one end and to the other in 60 looks, but for those that are left out the first time."""
        self.step += 1
        share = np.interp(self.step, [20, 55], [0.0, 1.0]) if self.step > 20 else self.begin * (1 - self.step / 20)
        if self.step <= 60:
            self.place(np.where([i in self.skips for i in range(6)], REST_SHARES, share))
            return False
        self.begin, self.skips, self.step = self.at, set(), 0
        return True

    def ask(self, text):
        self.asked.append(text)
        if text.startswith("Turn"):
            joint = next(i for i, name in enumerate(arm.JOINT_NAMES) if name in text)
            if joint in self.lazy:
                self.lazy.remove(joint)
            else:
                servo = self.twin.servos[joint + 1]
                servo.place(servo.actual_ticks + 100)
        return "keep" if "keep it all the same" in text else ""


def guided(bus, hand, said, shown=None):
    show = None if shown is None else shown.append
    return guide.calibrate(bus, hand.ask, said.append, hand.done, sleep=lambda _: None, show=show)


def test_a_joint_that_was_not_swept_is_named_at_once_and_swept_again(twin, bus):
    said, hand = [], Sweeper(twin, only=[2, 4])
    calibration = guided(bus, hand, said)

    named = [text for text in said if text.startswith("not yet:")]
    assert len(named) == 1
    assert "elbow_flex: it was moved by 0 ticks; from stop to stop it is 1620 to" in named[0]
    assert "wrist_roll: it was moved by" in named[0]
    assert "shoulder_pan" not in named[0]
    for joint, span in zip(calibration.joints, SPAN_TICKS, strict=True):
        assert abs(joint.range_ticks[1] - joint.range_ticks[0] - span) <= 2


def test_joints_that_nobody_moves_when_asked_to_end_it(twin, bus):
    said = []
    with pytest.raises(CalibrationError, match=r"(?s)this sweep is no calibration.*shoulder_pan: it was moved by 0 ticks"):
        calibrated(bus, said, 50)

    assert said[2].startswith("not yet:\n  shoulder_pan: it was moved by 0 ticks")


def test_a_joint_that_was_not_turned_is_asked_for_again(twin, bus):
    said, hand = [], Sweeper(twin, lazy=[3, 3])
    calibration = guided(bus, hand, said)

    assert [joint.sign for joint in calibration.joints] == [1] * 6
    assert said.count("wrist_flex: the joint was turned by 0 ticks; turn it by 60 or more (5 degrees)") == 2
    assert sum(text.startswith("Turn wrist_flex a little") for text in hand.asked) == 3


def test_a_joint_that_is_never_turned_has_no_direction_and_is_named(twin, bus):
    with pytest.raises(CalibrationError, match=r"shoulder_pan: the joint was turned by 0 ticks; .* Calibrate again"):
        guided(bus, Sweeper(twin, lazy=[0] * 3), [])


def test_the_line_that_is_shown_has_the_spans_beside_what_they_should_be_and_fits_a_terminal(twin, bus):
    shown, said = [], []
    guided(bus, Sweeper(twin), said, shown)

    assert shown[-1] == "pan 220/220 lift 200/200 elbow 190/190 wrist 190/190 roll 320/320 grip 110/110"
    assert len(shown[-1]) < 80
    assert "How far each was moved, and how far it goes [deg]:" in said[0]
    assert not any("220/220" in text for text in said)


def test_without_a_terminal_the_spans_come_as_lines(twin, bus):
    said = []
    with pytest.raises(CalibrationError):
        calibrated(bus, said, 50)

    assert said[1] == "pan 0/220 lift 0/200 elbow 0/190 wrist 0/190 roll 0/320 grip 0/110"


def test_on_a_terminal_a_line_is_written_over_the_one_before(monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setenv("COLUMNS", "20")
    live = LiveLine(terminal)
    live("pan 12/220 lift 0/200 elbow 0/190")
    live("pan 13/220")

    assert terminal.getvalue() == "\rpan 12/220 lift 0/2\x1b[K\r\rpan 13/220\x1b[K\r"
