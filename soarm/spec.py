"""The specification inside an artefact (dataset, checkpoint, ONNX bundle): features, rate, chunking, and hashes.

Knows the names of the features, and how to compare specifications with each other and with what a task asks; knows no task
and no file format.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from soarm import arm
from soarm.errors import SpecMismatchError
from soarm.smallfile import shown

T = TypeVar("T")

STATE = "observation.state"
ENVIRONMENT_STATE = "observation.environment_state"
TRUE_OBJECTS = "simulator.environment_state"
"""Where the objects are in the simulator, where policies are told otherwise; no network on a robot's path reads it."""
IMAGES = "observation.images"
ACTION = "action"
_WHOLE = {"control_hz": (1, 1000), "chunk_size": (1, 10_000), "n_action_steps": (1, 10_000)}
"""Field of a specification -> its least and greatest value."""
_MOST_SCALE = 360.0
"""A residual cannot be asked to reach farther than a turn [deg, percent]."""
_MOST_COEFF = 100.0
_MOST_SIZE = 100_000
"""Of a feature, in each of its dimensions."""

Kind = Literal["vector", "image"]
DTYPES: Mapping[Kind, str] = {"vector": "float32", "image": "uint8"}
"""Kind of a feature -> type of its numbers."""
IMAGE_NAMES = ("height", "width", "channels")
"""LeRobot's names of an image's dimensions."""


@dataclasses.dataclass(frozen=True)
class Feature:
    """One named array of an observation or action.

    Attributes:
        shape: Without the batch; (height, width, 3) of an image.
        names: Of a vector's elements; of an image's dimensions, `IMAGE_NAMES`.
        units: Of a vector's elements; none of an image.
        kind: What the array is.
        dtype: NumPy's name of the type of its numbers: `DTYPES` of its kind.
    """

    shape: tuple[int, ...]
    names: tuple[str, ...]
    units: tuple[str, ...]
    kind: Kind = "vector"
    dtype: str = "float32"

    @classmethod
    def image(cls, height_px: int, width_px: int) -> Feature:
        """Return the feature of a camera: uint8, 0..255, red, green and blue last."""
        return cls((height_px, width_px, 3), IMAGE_NAMES, (), "image", DTYPES["image"])

    def to_dict(self) -> dict[str, Any]:
        """Return the feature as JSON-ready types; `kind` and `dtype` are left out of a vector."""
        plain = {"shape": list(self.shape), "names": list(self.names), "units": list(self.units)}
        return plain if self.kind == "vector" else {**plain, "kind": self.kind, "dtype": self.dtype}


def image_keys(features: Mapping[str, Feature]) -> tuple[str, ...]:
    """Return the keys of the images among features, in their order."""
    return tuple(key for key, feature in features.items() if feature.kind == "image")


def cameras_of(features: Mapping[str, Feature]) -> dict[str, Feature]:
    """Return name of a camera -> its pictures, for the images among features, in their order."""
    return {key.removeprefix(f"{IMAGES}."): features[key] for key in image_keys(features)}


JOINT_FEATURE = Feature((arm.N_JOINTS,), arm.FEATURE_NAMES, arm.UNITS)
"""State and action: joint positions in LeRobot units."""

DEFAULT_TASK = "pick_place"
"""The task of an artefact that names none: it was written before there were others."""

UNKNOWN_UNIT = "unknown"
"""Unit of an element whose artefact does not say it."""

_BLIND = (
    f"it holds neither {ENVIRONMENT_STATE} (where the objects are) nor {IMAGES}.<camera>: a policy of it could not know where "
    "anything lies. Nothing is wrong with the dataset, keep it: `soarm info`, `soarm dataset verify`, replay and edits work"
)


def gym_keys(cameras: Sequence[str] = ()) -> dict[str, str]:
    """Return the key of an observation in LeRobot's Gymnasium environments -> its feature key.

    Stable-Baselines3 makes a torch module of each key, whose name must hold no "."; this is the one place that maps them.

    Args:
        cameras: Cameras among the features. The picture of a single one is `pixels`, of several `pixels/<camera>`.
    """
    pictures = {"pixels" if len(cameras) == 1 else f"pixels/{name}": f"{IMAGES}.{name}" for name in cameras}
    return {"agent_pos": STATE, "environment_state": ENVIRONMENT_STATE} | pictures


