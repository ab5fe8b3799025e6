"""Writing a base as LeRobot's ACT, which LeRobot 0.4 and later loads, runs and trains on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save as to_bytes
from torch import Tensor

from soarm.act.config import INPUTS
from soarm.act.layers import sinusoidal_positions
from soarm.act.model import ACT
from soarm.base import BasePolicy
from soarm.errors import CheckpointError
from soarm.lerobot import layout
from soarm.lerobot.layout import CONFIG_FILE, SPEC_FILE, WEIGHTS_FILE, kind_of
from soarm.smallfile import write_atomically
from soarm.spec import ACTION, STATE

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
    features = {key: {"type": kind_of(key), "shape": list(base.spec.features[key].shape)} for key in (*base.inputs, ACTION)}
    modes = {str(kind_of(key)): layout.MEAN_STD for key in features}
    config = {
        "type": "act",
        "n_obs_steps": 1,
        "input_features": {key: features[key] for key in base.inputs},
        "output_features": {ACTION: features[ACTION]},
        "device": _DEVICE,
        "normalization_mapping": modes,
        "pretrained_backbone_weights": None,
        "pre_norm": False,
        "feedforward_activation": "relu",
        **dataclasses.asdict(base.config),
    }
    folder.mkdir(parents=True, exist_ok=True)
    own = base.state_dict()
    weights = {f"{layout.PREFIX}{name}": tensor for name, tensor in own.items() if not name.startswith("standardise_")}
    if base.config.use_vae:
        positions = sinusoidal_positions(2 + base.config.chunk_size, base.config.dim_model)
        weights[f"{layout.PREFIX}{layout.RECOMPUTED}"] = positions[None]
    _save(folder / WEIGHTS_FILE, weights)
    statistics: dict[str, Tensor] = {}
    for key in (*base.inputs, ACTION):
        name = "action" if key == ACTION else INPUTS[key][1]
        mean, std = own[f"standardise_{name}.mean"], own[f"standardise_{name}.std"]
        statistics |= {f"{key}.mean": mean, f"{key}.std": std if key == ACTION else std - layout.EPS}
    normalisation = {"eps": layout.EPS, "features": features, "norm_map": modes}
    to_device: _Step = ("device_processor", {"device": _DEVICE, "float_dtype": None})
    before: list[_Step] = [("rename_observations_processor", {"rename_map": {}}), ("to_batch_processor", {}), to_device]
    _pipeline(folder, layout.PREPROCESSOR, [*before, (layout.NORMALIZER, normalisation)], statistics)
    _pipeline(folder, layout.POSTPROCESSOR, [(layout.UNNORMALIZER, normalisation), to_device], statistics)
    write_atomically(folder / SPEC_FILE, json.dumps(base.spec.to_dict(), indent=2) + "\n", CheckpointError)
    write_atomically(folder / CONFIG_FILE, json.dumps(config, indent=4) + "\n", CheckpointError)


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
