"""From the twin's camera to the cube in the bin: pictures, tracker, the loop of `soarm drive`, the servo bus."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import cv2
import mujoco
import numpy as np
import pytest

from soarm import arm as joints
from soarm import params as params_file
from soarm.deployment import DeployParams, WireStats, drive_stack, wired
from soarm.hardware.config import ArmConfig
from soarm.runtime.bundle import Bundle
from soarm.runtime.tracked import TrackedObjects
from soarm.seeds import scene_seeds
from soarm.sim.cameras import PolicyCameras
from soarm.sim.params import CameraParams, SimParams
from soarm.sim.scene import build_model
from soarm.spec import ENVIRONMENT_STATE
from soarm.table_camera.pinhole import Pinhole
from soarm.table_camera.table import Plane, Table, TouchTest
from soarm.table_camera.tracker import CameraTracker, Tracker
from soarm.tasks.pick_place import TASK
from soarm.twin.rendering import RenderedCamera

ROOT = Path(__file__).parents[2]
SIZE_PX = 320, 240


def known(sim):
    """Return the table whose camera is the scene's `front`, without an arm that calibrates it."""
    model = build_model(sim)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    camera = model.camera("front").id
    rotation = (data.cam_xmat[camera].reshape(3, 3) @ np.diag([1.0, -1.0, -1.0])).T
    turn, shift = cv2.Rodrigues(rotation)[0].ravel(), -rotation @ data.cam_xpos[camera]
    focal_px = SIZE_PX[1] / 2 / math.tan(math.radians(float(model.cam_fovy[camera])) / 2)
    pinhole = Pinhole(*SIZE_PX, focal_px, tuple(turn), tuple(shift), 0.0)
    return Table(pinhole, Plane(0.0, 0.0, 0.0, 0.0), {}, TouchTest(1, 0.0, 0.0), "", np.zeros(SIZE_PX[::-1], np.uint8))


@pytest.mark.slow
def test_a_policy_solves_scenes_on_what_the_tracker_sees():
    params = params_file.load(ROOT / "params.yaml", "pick_place")
    noise = dataclasses.replace(params.section("sim", SimParams).look.picture, noise=(4.0, 4.0), latency_steps=(1, 1))
    sim = params.section("sim", SimParams)
    sim = dataclasses.replace(
        sim, cameras={"front": CameraParams(*SIZE_PX)}, look=dataclasses.replace(sim.look, picture=noise)
    )
    bundle, table, cameras = Bundle.open(ROOT / "examples" / "bundle"), known(sim), PolicyCameras(sim)
    rest, errors_m = joints.to_radians(np.array(ArmConfig().park)), []
    with wired(sim, params.section("deploy_check", DeployParams), "position") as arm:

        def source(scene):
            _, _, qpos, mocap_pos = arm._twin.moment()
            tracker = Tracker(TASK, table)
            qpos[: joints.N_JOINTS] = rest
            first = tracker.see(cameras.render(qpos, mocap_pos)["front"], scene.now() - 0.5)
            errors_m.append(np.linalg.norm(first.objects[:2] - scene.objects()[:2]))
            seen = CameraTracker(tracker, RenderedCamera(scene.pictures, "front", scene.now))
            return {ENVIRONMENT_STATE: TrackedObjects(TASK, seen, scene.now)}

        seeds = scene_seeds("test")[:2]
        episodes = list(arm.episodes(lambda _: drive_stack(bundle, "residual"), seeds, WireStats(), source))

    assert [episode.success for episode in episodes] == [True, True]
    assert max(errors_m) < 0.002
