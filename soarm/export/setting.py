"""What a bundle says of the simulator that its policy was trained in: the arm, and how the cameras are mounted."""

from __future__ import annotations

import dataclasses
import json

import numpy as np

from soarm import motor
from soarm.errors import SimulationError
from soarm.runtime.mounting import MountedCamera, Mounting
from soarm.runtime.training_arm import TrainingArm
from soarm.sim.camera import find_camera
from soarm.sim.params import CameraParams, SimParams
from soarm.sim.scene import build_model

_DIGITS = 6
_FULL = max(motor.TORQUE_LIMIT)


def training_arm_of(sim: SimParams) -> TrainingArm:
    """Return the arm of a simulator."""
    widest, servos = sim.widest_physics, sim.servos
    gains, limits = widest["position_gain"], widest["force_limit"]
    if servos.law != "position":
        by_motor = [(motor.stiffness(servos.p, volts), motor.stall_torque(_FULL, volts)) for volts in widest["volts"]]
        either = zip(gains, limits, strict=True) if servos.law == "either" else ()
        gains, limits = ((min(one), max(one)) for one in zip(*by_motor, *either, strict=True))
    return TrainingArm(sim.control_hz, gains, limits, widest["latency_s"], sim.task.home, sim.task.success_hold_s)


def mounting_of(sim: SimParams) -> Mounting | None:
    """Return how the cameras of `sim.cameras` are mounted, and their looks; None without cameras."""
    if not sim.cameras:
        return None
    model, cameras = build_model(sim), {}
    for name, camera in sim.cameras.items():
        own = model.camera(find_camera(model, name))
        position_m, direction = own.pos, -_axis(own.quat)
        if camera.position_m is not None and camera.target_m is not None:
            position_m = np.array(camera.position_m)
            direction = np.subtract(camera.target_m, position_m) / np.linalg.norm(np.subtract(camera.target_m, position_m))
        fovy_deg = float(own.fovy[0]) if camera.fovy_deg is None else camera.fovy_deg
        size = camera.width_px, camera.height_px, camera.supersample
        body = model.body(int(own.bodyid[0])).name
        at, to = (tuple(np.round(one, _DIGITS).tolist()) for one in (position_m, direction))
        cameras[name] = MountedCamera(*size, body, at, to, round(fovy_deg, _DIGITS))
    return Mounting(cameras, json.loads(json.dumps(dataclasses.asdict(sim.look))))


def seen_as(sim: SimParams, mounting: Mounting) -> SimParams:
    """Return a simulator with the cameras of a bundle, mounted as they were; the looks stay its own.

    Raises:
        SimulationError: It has no camera of such a name, or has it on another body.
    """
    sizes = {name: (one.width_px, one.height_px, one.supersample) for name, one in mounting.cameras.items()}
    cameras = {name: CameraParams(*size) for name, size in sizes.items()}
    own = mounting_of(dataclasses.replace(sim, cameras=cameras))
    for name, wanted in mounting.cameras.items():
        assert own is not None, "there is a camera"
        found = own.cameras[name]
        if wanted.body != found.body:
            raise SimulationError(
                f"the camera {name} was mounted on {wanted.body}, and the simulator has it on {found.body}: it would see "
                "something else. Watch the bundle with the soarm that exported it"
            )
        if wanted != found:
            x, y, z = wanted.position_m
            to_x, to_y, to_z = wanted.direction
            cameras[name] = CameraParams(*sizes[name], (x, y, z), (x + to_x, y + to_y, z + to_z), wanted.fovy_deg)
    return dataclasses.replace(sim, cameras=cameras)


def _axis(quat: np.ndarray) -> np.ndarray:
    """Return the third axis of a frame, against which a camera looks, shape (3,)."""
    w, x, y, z = quat
    return np.array([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
