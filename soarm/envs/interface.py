"""A task in Gymnasium's terms: keyword arguments, spaces, observation keys, units of the action; alike for one and many."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from numpy.typing import ArrayLike

from soarm import arm
from soarm import params as params_file
from soarm.errors import ObservationError, ParamsError
from soarm.policy import Array, Observation
from soarm.sim.params import SimParams
from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE, gym_keys
from soarm.tasks.registry import find

JOINT_MARGIN = 10.0
"""How far beyond its limits a joint's observation may lie [deg, percent]; 5.9 were the most in 30,000 steps of targets that
jump between the limits."""
BOUNDS = {"m": 1.0, "1": 1.0}
"""Unit of an object's feature -> largest size. The arm reaches 0.45 m; cosines and sines stay within 1 but for rounding."""


_CAMERA = {"supersample": 1, "position_m": None, "target_m": None, "fovy_deg": None}


class Interface:
    """The keyword arguments of `gymnasium.make` and `make_vec`, and what follows from them.

    Args:
        task: Name of the task.
        params: The simulator. None takes the parameters that come with the package, in whatever folder; a path the section
            `sim` of that params file, with what it holds of the task; a mapping changes single values of the package's
            (`{"physics": {"cube_mass_kg": [0.01, 0.03]}}`); `SimParams` are taken as they are.
        reward: `sparse` or `shaped`, in place of the parameters'.
        time_limit_s: Length of an episode [s], in place of the parameters'.
        max_episode_steps: The same in control steps; it can only shorten an episode. `gymnasium.make` keeps this argument for
            its `TimeLimit`, `make_vec` hands it on.
        normalize_actions: Whether actions lie in [-1, 1], the joints' lower and upper limits, in place of LeRobot's units.
        cameras: Cameras whose pictures are observations: `front`, `top`, `wrist`; none: those of the parameters.
        observation_width: Width of these pictures [px].
        observation_height: Height of these pictures [px].

    Attributes:
        params: The simulator's parameters.
        cameras: Names of the cameras in the observation.
        observation_space: Of one environment.
        action_space: Of one environment.

    Raises:
        ParamsError: An argument is not legal; the message says what is.
    """

    def __init__(
        self,
        task: str = "pick_place",
        params: SimParams | Mapping[str, Any] | str | Path | None = None,
        reward: str | None = None,
        time_limit_s: float | None = None,
        max_episode_steps: int | None = None,
        normalize_actions: bool = False,
        cameras: str | Iterable[str] = (),
        observation_width: int = 96,
        observation_height: int = 96,
    ) -> None:
        objects = find(task, ParamsError).objects
        changes: dict[str, Any] = {} if reward is None else {"reward": reward}
        if time_limit_s is not None:
            changes["task"] = {"time_limit_s": time_limit_s}
        self.params = _shortened(params_file.changed(_read(params, task), changes, "gymnasium.make"), max_episode_steps)
        if (found := self.params.sim_task.task.name) != task:
            raise ParamsError(f"the environment is of the task {task!r}, and its parameters are of {found!r}")
        asked = (cameras,) if isinstance(cameras, str) else tuple(cameras)
        if asked:
            camera = {**_CAMERA, "width_px": observation_width, "height_px": observation_height}
            self.params = params_file.changed(self.params, {"cameras": dict.fromkeys(asked, camera)}, "gymnasium.make")
        self.cameras = tuple(self.params.cameras)
        keys, pictures = gym_keys(self.cameras), self.params.picture_features
        low, high = arm.LOWER.astype(np.float32), arm.UPPER.astype(np.float32)
        largest = np.array([BOUNDS[unit] for unit in objects.units], np.float32)
        boxes: dict[str, Any] = {
            STATE: spaces.Box(low - JOINT_MARGIN, high + JOINT_MARGIN),
            ENVIRONMENT_STATE: spaces.Box(-largest, largest),
        }
        boxes |= {name: spaces.Box(0, 255, feature.shape, np.uint8) for name, feature in pictures.items()}
        self.observation_space = spaces.Dict({key: boxes[name] for key, name in keys.items()})
        self._vectors = [(key, name, boxes[name].low, boxes[name].high) for key, name in keys.items() if name not in pictures]
        self._pixels = [(key, name) for key, name in keys.items() if name in pictures]
        self.action_space = spaces.Box(-1.0, 1.0, low.shape, np.float32) if normalize_actions else spaces.Box(low, high)
        self._denormalize = (low, (high - low) * np.float32(0.5)) if normalize_actions else None

    @property
    def max_steps(self) -> int:
        """Control steps until an episode is truncated."""
        return self.params.max_steps

    def targets(self, actions: ArrayLike, shape: tuple[int, ...]) -> Array:
        """Return the joint targets of actions, float32, `shape` [deg x 5, percent].

        Raises:
            ObservationError: The actions are not of that shape.
        """
        given = np.asarray(actions, np.float32)
        if given.shape != shape:
            raise ObservationError(f"{ACTION} has shape {given.shape}; it must be {shape}")
        if self._denormalize is None:
            return given
        low, half = self._denormalize
        targets: Array = low + (given + np.float32(1)) * half
        return targets

    def observation(self, features: Observation) -> dict[str, Any]:
        """Return features under Gymnasium's keys, vectors cut at the bounds of the space; of one or of n environments."""
        seen: dict[str, Any] = {
            key: np.minimum(np.maximum(features[name], low), high) for key, name, low, high in self._vectors
        }
        return seen | {key: features[name].copy() for key, name in self._pixels}

    def limited(self, spec: EnvSpec | None) -> EnvSpec | None:
        """Return a copy of `spec` that says the episode's limit."""
        limited = copy.copy(spec)
        if limited is not None:
            limited.max_episode_steps = self.max_steps
        return limited


