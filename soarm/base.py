"""A base policy predicts chunks of actions from observations: its interface, and its checkpoint on disk.

After its training a base is evaluated, frozen under a residual and exported through this interface alone. `load_base` reads
the `"type"` of a checkpoint and finds the module that builds such a base in `BASES`, so that a policy beside ACT needs its own
files and one line there.

A checkpoint is `config.json` (type, sizes of the network, specification) and `model.safetensors` (weights and normalisation).
Both files are the same bytes for the same network, so a pipeline can compare them by hash.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from soarm import params
from soarm.errors import CheckpointError, ParamsError, SmallFileError, SpecMismatchError
from soarm.policy import Array, ChunkModel
from soarm.smallfile import load_json, shown, write_atomically
from soarm.spec import Feature, PolicySpec

BASES = {"soarm.act": "soarm.act.model"}
"""Type of a checkpoint -> the module whose class `Blueprint` builds the base; it is imported when such a base is loaded."""

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
_REMEDY = "train it again with `dvc repro train_act`, or copy the whole folder again."


class Pictures(Protocol):
    """The pictures of one camera in random access: from memory, a cache or a video.

    Attributes:
        shape: Of one picture, (height, width, 3).
    """

    @property
    def shape(self) -> tuple[int, int, int]: ...  # noqa: D102
    def __len__(self) -> int: ...
    def gather(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the pictures of `rows`, shape (B, H, W, 3); rows count over all episodes, as in `Demonstrations.columns`."""


class Demonstrations(Protocol):
    """Demonstrations as the training of a base reads them; `soarm.dataset.reader.Dataset` is such an object.

    Attributes:
        columns: Feature key -> rows of all episodes, one after the other, shape (N, n) float32.
        pictures: Feature key of a camera -> its N pictures.
        episode_starts: First row of each episode, and N, shape (E + 1,).
        fps: Rows per second.
        features: Feature key -> names, units and shape.
        hash: Hash of the content.
    """

    @property
    def columns(self) -> Mapping[str, Array]: ...  # noqa: D102
    @property
    def pictures(self) -> Mapping[str, Pictures]: ...  # noqa: D102
    @property
    def episode_starts(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def fps(self) -> int: ...  # noqa: D102
    @property
    def features(self) -> Mapping[str, Feature]: ...  # noqa: D102
    @property
    def hash(self) -> str: ...  # noqa: D102


class Blueprint(Protocol):
    """A blueprint builds a base without its weights; it is a frozen dataclass, picklable.

    Attributes:
        config: Sizes of the network; of a base with checkpoints a dataclass that `soarm.params.build` reads.
        spec: Features and chunking.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def config(self) -> Any: ...  # noqa: D102
    @property
    def spec(self) -> PolicySpec: ...  # noqa: D102
    def build(self) -> BasePolicy:
        """Return an untrained base; `load_state_dict` brings weights and normalisation."""


class BasePolicy(ChunkModel, Protocol):
    """A base is a `torch.nn.Module` that predicts chunks, and that can be built again, saved and exported.

    Attributes:
        spec: Features and chunking.
        blueprint: What rebuilds this base without its weights.
        inputs: Keys of the features it observes, in the order of the exported graph's inputs. `forward` takes one mapping of
            them, key -> (B, *shape), and returns chunks as `predict_chunks` does.
    """

    @property
    def spec(self) -> PolicySpec: ...  # noqa: D102
    @property
    def blueprint(self) -> Blueprint: ...  # noqa: D102
    @property
    def inputs(self) -> tuple[str, ...]: ...  # noqa: D102
    def state_dict(self) -> dict[str, Any]: ...  # noqa: D102
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...  # noqa: D102
    def eval(self) -> Self: ...  # noqa: D102


def save_base(base: BasePolicy, folder: Path) -> None:
    """Write a checkpoint into `folder`, which is made if need be; a file is replaced whole or not at all.

    Raises:
        CheckpointError: A file cannot be written, or `BASES` has no line for such a base.
    """
    module = type(base.blueprint).__module__
    kinds = [kind for kind, maker in BASES.items() if maker == module]
    if not kinds:
        raise CheckpointError(f"{module} builds no base that can be loaded again; add it to soarm.base.BASES: {BASES}")
    folder.mkdir(parents=True, exist_ok=True)
    config = {"type": kinds[0], "network": dataclasses.asdict(base.blueprint.config), "spec": base.spec.to_dict()}
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in base.state_dict().items()}
    write_atomically(folder / WEIGHTS_FILE, to_bytes(weights), CheckpointError)
    write_atomically(folder / CONFIG_FILE, json.dumps(config, indent=2) + "\n", CheckpointError)


def load_base(folder: Path) -> BasePolicy:
    """Read what `save_base` wrote.

    Returns:
        The base on the CPU, in evaluation mode.

    Raises:
        CheckpointError: A file is missing or truncated, the type is none of `BASES`, or the weights are of another network.
    """
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"{folder / name} does not exist; a checkpoint is a folder with {CONFIG_FILE} and {WEIGHTS_FILE}. {_REMEDY}"
            )
    base, path = _build(folder / CONFIG_FILE), folder / WEIGHTS_FILE
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is truncated or not a safetensors file ({error}); {_REMEDY}") from error
    expected = {name: tuple(tensor.shape) for name, tensor in base.state_dict().items()}
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
    base.load_state_dict(weights)
    return base.eval()


def _build(path: Path) -> BasePolicy:
    """Return the base that a configuration describes, without its weights."""
    try:
        data = load_json(path)
    except SmallFileError as error:
        raise CheckpointError(f"{path} is truncated or not a checkpoint's configuration: it {error}; {_REMEDY}") from None
    kind = data.get("type")
    if not isinstance(kind, str) or kind not in BASES or not {"network", "spec"} <= set(data):
        raise CheckpointError(
            f"{path} does not describe a base of soarm: its type is {shown(kind)}, legal are {sorted(BASES)}, and it needs "
            f"network and spec beside it; {_REMEDY}"
        )
    blueprint = importlib.import_module(BASES[kind]).Blueprint
    try:
        kind_of_config = typing.get_type_hints(blueprint)["config"]
        network = data["network"]
        if isinstance(network, dict):
            network = _defaults(kind_of_config) | network
        config = params.build(kind_of_config, network, where=f"{path}: network")
        base: BasePolicy = blueprint(config, PolicySpec.from_dict(data["spec"])).build()
    except (ParamsError, SpecMismatchError) as error:
        raise CheckpointError(f"{path} describes a network that cannot be built: {error}\n{_REMEDY}") from error
    return base


def _defaults(config: type) -> dict[str, Any]:
    """Return the fields of a configuration that checkpoints may lack, because they are older, with what they then meant."""
    fields = dataclasses.fields(config)
    return {field.name: field.default for field in fields if field.default is not dataclasses.MISSING}
