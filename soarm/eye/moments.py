"""Where arm and objects are in the frames that an eye learns from.

Arm poses come from rollouts of policies, on their path and pushed off it. In some frames everything stays as it was: held,
fallen and finished objects among them. In others the objects lie anywhere, or one of them close to the gripper, where a
millimetre decides.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from soarm import arm, kinematics
from soarm.policies import NotingPolicy, PushedPolicy
from soarm.policy import Array, BatchPolicy, Rows
from soarm.quantities import NotNegative, Share
from soarm.rollout import Episode, rollout
from soarm.seeds import Scenes
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import Sector, SimParams, TabletopParams
from soarm.sim.task import SimTask, StateView
from soarm.tasks.tabletop import CUBE_HALF_M
from soarm.tasks.thing import Thing

Floats = NDArray[np.float64]
_STRENGTHS = (0.0, 0.5, 1.0)
"""Of the noise, one per episode: some stay on the path."""
_HAND_M = (0.035, 0.04, 0.035)
"""How far from the gripper point an object put near it may be, in the fixed jaw's frame [m]."""
_MARGIN_M, _MARGIN_DEG = 0.03, 15.0
"""How much wider the sector is in which a thing lies anywhere than the one in which its task puts it."""
_WIDE: Sector = ((0.09, 0.29), (-75.0, 75.0))
"""The sector of a thing that its task puts into none."""
_AWAY_M = -10.0
_AIR_M = 0.10
"""Greatest height of an object in the air [m]."""


@dataclasses.dataclass(frozen=True)
class MomentParams:
    """Where arm and objects are in the frames.

    Attributes:
        n_episodes: Rollouts that arm poses come from.
        noise_deg: Standard deviation of the noise that pushes policies off their path, in the noisiest of them [deg, percent].
        as_was: Share of the frames in which objects stay where they were.
        near: Share of the frames in which an object that the gripper can hold is put close to the gripper; in the rest all
            objects lie anywhere.
    """

    n_episodes: Scenes
    noise_deg: NotNegative
    as_was: Share
    near: Share

    def __post_init__(self) -> None:
        if self.as_was + self.near > 1.0:
            raise ValueError(
                f"as_was is {self.as_was} and near {self.near}; together they are shares of the frames, at most 1"
            )


class Moments(NamedTuple):
    """States of the scene, one per frame.

    Attributes:
        qpos: The arm's joints [rad], then the task's free bodies, shape (N, nq).
        mocap_pos: The task's mocap bodies, shape (N, nmocap, 3) [m].
        stage: Furthest stage of the episode so far (`Task.stages`), shape (N,).
        as_was: Whether objects are where they were in a rollout, shape (N,).
    """

    qpos: Floats
    mocap_pos: Floats
    stage: NDArray[np.int64]
    as_was: NDArray[np.bool_]

    def take(self, rows: NDArray[np.int64] | slice) -> Moments:
        """Return some of them; copied where `rows` are numbers."""
        return Moments(self.qpos[rows], self.mocap_pos[rows], self.stage[rows], self.as_was[rows])

    def observed(self, task: SimTask) -> tuple[Array, Array]:
        """Return the joints, shape (N, 6) [deg x 5, percent], and the objects of a task, shape (N, n); float32."""
        view = StateView(list(self.qpos.T), (), (), [list(xyz) for xyz in self.mocap_pos.transpose(1, 2, 0)], ())
        objects = np.empty((len(self.qpos), *task.task.objects.shape), np.float32)
        for i, number in enumerate(task.objects(view)):
            objects[:, i] = number
        return arm.from_radians(self.qpos[:, : arm.N_JOINTS]).astype(np.float32), objects


def collect(
    env: BatchSim, policy: BatchPolicy, params: MomentParams, seeds: Iterable[int], rng: np.random.Generator
) -> Moments:
    """Run a policy in the scenes of `seeds`, pushed off its path in two of three episodes, and return every moment."""
    pushed = PushedPolicy(policy, _SomeNoise(params.noise_deg, env.n_rows, rng), env.n_rows)
    watched = NotingPolicy(pushed, lambda _, rows: zip(*env.positions(rows), strict=True), env.n_rows)
    gathered = [_moments(episode, watched.take(episode.seed)) for episode in rollout(env, watched, seeds)]
    return Moments(*(np.concatenate(parts) for parts in zip(*gathered, strict=True)))


def scatter(moments: Moments, n: int, sim: SimParams, params: MomentParams, rng: np.random.Generator) -> Moments:
    """Return `n` moments: arm poses drawn from `moments`, and objects as they were, anywhere, or near the gripper."""
    task, sectors = sim.sim_task, _sectors(sim)
    free = free_things(task)
    fixed = [thing for thing in task.task.things if thing not in free]
    found = moments.take(rng.integers(0, len(moments.qpos), n))
    chance = rng.random(n)
    found = found._replace(as_was=chance < params.as_was)
    anywhere, near = np.flatnonzero(chance >= params.as_was), np.flatnonzero(chance >= 1.0 - params.near)
    bodies = range(arm.N_JOINTS, found.qpos.shape[1], 7)  # each a position and a quaternion
    for first, thing in zip(bodies, free, strict=True):
        found.qpos[anywhere, first : first + 7] = _lying(len(anywhere), sectors[thing.name], rng)
    for i, thing in enumerate(fixed):
        found.mocap_pos[anywhere, i, :2] = _places(len(anywhere), sectors[thing.name], rng)
    held = rng.choice([i for i, thing in enumerate(free) if thing.grip is not None], len(near))
    for i, first in enumerate(bodies):
        rows = near[held == i]
        found.qpos[rows, first : first + 7] = _in_hand(found.qpos[rows, : arm.N_JOINTS], rng)
    return found


