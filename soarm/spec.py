"""What an artefact (dataset, checkpoint, ONNX bundle) says about the robot and the policy it belongs to.

Knows the names of the features and how to compare two specifications; knows no file format.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from soarm import arm
from soarm.errors import SpecMismatchError
from soarm.smallfile import shown

STATE = "observation.state"
ENVIRONMENT_STATE = "observation.environment_state"
IMAGES = "observation.images"
ACTION = "action"
_WHOLE = {"control_hz": (1, 1000), "chunk_size": (1, 10_000), "n_action_steps": (1, 10_000)}
"""Field of a specification -> its least and greatest value."""
_MOST_SCALE = 360.0
"""A residual cannot be asked to reach farther than a turn [deg, percent]."""
_MOST_COEFF = 100.0
_MOST_SIZE = 100_000
"""Of a feature, in each of its dimensions."""


@dataclasses.dataclass(frozen=True)
class Feature:
    """One named array of an observation or action.

    `names` and `units` have one entry per element of a vector.
    """

    shape: tuple[int, ...]
    names: tuple[str, ...]
    units: tuple[str, ...]


JOINT_FEATURE = Feature((arm.N_JOINTS,), arm.FEATURE_NAMES, arm.UNITS)
"""State and action: joint positions in LeRobot units."""

OBJECTS_FEATURE = Feature(
    (7,),
    ("cube.x", "cube.y", "cube.z", "cube.yaw4_cos", "cube.yaw4_sin", "bin.x", "bin.y"),
    ("m", "m", "m", "1", "1", "m", "m"),
)
"""Environment state: object poses in the arm's base frame (x right, y backwards, z up).

A plain cube looks the same after a quarter turn, so its yaw is given as the cosine and sine of four times the angle:
smooth, equal for the 24 orientations that look equal, and shorter than 1 where the cube is tilted.
"""


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

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras, in feature order."""
        prefix = IMAGES + "."
        return tuple(key[len(prefix) :] for key in self.features if key.startswith(prefix))

    def to_dict(self) -> dict[str, Any]:
        """Return the specification as JSON-ready types."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
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
        features = {
            key: Feature(tuple(value["shape"]), tuple(value["names"]), tuple(value["units"]))
            for key, value in data["features"].items()
        }
        scale = data.get("residual_scale")
        rest = {key: value for key, value in data.items() if key not in ("features", "residual_scale")}
        return cls(features=features, residual_scale=None if scale is None else tuple(scale), **rest)


def require_same(
    expected: PolicySpec, found: PolicySpec, *, expected_name: str, found_name: str, ignore: Iterable[str] = ()
) -> None:
    """Refuse two specifications that differ.

    A field that one side leaves open (None) is not compared; `git_rev` never is.

    Args:
        expected: The specification that rules.
        found: The one to check.
        expected_name: What `expected` came from, for the message ("dataset data/record").
        found_name: What `found` came from.
        ignore: Names of fields not to compare.

    Raises:
        SpecMismatchError: Lists every difference with both values.
    """
    skipped = {"git_rev", *ignore}
    faults = []
    for field in dataclasses.fields(PolicySpec):
        left, right = getattr(expected, field.name), getattr(found, field.name)
        if field.name in skipped or left is None or right is None or left == right:
            continue
        if field.name == "features":
            faults += _feature_faults(left, right, expected_name, found_name)
        else:
            faults.append(f"{field.name}: {left!r} in {expected_name}, {right!r} in {found_name}")
    if faults:
        listing = "\n  ".join(faults)
        remedy = "Use artefacts of one run, or run the stages again (`dvc repro`)."
        raise SpecMismatchError(f"{found_name} does not fit {expected_name}:\n  {listing}\n{remedy}")


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
    for name in ("statistics_hash", "dataset_hash", "git_rev"):
        if not isinstance(data.get(name), str | None):
            faults.append(f"{name} is {shown(data[name])}; it must be a text or null")
    features = data["features"]
    if not isinstance(features, Mapping):
        return [*faults, f"features is {shown(features)}; it must be an object"]
    return faults + [f"feature {key!s:.60}: {fault}" for key, value in features.items() for fault in _faults_of_feature(value)]


def _faults_of_feature(value: object) -> list[str]:
    parts = ("shape", "names", "units")
    if not isinstance(value, Mapping) or set(value) != set(parts):
        return [f"it is {shown(value)}; it must be an object with {', '.join(parts)}"]
    faults = []
    shape = value["shape"]
    if not isinstance(shape, list | tuple) or not all(type(n) is int and 0 < n <= _MOST_SIZE for n in shape):
        faults.append(f"shape is {shown(shape)}; it must be a list of whole numbers in 1..{_MOST_SIZE}")
    for name in ("names", "units"):
        if not isinstance(value[name], list | tuple) or not all(isinstance(one, str) for one in value[name]):
            faults.append(f"{name} is {shown(value[name])}; it must be a list of texts")
    return faults


def _within(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def content_hash(content: bytes | str) -> str:
    """Return a short, stable hash of `content` (first 16 hexadecimal digits of SHA-256)."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:16]
