"""A seed -> the scene, and what the tasks' own draws have in common."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from soarm import arm, kinematics
from soarm.errors import ParamsError
from soarm.policy import clip_to_limits
from soarm.sim.observation_error import ObjectTracker
from soarm.sim.params import PhysicsParams, Sector, SimParams, TabletopParams, TaskParams
from soarm.sim.task import BY_MOTOR, Physics, Scene


def draw_scene(params: SimParams, seed: int) -> Scene:
    """Draw the scene of `seed`: the same scene for the same seed and parameters, whatever ran before."""
    if params.disturbances.severity[1] > 0:
        params = dataclasses.replace(params, physics=params.physics_of(seed))
    scene: Scene = params.sim_task.draw(np.random.default_rng(seed), params)
    scene.physics[BY_MOTOR] = params.servos.by_motor(seed)
    return scene


def tracker_of(params: SimParams, n_rows: int) -> ObjectTracker | None:
    """Return what tells policies of the objects in so many arms; None where they are told the truth."""
    if not params.tells_wrongly:
        return None
    task, ranges_of = params.sim_task.task, params.observation_error_of
    return ObjectTracker(params.largest_error, task, n_rows, params.control_hz, ranges_of)


def draw_pose(rng: np.random.Generator, task: TaskParams) -> NDArray[np.float64]:
    """Draw the arm's start pose, shape (6,) [rad]."""
    jitter = np.asarray(task.home_jitter) * rng.uniform(-1.0, 1.0, arm.N_JOINTS)
    return arm.to_radians(clip_to_limits(np.asarray(task.home) + jitter))


def draw_yaw(rng: np.random.Generator) -> float:
    """Draw the yaw of a cube, any [rad]."""
    return float(rng.uniform(-math.pi, math.pi))


def draw_place(rng: np.random.Generator, sector: Sector) -> NDArray[np.float64]:
    """Draw a point evenly over a sector around the shoulder's axis, shape (2,) [m]."""
    (nearest, farthest), angle_deg = sector
    radius = math.sqrt(rng.uniform(nearest**2, farthest**2))
    angle = math.radians(rng.uniform(*angle_deg))
    x, y = kinematics.SHOULDER_XY_M
    return np.array([x - radius * math.sin(angle), y - radius * math.cos(angle)])


def draw_apart(rng: np.random.Generator, task: TabletopParams) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw where the two things lie until they are apart by the clearance, shape (2,) each [m].

    Raises:
        ParamsError: The clearance is too large for the sectors.
    """
    one, other = task.sectors
    for _ in range(1000):
        places = draw_place(rng, one), draw_place(rng, other)
        if math.dist(*places) >= task.clearance_m:
            return places
    raise ParamsError(
        f"no room for {' and '.join(task.things)} {task.clearance_m} m apart in the ranges of sim.task; lower clearance_m"
    )


def draw_physics(rng: np.random.Generator, physics: PhysicsParams) -> Physics:
    """Draw the physics of an episode; a range of one value takes no random number."""
    drawn: Physics = {}
    for name, (low, high) in vars(physics).items():
        if name in physics.PER_JOINT:
            drawn[name] = rng.uniform(low, high, arm.N_JOINTS) if low < high else np.full(arm.N_JOINTS, low)
        else:
            drawn[name] = float(rng.uniform(low, high)) if low < high else low
    return drawn
