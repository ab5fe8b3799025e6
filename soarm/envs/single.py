"""One environment, `gymnasium.make`."""

from __future__ import annotations

from typing import Any

import gymnasium
import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm.envs.interface import HasLimit, Interface, refuse_options, require_render_mode, scene_seed
from soarm.envs.pictures import LiveView
from soarm.policy import Array, Observation
from soarm.sim.camera import Camera
from soarm.sim.env import SimEnv
from soarm.viewer import Snapshot


class SoArmEnv(HasLimit, gymnasium.Env[dict[str, Any], Array]):
    """A task of the SO-ARM100 with joint-position targets.

    ## Action space: Box(6), absolute joint-position targets, cut at the joint limits

    | index | meaning | min | max | unit |
    |---|---|---|---|---|
    | 0 | shoulder_pan.pos | -110.0 | 110.0 | deg |
    | 1 | shoulder_lift.pos | -100.1 | 100.1 | deg |
    | 2 | elbow_flex.pos | -94.9 | 94.9 | deg |
    | 3 | wrist_flex.pos | -95.1 | 95.1 | deg |
    | 4 | wrist_roll.pos | -159.9 | 159.9 | deg |
    | 5 | gripper.pos | 0 (closed) | 100 (open) | percent |

    With `normalize_actions=True` each is in [-1, 1], from the lower to the upper limit.

    ## Observation space: Dict

    | key | content | range |
    |---|---|---|
    | `agent_pos` | Box(6), joint positions, units and order of the action | the limits and 10 on either side |
    | `environment_state` | Box(n): the task's objects, named with their units in `Task.objects` | -1 .. 1 |
    | `pixels` | Box(H, W, 3), uint8: the picture of the one camera in `cameras`; of several, `pixels/<camera>` | 0 .. 255 |

    Positions are in the arm's base frame (x right, y backwards, z up). Values beyond a range are cut. `soarm.spec.gym_keys`
    maps the keys to LeRobot's features.

    ## Reward

    `reward="sparse"`: `weights.success` once, at held success, else 0. `"shaped"`: plus, for each term of the task
    (`Task.terms`), weight * (shaping_gamma * potential after - potential before), with potentials in [0, 1] and 0 in the
    terminal state. `info["reward/<term>"]` holds every term in both modes.

    ## Episode

    Start: home pose with jitter and the task's things in their sectors, all drawn from `reset(seed=)` alone; the same seed
    gives the same episode to the bit, here, in `make_vec` and in the chain. Success (`info["is_success"]`): the task is done
    (the cube lies in the bin, released, at rest) for `success_hold_s`; then `terminated`. `truncated` comes after
    `spec.max_episode_steps`. `info["stage"]` is the furthest of the task's stages reached.

    Args:
        render_mode: `human` shows the episode in MuJoCo's viewer as it runs; `rgb_array` has `render` return a picture of
            640 x 480 px.
        **options: Of `soarm.envs.interface.Interface`.

    Raises:
        ParamsError: An option is not legal.
        SimulationError: `human` is asked where no window can be opened, or a camera that there is not.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array"], "render_fps": 30}  # noqa: RUF012 - Gymnasium's way

    def __init__(self, *, render_mode: str | None = None, **options: Any) -> None:
        require_render_mode(render_mode, self.metadata["render_modes"])
        self._interface = interface = Interface(**options)
        params = interface.params
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": params.control_hz}
        self.action_space, self.observation_space = interface.action_space, interface.observation_space
        self._simulation = SimEnv(params, visuals=render_mode is not None)
        self._snapshot = Snapshot(self.model)
        self._front: Camera | None = None
        self._viewer = LiveView(self._snapshot, 1.0 / params.control_hz) if render_mode == "human" else None

    @property
    def model(self) -> mujoco.MjModel:
        """MuJoCo's model."""
        return self._simulation.model

    @property
    def data(self) -> mujoco.MjData:
        """MuJoCo's state."""
        return self._simulation.data

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start the scene of `seed`; without one, a scene drawn from the environment's own generator.

        Raises:
            ParamsError: Options were given; there are none.
        """
        super().reset(seed=seed)
        refuse_options(options)
        features, info = self._simulation.reset(seed=scene_seed(self.np_random) if seed is None else seed)
        return self._look(features), info

    def step(self, action: ArrayLike) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Execute one control step.

        Raises:
            ObservationError: The action is not finite or not of shape (6,), or `reset` was not called.
        """
        targets = self._interface.targets(action, self.action_space.shape or ())
        features, reward, terminated, truncated, info = self._simulation.step(targets)
        return self._look(features), reward, terminated, truncated, info

    def render(self) -> NDArray[np.uint8] | None:
        """Return a picture, uint8 (480, 640, 3), in `rgb_array`; in `human` the viewer follows each step by itself."""
        if self.render_mode != "rgb_array":
            return None
        if self._front is None:
            self._front = Camera(self.model, "front", width_px=640, height_px=480)
        return self._front.render(self._snapshot.of(self.data))

    def close(self) -> None:
        """Release cameras and viewer; may be called again."""
        for opened in (self._simulation, self._front, self._viewer):
            if opened is not None:
                opened.close()

    def _look(self, features: Observation) -> dict[str, Any]:
        if self._viewer is not None:
            self._snapshot.of(self.data)
            self._viewer.show()
        return self._interface.observation(features)