def as_features(observation: Mapping[str, T]) -> dict[str, T]:
    """Return an observation, or its spaces, under feature keys, whichever of the two kinds of keys it has."""
    keys = gym_keys()
    return {keys.get(key, key): value for key, value in observation.items()}


@dataclasses.dataclass(frozen=True)
class PolicySpec:
    """Everything two artefacts must agree on. `None` means: this artefact does not say.

    Attributes:
        features: Key -> Feature, observations and action.
        control_hz: Control rate [Hz]; the dataset's fps.
        chunk_size: Actions in one predicted chunk.
        n_action_steps: Actions executed of each chunk before the next query.
        temporal_ensemble_coeff: ACT's exponential weight, or None for open-loop chunks.
        residual_scale: Per-joint bound of the residual, shape (6,) [deg x 5, percent].
        statistics_hash: Hash of the normalisation statistics.
        dataset_hash: Hash of the dataset the policy was trained on.
        git_rev: Revision of the code that wrote the artefact; recorded, never compared.
        task: Name of the task (`soarm.tasks`); left out where it is `DEFAULT_TASK`.
    """

    features: Mapping[str, Feature]
    control_hz: int
    chunk_size: int | None = None
    n_action_steps: int | None = None
    temporal_ensemble_coeff: float | None = None
    residual_scale: tuple[float, ...] | None = None
    statistics_hash: str | None = None
    dataset_hash: str | None = None
    git_rev: str | None = None
    task: str | None = DEFAULT_TASK

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras among the features."""
        return tuple(cameras_of(self.features))

    def to_dict(self) -> dict[str, Any]:
        """Return the specification as JSON-ready types."""
        features = {key: feature.to_dict() for key, feature in self.features.items()}
        plain: dict[str, Any] = json.loads(json.dumps({**vars(self), "features": features}))
        if self.task == DEFAULT_TASK:
            del plain["task"]
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PolicySpec:
        """Read what `to_dict` wrote.

        Raises:
            SpecMismatchError: A key is unknown or missing (an artefact of another version), or values are not of their kind or
                range; lists all of those.
        """
        if not isinstance(data, Mapping):
            raise SpecMismatchError(f"not a soarm specification: {shown(data)}; it must be an object")
        legal = {field.name for field in dataclasses.fields(cls)}
        unknown, missing = sorted(set(data) - legal), sorted({"features", "control_hz"} - set(data))
        if unknown or missing:
            raise SpecMismatchError(
                f"not a soarm specification: unknown keys {unknown}, missing keys {missing}; known keys are {sorted(legal)}. "
                "Make the artefact again with this version of soarm."
            )
        faults = _value_faults(data)
        if faults:
            raise SpecMismatchError("\n  ".join(["not a soarm specification:", *faults]))
        features = {}
        for key, value in data["features"].items():
            parts: dict[str, Any] = {name: part if isinstance(part, str) else tuple(part) for name, part in value.items()}
            features[key] = Feature(**parts)
        scale = data.get("residual_scale")
        rest = {key: value for key, value in data.items() if key not in ("features", "residual_scale")}
        return cls(features=features, residual_scale=None if scale is None else tuple(scale), **rest)


def require_same(
    expected: PolicySpec,
    found: PolicySpec,
    *,
    expected_name: str,
    found_name: str,
    ignore: Iterable[str] = (),
    remedy: str = "Use artefacts of one run, or run the stages again (`dvc repro`).",
) -> None:
    """Refuse two specifications that differ.

    A field that one side leaves open (None) is not compared; `git_rev` never is.

    Args:
        expected: The specification that rules.
        found: The one to check.
        expected_name: What `expected` came from, for the message ("dataset data/record").
        found_name: What `found` came from.
        ignore: Names of fields not to compare.
        remedy: What to do, for the message.

    Raises:
        SpecMismatchError: Lists every difference with both values.
    """
    faults = _differences(expected, found, expected_name, found_name, ignore)
    if faults:
        listing = "\n  ".join(faults)
        raise SpecMismatchError(f"{found_name} does not fit {expected_name}:\n  {listing}\n{remedy}")


def require_fitting(artefacts: Mapping[str, PolicySpec], expected: PolicySpec) -> None:
    """Refuse artefacts that are not of this arm, this task and this control rate, or not of each other.

    Names, their order, sizes, units, rate and task are compared with what is expected, and the rest of each specification
    with the one before it, as far as both have it. Whatever has a camera needs no environment state; the elements of one may
    be nameless, as LeRobot leaves them. A dataset may have any cameras, a policy those that are expected.

    Args:
        artefacts: What they came from, for the message ("data/train_act") -> specification; in the order they follow from
            each other.
        expected: What the simulator gives and takes (`soarm.sim.params.SimParams.spec`); of a dataset alone, what the task
            asks at the simulator's control rate (`soarm.tasks.task.Task.spec`).

    Raises:
        SpecMismatchError: Lists every difference.
    """
    faults = [f"{name}: {fault}" for name, spec in artefacts.items() for fault in _task_faults(spec, expected)]
    told = {"features", "control_hz", "task"} if faults else set()
    for (left_name, left), (right_name, right) in itertools.pairwise(artefacts.items()):
        shared = left.features.keys() & right.features.keys()
        one, other = (
            dataclasses.replace(side, features={key: side.features[key] for key in sorted(shared)}) for side in (left, right)
        )
        faults += _differences(one, other, left_name, right_name, told)
    if faults:
        listing = "\n  ".join(faults)
        raise SpecMismatchError(
            f"these do not fit the arm, the task and each other:\n  {listing}\n"
            "Demonstrations are named by `dataset` in params.yaml (`dvc exp run -S dataset=datasets/mine`), the rate by "
            "base.sim.control_hz; checkpoints follow from them (`dvc repro`). Nothing was changed."
        )


def _task_faults(spec: PolicySpec, wanted: PolicySpec) -> list[str]:
    faults = []
    if spec.task not in (None, wanted.task):
        faults.append(f"its task is {spec.task}; `task` in params.yaml is {wanted.task}")
    for key, expected in wanted.features.items():
        found = spec.features.get(key)
        if found is None and expected.kind == "image":
            continue
        if found is None and key == ENVIRONMENT_STATE:
            faults += [] if any(feature.kind == "image" for feature in spec.features.values()) else [_BLIND]
        elif found is None:
            faults.append(f"{key} is missing; it holds {sorted(spec.features)}")
        elif expected.kind == "image" and spec.chunk_size is None:
            continue  # a dataset's cameras are its own
        elif found.shape != expected.shape:
            faults.append(f"{key} has size {_text(found.shape)} ({_text(found.names)}); it must be {_text(expected.shape)}")
        elif key == ENVIRONMENT_STATE and found.names == nameless(key, *found.shape):
            continue
        elif found.names != expected.names:
            how = "in another order" if sorted(found.names) == sorted(expected.names) else "others"
            faults.append(f"{key}: its elements are {how}, {_text(found.names)}; they must be {_text(expected.names)}")
        elif UNKNOWN_UNIT in found.units:
            faults.append(
                f"{key} does not say its units. If its joints are in degrees, say so once: `dataset_units: degrees` in "
                "params.yaml (`-S dataset_units=degrees`); if in -100..100, `soarm dataset convert`"
            )
        elif found.units != expected.units:
            faults.append(f"{key} is in {_text(found.units)}; it must be in {_text(expected.units)}")
    if spec.chunk_size is not None:
        unseen = [key for key, feature in spec.features.items() if feature.kind == "image" and key not in wanted.features]
        faults += [
            f"it looks at {key} ({_text(spec.features[key].shape)}), which the simulator does not draw: name the camera in "
            "base.sim.cameras, or export the policy as it is with `soarm export-policy`"
            for key in unseen
        ]
    if spec.control_hz != wanted.control_hz:
        remedy = f": `-S base.sim.control_hz={spec.control_hz}` takes its rate" if spec.chunk_size is None else ""
        faults.append(f"its rate is {spec.control_hz} Hz; the simulator runs at sim.control_hz {wanted.control_hz}{remedy}")
    return faults


def nameless(key: str, size: int) -> tuple[str, ...]:
    """Return what the elements of a feature are called whose artefact names none."""
    return tuple(f"{key}.{i}" for i in range(size))


def _text(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def _differences(left: PolicySpec, right: PolicySpec, left_name: str, right_name: str, ignore: Iterable[str]) -> list[str]:
    """Return what two specifications both say, and differently."""
    skipped, faults = {"git_rev", *ignore}, []
    for field in dataclasses.fields(PolicySpec):
        one, other = getattr(left, field.name), getattr(right, field.name)
        if field.name in skipped or one is None or other is None or one == other:
            continue
        if field.name == "features":
            faults += _feature_faults(one, other, left_name, right_name)
        else:
            faults.append(f"{field.name}: {one!r} in {left_name}, {other!r} in {right_name}")
    return faults


def _feature_faults(left: Mapping[str, Feature], right: Mapping[str, Feature], left_name: str, right_name: str) -> list[str]:
    faults = []
    for key in sorted(set(left) | set(right)):
        if key not in left or key not in right:
            where, other = (right_name, left_name) if key not in left else (left_name, right_name)
            faults.append(f"feature {key}: only in {where}, not in {other}")
        elif left[key] != right[key]:
            faults.append(f"feature {key}: {left[key]} in {left_name}, {right[key]} in {right_name}")
    return faults


def _value_faults(data: Mapping[str, Any]) -> list[str]:
    """Return what of a specification's values is not of its kind, or out of its range."""
    faults = []
    for name, (low, high) in _WHOLE.items():
        value = data.get(name)
        if (value is not None or name == "control_hz") and not (type(value) is int and low <= value <= high):
            faults.append(f"{name} is {shown(value)}; it must be a whole number in {low}..{high}")
    sizes = data.get("n_action_steps"), data.get("chunk_size")
    if all(type(size) is int for size in sizes) and sizes[0] > sizes[1]:  # type: ignore[operator]
        faults.append(f"n_action_steps is {sizes[0]}; it must not exceed chunk_size, which is {sizes[1]}")
    coeff, scale = data.get("temporal_ensemble_coeff"), data.get("residual_scale")
    if coeff is not None and not _within(coeff, -_MOST_COEFF, _MOST_COEFF):
        faults.append(f"temporal_ensemble_coeff is {shown(coeff)}; it must be a number in -{_MOST_COEFF:g}..{_MOST_COEFF:g}")
    six = isinstance(scale, list | tuple) and len(scale) == arm.N_JOINTS
    if scale is not None and not (six and all(_within(one, 0.0, _MOST_SCALE) for one in scale)):
        faults.append(f"residual_scale is {shown(scale)}; it must be {arm.N_JOINTS} numbers in 0..{_MOST_SCALE:g}")
    for name in ("statistics_hash", "dataset_hash", "git_rev", "task"):
        if not isinstance(data.get(name), str | None):
            faults.append(f"{name} is {shown(data[name])}; it must be a text or null")
    features = data["features"]
    if not isinstance(features, Mapping):
        return [*faults, f"features is {shown(features)}; it must be an object"]
    return faults + [f"feature {key!s:.60}: {fault}" for key, value in features.items() for fault in _faults_of_feature(value)]


