"""A lane: one arm with one policy in a simulator of its own. Several lanes on one scene show what differs between policies.

Knows simulator and policies; knows no window. Without disturbances an episode is that of an evaluation of one row, to the bit.
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from soarm.estimation import Estimator, told_alone
from soarm.policy import Array
from soarm.sim.env import SimEnv
from soarm.sim.params import SimParams
from soarm.window.artefact import Contender

PUSH_M_PER_S = 1.2
"""Speed that a push would give to a cube without friction [m/s]; on the table it slides by some centimetres."""
_ROW = np.zeros(1, np.intp)


class Lane:
    """An arm, a policy, and how far its episode is.

    Args:
        sim: The simulator.
        contender: What drives the arm.
        knocked_away_m: See `soarm.evaluation.evaluator.ScenesParams` [m].
        eye: What tells the policy where the objects are; None tells it the truth.

    Attributes:
        contender: What drives the arm.
        over: Whether the episode has ended.
        steps: Control steps so far.
    """

    def __init__(self, sim: SimParams, contender: Contender, knocked_away_m: float, eye: Estimator | None = None) -> None:
        self.contender, self._env, self._knocked_away_m, self._eye = contender, SimEnv(sim), knocked_away_m, eye
        self._task, self._control_hz = sim.sim_task.task, sim.control_hz
        free = np.flatnonzero(self._env.model.jnt_type == mujoco.mjtJoint.mjJNT_FREE)
        self._pushed = int(self._env.model.jnt_bodyid[free[0]]) if len(free) else None

    @property
    def data(self) -> mujoco.MjData:
        """MuJoCo's state of this lane."""
        return self._env.data

    @property
    def share(self) -> Array:
        """The residual in units of its bound, shape (6,), each in [-1, 1]; zero where there is none."""
        residual = self.contender.residual
        return np.zeros(6, np.float32) if residual is None else residual.share

    @property
    def succeeded(self) -> bool:
        """Whether the task is done."""
        return self.over and bool(self._info["is_success"])

    @property
    def told(self) -> str:
        """How far it is, in words: the stage while it runs, the outcome afterwards; and the time of the episode."""
        if self.over:
            words = self._task.outcomes[self._task.classify(self._info, self._knocked_away_m)]
        else:
            words = self._task.stages(int(self._info["stage"])).name.lower().replace("_", " ")
        return f"{words}, {self.steps / self._control_hz:.1f} s"

    def start(self, seed: int) -> None:
        """Start the scene of a seed."""
        self._observation, self._info = self._env.reset(seed=seed)
        self.over, self.steps = False, 0
        self.contender.policy.reset(_ROW, [seed])
        if self.contender.residual is not None:
            self.contender.residual.forget()
        self._wrenches = np.zeros_like(self.data.xfrc_applied)

    def disturb(self, wrenches: NDArray[np.float64]) -> None:
        """Apply force and torque to each body during the next control step, shape (nbody, 6) [N, N m]."""
        self._wrenches += wrenches

    def push(self, direction_rad: float) -> bool:
        """Push what is to be moved, level and for one control step; return whether there is anything to push."""
        if self._pushed is None:
            return False
        force = self._env.model.body_mass[self._pushed] * PUSH_M_PER_S * self._control_hz
        self._wrenches[self._pushed, :2] += force * np.array([np.cos(direction_rad), np.sin(direction_rad)])
        return True

    def step(self) -> None:
        """Do one control step; nothing once the episode is over."""
        if self.over:
            return
        action = self.contender.policy.act(told_alone(self._eye, self._observation), _ROW)[0]
        self.data.xfrc_applied[:] = self._wrenches
        self._observation, _, terminated, truncated, self._info = self._env.step(action)
        self._wrenches[:] = self.data.xfrc_applied[:] = 0.0
        self.over, self.steps = terminated or truncated, self.steps + 1
