"""Environments of `gymnasium.make` under LeRobot's feature keys, as the base and the residual name their observations."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from soarm import arm
from soarm.errors import ObservationError, ParamsError
from soarm.spec import as_features


def with_feature_keys(venv: VecEnv) -> VecEnv:
    """Return environments whose observations have feature keys: `venv` itself where they do.

    Raises:
        ParamsError: Its actions are not joint targets.
    """
    if not np.array_equal(getattr(venv.action_space, "low", 0.0), arm.LOWER.astype(np.float32)):
        raise ParamsError(
            f"the environments take actions in {venv.action_space}; a residual corrects joint targets [deg x 5, percent]: "
            "make them with normalize_actions=False, which is the default"
        )
    space = venv.observation_space
    return _FeatureKeys(venv) if isinstance(space, spaces.Dict) and as_features(space.spaces).keys() != space.keys() else venv


def refuse_raw(observation: Any) -> None:
    """Refuse an environment's observation where the residual's own is needed.

    Raises:
        ObservationError: Says what to use instead.
    """
    if isinstance(observation, dict):
        raise ObservationError(
            f"predict was given the environment's observation ({', '.join(observation)}); a residual also sees what its base "
            "is about to do. For joint targets use soarm.residual.controller.ResidualController(model.base_model, "
            "model.policy.actor.mu, model.spec, n_rows), which plays the base and adds the residual; or take observations "
            "from model.get_env()"
        )


class _FeatureKeys(VecEnvWrapper):
    def __init__(self, venv: VecEnv) -> None:
        assert isinstance(venv.observation_space, spaces.Dict)
        super().__init__(venv, spaces.Dict(as_features(venv.observation_space.spaces)))

    def reset(self) -> Any:
        observation: Any = self.venv.reset()
        return as_features(observation)

    def step_wait(self) -> Any:
        observation: Any
        observation, rewards, dones, infos = self.venv.step_wait()
        for row in np.flatnonzero(dones):
            infos[row]["terminal_observation"] = as_features(infos[row]["terminal_observation"])
        return as_features(observation), rewards, dones, infos
