"""The residual's network and its files: raw residual observation in, residual in [-1, 1] out.

Knows nothing of reinforcement learning, so that evaluation and export need neither Stable-Baselines3 nor an environment, and
unpickle nothing: the weights are safetensors, the rest is JSON. What
an observation goes through before the first layer (`soarm.residual.encoder`) is part of the network.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from soarm import arm
from soarm.errors import CheckpointError
from soarm.params import build
from soarm.policy import Array
from soarm.residual.encoder import NOTHING_MASKED, ObservationEncoder, ObservationParams
from soarm.smallfile import load_json, shown
from soarm.spec import DEFAULT_TASK, PolicySpec

_MOST_HIDDEN = 8192
"""Greatest width of a hidden layer that is read."""
WEIGHTS, CONFIG = "actor.safetensors", "config.json"


class ResidualActor(nn.Module):
    """Residual per joint for a batch of residual observations.

    tanh bounds the output, and the last layer starts at exactly zero: an untrained actor is the base policy, to the bit
    (Ankile et al. 2025, arXiv 2509.19301).

    Args:
        hidden: Width of each hidden layer.
        layer_norm: Whether a LayerNorm follows each hidden linear layer.
        observation: What of the observation it is given.
        task: Name of the task, whose residual observations these are.
    """

    def __init__(
        self,
        hidden: Sequence[int],
        layer_norm: bool,
        observation: ObservationParams = NOTHING_MASKED,
        task: str | None = DEFAULT_TASK,
    ) -> None:
        super().__init__()
        self.hidden, self.layer_norm = tuple(hidden), layer_norm
        self.sight = ObservationEncoder(observation, task)  # the name is part of every file of weights
        sizes = [self.sight.n_features, *hidden]
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), *([nn.LayerNorm(n_out)] if layer_norm else []), nn.ReLU()]
        head = nn.Linear(sizes[-1], arm.N_JOINTS)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        self.net = nn.Sequential(*layers, head, nn.Tanh())

    def forward(self, residual_observation: Tensor) -> Tensor:
        """Return residuals in [-1, 1], shape (B, 6), for raw residual observations of shape (B, D)."""
        residual: Tensor = self.net(self.sight(residual_observation))
        return residual

    @torch.no_grad()
    def predict_residual(self, residual_observation: Array) -> Array:
        """As `forward`, from NumPy to NumPy (`soarm.policy.ResidualModel`)."""
        device = self.sight.mean.device
        residual: Array = self(torch.as_tensor(residual_observation, dtype=torch.float32, device=device)).cpu().numpy()
        return residual


def add_residual(base: Tensor, residual: Tensor, scale: Tensor) -> Tensor:
    """Return clip(base + scale * residual): the torch twin of `soarm.policy.add_residual`, with its shapes and units."""
    lower, upper = (torch.as_tensor(limit, dtype=base.dtype, device=base.device) for limit in (_LOWER, _UPPER))
    return torch.clamp(base + scale * residual, lower, upper)


def save(actor: ResidualActor, spec: PolicySpec, folder: Path) -> None:
    """Write `actor.safetensors` and `config.json`; equal actors give equal bytes.

    Args:
        actor: The network.
        spec: Its specification; `residual_scale` must be in it.
        folder: Where to; made if needed.
    """
    assert spec.residual_scale is not None, "a residual's specification holds its scale"
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "hidden": list(actor.hidden),
        "layer_norm": actor.layer_norm,
        "observation": dataclasses.asdict(actor.sight.params),
        "spec": spec.to_dict(),
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    save_file({key: value.detach().cpu().contiguous() for key, value in actor.state_dict().items()}, folder / WEIGHTS)


def load(folder: Path) -> tuple[ResidualActor, PolicySpec]:
    """Read what `save` wrote; the actor is in evaluation mode, on the CPU.

    Raises:
        CheckpointError: A file is missing or unreadable, or the weights are not those of the configuration.
    """
    remedy = "Train the residual again: dvc repro train_residual"
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder / name} does not exist; a residual is {CONFIG} and {WEIGHTS}. {remedy}")
    try:
        config = load_json(folder / CONFIG)
        hidden, layer_norm = config["hidden"], config["layer_norm"]
        widths = isinstance(hidden, list) and all(type(n) is int and 0 < n <= _MOST_HIDDEN for n in hidden)
        if not widths or not isinstance(layer_norm, bool):
            raise ValueError(
                f"hidden {shown(hidden)}, layer_norm {shown(layer_norm)}: widths in 1..{_MOST_HIDDEN}, and a flag"
            )
        spec = PolicySpec.from_dict(config["spec"])
        actor = ResidualActor(hidden, layer_norm, _observation_params(config), spec.task)
    except (ValueError, KeyError) as error:
        raise CheckpointError(f"{folder / CONFIG} is not a residual's configuration ({error!r}). {remedy}") from None
    if spec.residual_scale is None:
        raise CheckpointError(f"{folder / CONFIG} holds no residual_scale, so the bound of its residual is unknown. {remedy}")
    try:
        actor.load_state_dict(load_file(folder / WEIGHTS))
    except (SafetensorError, RuntimeError) as error:
        raise CheckpointError(f"{folder / WEIGHTS} does not hold the weights {CONFIG} describes: {error}. {remedy}") from None
    return actor.eval(), spec


def _observation_params(config: dict[str, Any]) -> ObservationParams:
    """Return what the actor is given of an observation; files of earlier versions have other keys for it."""
    if "observation" in config or not isinstance(config["sight"], dict):
        return build(ObservationParams, config["observation"], "observation")
    names = {"unseen": "masked_blocks", "magnified": "tanh_features"}
    return build(ObservationParams, {names.get(key, key): value for key, value in config["sight"].items()}, "sight")


_LOWER, _UPPER = arm.LOWER.astype(np.float32), arm.UPPER.astype(np.float32)
