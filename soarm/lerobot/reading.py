"""Reading LeRobot's ACT as a base: the same function, with its normalisation inside and a specification beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from soarm import arm, params
from soarm.act.config import ACTConfig
from soarm.act.model import ACT, Blueprint
from soarm.act.normalisation import Statistics
from soarm.errors import CheckpointError, ParamsError, SpecMismatchError
from soarm.lerobot import processors
from soarm.lerobot.layout import CONFIG_FILE, PREFIX, RECOMPUTED, SPEC_FILE, WEIGHTS_FILE, kind_of
from soarm.smallfile import read_json, shown
from soarm.spec import ACTION, ENVIRONMENT_STATE, JOINT_FEATURE, STATE, Feature, PolicySpec
from soarm.tasks.registry import find

_FIXED_OF_CAMERAS = {"vision_backbone": ("resnet18",), "replace_final_stride_with_dilation": (False,)}
_FIXED = {
    "type": ("act",),
    "n_obs_steps": (1,),
    "pre_norm": (False,),
    "feedforward_activation": ("relu",),
    "use_peft": (False, None),
}
"""Setting of LeRobot's -> the values whose network is the one here; those of cameras count where there are any."""


def read_policy(folder: Path, described: PolicySpec | None) -> ACT:
    """Read LeRobot's ACT.

    Args:
        folder: `pretrained_model`, as LeRobot 0.1 to 0.6 writes it.
        described: What no file of LeRobot's says: the rate, and names and units of the features; a dataset's specification,
            say. None where the folder has a `soarm_spec.json`, which `soarm.lerobot.writing` writes.

    Raises:
        CheckpointError: A file is missing or damaged, or the policy is none that a base here can be; lists every fault.
        SpecMismatchError: `described` does not fit the policy, or is None and needed.
    """
    config = read_json(folder / CONFIG_FILE, CheckpointError, processors.REMEDY, what="the configuration of a policy")
    weights = processors.load(folder / WEIGHTS_FILE)
    faults: list[str] = []
    shapes = _shapes(config, faults)
    has_cameras = any(kind_of(key) == "VISUAL" for key in shapes)
    faults += [
        f"{name} is {shown(config[name])}; it must be {' or '.join(map(shown, allowed))}"
        for name, allowed in (_FIXED | (_FIXED_OF_CAMERAS if has_cameras else {})).items()
        if config.get(name, allowed[0]) not in allowed
    ]
    _refuse(folder, faults)
    spec = _spec(folder, shapes, described)
    inputs, outputs = processors.read(folder, config, weights, shapes)
    affine = {key: (outputs if key == ACTION else inputs).affine(key, shape[0], faults) for key, shape in shapes.items()}
    _refuse(folder, faults)
    statistics = Statistics({key: mean for key, (mean, _) in affine.items()}, {key: std for key, (_, std) in affine.items()})
    sizes = {field.name: config[field.name] for field in dataclasses.fields(ACTConfig) if field.name in config}
    trunk = {
        "vision_backbone": "resnet18",
        "pretrained_backbone_weights": None,
        "freeze_backbone": False,
        "perception": None,
    }  # its weights are in the file
    try:
        network = params.build(ACTConfig, sizes | trunk, where=str(folder / CONFIG_FILE))
    except ParamsError as error:
        raise CheckpointError(f"{error}\n{processors.REMEDY}") from error
    chunking = {name: getattr(network, name) for name in ("chunk_size", "n_action_steps", "temporal_ensemble_coeff")}
    act = Blueprint(network, dataclasses.replace(spec, **chunking, statistics_hash=statistics.hash)).build()
    act.fit_normalisation(statistics)
    normalisation = {name: tensor for name, tensor in act.state_dict().items() if name.startswith("standardise_")}
    own = {name.removeprefix(PREFIX): tensor for name, tensor in weights.items() if name.startswith(PREFIX)}
    own.pop(RECOMPUTED, None)
    try:
        act.load_state_dict({**own, **normalisation})
    except RuntimeError as error:  # torch lists the names and shapes that differ
        raise CheckpointError(f"{folder / WEIGHTS_FILE} is of another network than {CONFIG_FILE} says: {error}") from error
    return act.eval()


