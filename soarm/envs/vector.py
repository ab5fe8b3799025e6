"""Many environments at once on `mujoco.batch`, `gymnasium.make_vec`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from soarm.envs.interface import HasLimit, Interface, refuse_options, require_render_mode, scene_seed
from soarm.errors import ObservationError, ParamsError
from soarm.policy import Array, Observation, Rows
from soarm.sim.batch_env import BatchSim
from soarm.sim.camera import Camera

VectorStep = tuple[dict[str, Any], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


class SoArmVectorEnv(HasLimit, VectorEnv[dict[str, Any], Array, NDArray[Any]]):
    """`num_envs` environments as `soarm.envs.single.SoArmEnv`, one per row, with the same episodes to the bit.

    A row behaves as in Gymnasium's `SyncVectorEnv`, whose seeds and scenes it has too: the step after the end of an episode
    starts the next one (`AutoresetMode.NEXT_STEP`), with reward 0, and its action is ignored.

    Args:
        num_envs: Number of environments.
        n_threads: Threads that step physics.
        render_mode: `rgb_array` has `render` return a picture of 640 x 480 px per environment.
        **options: Of `soarm.envs.interface.Interface`.

    Raises:
        ParamsError: An option is not legal.
        SimulationError: There is no such camera.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - Gymnasium declares it so
        "render_modes": ["rgb_array"],
        "render_fps": 30,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(self, num_envs: int = 1, *, n_threads: int = 1, render_mode: str | None = None, **options: Any) -> None:
        require_render_mode(render_mode, self.metadata["render_modes"])
        self._interface = interface = Interface(**options)
        self.num_envs, self.render_mode = num_envs, render_mode
        self.metadata = {**self.metadata, "render_fps": interface.params.control_hz}
        self.single_action_space, self.single_observation_space = interface.action_space, interface.observation_space
        self.action_space = batch_space(interface.action_space, num_envs)
        self.observation_space = batch_space(interface.observation_space, num_envs)
        self._batch = BatchSim(interface.params, num_envs, n_threads)
        self._rngs: list[np.random.Generator] = []
        self._features: dict[str, Array] = {}
        self._ended = np.zeros(num_envs, np.bool_)
        self._front: Camera | None = None

    def reset(  # a seed per environment, as in SyncVectorEnv
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode in every environment.

        Args:
            seed: Environment i starts the scene of `seed + i`, or of its own seed; None draws scenes, from generators that go
                on where they stand.
            options: There are none.

        Raises:
            ParamsError: Options were given, or there is not one seed per environment.
        """
        refuse_options(options)
        rows = np.arange(self.num_envs, dtype=np.intp)
        seeds = (
            [None if seed is None else seed + int(i) for i in rows] if seed is None or isinstance(seed, int) else list(seed)
        )
        if len(seeds) != self.num_envs:
            raise ParamsError(f"reset was given {len(seeds)} seeds; it takes one per environment, {self.num_envs}")
        fresh = [None if own is None else seeding.np_random(own)[0] for own in seeds]
        before: list[np.random.Generator] = self._rngs or [seeding.np_random()[0] for _ in rows]
        self._rngs = [old if new is None else new for old, new in zip(before, fresh, strict=True)]
        scenes = [scene_seed(rng) if own is None else own for own, rng in zip(seeds, self._rngs, strict=True)]
        self._features = {key: np.array(values) for key, values in self._batch.reset(rows, scenes).items()}
        self._ended[:] = False
        return self._look(), self._spread({"is_success": np.zeros(self.num_envs, np.bool_)}, rows)

    def step(self, actions: ArrayLike) -> VectorStep:
        """Execute one control step in every environment, or start its next episode.

        Args:
            actions: Shape (num_envs, 6).

        Returns:
            Observations, rewards, terminated and truncated, each with one entry per environment; and infos, key -> one value
            per environment, with the mask `_<key>` of those that have one.

        Raises:
            ObservationError: An action is not finite, they are not of that shape, or `reset` was not called.
        """
        if not self._features:
            raise ObservationError("step was called before reset; call reset(seed=...) first")
        targets = self._interface.targets(actions, self.action_space.shape or ())
        going, starting = np.flatnonzero(~self._ended), np.flatnonzero(self._ended)
        rewards = np.zeros(self.num_envs)
        terminated, truncated = np.zeros(self.num_envs, np.bool_), np.zeros(self.num_envs, np.bool_)
        result = self._batch.step(targets[going], going)
        rewards[going], terminated[going], truncated[going] = result.reward, result.terminated, result.truncated
        self._put(result.observation, going)
        self._put(self._batch.reset(starting, [scene_seed(self._rngs[row]) for row in starting]), starting)
        info = self._spread(result.info, going)
        info["_is_success"][starting] = True  # a fresh episode's is False, as `reset` says
        self._ended = terminated | truncated
        return self._look(), rewards, terminated, truncated, info

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Return a picture per environment, uint8 (480, 640, 3), in render mode `rgb_array`."""
        if self.render_mode is None:
            return None
        frames = []
        for row in range(self.num_envs):
            model, data = self._batch.snapshot(row)
            self._front = self._front or Camera(model, "front", width_px=640, height_px=480)
            frames.append(self._front.render(data))
        return tuple(frames)

    def close_extras(self, **_: Any) -> None:
        """Release the cameras."""
        for opened in (self._batch, self._front):
            if opened is not None:
                opened.close()

    def _put(self, observation: Observation, rows: Rows) -> None:
        for key, values in observation.items():
            self._features[key][rows] = values

    def _look(self) -> dict[str, Any]:
        return self._interface.observation(self._features)

    def _spread(self, info: Mapping[str, NDArray[Any]], rows: Rows) -> dict[str, Any]:
        """Return values of some rows as Gymnasium's infos: one entry per environment, and a mask of those that have one."""
        spread: dict[str, Any] = {}
        for key, values in info.items():
            spread[key] = np.zeros(self.num_envs, values.dtype)
            spread[key][rows] = values
            spread[f"_{key}"] = np.isin(np.arange(self.num_envs), rows)
        return spread
