"""What goes wrong while somebody calibrates by hand; the twin plays the servos."""

from __future__ import annotations

import pytest

from soarm.errors import BusError, CalibrationError
from soarm.hardware import guide
from soarm.hardware.bus import Bus
from soarm.twin.faults import Fault


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


def test_a_joint_that_was_not_turned_has_no_direction_and_is_named(twin, bus):
    said = []
    with pytest.raises(CalibrationError, match=r"shoulder_pan: the joint was turned by 0 ticks; .* Calibrate again"):
        calibrated(bus, said, 50)

    assert said[1].startswith("moved so far: shoulder_pan 0  shoulder_lift 0")
