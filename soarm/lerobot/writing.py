"""Writing a base as LeRobot's ACT, which LeRobot 0.4 and later loads, runs and trains on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from soarm.act.model import ACT
from soarm.base import BasePolicy
from soarm.errors import CheckpointError
from soarm.lerobot import layout
from soarm.lerobot.layout import CONFIG_FILE, SPEC_FILE, WEIGHTS_FILE, kind_of
from soarm.smallfile import write_atomically
from soarm.spec import ACTION, STATE, Feature

_DEVICE = "cpu"
"""Where LeRobot runs it unless it is told otherwise (`--policy.device=cuda`)."""
_Step = tuple[str, Mapping[str, Any]]
"""Name and configuration of a processor step."""


def write_policy(base: BasePolicy, folder: Path) -> None:
    """Write LeRobot's files of a policy into `folder`, which is made if need be.

    Values are in the units of the specification: degrees, and percent of the gripper's opening. LeRobot's own SO followers
    give those where `use_degrees` is true, as it is by default since 0.4.4.

    Raises:
        CheckpointError: LeRobot has no such policy.
    """
    if not isinstance(base, ACT):
        raise CheckpointError(f"the base is a {type(base).__name__}; LeRobot's layout is written of ACT alone")
    if base.inputs == (STATE,):
        raise CheckpointError(
            f"the base observes {STATE} alone; LeRobot's ACT needs the environment state or a camera as well. Train on a "
            "dataset that has one of them"
        )
    if base.cameras and (base.config.vision_backbone != "resnet18" or base.has_perception):
        tokens = "one token for all cameras" if base.has_perception else "a token per cell"
        raise CheckpointError(
            f"the base looks at pictures with the trunk {base.config.vision_backbone!r} and {tokens}; LeRobot's ACT has "
            "resnet18 and a token per cell. Train it with train_act.network.vision_backbone: resnet18 and perception: null"
        )
    features = {key: _feature(key, base.spec.features[key]) for key in (*base.inputs, ACTION)}
    modes = {str(kind_of(key)): layout.MEAN_STD for key in features}
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor for name, tensor in base.state_dict().items() if not name.startswith("standardise_")}
    if base.config.use_vae:
        weights[layout.RECOMPUTED] = base.vae_encoder_pos_enc[None]
    _save(folder / WEIGHTS_FILE, {f"{layout.PREFIX}{name}": tensor for name, tensor in weights.items()})
    normalisation = {"eps": layout.EPS, "features": features, "norm_map": modes}
    to_device: _Step = ("device_processor", {"device": _DEVICE, "float_dtype": None})
    before: list[_Step] = [("rename_observations_processor", {"rename_map": {}}), ("to_batch_processor", {}), to_device]
    statistics = _statistics(base)
    _pipeline(folder, layout.PREPROCESSOR, [*before, (layout.NORMALIZER, normalisation)], statistics)
    _pipeline(folder, layout.POSTPROCESSOR, [(layout.UNNORMALIZER, normalisation), to_device], statistics)
    write_atomically(folder / SPEC_FILE, json.dumps(base.spec.to_dict(), indent=2) + "\n", CheckpointError)
    config = {
        "type": "act",
        "n_obs_steps": 1,
        "input_features": {key: features[key] for key in base.inputs},
        "output_features": {ACTION: features[ACTION]},
        "device": _DEVICE,
        "normalization_mapping": modes,
        "pre_norm": False,
        "feedforward_activation": "relu",
        **dataclasses.asdict(base.config),
        "vision_backbone": "resnet18",
        "pretrained_backbone_weights": None,
    }
    del config["freeze_backbone"], config["perception"]  # LeRobot trains all of it
    write_atomically(folder / CONFIG_FILE, json.dumps(config, indent=4) + "\n", CheckpointError)


def _feature(key: str, feature: Feature) -> dict[str, Any]:
    """Return LeRobot's description of a feature: a picture's channels come first there."""
    *sizes, last = feature.shape
    return {"type": kind_of(key), "shape": [last, *sizes]}


def _statistics(base: ACT) -> dict[str, Tensor]:
    """Return the normalisation under LeRobot's names; of inputs less what LeRobot adds to their deviations."""
    found: dict[str, Tensor] = {}
    for key in (*base.inputs, ACTION):
        shape = (-1, 1, 1) if key in base.cameras else (-1,)
        mean, std = (torch.tensor(side[key]).view(shape) for side in (base.statistics.mean, base.statistics.std))
        found |= {f"{key}.mean": mean, f"{key}.std": std if key == ACTION else std - layout.EPS}
    return found


def _pipeline(folder: Path, name: str, steps: list[_Step], statistics: Mapping[str, Tensor]) -> None:
    """Write a pipeline of processor steps, and the statistics of the one that normalises beside it."""
    written = []
    for i, (step, config) in enumerate(steps):
        entry = {"registry_name": step, "config": config}
        if step in (layout.NORMALIZER, layout.UNNORMALIZER):
            entry["state_file"] = f"{name}_step_{i}_{step}.safetensors"
            _save(folder / str(entry["state_file"]), statistics)
        written.append(entry)
    write_atomically(folder / f"{name}.json", json.dumps({"name": name, "steps": written}, indent=2) + "\n", CheckpointError)


def _save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    content = to_bytes({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, {"format": "pt"})
    write_atomically(path, content, CheckpointError)
