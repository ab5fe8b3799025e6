"""A bundle in 8-bit integers: its networks that look at pictures quantised, and the scenes that show what it costs.

Base and eye are quantised with what they are asked while the float32 bundle drives the simulator, on validation scenes that
the comparison leaves out. Then both bundles drive the same validation scenes. Rounding moves every action a little, so
scenes flip both ways; what counts is how many more are lost than gained.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from soarm import arm
from soarm.errors import ParityError
from soarm.estimation import Questions
from soarm.evaluation.statistics import paired_table
from soarm.export.agreement import outcomes
from soarm.export.bundle import seal
from soarm.export.params import ExportParams
from soarm.export.quantise import quantise
from soarm.policy import Array, BatchPolicy
from soarm.rollout import BatchEnv
from soarm.runtime.bundle import BASE, EYE, POSE_INPUT, RESIDUAL, Bundle, network_file
from soarm.runtime.eye import seeing
from soarm.runtime.onnx_policy import load_policy
from soarm.seeds import scene_seeds

logger = logging.getLogger(__name__)
Asked = dict[str, NDArray[Any]]
"""Input of a network -> one row, (1, ...)."""
_MOST_ASKED = 512
"""Observations kept of a network; half calibrate, and the others measure the differences."""


@dataclasses.dataclass(frozen=True)
class Quantised:
    """What quantising a bundle changed.

    Attributes:
        gaps: Name -> largest difference of a network's answers: `chunk_<joint>` of the base [deg; percent for the gripper],
            `<thing>_mm` of the eye's positions, on observations that calibrated nothing.
        float32: Success per scene before, shape (N,) bool.
        int8: Success per scene after, shape (N,) bool.
    """

    gaps: Mapping[str, float]
    float32: NDArray[np.bool_]
    int8: NDArray[np.bool_]

    @property
    def loss(self) -> float:
        """Share of the scenes that were lost, less those gained."""
        return (int(self.float32.sum()) - int(self.int8.sum())) / len(self.int8)

    def to_dict(self) -> dict[str, float | int]:
        """Return what `parity.json`, metrics and card say of it: numbers of scenes, success rates in [0, 1], differences."""
        table = paired_table(self.float32, self.int8)
        return {
            "int8_scenes": len(self.int8),
            "int8_success_rate": float(self.int8.mean()),
            "float32_success_rate": float(self.float32.mean()),
            "int8_scenes_lost": table.base_only,
            "int8_scenes_gained": table.residual_only,
            **{f"int8_max_abs_{name}": gap for name, gap in self.gaps.items()},
        }

    def require(self, most_loss: float) -> None:
        """Refuse a bundle that loses too much.

        Args:
            most_loss: Largest share of the scenes that may be lost, less those gained.

        Raises:
            ParityError: It loses more.
        """
        if self.loss <= most_loss:
            return
        table = paired_table(self.float32, self.int8)
        gaps = ", ".join(f"{name} {value:.3g}" for name, value in self.gaps.items())
        raise ParityError(
            f"in 8-bit integers the bundle solves {self.int8.mean():.1%} of {len(self.int8)} validation scenes, in float32 "
            f"{self.float32.mean():.1%} of the same: {table.base_only} lost, {table.residual_only} gained, and "
            f"export.int8_max_loss allows {most_loss:.1%}. The largest differences of its networks: {gaps}. The bundle is not "
            "released. Set export.int8 to false; or, if few scenes were compared, raise export.int8_scenes and see whether "
            "the loss stays."
        )


def quantise_bundle(folder: Path, env: BatchEnv, params: ExportParams) -> Quantised:
    """Replace the networks of a bundle that look at pictures by quantised ones, and compare the two on the same scenes.

    Args:
        folder: Of the bundle; sealed before and afterwards.
        env: The simulator, told the true objects; a bundle's own eye looks at its pictures.
        params: How many scenes are compared, and how many may be lost.

    Raises:
        ParityError: No network of the bundle looks at pictures, or integers lose more scenes than allowed.
    """
    bundle = Bundle.open(folder)
    looking = [*([BASE] if bundle.cameras else []), *([EYE] if bundle.eye_cameras else [])]
    if not looking:
        raise ParityError(
            f"export.int8 is true, and no network of this bundle ({', '.join(bundle.sessions)}) looks at pictures: there is "
            "nothing to gain. Set export.int8 to false, or train an eye or a base that looks (profile pixels or seed_size)"
        )
    logger.info("quantising %s; float32 and integers drive the same %d scenes", " and ".join(looking), params.int8_scenes)
    seeds = scene_seeds("validation")
    compared, asked_on = seeds[: params.int8_scenes], seeds[params.int8_scenes :][: params.n_rows]
    asked = _asked(bundle, looking, env, asked_on)
    before = outcomes(*_driving(bundle, env), compared)
    for network in looking:
        path = folder / network_file(network)
        path.write_bytes(quantise(path.read_bytes(), asked[network][::2]))
    seal(folder)
    small = Bundle.open(folder)
    gaps = {name: gap for one in looking for name, gap in _gaps(bundle, small, one, asked[one][1::2])}
    found = Quantised(gaps, before, outcomes(*_driving(small, env), compared))
    found.require(params.int8_max_loss)
    return found


def _driving(bundle: Bundle, env: BatchEnv) -> tuple[BatchEnv, BatchPolicy]:
    """Return environments as the bundle sees them, and the best of its policies."""
    return seeing(bundle, env), load_policy(bundle, env.n_rows, "residual" if RESIDUAL in bundle.sessions else "base")


def _asked(bundle: Bundle, networks: list[str], env: BatchEnv, seeds: range) -> dict[str, list[Asked]]:
    """Return what networks of a bundle are asked while it drives, by network."""
    heard = {name: _Listening(bundle.sessions[name]) for name in networks}
    sessions = cast(Mapping[str, ort.InferenceSession], {**bundle.sessions, **heard})
    outcomes(*_driving(dataclasses.replace(bundle, sessions=sessions), env), seeds)
    return {name: session.asked for name, session in heard.items()}


class _Listening:
    """A session of ONNX Runtime that keeps a sample of what it is asked, a row of each question, up to `_MOST_ASKED`.

    Reservoir sampling: every question has the same chance to be kept (Vitter 1985, algorithm R).
    """

    def __init__(self, session: ort.InferenceSession) -> None:
        self.asked: list[Asked] = []
        self._session, self._heard, self._rng = session, 0, np.random.default_rng(0)

    def get_inputs(self) -> Any:
        return self._session.get_inputs()

    def run(self, outputs: Any, feed: Mapping[str, NDArray[Any]]) -> Any:
        row = int(self._rng.integers(len(next(iter(feed.values())))))
        at = self._heard if self._heard < _MOST_ASKED else int(self._rng.integers(self._heard + 1))
        self._heard += 1
        if at < _MOST_ASKED:
            self.asked[at : at + 1] = [{key: value[row : row + 1].copy() for key, value in feed.items()}]
        return self._session.run(outputs, feed)


def _gaps(exact: Bundle, small: Bundle, network: str, asked: list[Asked]) -> Iterator[tuple[str, float]]:
    """Give the largest differences of a network's answers, by name with the unit."""
    before, after = (np.concatenate([one.sessions[network].run(None, feed)[0] for feed in asked]) for one in (exact, small))
    if network == BASE:
        worst = np.abs(after - before).reshape(-1, arm.N_JOINTS).max(axis=0)
        for name, unit, value in zip(arm.JOINT_NAMES, arm.UNITS, worst, strict=True):
            yield f"chunk_{name}_{unit}", float(value)
        return
    questions, state = Questions(exact.task), np.concatenate([feed[POSE_INPUT] for feed in asked])[:, : arm.N_JOINTS]
    objects: list[Array] = [questions.read(state, one)[0] for one in (before, after)]
    for answer in questions.answers:
        moved_m = np.linalg.norm((objects[1] - objects[0])[:, list(answer.at)], axis=1)
        yield f"{answer.name}_mm", 1e3 * float(moved_m.max())
