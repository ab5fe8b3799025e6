"""An eye on disk: `config.json` (task, sizes, cameras) and `eye.safetensors`; equal eyes give equal bytes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from soarm import params
from soarm.errors import CheckpointError, ParamsError, SmallFileError, SpecMismatchError
from soarm.estimation import Estimator
from soarm.eye.network import Eye, EyeConfig
from soarm.smallfile import load_json, write_atomically
from soarm.spec import Feature
from soarm.tasks.registry import find
from soarm.vision.perception import EYE_FILE

CONFIG_FILE, WEIGHTS_FILE = "config.json", EYE_FILE
_REMEDY = "train it again with `dvc repro train_eye`, or copy the whole folder again."


def save(eye: Eye, folder: Path) -> None:
    """Write an eye into an existing folder.

    Raises:
        CheckpointError: A file cannot be written.
    """
    config = {
        "task": eye.questions.task.name,
        "network": dataclasses.asdict(eye.config),
        "cameras": {name: list(feature.shape[:2]) for name, feature in eye.cameras.items()},
    }
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in eye.state_dict().items()}
    write_atomically(folder / WEIGHTS_FILE, to_bytes(weights), CheckpointError)
    write_atomically(folder / CONFIG_FILE, json.dumps(config, indent=2) + "\n", CheckpointError)


def load(folder: Path) -> Eye:
    """Read what `save` wrote; the eye is in evaluation mode, on the CPU.

    Raises:
        CheckpointError: A file is missing or unreadable, or the weights are not those of the configuration.
    """
    config_file, weights_file = folder / CONFIG_FILE, folder / WEIGHTS_FILE
    for path in (config_file, weights_file):
        if not path.is_file():
            raise CheckpointError(f"{path} does not exist; an eye is {CONFIG_FILE} and {WEIGHTS_FILE}: {_REMEDY}")
    try:
        config = load_json(config_file)
        network = params.build(EyeConfig, config["network"], where=f"{config_file}: network")
        cameras = {name: Feature.image(*size) for name, size in config["cameras"].items()}
        eye = Eye(network, find(config["task"]), cameras)
    except (SmallFileError, ParamsError, SpecMismatchError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{config_file} is not an eye's configuration ({error!r}); {_REMEDY}") from None
    try:
        eye.load_state_dict(load_file(weights_file))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise CheckpointError(
            f"{weights_file} does not hold the weights that {CONFIG_FILE} describes: {error}; {_REMEDY}"
        ) from None
    return eye.eval()


def load_estimator(folder: Path) -> Estimator:
    """Return the eye of a folder as an estimator; see `load`."""
    eye = load(folder)
    return Estimator(eye, eye.questions.task, list(eye.cameras))