def joints_in_degrees(folder: Path, control_hz: int, task: str) -> PolicySpec:
    """Return the specification of a policy whose state and action are the arm's six joints in their order, in degrees.

    Args:
        folder: Of the policy; its configuration says what it observes.
        control_hz: The rate it was trained at [Hz].
        task: Whose objects the environment state tells of, where it observes one.

    Raises:
        CheckpointError: The configuration is missing or damaged.
    """
    config = read_json(folder / CONFIG_FILE, CheckpointError, processors.REMEDY, what="the configuration of a policy")
    told = {STATE: JOINT_FEATURE, ENVIRONMENT_STATE: find(task).objects, ACTION: JOINT_FEATURE}
    faults: list[str] = []
    shapes = _shapes(config, faults)
    _refuse(folder, faults)
    features = {key: told.get(key) or Feature.image(*shape[1:]) for key, shape in shapes.items()}
    return PolicySpec(features, control_hz, task=task)


def _shapes(config: Mapping[str, Any], faults: list[str]) -> dict[str, tuple[int, ...]]:
    """Return the features that LeRobot's ACT observes and gives -> their shapes there: of a picture (3, H, W)."""
    shapes: dict[str, tuple[int, ...]] = {}
    for side in ("input_features", "output_features"):
        described = config.get(side)
        for key, feature in (described if isinstance(described, dict) else {}).items():
            kind, shape = (feature.get("type"), feature.get("shape")) if isinstance(feature, dict) else (None, None)
            if kind == "STATE" and key != STATE:
                continue  # LeRobot's ACT does not look at it
            if kind is None or kind != kind_of(key) or not isinstance(shape, list) or not all(type(n) is int for n in shape):
                faults.append(
                    f"{side} holds {shown(key)}, a {shown(kind)} of shape {shown(shape)}; allowed are {STATE}, "
                    f"{ENVIRONMENT_STATE}, observation.images.<camera> and {ACTION}"
                )
            else:
                shapes[key] = tuple(shape)
    faults += [
        f"{key} has shape {shown(shapes.get(key))}; it must be ({arm.N_JOINTS},), the joints of an SO-100 or SO-101"
        for key in (STATE, ACTION)
        if shapes.get(key) != (arm.N_JOINTS,)
    ]
    return shapes


def _spec(folder: Path, shapes: Mapping[str, tuple[int, ...]], described: PolicySpec | None) -> PolicySpec:
    """Return the specification of the policy's features.

    Raises:
        SpecMismatchError: A feature is missing in `described`, or of another size there; lists every one.
    """
    if described is None:
        if not (folder / SPEC_FILE).is_file():
            raise SpecMismatchError(
                f"no file of {folder} says the policy's rate, units and joints: LeRobot writes none. Name the dataset it was "
                "trained on (--dataset), or say them (--units degrees --fps 30)"
            )
        described = PolicySpec.from_dict(read_json(folder / SPEC_FILE, CheckpointError, processors.REMEDY))
    faults, features = [], {}
    for key, shape in shapes.items():
        wanted = (*shape[1:], shape[0]) if kind_of(key) == "VISUAL" else shape
        found = described.features.get(key)
        if found is None or found.shape != wanted:
            faults.append(f"{key} has shape {wanted} in {folder / CONFIG_FILE}; described is {found and found.shape}")
        else:
            features[key] = found
    if faults:
        raise SpecMismatchError(
            "the policy's features are not those described:\n  "
            + "\n  ".join(faults)
            + "\nName the dataset it was trained on."
        )
    return dataclasses.replace(described, features=features)


def _refuse(folder: Path, faults: list[str]) -> None:
    if faults:
        raise CheckpointError(
            f"{folder} holds a policy that soarm cannot be given:\n  " + "\n  ".join(faults) + "\nNothing was written."
        )
