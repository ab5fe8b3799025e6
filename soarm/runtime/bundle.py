"""The exported bundle on disk: which files, and the proof that they are whole and belong together.

    act.onnx           the base: observation in raw units -> chunk of actions in raw units
    residual.onnx      raw residual observation -> residual in [-1, 1]; only where a residual was trained
    eye.onnx           pictures and the arm's pose -> answers of `soarm.estimation`; only where an eye says where objects are
    cameras.json       how the cameras of base and eye were mounted; only where there are any
    spec.json          the PolicySpec; each network carries the same one in its metadata
    training_arm.json  rate, stiffness and torque of the arm it was trained on; bundles of old have none
    parity.json        how far the networks are from the trained ones (for the reader; nothing depends on it)
    checksums.json     SHA-256 of every file above
    README.md          card of the bundle, beside act.md and residual.md of the networks; not among the checksums

Opening a bundle reads each file once: the bytes whose checksum is compared are the bytes that are loaded.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import onnxruntime as ort

from soarm.errors import BundleError, SmallFileError, SpecMismatchError
from soarm.estimation import Questions
from soarm.kinematics import POSE_DIM
from soarm.runtime.mounting import Mounting
from soarm.runtime.session import open_session
from soarm.runtime.training_arm import TrainingArm
from soarm.smallfile import BINARY_BYTES, parse_json, read_bytes
from soarm.spec import ACTION, IMAGES, Feature, PolicySpec, cameras_of
from soarm.tasks.registry import find
from soarm.tasks.task import Task

BASE, RESIDUAL, EYE = "act", "residual", "eye"
"""The networks of a bundle; the base's file is `act.onnx` whatever its kind, and a bundle of old stays readable."""
SPEC_FILE, PARITY_FILE, CHECKSUMS_FILE = "spec.json", "parity.json", "checksums.json"
TRAINING_ARM_FILE, CAMERAS_FILE = "training_arm.json", "cameras.json"
SPEC_KEY, NETWORK_KEY = "soarm.spec", "soarm.network"
"""Metadata of a network: the PolicySpec as JSON, and which network it is (BASE, RESIDUAL or EYE)."""
RESIDUAL_INPUT, RESIDUAL_OUTPUT = "residual_observation", "residual"
POSE_INPUT, EYE_OUTPUT = "pose", "answers"
_REMEDY = "Copy the whole folder again from where it was exported, or export again (`dvc repro export`)."

_TENSORS = {"float32": "tensor(float)", "uint8": "tensor(uint8)"}
"""Type of a feature's numbers -> ONNX Runtime's name of it."""

Signature = dict[str, tuple[int, ...]]
"""Name of an input or output -> its shape without the batch."""


def network_file(network: str) -> str:
    """Return the file name of a network."""
    return f"{network}.onnx"


def signature(network: str, spec: PolicySpec, cameras: Mapping[str, Feature] = {}) -> tuple[Signature, Signature]:
    """Return the inputs that `spec` has for a network, of which a base may leave some out, and the outputs it asks for.

    Args:
        network: Which.
        spec: Of the policy.
        cameras: Camera -> its pictures, of an eye.
    """
    if network == EYE:
        pictures = {f"{IMAGES}.{name}": feature.shape for name, feature in cameras.items()}
        return {**pictures, POSE_INPUT: (POSE_DIM,)}, {EYE_OUTPUT: (Questions(find(spec.task)).dim,)}
    if network == RESIDUAL:
        return {RESIDUAL_INPUT: (find(spec.task).residual_observation.dim,)}, {RESIDUAL_OUTPUT: spec.features[ACTION].shape}
    assert spec.chunk_size is not None, "the specification of a chunk policy says how long its chunks are"
    inputs = {key: feature.shape for key, feature in spec.features.items() if key.startswith("observation.")}
    return inputs, {ACTION: (spec.chunk_size, *spec.features[ACTION].shape)}


def spec_json(spec: PolicySpec) -> str:
    """Return the one text form of a specification: in spec.json and in the metadata of each network."""
    return json.dumps(spec.to_dict(), indent=2, sort_keys=True) + "\n"


