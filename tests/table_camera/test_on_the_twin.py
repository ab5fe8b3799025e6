"""The emulated arm touches, sets a cube down on spots and calibrates; the camera then tells where things are."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from soarm.errors import FaultError, ObservationError
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.hardware.driver import Arm
from soarm.runtime.lockstep import Clock
from soarm.sim.params import CameraParams
from soarm.table_camera.arm_session import calibrate_on
from soarm.table_camera.calibrating import calibrate
from soarm.table_camera.colours import Colour
from soarm.table_camera.handling import Handling
from soarm.table_camera.tracker import Tracker
from soarm.tasks.pick_place import TASK
from soarm.tasks.tabletop import CUBE
from soarm.twin.faults import Fault
from soarm.twin.rendering import RenderedCamera, RenderedCameras
from soarm.twin.twin import Twin
from soarm.twin.twin_config import AS_SIMULATED, TwinConfig, driver_config

CONFIG = driver_config(ArmConfig(), "position")


@pytest.fixture
def cleared(sim):
    """The simulator with the bin out of the way."""
    return dataclasses.replace(sim, task=dataclasses.replace(sim.task, bin_radius_m=(0.4, 0.4), bin_angle_deg=(85.0, 85.0)))


def active(twin, clock, config=CONFIG):
    arm = Arm.connect(twin.ports[0], Calibration.nominal(), config, sleep=clock.sleep)
    arm.hold()
    arm.activate()
    return arm


@pytest.mark.parametrize("off_deg", [0.0, 2.0])
def test_the_hand_touches_the_table_where_the_arm_thinks_it_is(cleared, off_deg):
    joints = Calibration.nominal().joints
    lift = dataclasses.replace(joints[1], zero_ticks=joints[1].zero_ticks + off_deg * joints[1].ticks_per_unit)
    mounted = Calibration((joints[0], lift, *joints[2:]))
    with Twin.start(cleared, TwinConfig(calibration=mounted, registers=AS_SIMULATED)) as twin:
        twin.reset(0)
        with active(twin, Clock()) as arm:
            hand = Handling(arm)
            hand.go((0.1, -0.15), 0.0)
            touch = hand.touch_down()

    np.testing.assert_allclose(touch.tcp_m[:2], (0.1, -0.15), atol=0.004)
    assert abs(touch.lowest_m) < 0.004 if off_deg == 0 else 0.002 < abs(touch.lowest_m) < 0.02


def test_a_hand_that_closes_on_nothing_says_so(cleared):
    with Twin.start(cleared, TwinConfig(registers=AS_SIMULATED)) as twin:
        twin.reset(0)
        with active(twin, Clock()) as arm:
            hand = Handling(arm)
            with pytest.raises(FaultError, match="no cube is between the fingers"):
                hand.close_on(CUBE)
            with pytest.raises(FaultError, match="cannot reach"):
                hand.go((0.0, -0.6), 0.0)


@pytest.mark.slow
def test_a_calibration_that_fails_leaves_the_arm_parked_and_released(cleared):
    class NoCamera:
        subject = "pictures"

        def read(self):
            raise ObservationError("no picture")

    with Twin.start(cleared, TwinConfig(registers=AS_SIMULATED)) as twin:
        twin.reset(0)
        with pytest.raises(FaultError, match="cannot reach"):
            calibrate_on(
                twin.ports[0],
                Calibration.nominal(),
                dataclasses.replace(CONFIG, park_speed=200.0),
                NoCamera(),
                CUBE,
                Colour(216.0),
                lies_at=(0.0, -0.6, 0.0),
                keep_clear=[],
            )

        assert not any(twin.torque(servo_id) for servo_id in twin.servos)
        assert abs(twin.q()[1] - CONFIG.park[1]) < 12.0


def test_a_hand_goes_on_after_a_servo_was_silent_for_a_moment(cleared, caplog):
    with Twin.start(cleared, TwinConfig(registers=AS_SIMULATED)) as twin:
        twin.reset(0)
        with active(twin, Clock(), dataclasses.replace(CONFIG, timeout_s=1.0)) as arm:
            hand = Handling(arm)
            twin.inject(Fault("mute", servo_id=4, count=6, after_writes=3))
            caplog.set_level("INFO")
            hand.go((0.1, -0.2), 0.0)
            pose = hand.pose()

    assert "ACTIVE -> HOLD" in caplog.text
    np.testing.assert_allclose(pose.tcp_m[:2], (0.1, -0.2), atol=0.002)


@pytest.mark.slow
@pytest.mark.parametrize(("servo_model", "registers"), [("position", AS_SIMULATED), ("sts3215", {})])
def test_the_arm_calibrates_the_camera_and_the_camera_then_sees_to_two_millimetres(cleared, servo_model, registers):
    sim, clock = dataclasses.replace(cleared, cameras={"front": CameraParams(320, 240)}), Clock()
    config = TwinConfig(servo_model=servo_model, registers=registers)
    with Twin.start(sim, config) as twin, RenderedCameras(twin, sim) as cameras:
        twin.reset(0)
        x, y, _, cosine, sine, *_ = twin.objects().tolist()
        with active(twin, clock, driver_config(ArmConfig(), servo_model)) as arm:
            camera = RenderedCamera(cameras.take, "front", clock.now)
            yaw = float(np.degrees(np.arctan2(sine, cosine))) / 4
            table = calibrate(arm, camera, CUBE, Colour(216.0), input, lies_at=(x + 0.003, y, yaw))
            tracker = Tracker(TASK, dataclasses.replace(table, colours={}))
            sighting = tracker.see(camera.read().value, 0.0)

    assert table.test.n >= 4
    assert table.test.largest_m < 0.003
    np.testing.assert_allclose(sighting.fits["cube"].xy_m, twin.objects()[:2], atol=0.002)
    assert abs(table.colours["cube"].hue_deg - 216.0) < 5.0