def _faults_of_feature(value: object) -> list[str]:
    parts = ("shape", "names", "units")
    if not isinstance(value, Mapping) or set(value) - {"kind", "dtype"} != set(parts):
        return [f"it is {shown(value)}; it must be an object with {', '.join(parts)}, and kind and dtype of an image"]
    faults, shape = [], value["shape"]
    kind, dtype = value.get("kind", "vector"), value.get("dtype", DTYPES["vector"])
    if (kind, dtype) not in list(DTYPES.items()):
        faults.append(f"its kind is {shown(kind)} of {shown(dtype)}; legal are {dict(DTYPES)}")
    if not isinstance(shape, list | tuple) or not all(type(n) is int and 0 < n <= _MOST_SIZE for n in shape):
        faults.append(f"shape is {shown(shape)}; it must be a list of whole numbers in 1..{_MOST_SIZE}")
    elif kind == "image" and (len(shape) != 3 or shape[2] != 3):
        faults.append(f"shape is {shown(shape)}; that of an image is height, width, 3")
    for name in ("names", "units"):
        if not isinstance(value[name], list | tuple) or not all(isinstance(one, str) for one in value[name]):
            faults.append(f"{name} is {shown(value[name])}; it must be a list of texts")
    return faults


def _within(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def content_hash(content: bytes | str) -> str:
    """Return a short, stable hash of `content` (first 16 hexadecimal digits of SHA-256)."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:16]
