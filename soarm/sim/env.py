"""One arm and one task, one episode at a time; what Gymnasium's users see of it is `soarm.envs`."""

from __future__ import annotations

import math
from typing import Any

import mujoco
import numpy as np
from numpy.typing import ArrayLike

from soarm import arm
from soarm.errors import ObservationError
from soarm.policy import Array, clip_to_limits, require_finite
from soarm.sim.draw import draw_scene, tracker_of
from soarm.sim.episode import EpisodeRules, EpisodeState, StepOutcome
from soarm.sim.episode_cameras import EpisodeCameras
from soarm.sim.params import SimParams
from soarm.sim.physics import SceneWriter
from soarm.sim.placing import place
from soarm.sim.scene import build_model
from soarm.sim.servos import Servos
from soarm.sim.task import FLOATS, DataReader, Physics, StateView
from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE, TRUE_OBJECTS


class EpisodeSim:
    """The episodes of a task in one model; whoever has it moves the joints and steps the physics.

    Args:
        params: The environment.
        visuals: Keep the geoms that are only seen: cameras need them.

    Attributes:
        params: The environment.
        model: MuJoCo's model.
        data: MuJoCo's state.
    """

    def __init__(self, params: SimParams, *, visuals: bool) -> None:
        self.params, self.model = params, build_model(params, visuals=visuals)
        self._writer = SceneWriter(self.model, params)
        self._fields = {name: getattr(self.model, name) for name in self._writer.varying}
        self.data = mujoco.MjData(self.model)
        self._rules, self._task, self._read = EpisodeRules(params, FLOATS), params.sim_task, DataReader(self.data)
        self._episode: EpisodeState | None = None
        self._servos = Servos(params.servos, 1, params.n_substeps, params.sim_dt_s)
        self._tracker = tracker_of(params, 1)
        self._physics: Physics = {}

    def start(self, seed: int, *, objects: ArrayLike | None = None) -> StateView:
        """Start the scene of a seed and return its state.

        Args:
            seed: Of the scene.
            objects: Where the things lie, in the order of `Task.objects`; None leaves them where the seed has them.
        """
        scene = draw_scene(self.params, seed)
        self._physics = scene.physics
        if self._fields:
            self._writer.write_model(self._fields, scene.physics)
            mujoco.mj_setConst(self.model, self.data)
        self._writer.write_state(self.data, scene)
        if objects is not None:
            place(self.data, self._task.task, objects, scene.physics)
        self._servos.start(_ROW, [scene.physics], self.data.qpos[None, : arm.N_JOINTS])
        mujoco.mj_forward(self.model, self.data)
        view = self._read()
        self._episode = self._rules.start(self._task.state(view))
        return view

    def tell(self, view: StateView, started: int | None = None) -> tuple[Array, Array]:
        """Return what policies are told of the objects, and where they are, shape (n,) each; once per control step.

        Args:
            view: The state.
            started: The scene's seed, where it has just begun.
        """
        truth = np.array(self._task.objects(view), np.float32)
        if self._tracker is None:
            return truth, truth
        if started is not None:
            return self._tracker.start(_ROW, [started], truth[None])[0], truth
        return self._tracker.follow(_ROW, truth[None], np.array([view.tcp]))[0], truth

    def account(self, view: StateView) -> StepOutcome:
        """Account for a control step that led to this state."""
        assert self._episode is not None, "start comes first"
        outcome = self._rules.step(self._episode, self._task.state(view))
        self._episode = outcome.state
        return outcome


