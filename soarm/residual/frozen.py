"""The frozen base around the algorithm: in front of its environments, and out of its saved file."""

from __future__ import annotations

import zipfile
from typing import Any

import torch
from stable_baselines3 import TD3
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.type_aliases import GymEnv

from soarm.errors import CheckpointError
from soarm.policy import ChunkModel
from soarm.residual.vec_env import ResidualVecEnvWrapper
from soarm.spec import PolicySpec


def in_front_of(env: GymEnv, base: ChunkModel, spec: PolicySpec) -> ResidualVecEnvWrapper:
    """Return `env` with the base in front of it, unless it already is."""
    if isinstance(env, ResidualVecEnvWrapper):
        return env
    assert spec.residual_scale is not None
    return ResidualVecEnvWrapper(TD3._wrap_env(env), base, spec, spec.residual_scale)


def base_of(path: Any, device: torch.device | str) -> tuple[Any, PolicySpec]:
    """Build the base that a saved residual describes, its weights not yet loaded, and return it with the specification.

    Raises:
        CheckpointError: There is no such file, or it holds something else.
    """
    try:
        data, _, _ = load_from_zip_file(path, device=device)
    except (FileNotFoundError, ValueError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path} cannot be read as a saved residual: {error}. Train again: dvc repro train_residual"
        ) from None
    if data is None or not {"blueprint", "spec"} <= set(data):
        raise CheckpointError(f"{path} is a Stable-Baselines3 model, but not a residual: it holds no blueprint of a base")
    return data["blueprint"].build(), data["spec"]
