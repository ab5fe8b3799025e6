"""`drive.run` on a twin on which something goes wrong: each ends in the named state, with its cause."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import threading

import numpy as np
import pytest
from onnx import helper, numpy_helper

from soarm.errors import FaultError
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.hardware.driver import Arm
from soarm.hardware.states import State
from soarm.runtime import deadman, drive, log
from soarm.runtime.bundle import Bundle
from soarm.runtime.camera import Camera
from soarm.runtime.objects import CalledObjects
from soarm.runtime.training_arm import TrainingArm
from soarm.spec import ENVIRONMENT_STATE, IMAGES
from soarm.tasks.pick_place import TASK
from soarm.twin.faults import Fault

ARM = Calibration.nominal()
HERE = TrainingArm(30, (17.0, 19.0), (3.0, 3.5), (0.0, 0.0))
THERE = dataclasses.replace(HERE, start=(0.0, 0.0, 5.0, 85.0, -85.0, 30.0))
CONFIG = ArmConfig(timeout_s=0.1, park_speed=300.0, wait_s=0.3)
PARK = np.clip(CONFIG.park, ARM.lower, ARM.upper)
IDS = range(1, 7)


@pytest.fixture
def make_bundle(tmp_path, bundle_files, write_bundle):
    """Return how to make a bundle: the arm it was trained on, and other files."""
    return lambda trained=HERE, **files: Bundle.open(
        write_bundle(
            tmp_path / "bundle",
            bundle_files
            | {"training_arm.json": trained.to_json().encode()}
            | {f"{name}.onnx": content for name, content in files.items()},
        )
    )


def order(bundle, twin, **changes):
    objects = {ENVIRONMENT_STATE: CalledObjects(TASK, changes.pop("objects", twin.objects))}
    settings = {"bundle": bundle, "which": "base", "seconds": 20.0, "deadman": False}
    return drive.DriveConfig(**{**settings, "sensors": objects | changes.pop("cameras", {}), **changes})


@pytest.mark.parametrize(
    ("fault", "cause", "parked", "live", "state"),
    [
        (Fault("overload", 6), r"FAULT: gripper \(servo 6\) reports OVERLOAD", True, [], State.LIMP),
        (Fault("reboot", 4), r"FAULT: wrist_flex \(servo 4\) lost its", True, [], State.LIMP),
        (Fault("heat", 6, 66.0), r"FAULT: gripper \(servo 6\) has 66 degC, the limit is 65", True, [], State.LIMP),
        (Fault("sag", None, 3.8), r"the arm holds: .* has 3.8 V.*, after 5 resumes", None, [], State.LIMP),
        (Fault("mute", 3, count=None), r"FAULT: elbow_flex \(servo 3\) did not answer for 10", False, [3], State.FAULT),
        (Fault("unplug"), r"the port was lost", False, [1, 2, 3, 4, 5, 6], State.FAULT),
    ],
    ids=lambda one: one.kind if isinstance(one, Fault) else None,
)
def test_whatever_goes_wrong_the_run_ends_where_it_should_with_its_cause(
    twin, make_bundle, tmp_path, monkeypatch, fault, cause, parked, live, state
):
    ended_in = []
    release = Arm.release

    def noted(arm):
        live = release(arm)
        ended_in.append(arm.state)
        return live

    monkeypatch.setattr(Arm, "release", noted)
    twin.inject(dataclasses.replace(fault, after_writes=20))
    report = drive.run(order(make_bundle(), twin, log=tmp_path / "run.log"), twin.ports[0], ARM, CONFIG)
    said = " | ".join(event["text"] for event in log.read(tmp_path / "run.log").events)

    assert re.search(cause, report.cause), report.cause
    assert ended_in[-1] is state
    assert list(report.live) == [f"{ARM.joints[i - 1].name} (servo {i})" for i in live]
    assert f"the run ended: {report.cause}" in said
    if parked is not None:
        assert bool(np.abs(twin.q() - PARK)[1:3].max() < 3.0) is parked
    if state is State.LIMP:
        assert not any(twin.torque(i) for i in IDS)


def test_a_servo_that_cannot_be_let_go_makes_the_command_fail(twin, make_bundle):
    twin.inject(Fault("deaf", servo_id=5, after_writes=2))
    report = drive.run(order(make_bundle(), twin, seconds=3.0, park=False), twin.ports[0], ARM, CONFIG)

    assert report.live == ("wrist_roll (servo 5)",)


def in_the_move_to_the_start(fault):
    return dataclasses.replace(fault, after_writes=4)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("mute", 3, count=8),
        pytest.param(Fault("overload", 5), marks=pytest.mark.slow),
        pytest.param(Fault("reboot", 2), marks=pytest.mark.slow),
    ],
    ids=lambda fault: fault.kind,
)
def test_what_passes_or_can_be_mended_in_the_move_to_the_start_does_not_end_the_run(twin, make_bundle, fault):
    config = dataclasses.replace(CONFIG, wait_s=5.0)
    far = dataclasses.replace(THERE, start=(20.0, -40.0, 40.0, 60.0, 0.0, 30.0))
    twin.inject(in_the_move_to_the_start(fault))
    report = drive.run(order(make_bundle(far), twin, seconds=0.2), twin.ports[0], ARM, config)

    assert report.cause == "the time was up"
    assert report.parked is True
    assert np.abs(twin.q() - PARK)[1:3].max() < 3.0


@pytest.mark.slow
def test_a_joint_that_stays_silent_in_the_move_to_the_start_ends_the_run_after_the_wait(twin, make_bundle):
    far = dataclasses.replace(THERE, start=(20.0, -40.0, 40.0, 60.0, 0.0, 30.0))
    twin.inject(in_the_move_to_the_start(Fault("mute", 5, count=None)))

    with pytest.raises(FaultError, match=r"the move was given up: .*wrist_roll \(servo 5\) did not answer"):
        drive.run(order(make_bundle(far), twin), twin.ports[0], ARM, CONFIG)
    assert np.abs(twin.q() - PARK)[1:3].max() < 3.0, "it is parked without that joint"


def test_a_run_whose_cable_is_pulled_leaves_its_arm_to_the_dead_mans_switch_which_softens_it_when_the_port_is_back(
    twin, make_bundle
):
    twin.inject(Fault("unplug", after_writes=20))
    report = drive.run(order(make_bundle(), twin, deadman=True), twin.ports[0], ARM, CONFIG)
    switch = deadman._STAYING.pop()
    before = [twin.servos[i].get("torque_limit") for i in IDS]
    assert switch.poll() is None
    twin.replug()

    assert switch.wait(timeout=60.0) == 2
    assert "the port was lost" in report.cause
    assert (report.parked, len(report.live)) == (False, 6)
    assert before == list(CONFIG.gains.torque_limit)
    assert [twin.servos[i].get("torque_limit") for i in IDS] == [deadman.SOFT] * 6


def test_a_run_whose_dead_mans_switch_hangs_ends_parked_with_that_cause(twin, make_bundle, monkeypatch):
    started = []

    class Watched(deadman.DeadMan):
        def __init__(self, *args):
            super().__init__(*args)
            started.append(self._process.pid)

    def objects():
        if twin.goal_writes() > 20 and started:
            os.kill(started.pop(), signal.SIGSTOP)
        return twin.objects()

    monkeypatch.setattr(deadman, "_HANGS_S", 0.4)
    monkeypatch.setattr(drive, "DeadMan", Watched)
    report = drive.run(order(make_bundle(), twin, deadman=True, objects=objects), twin.ports[0], ARM, CONFIG)

    assert "the dead man's switch is gone or hangs (exit status None, no answer for 0." in report.cause
    assert report.parked is True
    assert np.abs(twin.q() - PARK)[1:3].max() < 3.0
    assert not any(twin.torque(i) for i in IDS)


class Device:
    """A camera that shows something new with every picture until it freezes."""

    def __init__(self):
        self.n, self.frozen, self.ended = 0, threading.Event(), threading.Event()

    def read(self):
        self.ended.wait(0.005)
        self.n += not self.frozen.is_set()
        return True, np.full((4, 4, 3), self.n % 256, np.uint8)

    def release(self):
        self.ended.set()


def test_a_camera_that_freezes_stops_every_command_when_its_picture_is_150_ms_old(twin, make_bundle, tmp_path):
    device = Device()

    def read():
        if twin.goal_writes() > 10:
            device.frozen.set()
        return twin.objects()

    with Camera(device, "front") as camera:
        camera.latest()
        report = drive.run(
            order(make_bundle(), twin, objects=read, cameras={f"{IMAGES}.front": camera}, log=tmp_path / "run.log"),
            twin.ports[0],
            ARM,
            CONFIG,
        )
    records = log.read(tmp_path / "run.log").records
    sent = records["sent"].astype(bool)

    assert "the camera front, which hands out the same one over and over, were last seen" in report.cause
    assert "the limit is 2 s" in report.cause
    assert any(text.startswith("hold: pictures of the camera front") for _, text in report.events)
    assert records["sight_age_s"][sent].max() <= 0.15
    assert not sent[records["sight_age_s"] > 0.15].any()
    assert sent.sum() > 5


def with_answer(networks, spec, answer):
    """Return an ACT that always says the same, as bytes; answer of shape (T, 6)."""
    model = networks["act"](spec)
    model.graph.node[-1].output[0] = "unused"
    model.graph.node.append(helper.make_node("Mul", ["unused", "zero"], ["nothing"]))
    model.graph.node.append(helper.make_node("Add", ["nothing", "answer"], ["action"]))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "zero"))
    model.graph.initializer.append(numpy_helper.from_array(answer.astype(np.float32)[None], "answer"))
    return model.SerializeToString()


def test_a_policy_that_says_nothing_but_nan_moves_nothing_over_the_wire(twin, make_bundle, networks, spec):
    before = twin.q()
    bundle = make_bundle(act=with_answer(networks, spec, np.full((5, 6), np.nan)))
    report = drive.run(order(bundle, twin, park=False), twin.ports[0], ARM, CONFIG)

    assert "3 actions in a row were invalid: the action of shoulder_pan" in report.cause
    np.testing.assert_allclose(twin.q(), before, atol=1.0)
    assert not any(twin.torque(i) for i in IDS)


def test_a_first_action_90_degrees_away_is_approached_slowly_over_the_wire(twin, make_bundle, networks, spec, tmp_path):
    far = np.array(THERE.start) + np.array([90.0, 0, 0, 0, 0, 0])
    bundle = make_bundle(THERE, act=with_answer(networks, spec, np.tile(far, (5, 1))))
    drive.run(order(bundle, twin, seconds=1.2, log=tmp_path / "run.log"), twin.ports[0], ARM, CONFIG)
    records = log.read(tmp_path / "run.log").records
    ticks = records["ticks_sent"][records["sent"].astype(bool)][:, 0]

    assert not records["arrived"].any()
    assert len(ticks) > 3
    assert np.abs(np.diff(ticks)).max() <= np.ceil(45.0 / 60 * 4096 / 360)
    assert np.ptp(records["q_sent"][:, 0]) > 1.0
