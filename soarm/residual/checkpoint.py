"""A training run of the residual on disk, to go on from after a kill as if nothing had happened.

One file holds all that the next step depends on: networks and optimisers, replay buffer, batches drawn for the next step,
running episodes with their chunks, exploration noise and Stable-Baselines3's global random streams. It is replaced whole or
not at all. It is a pickle, which runs what it holds: it is meant for the scratch folder of the training that wrote it.
"""

from __future__ import annotations

import io
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv

from soarm.errors import CheckpointError
from soarm.residual.replay import EpisodeReplayBuffer
from soarm.residual.td3bc import ResidualTD3BC
from soarm.residual.vec_env import ResidualVecEnvWrapper
from soarm.smallfile import replacing

_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts", "returns", "first")


def save(model: ResidualTD3BC, extra: Any, path: Path) -> None:
    """Write a run.

    Args:
        model: Between two calls to learn; its environments must be a `BatchVecEnv` with the base in front.
        extra: What else the caller wants back; picklable.
        path: The file.
    """
    assert isinstance(model.env, ResidualVecEnvWrapper)
    assert isinstance(model.replay_buffer, EpisodeReplayBuffer)
    model.sync_targets()
    saved = io.BytesIO()
    model.save(saved)
    state = {
        "model": saved.getvalue(),
        "replay": _pack(model.replay_buffer),
        "env": model.env.state(),
        "random": (random.getstate(), np.random.get_state(), torch.get_rng_state()),  # noqa: NPY002
        "batches": None if model.next_update is None else model.next_update.batches,
        "extra": extra,
    }
    with replacing(path) as file:
        pickle.dump(state, file, protocol=pickle.HIGHEST_PROTOCOL)


def restore(path: Path, env: VecEnv, device: torch.device | str) -> tuple[ResidualTD3BC, Any]:
    """Read what `save` wrote, and bring `env` to where it stood.

    Args:
        path: The file.
        env: A `BatchVecEnv` like the one of the saved run.
        device: Of torch.

    Returns:
        The model, whose `learn` goes on with `reset_num_timesteps=False`, and the caller's extra.

    Raises:
        CheckpointError: The file cannot be read, or the environments do not come back to where they stood.
    """
    try:
        with path.open("rb") as file:
            state = pickle.load(file)
        names = {"model", "replay", "env", "random", "batches", "extra"}
        if set(state) != names:
            raise ValueError(f"it holds {sorted(state)}, not {sorted(names)}")
    except (OSError, pickle.UnpicklingError, EOFError, AttributeError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be resumed from ({error}); remove it and train from the start") from error
    model = ResidualTD3BC.load(io.BytesIO(state["model"]), env=env, device=device, force_reset=False)
    assert isinstance(model.replay_buffer, EpisodeReplayBuffer)
    assert isinstance(model.env, ResidualVecEnvWrapper)
    assert isinstance(model._last_obs, np.ndarray)
    _unpack(state["replay"], model.replay_buffer)
    model.env.restore(state["env"], model._last_obs)
    if state["batches"] is not None:
        model.schedule(state["batches"], model._n_updates)
    python_state, numpy_state, torch_state = state["random"]
    random.setstate(python_state)
    np.random.set_state(numpy_state)  # noqa: NPY002
    torch.set_rng_state(torch_state)
    return model, state["extra"]


def _pack(buffer: EpisodeReplayBuffer) -> dict[str, Any]:
    n_filled = buffer.size()
    counters = {"pos": buffer.pos, "full": buffer.full, "ages": buffer.ages}
    return {**counters, **{name: getattr(buffer, name)[:n_filled] for name in _ARRAYS}}


def _unpack(packed: dict[str, Any], buffer: EpisodeReplayBuffer) -> None:
    buffer.pos, buffer.full, buffer.ages = packed["pos"], packed["full"], packed["ages"]
    for name in _ARRAYS:
        getattr(buffer, name)[: len(packed[name])] = packed[name]