class SimEnv(EpisodeSim):
    """Episodes with joint-position targets, observed and rewarded in Gymnasium's manner; see `soarm.envs.single.SoArmEnv`.

    Observations are under feature keys: `observation.state`, shape (6,) [deg x 5, percent], and
    `observation.environment_state`, the objects of the task (`Task.objects`); where the parameters have cameras, also
    `observation.images.<camera>`, uint8, shape (H, W, 3). The same seed gives the same episode to the bit.
    Gripper point and sensors are those of the start of the last physics step.
    """

    def __init__(self, params: SimParams, *, visuals: bool = False) -> None:
        super().__init__(params, visuals=visuals)
        self._ctrl, self._objects, self._n_substeps = self.data.ctrl, self._task.objects, params.n_substeps
        self._plain = params.plain_servos
        self._cameras = EpisodeCameras(params, 1) if params.cameras else None

    def reset(self, *, seed: int) -> tuple[dict[str, Array], dict[str, Any]]:
        """Start the scene of `seed`."""
        view = self.start(seed)
        assert self._episode is not None
        return self._observe(view, seed), {"is_success": False, "stage": self._episode.stage}

    def step(self, action: Array) -> tuple[dict[str, Array], float, bool, bool, dict[str, Any]]:
        """Execute one control step.

        Args:
            action: Joint targets, shape (6,) [deg x 5, percent]; clipped to the joint limits.

        Raises:
            ObservationError: The action is not finite or not of shape (6,), or `reset` was not called.
        """
        if self._episode is None:
            raise ObservationError("step was called before reset; call reset(seed=...) first")
        if action.shape != _SHAPE:
            raise ObservationError(f"{ACTION} has shape {action.shape}; it must be ({arm.N_JOINTS},)")
        wanted = action.tolist()
        if not math.isfinite(sum(wanted)):
            require_finite(ACTION, action)
        if self._plain:
            # arm.to_radians(clip_to_limits(action)) on floats: six of them are too few for NumPy to pay off.
            self._ctrl[:] = [
                (q if low <= q <= high else low if q < low else high) / per_rad + zero
                for q, (low, high, per_rad, zero) in zip(wanted, _JOINTS)  # noqa: B905 - a keyword costs a quarter of it
            ]
            mujoco.mj_step(self.model, self.data, self._n_substeps)
        else:
            for goals_rad, n_substeps in self._servos.goals_rad(action[None], _ROW):
                self._ctrl[:] = goals_rad[0]
                mujoco.mj_step(self.model, self.data, n_substeps)
        view = self._read()
        outcome = self.account(view)
        return self._observe(view), float(outcome.reward), outcome.terminated, outcome.truncated, outcome.info

    def close(self) -> None:
        """Free the renderer of the cameras; may be called again."""
        if self._cameras is not None:
            self._cameras.close()

    def _observe(self, view: StateView, started: int | None = None) -> dict[str, Array]:
        numbers = [(q - zero) * per_rad for q, (_, _, per_rad, zero) in zip(view.qpos, _JOINTS)]  # noqa: B905 - as above
        if self._plain and self._tracker is None:
            both = np.array([*numbers, *self._objects(view)], np.float32)
            observation = {STATE: both[:6], ENVIRONMENT_STATE: both[6:]}
        else:
            told, truth = self.tell(view, started)
            read = self._servos.read(np.array([numbers]), _ROW)[0].astype(np.float32)
            observation = {STATE: read, ENVIRONMENT_STATE: told}
            if self._tracker is not None:
                observation[TRUE_OBJECTS] = truth
        if self._cameras is None:
            return observation
        state = self.data.qpos[None], self.data.mocap_pos[None]
        seen = self._cameras.follow(_ROW, *state) if started is None else self._cameras.start(_ROW, [started], *state)
        return {**observation, **{key: np.asarray(pictures[0]) for key, pictures in seen.items()}}


_ROW = np.zeros(1, np.intp)
_SHAPE = (arm.N_JOINTS,)
_LIMITS = clip_to_limits([arm.LOWER, arm.UPPER]).tolist()
_JOINTS = tuple(zip(*_LIMITS, arm.PER_RAD.tolist(), arm.ZERO_RAD.tolist(), strict=True))
"""Per joint: lower and upper limit, LeRobot units per radian, radians at LeRobot's zero."""
