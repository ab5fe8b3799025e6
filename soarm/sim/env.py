"""One arm and one task, one episode at a time; what Gymnasium's users see of it is `soarm.envs`."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from soarm import arm
from soarm.errors import ObservationError
from soarm.policy import Array, clip_to_limits, require_finite
from soarm.sim.camera import Camera
from soarm.sim.draw import draw_scene
from soarm.sim.episode import EpisodeRules, EpisodeState
from soarm.sim.params import SimParams
from soarm.sim.physics import SceneWriter
from soarm.sim.scene import build_model
from soarm.sim.task import FLOATS, DataReader, StateView
from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE


class SimEnv(gymnasium.Env[dict[str, Any], Array]):
    """One arm and one task, with joint-position targets.

    ## Action space: Box(6), absolute joint-position targets, clipped to the joint limits

    | index | meaning | min | max | unit |
    |---|---|---|---|---|
    | 0 | shoulder_pan.pos | -110.0 | 110.0 | deg |
    | 1 | shoulder_lift.pos | -100.1 | 100.1 | deg |
    | 2 | elbow_flex.pos | -94.9 | 94.9 | deg |
    | 3 | wrist_flex.pos | -95.1 | 95.1 | deg |
    | 4 | wrist_roll.pos | -159.9 | 159.9 | deg |
    | 5 | gripper.pos | 0 (closed) | 100 (open) | percent |

    ## Observation space: Dict

    `observation.state`: Box(6), joint positions, units as the action. `observation.environment_state`: Box(n), the task's
    objects (`Task.objects`) in the arm's base frame (x right, y backwards, z up); of pick and place:

    | index | meaning | min | max | unit |
    |---|---|---|---|---|
    | 0..2 | cube.x, cube.y, cube.z | -inf | inf | m |
    | 3, 4 | cube.yaw4_cos, cube.yaw4_sin: cosine and sine of four times the cube's yaw | -1 | 1 | 1 |
    | 5, 6 | bin.x, bin.y | -inf | inf | m |

    ## Reward

    `sim.reward: sparse`: `weights.success` once, at held success, else 0. `shaped`: plus, for each term of the task
    (`Task.terms`), weight * (shaping_gamma * potential after - potential before), with potentials in [0, 1] and 0 in the
    terminal state. `info["reward/<term>"]` holds every term in both modes.

    ## Episode

    Start: home pose with jitter and the task's things in their sectors (cube with any yaw, bin, apart by the clearance), all
    drawn from `reset(seed=)` alone; the same seed gives the same episode to the bit. Success (`info["is_success"]`): the task
    is done (the cube lies in the bin, released, at rest) for `success_hold_s`; then `terminated`. `truncated` after
    `time_limit_s`. `info["stage"]` is the furthest of the task's stages reached. Gripper point and sensors are those of the
    start of the last physics step.

    Args:
        params: The environment.
        render_mode: `rgb_array` or None.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012 - Gymnasium declares it so

    def __init__(self, params: SimParams, render_mode: str | None = None) -> None:
        self.params = params
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": params.control_hz}
        self.action_space = spaces.Box(arm.LOWER.astype(np.float32), arm.UPPER.astype(np.float32))
        task = params.sim_task
        of_objects = task.task.objects.units
        unbounded = np.array([1.0001 if unit == "1" else np.inf for unit in of_objects], np.float32)  # a cosine rounds past 1
        joints = np.full(arm.N_JOINTS, np.inf, np.float32)  # a joint may be pushed a little past its limit
        self.observation_space = spaces.Dict(
            {STATE: spaces.Box(-joints, joints), ENVIRONMENT_STATE: spaces.Box(-unbounded, unbounded)}
        )
        self.model = build_model(params, visuals=render_mode is not None)
        self._writer = SceneWriter(self.model, params)
        self._fields = {name: getattr(self.model, name) for name in self._writer.varying}
        self.data = mujoco.MjData(self.model)
        self._rules = EpisodeRules(params, FLOATS)
        self._read, self._state, self._objects = DataReader(self.data), task.state, task.objects
        self._ctrl = self.data.ctrl
        self._n_substeps = params.n_substeps
        self._episode: EpisodeState | None = None
        self._camera: Camera | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Start the scene of `seed`; without one, a scene drawn from the environment's own generator."""
        super().reset(seed=seed)
        scene = draw_scene(self.params, int(self.np_random.integers(2**31)) if seed is None else seed)
        self._writer.write_model(self._fields, scene.physics)
        if self._fields:
            mujoco.mj_setConst(self.model, self.data)
        self._writer.write_state(self.data, scene)
        mujoco.mj_forward(self.model, self.data)
        view = self._read()
        self._episode = self._rules.start(self._state(view))
        return self._observe(view), {"is_success": False, "stage": self._episode.stage}

    def step(self, action: Array) -> tuple[dict[str, Array], float, bool, bool, dict[str, Any]]:
        """Execute one control step.

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
        # arm.to_radians(clip_to_limits(action)) on floats: six of them are too few for NumPy to pay off.
        self._ctrl[:] = [
            (q if low <= q <= high else low if q < low else high) / per_rad + zero
            for q, (low, high, per_rad, zero) in zip(wanted, _JOINTS)  # noqa: B905 - a keyword costs a quarter of it
        ]
        mujoco.mj_step(self.model, self.data, self._n_substeps)
        view = self._read()
        outcome = self._rules.step(self._episode, self._state(view))
        self._episode = outcome.state
        return self._observe(view), float(outcome.reward), outcome.terminated, outcome.truncated, outcome.info

    def render(self) -> NDArray[np.uint8] | None:
        """Return a picture, uint8 (H, W, 3), in render mode `rgb_array`."""
        if self.render_mode is None:
            return None
        if self._camera is None:
            self._camera = Camera(self.model, name="front", width_px=640, height_px=480)
        return self._camera.render(self.data)

    def close(self) -> None:
        """Release the camera."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None

    def _observe(self, view: StateView) -> dict[str, Array]:
        numbers = [(q - zero) * per_rad for q, (_, _, per_rad, zero) in zip(view.qpos, _JOINTS)]  # noqa: B905 - as above
        both = np.array([*numbers, *self._objects(view)], np.float32)
        return {STATE: both[:6], ENVIRONMENT_STATE: both[6:]}


_SHAPE = (arm.N_JOINTS,)
_LIMITS = clip_to_limits([arm.LOWER, arm.UPPER]).tolist()
_JOINTS = tuple(zip(*_LIMITS, arm.PER_RAD.tolist(), arm.ZERO_RAD.tolist(), strict=True))
"""Per joint: lower and upper limit, LeRobot units per radian, radians at LeRobot's zero."""
