"""The normalisation that LeRobot keeps beside the weights: a step in each of two pipelines, or buffers up to 0.3."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from soarm.errors import CheckpointError
from soarm.lerobot.layout import (
    EPS,
    IDENTITY,
    MEAN_STD,
    NORMALIZER,
    PASSING,
    POSTPROCESSOR,
    PREPROCESSOR,
    UNNORMALIZER,
    kind_of,
)
from soarm.smallfile import read_json, shown
from soarm.spec import ACTION

REMEDY = "Copy the whole folder again: `pretrained_model`, as `lerobot-train` writes it."


@dataclasses.dataclass(frozen=True)
class Normalisation:
    """How LeRobot normalises observations, or actions.

    Attributes:
        modes: Type of a feature ("STATE") -> mode; a feature of a type that is not there is left as it is.
        statistics: "<feature>.mean" and "<feature>.std" -> tensor.
        eps: Added to the standard deviation.
    """

    modes: Mapping[str, str]
    statistics: Mapping[str, Tensor]
    eps: float

    def affine(self, key: str, size: int, faults: list[str]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return what is subtracted from a feature and what it is divided by, and note in `faults` what stands in the way.

        Args:
            key: The feature.
            size: Elements that have statistics of their own: those of a vector, the channels of a picture.
            faults: Gets a line where this is not done here.
        """
        mode = self.modes.get(str(kind_of(key)), IDENTITY)
        mean, std = (self.statistics.get(f"{key}.{name}") for name in ("mean", "std"))
        if mode not in (MEAN_STD, IDENTITY):
            faults.append(f"the normalisation of {key} is {shown(mode)}; allowed are {MEAN_STD} and {IDENTITY}")
        elif mode == MEAN_STD and mean is not None and std is not None:
            if mean.numel() == std.numel() == size:
                return tuple(mean.float().flatten().tolist()), tuple((std.float().flatten() + self.eps).tolist())
            faults.append(f"the statistics of {key} have {mean.numel()} and {std.numel()} elements; it has {size}")
        return (0.0,) * size, (1.0,) * size  # as LeRobot, which leaves alone what has no statistics


def read(
    folder: Path, config: Mapping[str, Any], weights: Mapping[str, Tensor], keys: Iterable[str]
) -> tuple[Normalisation, Normalisation]:
    """Return how observations and how actions are normalised.

    Args:
        folder: Of the policy.
        config: Its configuration.
        weights: Its weights; up to LeRobot 0.3 the statistics are among them.
        keys: Its features.

    Raises:
        CheckpointError: A file is missing or damaged, or a pipeline has a step that is not done here.
    """
    if (folder / f"{PREPROCESSOR}.json").is_file():
        return _step(folder, PREPROCESSOR, NORMALIZER, EPS), _step(folder, POSTPROCESSOR, UNNORMALIZER, 0.0)
    if not any(name.startswith("normalize_inputs.") for name in weights):
        raise CheckpointError(
            f"{folder} does not say how features are normalised: it has no {PREPROCESSOR}.json, as LeRobot writes "
            f"since 0.4, nor the buffers `normalize_inputs` of before among its weights. {REMEDY}"
        )
    modes, wanted = config.get("normalization_mapping", {}), [(key, name) for key in keys for name in ("mean", "std")]

    def buffers(module: str) -> dict[str, Tensor]:
        places = {f"{key}.{name}": f"{module}.buffer_{key.replace('.', '_')}.{name}" for key, name in wanted}
        return {name: weights[place] for name, place in places.items() if place in weights}

    return Normalisation(modes, buffers("normalize_inputs"), EPS), Normalisation(modes, buffers("unnormalize_outputs"), 0.0)


def _step(folder: Path, pipeline: str, wanted: str, eps: float) -> Normalisation:
    """Read the one step of a pipeline that changes numbers.

    Raises:
        CheckpointError: There is none, or another that does so as well.
    """
    path = folder / f"{pipeline}.json"
    steps = read_json(path, CheckpointError, REMEDY, what="a processor pipeline of LeRobot's").get("steps")
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise CheckpointError(f"{path} has steps {shown(steps)}; they must be a list of objects. {REMEDY}")
    found, faults = [], []
    for step in steps:
        name = step.get("registry_name", step.get("class"))
        if name == wanted:
            found.append(step)
        elif name not in PASSING or step.get("config", {}).get("rename_map"):
            faults.append(f"{name} with {shown(step.get('config'))}")
    if faults or len(found) != 1:
        raise CheckpointError(
            f"{path} does more, or less, than is done here: {len(found)} steps {wanted}"
            + "".join(f", {fault}" for fault in faults)
            + f". Allowed are one {wanted}, and {', '.join(PASSING)} without renaming."
        )
    config = found[0].get("config", {})
    kept = config.get("normalize_observation_keys")
    tensors = load(folder / str(found[0]["state_file"])) if "state_file" in found[0] else {}
    if kept is not None:
        tensors = {name: tensor for name, tensor in tensors.items() if name.rpartition(".")[0] in (*kept, ACTION)}
    return Normalisation(config.get("norm_map", {}), tensors, float(config.get("eps", EPS)) if eps else 0.0)


def load(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        CheckpointError: It is missing or damaged.
    """
    try:
        tensors: dict[str, torch.Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is missing, truncated or not a safetensors file ({error}). {REMEDY}") from error
    return tensors
