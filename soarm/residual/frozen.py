"""The frozen base around the algorithm: in front of its environments, and out of its saved file."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from stable_baselines3 import TD3
from stable_baselines3.common.save_util import json_to_data, open_path
from stable_baselines3.common.type_aliases import GymEnv

from soarm.errors import CheckpointError
from soarm.policy import ChunkModel
from soarm.residual.feature_keys import with_feature_keys
from soarm.residual.vec_env import ResidualVecEnvWrapper
from soarm.spec import ENVIRONMENT_STATE, PolicySpec
from soarm.tasks.registry import find


def spec_of_both(base: PolicySpec, scale: Sequence[float]) -> PolicySpec:
    """Return the specification of base and residual: what the base observes, and the objects, which a residual always does.

    Args:
        base: That of the base.
        scale: Bound of the residual per joint, shape (6,) [deg x 5, percent].
    """
    objects = base.features.get(ENVIRONMENT_STATE, find(base.task).objects)
    features = {**base.features, ENVIRONMENT_STATE: objects}
    return dataclasses.replace(base, features=features, residual_scale=tuple(float(bound) for bound in scale))


def wrap_with_base(env: GymEnv, base: ChunkModel, spec: PolicySpec) -> ResidualVecEnvWrapper:
    """Return `env` wrapped with the base, unless it already is; its keys may be those of `gymnasium.make`.

    Raises:
        ParamsError: Its actions are not joint targets.
    """
    if isinstance(env, ResidualVecEnvWrapper):
        return env
    assert spec.residual_scale is not None
    return ResidualVecEnvWrapper(with_feature_keys(TD3._wrap_env(env)), base, spec, spec.residual_scale)


def base_of(path: Any) -> tuple[Any, PolicySpec]:
    """Build the base that a saved residual describes, its weights not yet loaded, and return it with the specification.

    Both are pickles, which run what they hold. A file that names neither is refused before anything in it is unpickled.

    Raises:
        CheckpointError: There is no such file, or it holds something else.
    """
    try:
        data = _described(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist; train a residual first: dvc repro train_residual") from None
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path} cannot be read as a saved residual: {error}. Train again: dvc repro train_residual"
        ) from None
    if not isinstance(data, dict) or not {"blueprint", "spec"} <= set(data):
        raise CheckpointError(f"{path} is a Stable-Baselines3 model, but not a residual: it holds no blueprint of a base")
    unpickled = json_to_data(json.dumps({name: data[name] for name in ("blueprint", "spec")}))
    return unpickled["blueprint"].build(), unpickled["spec"]


def _described(path: Any) -> Any:
    """Return what a saved model says of itself, nothing unpickled: name -> text, number, or a pickle as text."""
    with ExitStack() as stack:
        file = open_path(path, "r", suffix="zip")
        if file is not path:  # it was a path, not an open file
            stack.enter_context(file)
        return json.loads(stack.enter_context(zipfile.ZipFile(file)).read("data"))