class HasLimit:
    """What the environments, one or many, have alike: a `spec` that says the limit of an episode."""

    _interface: Interface
    _spec: EnvSpec | None = None

    @property
    def spec(self) -> EnvSpec | None:
        """How Gymnasium made it, with the limit of an episode."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        self._spec = self._interface.limited(spec)


def scene_seed(rng: np.random.Generator) -> int:
    """Draw the scene of an episode that was started without a seed, beyond all that `soarm.seeds` splits."""
    return int(rng.integers(2**30, 2**31))


def refuse_options(options: Mapping[str, Any] | None) -> None:
    """Refuse options of `reset`: there are none.

    Raises:
        ParamsError: Names them.
    """
    if options:
        raise ParamsError(
            f"reset was given the options {sorted(options)}; there are none. A scene follows from reset(seed=...); what it "
            "is drawn from is a parameter: gymnasium.make(..., params={'task': {'cube_angle_deg': [-20, 20]}})"
        )


def require_render_mode(mode: str | None, modes: Iterable[str]) -> None:
    """Refuse a render mode that there is not.

    Raises:
        ParamsError: Names those that there are.
    """
    if mode is not None and mode not in modes:
        raise ParamsError(f"render_mode is {mode!r}; allowed are {list(modes)} and None")


def _read(params: SimParams | Mapping[str, Any] | str | Path | None, task: str) -> SimParams:
    if isinstance(params, SimParams):
        return params
    if isinstance(params, str | Path):
        return params_file.load(Path(params), task).section("sim", SimParams)
    return params_file.changed(_packaged(task), {} if params is None else _lists(params), "params")


@functools.cache
def _packaged(task: str) -> SimParams:
    return params_file.load(params_file.packaged(), task).section("sim", SimParams)


def _lists(value: Any) -> Any:
    """Return a value with lists in place of tuples, as YAML and JSON have them."""
    if isinstance(value, Mapping):
        return {key: _lists(inner) for key, inner in value.items()}
    return [_lists(inner) for inner in value] if isinstance(value, list | tuple) else value


def _shortened(params: SimParams, max_episode_steps: int | None) -> SimParams:
    if max_episode_steps is None or max_episode_steps == params.max_steps:
        return params
    if not 1 <= max_episode_steps < params.max_steps:
        raise ParamsError(
            f"max_episode_steps is {max_episode_steps}; an episode has 1 to {params.max_steps} steps, "
            f"{params.task.time_limit_s} s at {params.control_hz} Hz: for longer ones pass time_limit_s"
        )
    limit_s = max_episode_steps / params.control_hz
    return dataclasses.replace(params, task=dataclasses.replace(params.task, time_limit_s=limit_s))
