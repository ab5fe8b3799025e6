"""A trained ACT on disk: `config.json` (sizes and specification) and `model.safetensors` (weights and normalisation).

Both files are the same bytes for the same network, so a pipeline can compare them by hash. The training state, which a run is
resumed from, is another file (`soarm.act.training`).
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from soarm import params
from soarm.act.config import ACTConfig
from soarm.act.model import ACT, Blueprint
from soarm.errors import CheckpointError, ParamsError, SmallFileError, SpecMismatchError
from soarm.smallfile import load_json, write_atomically
from soarm.spec import PolicySpec

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
_TYPE = "soarm.act"


def save(model: ACT, folder: Path) -> None:
    """Write `model` into `folder`, which is made if need be; a file is replaced whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"type": _TYPE, "network": dataclasses.asdict(model.config), "spec": model.spec.to_dict()}
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_atomically(folder / WEIGHTS_FILE, to_bytes(weights), CheckpointError)
    write_atomically(folder / CONFIG_FILE, json.dumps(config, indent=2) + "\n", CheckpointError)


def load(folder: Path) -> ACT:
    """Read what `save` wrote.

    Returns:
        The network on the CPU, in evaluation mode.

    Raises:
        CheckpointError: A file is missing, truncated, or not of this network.
    """
    model = _read_blueprint(folder / CONFIG_FILE).build()
    path = folder / WEIGHTS_FILE
    _require_file(path)
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is truncated or not a safetensors file ({error}); {_REMEDY}") from error
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    faults = [
        f"{name}: {found.get(name, 'missing')} in the file, {expected.get(name, 'nothing')} in the network of {CONFIG_FILE}"
        for name in sorted(expected.keys() | found.keys())
        if expected.get(name) != found.get(name)
    ]
    if faults:
        more = f"\n  and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise CheckpointError(
            f"{path} holds the weights of another network:\n  " + "\n  ".join(faults[:5]) + f"{more}\n{_REMEDY}"
        )
    model.load_state_dict(weights)
    return model.eval()


def _read_blueprint(path: Path) -> Blueprint:
    _require_file(path)
    try:
        data = load_json(path)
    except SmallFileError as error:
        raise CheckpointError(f"{path} is truncated or not a checkpoint's configuration: it {error}; {_REMEDY}") from None
    if data.get("type") != _TYPE or not {"network", "spec"} <= set(data):
        raise CheckpointError(
            f"{path} does not describe an ACT of soarm: it needs type {_TYPE!r}, network and spec; {_REMEDY}"
        )
    try:
        blueprint = Blueprint(
            params.build(ACTConfig, data["network"], where=f"{path}: network"), PolicySpec.from_dict(data["spec"])
        )
        blueprint.build()
    except (ParamsError, SpecMismatchError) as error:
        raise CheckpointError(f"{path} describes a network that cannot be built: {error}\n{_REMEDY}") from error
    return blueprint


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise CheckpointError(
            f"{path} does not exist; a checkpoint of ACT is a folder with {CONFIG_FILE} and {WEIGHTS_FILE}. {_REMEDY}"
        )


_REMEDY = "train it again with `dvc repro train_act`, or copy the whole folder again."
