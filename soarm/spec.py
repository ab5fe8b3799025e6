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

STATE = "observation.state"
ENVIRONMENT_STATE = "observation.environment_state"
IMAGES = "observation.images"
ACTION = "action"


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
            SpecMismatchError: A key is unknown or missing (an artefact of another version).
        """
        legal = {field.name for field in dataclasses.fields(cls)}
        unknown, missing = sorted(set(data) - legal), sorted({"features", "control_hz"} - set(data))
        if unknown or missing:
            raise SpecMismatchError(
                f"not a soarm specification: unknown keys {unknown}, missing keys {missing}; known keys are {sorted(legal)}. "
                "Make the artefact again with this version of soarm."
            )
        features = {
            key: Feature(tuple(value["shape"]), tuple(value["names"]), tuple(value["units"]))
            for key, value in data["features"].items()
        }
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


def content_hash(content: bytes | str) -> str:
    """Return a short, stable hash of `content` (first 16 hexadecimal digits of SHA-256)."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:16]
