"""What an eye gets wrong: how far off each object is, by stage of the task and by how much of the object can be seen."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm.estimation import NEAR_M, Answer, Questions
from soarm.eye.moments import Moments
from soarm.policy import Array

HIDDEN_PX = 6
"""An object that changes fewer pixels of all pictures together is hidden."""
Mask = NDArray[np.bool_]


class Row(NamedTuple):
    """Errors of one object in some frames.

    Attributes:
        thing: Its name.
        frames: Which frames: `all`, `as it was`, a stage, `seen`, `hidden`, or `near the gripper`.
        n: How many.
        median_mm: Median distance between where it is and where the eye says, in the plane of the table; from the gripper
            where it is near [mm].
        p90_mm: 90th percentile of the same [mm].
        median_deg: Median error of the yaw, of an object that has one [deg].
        p90_deg: 90th percentile of the same [deg].
        expected_mm: Median of the error that the eye expects [mm].
    """

    thing: str
    frames: str
    n: int
    median_mm: float
    p90_mm: float
    median_deg: float
    p90_deg: float
    expected_mm: float


@dataclasses.dataclass(frozen=True)
class EyeErrors:
    """Errors of an eye in frames that it did not learn from.

    Attributes:
        rows: One per object and kind of frames.
    """

    rows: tuple[Row, ...]

    @classmethod
    def of(
        cls,
        questions: Questions,
        state: Array,
        truth: Array,
        found: Array,
        expected_m: Array,
        moments: Moments,
        visible_px: NDArray[np.int64],
    ) -> EyeErrors:
        """Compare what an eye says with what is.

        Args:
            questions: What it was asked.
            state: Joints, shape (N, 6) [deg x 5, percent].
            truth: True objects, shape (N, n).
            found: What the eye says, shape (N, n).
            expected_m: Which error it expects, shape (N, things) [m].
            moments: Of the frames.
            visible_px: Pixels that show each thing, all pictures together, shape (N, things).
        """
        rows: list[Row] = []
        targets = questions.targets(state, truth)
        for i, answer in enumerate(questions.answers):
            off_mm, turn_deg = _off_mm(answer, truth, found), _turn_deg(answer, truth, found)
            near = np.linalg.norm(targets[:, answer.offset], axis=1) < NEAR_M
            seen = visible_px[:, i] >= HIDDEN_PX
            kinds: dict[str, Mask] = {"all": np.ones(len(truth), bool), "as it was": moments.as_was}
            stages = {stage.name.lower(): moments.as_was & (moments.stage == stage) for stage in questions.task.stages}
            kinds |= stages | {"seen": seen, "hidden": ~seen, "near the gripper": near & seen}
            for name, mask in kinds.items():
                if mask.any():
                    numbers = (*_spread(off_mm[mask]), *_spread(turn_deg[mask]), 1e3 * float(np.median(expected_m[mask, i])))
                    rows.append(Row(answer.name, name, int(mask.sum()), *numbers))
        return cls(tuple(rows))

    def headline(self) -> dict[str, float]:
        """Return the few numbers by which a person compares two eyes: the median error of each thing while it can be seen."""
        return {f"{row.thing}_mm": row.median_mm for row in self.rows if row.frames == "seen"}

    def to_dict(self) -> dict[str, Any]:
        """Return thing -> kind of frames -> its numbers, as JSON-ready types."""
        table: dict[str, Any] = {}
        for row in self.rows:
            numbers = {name: value for name, value in row._asdict().items() if name not in ("thing", "frames")}
            table.setdefault(row.thing, {})[row.frames.replace(" ", "_")] = numbers
        return table


def _off_mm(answer: Answer, truth: Array, found: Array) -> NDArray[Any]:
    xy = list(answer.at[:2])
    off: NDArray[Any] = 1e3 * np.linalg.norm(found[:, xy] - truth[:, xy], axis=1)
    return off


def _turn_deg(answer: Answer, truth: Array, found: Array) -> NDArray[Any]:
    """Return by how much the yaw is off, shape (N,) [deg]; NaN of a thing without, and of a tilted one, which has none."""
    if not answer.turn:
        return np.full(len(truth), np.nan)
    cosine, sine = answer.turn
    there, said = truth[:, cosine] + 1j * truth[:, sine], found[:, cosine] + 1j * found[:, sine]
    off: NDArray[Any] = np.abs(np.degrees(np.angle(said * there.conj()))) / 4.0
    return np.where(np.abs(there) > 0.9, off, np.nan)


def _spread(values: NDArray[Any]) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    return (float(np.median(known)), float(np.quantile(known, 0.9))) if len(known) else (float("nan"), float("nan"))
