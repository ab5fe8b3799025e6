"""Writing a bundle: the networks with the specification inside, the specification beside them, and the checksums of all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from soarm.base import BasePolicy
from soarm.errors import SpecMismatchError
from soarm.export.graph import to_onnx
from soarm.runtime import bundle as layout
from soarm.runtime.mounting import Mounting
from soarm.runtime.training_arm import TrainingArm
from soarm.spec import IMAGES, Feature, PolicySpec


def write_bundle(
    folder: Path,
    spec: PolicySpec,
    base: BasePolicy,
    residual: nn.Module | None,
    opset: int,
    mounting: Mounting | None = None,
    training_arm: TrainingArm | None = None,
) -> None:
    """Export the networks into an existing folder.

    Args:
        folder: Gets the files of a bundle, sealed.
        spec: Of the whole policy; its `residual_scale` says whether there is a residual.
        base: Predicts chunks (B, T, 6) from the features that its `inputs` name.
        residual: Residual observation (B, D) -> residual (B, 6) in [-1, 1].
        opset: ONNX operator set.
        mounting: How the cameras of base and eye were mounted; None without cameras.
        training_arm: What the policy was trained on; None where nobody knows.

    Raises:
        SpecMismatchError: A residual without its scale, or the other way round.
    """
    if (residual is None) != (spec.residual_scale is None):
        raise SpecMismatchError(
            f"the specification has residual_scale {spec.residual_scale}, and there is {'no' if residual is None else 'a'} "
            "residual network to export; they belong together. Take the specification from the checkpoint of the residual."
        )
    assert isinstance(base, nn.Module), "a base is a network of torch"
    networks = {layout.BASE: base} | ({} if residual is None else {layout.RESIDUAL: residual})
    for name, network in networks.items():
        metadata = {layout.SPEC_KEY: layout.spec_json(spec), layout.NETWORK_KEY: name}
        inputs, outputs = layout.signature(name, spec)
        is_base = name == layout.BASE
        if is_base:  # in the network's order: that of a specification's features means nothing
            inputs = {key: inputs[key] for key in base.inputs}
        content = to_onnx(network, inputs, outputs, metadata, opset, by_name=is_base)
        (folder / layout.network_file(name)).write_bytes(content)
    if mounting is not None:
        (folder / layout.CAMERAS_FILE).write_text(mounting.to_json(), encoding="utf-8")
    if training_arm is not None:
        (folder / layout.TRAINING_ARM_FILE).write_text(training_arm.to_json(), encoding="utf-8")
    (folder / layout.SPEC_FILE).write_text(layout.spec_json(spec), encoding="utf-8")
    seal(folder)


def add_eye(folder: Path, spec: PolicySpec, eye: nn.Module, opset: int) -> None:
    """Export an eye into a bundle that says how its cameras were mounted.

    Args:
        folder: Of the bundle.
        spec: Of its policy.
        eye: Pictures by camera, uint8 (B, H, W, 3), and pose (B, `POSE_DIM`) -> answers (B, `Questions.dim`); its `cameras`
            name those that it looks through, and their pictures.
        opset: ONNX operator set.
    """
    cameras = cast(Mapping[str, Feature], eye.cameras)
    metadata = {layout.SPEC_KEY: layout.spec_json(spec), layout.NETWORK_KEY: layout.EYE}
    inputs, outputs = layout.signature(layout.EYE, spec, cameras)
    content = to_onnx(ByKey(eye, list(cameras)), inputs, outputs, metadata, opset, by_name=True)
    (folder / layout.network_file(layout.EYE)).write_bytes(content)
    seal(folder)


class ByKey(nn.Module):
    """An eye whose inputs come in one mapping: pictures under feature keys, and the pose."""

    def __init__(self, eye: nn.Module, cameras: Sequence[str]) -> None:
        super().__init__()
        self._eye, self._cameras = eye, cameras

    def forward(self, given: dict[str, Tensor]) -> Tensor:
        """Return the answers, shape (B, `Questions.dim`)."""
        pictures = {name: given[f"{IMAGES}.{name}"] for name in self._cameras}
        answers: Tensor = self._eye(pictures, given[layout.POSE_INPUT])
        return answers


def seal(folder: Path) -> None:
    """Write the checksums of every file in `folder` but its cards; nothing else may be written into it afterwards."""
    files = sorted(path for path in folder.iterdir() if path.name != layout.CHECKSUMS_FILE and path.suffix != ".md")
    checksums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    (folder / layout.CHECKSUMS_FILE).write_text(layout.checksums_json(checksums), encoding="utf-8")