def checksums_json(checksums: Mapping[str, str]) -> str:
    """Return the one text form of checksums.json; opening compares it letter by letter, so its own bytes are checked too."""
    return json.dumps(dict(checksums), indent=2, sort_keys=True) + "\n"


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A bundle that was found whole.

    Attributes:
        folder: Where it lies.
        spec: What it was trained for.
        checksums: File name -> SHA-256.
        sessions: BASE and, where there are such, RESIDUAL and EYE -> the loaded network.
        training_arm: What it was trained on; None where the bundle does not say.
        mounting: How its cameras were mounted; None where the bundle does not say.
    """

    folder: Path
    spec: PolicySpec
    checksums: Mapping[str, str]
    sessions: Mapping[str, ort.InferenceSession]
    training_arm: TrainingArm | None = None
    mounting: Mounting | None = None

    @property
    def task(self) -> Task:
        """What it was trained for."""
        return find(self.spec.task)

    @property
    def cameras(self) -> dict[str, Feature]:
        """Name of a camera that the policy looks through -> what it wants of it."""
        return cameras_of(self.spec.features)

    @property
    def eye_cameras(self) -> dict[str, Feature]:
        """Name of a camera that the eye looks through -> what it wants of it; none without an eye."""
        if EYE not in self.sessions or self.mounting is None:
            return {}
        wanted = {node.name for node in self.sessions[EYE].get_inputs()}
        cameras = self.mounting.cameras.items()
        return {name: camera.feature for name, camera in cameras if f"{IMAGES}.{name}" in wanted}

    @classmethod
    def open(cls, folder: Path) -> Bundle:
        """Check and load a bundle.

        Raises:
            BundleError: A file is missing, changed or unreadable, or the files are not of one export; lists every fault found.
        """
        checksums = _read_checksums(folder)
        contents = _read_files(folder, checksums)
        spec = _read_spec(folder / SPEC_FILE, contents[SPEC_FILE])
        networks = [BASE] if spec.residual_scale is None else [BASE, RESIDUAL]
        listed = [network for network in (BASE, RESIDUAL) if network_file(network) in checksums]
        if networks != listed:
            raise BundleError(
                f"{folder}: {SPEC_FILE} has residual_scale {spec.residual_scale} and so asks for the networks {networks}; "
                f"{CHECKSUMS_FILE} lists {listed}. {_REMEDY}"
            )
        sessions, faults = {}, []
        training_arm, mounting = None, None
        try:
            training_arm = TrainingArm.from_json(contents[TRAINING_ARM_FILE]) if TRAINING_ARM_FILE in contents else None
        except SmallFileError as error:
            faults.append(f"{folder / TRAINING_ARM_FILE} {error}")
        try:
            mounting = _read_mounting(folder / CAMERAS_FILE, contents, spec)
        except BundleError as error:
            faults.append(str(error))
        cameras = {} if mounting is None else {name: camera.feature for name, camera in mounting.cameras.items()}
        for network in [*networks, *([EYE] if network_file(EYE) in checksums else [])]:
            path = folder / network_file(network)
            try:
                sessions[network] = open_session(contents.pop(path.name), str(path))
                _check_network(sessions[network], network, spec, cameras, path)
            except BundleError as error:
                faults.append(str(error))
        if faults:
            raise BundleError("\n".join([*faults, _REMEDY]))
        return cls(folder, spec, checksums, sessions, training_arm, mounting)


def _read_checksums(folder: Path) -> dict[str, str]:
    path = folder / CHECKSUMS_FILE
    try:
        content = read_bytes(path)
        checksums: dict[str, str] = parse_json(content)
    except SmallFileError as error:
        raise BundleError(f"{path} {error}, so {folder} is not a whole bundle. {_REMEDY}") from None
    if content != checksums_json(checksums).encode("utf-8", "surrogatepass"):
        raise BundleError(
            f"{path} was changed: it is not laid out as the export writes it (file name: SHA-256, sorted). {_REMEDY}"
        )
    required = {SPEC_FILE, network_file(BASE)}
    if not required <= set(checksums) or any(Path(name).name != name for name in checksums):
        raise BundleError(f"{path} lists {sorted(checksums)}; it must list {sorted(required)}, plain names only. {_REMEDY}")
    return checksums


def _read_files(folder: Path, checksums: Mapping[str, str]) -> dict[str, bytes]:
    contents, faults = {}, []
    for name, expected in checksums.items():
        try:
            contents[name] = read_bytes(folder / name, BINARY_BYTES)
        except SmallFileError as error:
            faults.append(f"{folder / name} {error}")
            continue
        found = hashlib.sha256(contents[name]).hexdigest()
        if found != expected:
            faults.append(f"{folder / name} was changed: its SHA-256 is {found}, {CHECKSUMS_FILE} says {expected}")
    if faults:
        raise BundleError("\n  ".join([f"{folder} is not what {CHECKSUMS_FILE} says:", *faults]) + f"\n{_REMEDY}")
    return contents


def _read_spec(path: Path, content: bytes) -> PolicySpec:
    try:
        spec = PolicySpec.from_dict(parse_json(content))
        expected_features = find(spec.task).features
    except (SmallFileError, SpecMismatchError) as error:
        raise BundleError(f"{path} is not a specification: {error}. {_REMEDY}") from None
    if spec.chunk_size is None or spec.n_action_steps is None or ACTION not in spec.features:
        raise BundleError(
            f"{path} describes no chunk policy: chunk_size {spec.chunk_size}, n_action_steps {spec.n_action_steps}, features "
            f"{sorted(spec.features)}; all three must be there, with {ACTION!r} among the features. {_REMEDY}"
        )
    faults = [
        f"feature {key} has the shape {feature.shape}, {len(feature.names)} names and {len(feature.units)} units; it must "
        f"have {expected.shape[0]} of each"
        for key, expected in expected_features.items()
        if (feature := spec.features.get(key)) is not None
        and (feature.shape, len(feature.names), len(feature.units)) != (expected.shape, *expected.shape * 2)
    ]
    if spec.temporal_ensemble_coeff is not None and spec.n_action_steps != 1:
        faults.append(f"n_action_steps is {spec.n_action_steps}; with a temporal_ensemble_coeff it must be 1")
    if faults:
        raise BundleError("\n  ".join([f"{path} describes no policy for this arm:", *faults]) + f"\n{_REMEDY}")
    return spec


def _read_mounting(path: Path, contents: Mapping[str, bytes], spec: PolicySpec) -> Mounting | None:
    """Return how the cameras were mounted; None where nothing says so, which an eye does not allow."""
    if path.name not in contents:
        if network_file(EYE) in contents:
            raise BundleError(f"{path} is not listed in {CHECKSUMS_FILE}; an eye needs it, for the sizes of its pictures")
        return None
    try:
        mounting = Mounting.from_json(contents[path.name])
    except SmallFileError as error:
        raise BundleError(f"{path} {error}") from None
    found = {name: camera.feature.shape for name, camera in mounting.cameras.items()}
    faults = [
        f"the camera {name} has pictures of shape {found.get(name)}, {SPEC_FILE} has {feature.shape}"
        for name, feature in cameras_of(spec.features).items()
        if found.get(name) != feature.shape
    ]
    if faults:
        raise BundleError("\n  ".join([f"{path} is not of the same export as {SPEC_FILE}:", *faults]))
    return mounting


def _check_network(
    session: ort.InferenceSession, network: str, spec: PolicySpec, cameras: Mapping[str, Feature], path: Path
) -> None:
    metadata = session.get_modelmeta().custom_metadata_map
    faults = []
    if metadata.get(NETWORK_KEY) != network:
        faults.append(f"its metadata {NETWORK_KEY} is {metadata.get(NETWORK_KEY)!r}, it must be {network!r}")
    if metadata.get(SPEC_KEY) != spec_json(spec):
        faults.append(f"its metadata {SPEC_KEY} is not the specification in {SPEC_FILE}: {metadata.get(SPEC_KEY)}")
    inputs, outputs = signature(network, spec, cameras)
    nodes = (*session.get_inputs(), *session.get_outputs())
    shapes = {node.name: tuple(node.shape[1:]) for node in nodes}
    taken, given = ({node.name: shapes[node.name] for node in some} for some in (session.get_inputs(), session.get_outputs()))
    if not taken or not taken.items() <= inputs.items():
        faults.append(f"its inputs are {taken} (without the batch), {SPEC_FILE} has {inputs}")
    if given != outputs:
        faults.append(f"its outputs are {given} (without the batch), {SPEC_FILE} asks for {outputs}")
    for node in nodes:
        tensor = _TENSORS["uint8" if node.name.startswith(f"{IMAGES}.") else "float32"]
        if node.type != tensor or (type(node.shape[0]) is int and node.shape[0] != 1 if node.shape else True):
            faults.append(f"{node.name} is {node.type} of shape {node.shape}; it must be {tensor} with a free batch")
    if faults:
        raise BundleError("\n  ".join([f"{path} is not of the same export as {SPEC_FILE}:", *faults]))
