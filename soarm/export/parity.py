"""Comparison of the exported and the trained networks over recorded observations, in joint units.

Compared are the outputs of each network and the actions the arm would execute: queue, forward kinematics, scaling and clipping
included. The unit is the joint's own: degrees, and percent of its opening for the gripper.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from soarm import arm
from soarm.dataset.reader import Dataset
from soarm.errors import ParityError
from soarm.policies import ChunkedPolicy, ResidualPolicy
from soarm.policy import Array, BatchPolicy, ChunkModel, Observation, ResidualModel
from soarm.runtime.bundle import Bundle
from soarm.runtime.onnx_policy import OnnxBase, OnnxResidual, load_policy
from soarm.spec import PolicySpec
from soarm.tasks.residual_observation import N_LOOKAHEAD

_BATCH = 256


@dataclasses.dataclass(frozen=True)
class Parity:
    """Largest absolute differences between the trained and the exported policy.

    Attributes:
        n_observations: How many recorded observations were compared.
        gaps: Output -> largest difference per joint, shape (6,) [deg x 5, percent]. Outputs: `chunk`, the network's;
            `residual`, the network's times the residual's scale; `base_action` and `executed_action`, what the arm is told.
    """

    n_observations: int
    gaps: dict[str, Array]

    @property
    def max_abs_deg(self) -> float:
        """The largest difference of any output over the five arm joints [deg]."""
        return float(max(gap[: arm.GRIPPER].max() for gap in self.gaps.values()))

    @property
    def max_abs_percent(self) -> float:
        """The largest difference of any output at the gripper [percent of its opening]."""
        return float(max(gap[arm.GRIPPER] for gap in self.gaps.values()))

    @property
    def metrics(self) -> dict[str, float | int]:
        """Metrics of the stage `export` on this."""
        largest = {"parity_max_abs_deg": self.max_abs_deg, "parity_gripper_max_abs_percent": self.max_abs_percent}
        return {**largest, "parity_observations": self.n_observations}

    def to_dict(self) -> dict[str, Any]:
        """Return the table as JSON-ready types, joints by name."""
        table = {output: dict(zip(arm.JOINT_NAMES, map(float, gap), strict=True)) for output, gap in self.gaps.items()}
        units = dict(zip(arm.JOINT_NAMES, arm.UNITS, strict=True))
        return {"n_observations": self.n_observations, "max_abs": table, "units": units}

    def require(self, max_abs: float) -> None:
        """Refuse a bundle that differs.

        Args:
            max_abs: Largest difference allowed [deg; percent for the gripper].

        Raises:
            ParityError: Lists every output and joint above it, or not a number.
        """
        faults = [
            f"{output}, {name}: {value:.3g} {unit}"
            for output, gap in self.gaps.items()
            for name, unit, value in zip(arm.JOINT_NAMES, arm.UNITS, gap, strict=True)
            if not value <= max_abs
        ]
        if faults:
            listing = "\n  ".join(faults)
            raise ParityError(
                f"the exported policy differs from the trained one by more than {max_abs:g} deg (gripper: percent) over "
                f"{self.n_observations} recorded observations:\n  {listing}\nThe bundle is not released. Look for an operator "
                "that onnxruntime computes differently (another export.opset may help); a wider export.max_abs_deg hides it."
            )


def recorded(dataset: Dataset, n_observations: int, inputs: Sequence[str] = ()) -> list[Observation]:
    """Return the observations of the first episodes of `dataset` that hold `n_observations` together.

    Args:
        dataset: The dataset.
        n_observations: At least so many.
        inputs: Keys of what the base observes: pictures of cameras among them are decoded, those of others are not.

    Raises:
        ParityError: The dataset holds fewer.
    """
    if dataset.n_frames < n_observations:
        raise ParityError(
            f"{dataset.path} holds {dataset.n_frames} observations and export.n_observations asks for {n_observations}; "
            "parity shown on fewer would say less than it seems. Record more episodes, or lower export.n_observations."
        )
    stop = int(np.searchsorted(dataset.episode_starts, n_observations))
    seen = {key: values for key, values in dataset.columns.items() if key.startswith("observation.")}
    cameras = {key: pictures for key, pictures in dataset.pictures.items() if key in inputs}
    bounds = zip(dataset.episode_starts[:stop], dataset.episode_starts[1 : stop + 1], strict=True)
    return [
        {key: values[start:end] for key, values in seen.items()}
        | {key: pictures.gather(np.arange(start, end)) for key, pictures in cameras.items()}
        for start, end in bounds
    ]


def measure(
    bundle: Bundle, act: ChunkModel, residual: ResidualModel | None, spec: PolicySpec, episodes: Sequence[Observation]
) -> Parity:
    """Compare a bundle with the networks it was exported from.

    Args:
        bundle: The exported side.
        act: The trained base.
        residual: The trained residual, where the bundle has one.
        spec: The trained policy's specification.
        episodes: Recorded observations, one mapping of key -> (T, ...) per episode; played through both policies in order.
    """
    everything = {key: np.concatenate([episode[key] for episode in episodes]) for key in episodes[0]}
    n_observations = len(next(iter(everything.values())))
    gaps = {"chunk": _chunk_gap(act, OnnxBase(bundle), everything)}
    base = ChunkedPolicy(act, spec, len(episodes))
    gaps["base_action"] = _gap(play(base, episodes), play(load_policy(bundle, len(episodes), "base"), episodes))
    if residual is not None:
        assert spec.residual_scale is not None, "a residual has a scale"
        scale = np.asarray(spec.residual_scale, np.float32)
        tap = _Tap(residual)
        policy = ResidualPolicy(ChunkedPolicy(act, spec, len(episodes), N_LOOKAHEAD), tap, spec.residual_scale)
        executed = play(policy, episodes)
        seen, said = np.concatenate(tap.seen), np.concatenate(tap.said)
        gaps["residual"] = _gap(said, OnnxResidual(bundle).predict_residual(seen)) * scale
        gaps["executed_action"] = _gap(executed, play(load_policy(bundle, len(episodes), "residual"), episodes))
    return Parity(n_observations, gaps)


def play(policy: BatchPolicy, episodes: Sequence[Observation]) -> Array:
    """Show recorded episodes to a policy, one per row, and return its actions, shape (sum of lengths, 6), step by step."""
    lengths = np.array([len(next(iter(episode.values()))) for episode in episodes])
    policy.reset(np.arange(len(episodes), dtype=np.intp), [0] * len(episodes))
    actions = []
    for t in range(lengths.max()):
        rows = np.flatnonzero(lengths > t)
        seen = {key: np.stack([episodes[int(row)][key][t] for row in rows]) for key in episodes[0]}
        actions.append(policy.act(seen, rows))
    return np.concatenate(actions)


class _Tap:
    """A residual model that remembers what it saw and said."""

    def __init__(self, model: ResidualModel) -> None:
        self._model = model
        self.seen: list[Array] = []
        self.said: list[Array] = []

    def predict_residual(self, residual_observation: Array) -> Array:
        """Ask the model and remember."""
        residual = self._model.predict_residual(residual_observation)
        self.seen.append(residual_observation)
        self.said.append(residual)
        return residual


def _chunk_gap(trained: ChunkModel, exported: ChunkModel, observation: Observation) -> Array:
    n = len(next(iter(observation.values())))
    gaps = []
    for start in range(0, n, _BATCH):
        batch = {key: value[start : start + _BATCH] for key, value in observation.items()}
        gaps.append(_gap(trained.predict_chunks(batch), exported.predict_chunks(batch)))
    worst: Array = np.max(gaps, axis=0)
    return worst


def _gap(trained: Array, exported: Array) -> Array:
    """Return the largest absolute difference per joint, shape (6,), of two arrays (..., 6)."""
    gap: Array = np.abs(trained - exported).reshape(-1, arm.N_JOINTS).max(axis=0)
    return gap
