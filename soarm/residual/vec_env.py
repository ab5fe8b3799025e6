"""The environments as Stable-Baselines3 wants them: a `VecEnv` over a `BatchEnv`, and the frozen base in front of it.

`BatchVecEnv` knows scenes, episodes and resets. `ResidualVecEnvWrapper` knows the base: it plays the chunks, shows the
residual what the base is about to do, and executes the sum. Both can be frozen to a state and continued from it, bit for
bit, because what happens in a row depends on its seed and its actions only.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices

from soarm import arm
from soarm.chunking import Step
from soarm.errors import CheckpointError
from soarm.lazy import stack
from soarm.policies import ChunkedPolicy
from soarm.policy import Array, ChunkModel, Observation, Rows, add_residual, require_finite
from soarm.rollout import BatchEnv
from soarm.spec import ACTION, PolicySpec
from soarm.tasks.registry import find
from soarm.tasks.residual_observation import N_LOOKAHEAD

VecStep = tuple[Any, NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]


@dataclasses.dataclass
class VecState:
    """Where a `BatchVecEnv` stands: per row the running scene's seed and the actions so far, and the next seed's place."""

    seeds: list[int]
    actions: list[list[Array]]
    rewards: list[float]
    next_seed: int


class BatchVecEnv(VecEnv):
    """All rows of a `BatchEnv`, always running: a row that ends starts the next scene at once.

    At the end of an episode `info` holds `terminal_observation`, `TimeLimit.truncated`, `is_success` and `episode` (return `r`
    and length `l`, as Stable-Baselines3's Monitor writes them).

    Args:
        env: The environments.
        spec: Names the observations.
        scene_seeds: Scenes to draw, in order; taken from the front again when they run out.
        max_steps: Control steps after which an episode is truncated, if its own time limit does not come first.
    """

    def __init__(self, env: BatchEnv, spec: PolicySpec, scene_seeds: Sequence[int], max_steps: int | None = None) -> None:
        observed: dict[str, spaces.Space[Any]] = {
            key: _unbounded(feature.shape) for key, feature in spec.features.items() if key != ACTION
        }
        low, high = arm.LOWER.astype(np.float32), arm.UPPER.astype(np.float32)
        super().__init__(env.n_rows, spaces.Dict(observed), spaces.Box(low, high))
        self._env = env
        self._scene_seeds = scene_seeds
        self._max_steps = max_steps
        self._all: Rows = np.arange(env.n_rows, dtype=np.intp)
        self._state = VecState([0] * env.n_rows, [[] for _ in self._all], [0.0] * env.n_rows, 0)
        self._pending: Array | None = None

    def reset(self) -> Observation:  # type: ignore[override]
        """Start the next scene in every row."""
        return dict(self._start(self._all))

    def step_async(self, actions: Array) -> None:
        """Note joint targets, shape (n, 6)."""
        self._pending = np.asarray(actions, np.float32)

    def step_wait(self) -> VecStep:
        """Execute them."""
        assert self._pending is not None, "step_async comes first"
        actions, self._pending = self._pending, None
        result = self._env.step(actions, self._all)
        observation = dict(result.observation)
        infos: list[dict[str, Any]] = [{} for _ in self._all]
        for i in self._all:
            self._state.actions[i].append(actions[i])
            self._state.rewards[i] += float(result.reward[i])
        done = result.terminated | result.truncated
        if self._max_steps is not None:
            done |= np.array([len(actions) >= self._max_steps for actions in self._state.actions])
        ended = np.flatnonzero(done)
        for i in ended:
            infos[i] = {
                "terminal_observation": {key: value[i].copy() for key, value in observation.items()},
                "TimeLimit.truncated": not bool(result.terminated[i]),
                "is_success": bool(result.info["is_success"][i]),
                "episode": {"r": self._state.rewards[i], "l": len(self._state.actions[i])},
            }
        if len(ended):
            for key, fresh in self._start(ended).items():
                observation[key] = observation[key].copy()
                observation[key][ended] = fresh
        return observation, result.reward.astype(np.float32), done, infos

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Leave the scenes as they are.

        Stable-Baselines3 seeds its environments with the algorithm's seed; here that would train on the scenes of another
        split. The scenes are those given at construction.
        """
        return [None] * self.num_envs

    def state(self) -> VecState:
        """Return where the environments stand."""
        return copy.deepcopy(self._state)

    def restore(self, state: VecState) -> Observation:
        """Bring the rows to where `state` was taken, by playing its actions again, and return their observations.

        Raises:
            CheckpointError: The state is of another number of rows.
        """
        if len(state.seeds) != self.num_envs:
            raise CheckpointError(
                f"the checkpoint has {len(state.seeds)} environments, this run {self.num_envs}; "
                "set n_envs as it was, or remove the checkpoint"
            )
        self._state = copy.deepcopy(state)
        observation = {key: value.copy() for key, value in self._env.reset(self._all, state.seeds).items()}
        lengths = np.array([len(actions) for actions in state.actions])
        for t in range(int(lengths.max())):
            rows: Rows = np.flatnonzero(lengths > t)
            result = self._env.step(np.stack([state.actions[row][t] for row in rows]), rows)
            for key, value in result.observation.items():
                observation[key][rows] = value
        return observation

    def _start(self, rows: Rows) -> Observation:
        for row in rows:
            self._state.seeds[row] = self._scene_seeds[self._state.next_seed % len(self._scene_seeds)]
            self._state.next_seed += 1
            self._state.actions[row] = []
            self._state.rewards[row] = 0.0
        return self._env.reset(rows, [self._state.seeds[row] for row in rows])

    def close(self) -> None:
        """Nothing to close: the environments belong to the caller."""

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute once per row; there is no renderer here."""
        value = None if attr_name == "render_mode" else getattr(self._env, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the batch."""
        setattr(self._env, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of the batch, once, and return its result once per row."""
        result = getattr(self._env, method_name)(*method_args, **method_kwargs)
        return [result for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[Any], indices: VecEnvIndices = None) -> list[bool]:
        """Say yes to Monitor, whose `episode` entries are written here; no row has a wrapper of its own."""
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]


class ResidualVecEnvWrapper(VecEnvWrapper):
    """The frozen base in front of environments with the features of its specification.

    | space | content | range |
    |---|---|---|
    | observation | `Task.residual_observation`: task, base action, chunk phase, look-ahead | raw units |
    | action | residual in units of its bound, per joint | [-1, 1] |

    Executed is clip(base + scale * residual). At the end of an episode `terminal_observation` is augmented too, with the base
    action the running chunk would have given: the value of a state cut by the time limit needs it.

    Args:
        venv: Environments with `Dict` observations.
        base: The frozen base.
        spec: Its specification.
        scale: Bound of the residual per joint, shape (6,) [deg x 5, percent].

    Attributes:
        task: Name of the task.
    """

    def __init__(self, venv: VecEnv, base: ChunkModel, spec: PolicySpec, scale: Sequence[float]) -> None:
        self.task, self._features = spec.task, find(spec.task).residual_observation
        action_space = spaces.Box(-1.0, 1.0, (arm.N_JOINTS,), np.float32)
        super().__init__(venv, _unbounded((self._features.dim,)), action_space)
        self._base = ChunkedPolicy(base, spec, venv.num_envs, N_LOOKAHEAD, block=None)
        self._scale = np.asarray(scale, np.float32)
        self._rows: Rows = np.arange(venv.num_envs, dtype=np.intp)
        self._action: Array = np.zeros((venv.num_envs, arm.N_JOINTS), np.float32)

    def reset(self) -> Array:
        """Start an episode in every row."""
        observation: Any = self.venv.reset()
        self._base.player.reset(self._rows)
        return self._advance(observation)

    def step_async(self, actions: Array) -> None:
        """Execute base and residual, shape (n, 6) in [-1, 1]."""
        self.venv.step_async(add_residual(self._action, actions, self._scale))

    def step_wait(self) -> VecStep:
        """Return the step, in the residual's observations."""
        observation: Any
        observation, rewards, dones, infos = self.venv.step_wait()
        ended = np.flatnonzero(dones)
        if len(ended):  # look at the old chunks before they are dropped
            last = {key: stack([infos[i]["terminal_observation"][key] for i in ended]) for key in observation}
            step = self._base.peek(last, ended)
            for i, augmented in zip(ended, self._features.compute(last, step), strict=True):
                infos[i]["terminal_observation"] = augmented
            self._base.player.reset(ended)
        return self._advance(observation), rewards, dones, infos

    def state(self) -> tuple[VecState, Any]:
        """Return where environments and chunks stand; the environments must be a `BatchVecEnv`."""
        assert isinstance(self.venv, BatchVecEnv)
        return self.venv.state(), (copy.deepcopy(self._base.player), self._action.copy())

    def restore(self, state: tuple[VecState, Any], last_observation: Array) -> None:
        """Continue from a state.

        Args:
            state: What `state` returned.
            last_observation: The observation returned last before it was taken, shape (n, D).

        Raises:
            CheckpointError: The environments do not come back to that observation.
        """
        assert isinstance(self.venv, BatchVecEnv)
        vec_state, (player, action) = state
        observation = self.venv.restore(vec_state)
        self._base.player, self._action = copy.deepcopy(player), action.copy()
        # The chunks have already been advanced to this observation; its raw parts come first and must be the same bits.
        nothing = Step(
            self._action, np.zeros(len(action), np.float32), np.zeros((len(action), N_LOOKAHEAD, arm.N_JOINTS), np.float32)
        )
        raw = self._features.compute(observation, nothing)
        n_raw = self._features.base_action.start
        if not np.array_equal(raw[:, :n_raw], last_observation[:, :n_raw]):
            raise CheckpointError(
                "playing the recorded actions again does not lead to the recorded observations: the simulation has changed "
                "since the checkpoint was written. Remove the checkpoint and train from the start."
            )

    def _advance(self, observation: Observation) -> Array:
        step = self._base.advance(observation, self._rows)
        self._action = step.action
        augmented = self._features.compute(observation, step)
        require_finite("the residual's observation", augmented)
        return augmented


def _unbounded(shape: tuple[int, ...]) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, shape, np.float32)