def without(moments: Moments, task: SimTask, thing: Thing) -> Moments:
    """Return the moments with one thing taken out of sight."""
    found = moments.take(np.arange(len(moments.qpos)))
    free = free_things(task)
    if thing in free:
        found.qpos[:, arm.N_JOINTS + 7 * free.index(thing) + 2] = _AWAY_M
    else:
        found.mocap_pos[:, [one for one in task.task.things if one not in free].index(thing), 2] = _AWAY_M
    return found


def free_things(task: SimTask) -> list[Thing]:
    """Return the things that move, in the order of MuJoCo's free bodies: those whose height the task tells."""
    return [thing for thing in task.task.things if "z" in task.task.elements[thing.name]]


class _SomeNoise:
    """The `Noise` of an episode is none, half of it or all of it; drawn from one generator."""

    def __init__(self, std_deg: float, n_rows: int, rng: np.random.Generator) -> None:
        self._std_deg, self._rng = std_deg, rng
        self._strength = np.zeros(n_rows)

    def reset(self, rows: Rows, seeds: Sequence[int]) -> None:
        self._strength[rows] = self._rng.choice(_STRENGTHS, len(rows))

    def draw(self, rows: Rows) -> Floats:
        noise = self._rng.normal(0.0, self._std_deg, (len(rows), arm.N_JOINTS)).astype(np.float32)
        return self._strength[rows, None] * noise


def _moments(episode: Episode, positions: Iterable[tuple[Floats, Floats]]) -> Moments:
    """Return the moments of an episode with the positions at each of its steps."""
    qpos, mocap_pos = (np.stack(part) for part in zip(*positions, strict=True))
    return Moments(qpos, mocap_pos, episode.info["stage"].astype(np.int64), np.ones(len(qpos), bool))


def _sectors(sim: SimParams) -> dict[str, Sector]:
    """Return in which sector around the shoulder's axis each thing of a task may lie: its own, and somewhat more."""
    sectors: dict[str, Sector] = dict.fromkeys((thing.name for thing in sim.sim_task.task.things), _WIDE)
    if isinstance(sim.task, TabletopParams):
        for name, (radius, angle) in zip(sim.task.things, sim.task.sectors, strict=True):
            wider = (max(0.0, radius[0] - _MARGIN_M), radius[1] + _MARGIN_M)
            sectors[name] = wider, (angle[0] - _MARGIN_DEG, angle[1] + _MARGIN_DEG)
    return sectors


def _places(n: int, sector: Sector, rng: np.random.Generator) -> Floats:
    """Draw points evenly over a sector around the shoulder's axis, shape (n, 2) [m]."""
    (nearest, farthest), angle_deg = sector
    radius = np.sqrt(rng.uniform(nearest**2, farthest**2, n))
    angle = np.radians(rng.uniform(*angle_deg, n))
    x, y = kinematics.SHOULDER_XY_M
    return np.stack([x - radius * np.sin(angle), y - radius * np.cos(angle)], axis=1)


def _lying(n: int, sector: Sector, rng: np.random.Generator) -> Floats:
    """Draw poses of a cube anywhere, shape (n, 7): flat on the table, one in ten above it."""
    height = np.where(rng.random(n) < 0.1, rng.uniform(CUBE_HALF_M, _AIR_M, n), CUBE_HALF_M)
    return np.concatenate([_places(n, sector, rng), height[:, None], _upright(rng.uniform(-math.pi, math.pi, n))], axis=1)


def _in_hand(q_rad: Floats, rng: np.random.Generator) -> Floats:
    """Draw poses of a cube near the gripper points of arms, shape (n, 7): as on the table, along the jaw, and held."""
    n = len(q_rad)
    tcp, jaw = kinematics.forward(arm.from_radians(q_rad))
    offset = rng.uniform(-1.0, 1.0, (n, 3)) * _HAND_M * rng.uniform(0.1, 1.0, (n, 1))
    at = tcp + np.einsum("bij,bj->bi", jaw, offset)
    low = at[:, 2] < 2.4 * CUBE_HALF_M
    at[:, 2] = np.where(low & (rng.random(n) < 0.7), CUBE_HALF_M, np.maximum(at[:, 2], CUBE_HALF_M))
    along = np.arctan2(jaw[:, 1, 0], jaw[:, 0, 0]) + np.radians(rng.normal(0.0, 12.0, n))
    turn = _upright(np.where(rng.random(n) < 0.5, along, rng.uniform(-math.pi, math.pi, n)))
    for i in np.flatnonzero(~low & (rng.random(n) < 0.4)):
        turn[i] = _tilted(jaw[i], np.radians(rng.normal(0.0, 6.0, 3)))
    return np.concatenate([at, turn], axis=1)


def _upright(yaw: Floats) -> Floats:
    """Return the quaternions of turns about the vertical [rad], shape (n, 4)."""
    nothing = np.zeros_like(yaw)
    return np.stack([np.cos(yaw / 2), nothing, nothing, np.sin(yaw / 2)], axis=1)


def _tilted(jaw: Floats, by_rad: Floats) -> Floats:
    """Return the quaternion of a rotation followed by a small one about its own axes, shape (4,)."""
    turn, small, both = np.empty(4), np.array([1.0, *(by_rad / 2)]), np.empty(4)
    mujoco.mju_mat2Quat(turn, np.ascontiguousarray(jaw).ravel())
    mujoco.mju_mulQuat(both, turn, small / np.linalg.norm(small))
    return both
