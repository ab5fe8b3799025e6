"""What policies are told of the objects, with the errors of whoever looks: an eye, a tracker of colours or of markers.

Each error is a range of which an episode draws its value: an offset that lasts, a jitter, looks that are rare, late, or find
nothing, and a hand that hides what it reaches for. A policy that is trained under them acts through such a tracker afterwards.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from soarm.quantities import LOW_HIGH, NotNegativeRange, within
from soarm.tasks.task import Task

_STREAM = 0xE220
"""Sets the random numbers of an episode's errors apart from those of its scene."""
_LIFTED_M = 0.005
"""A thing this much higher than at the start is in the hand, whose kinematics say where it is (docs/objects.md)."""
_Time = Annotated[float, within(least=0, most=2)]
_Share = Annotated[float, within(least=0, most=0.95)]
TimeRange = Annotated[tuple[_Time, _Time], LOW_HIGH]
ShareRange = Annotated[tuple[_Share, _Share], LOW_HIGH]
Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class ObservationErrorParams:
    """Errors of the object poses that the simulator tells, each [low, high], drawn per episode; all zero is none.

    Attributes:
        offset_m: Standard deviation of a thing's position along each axis, for the whole episode [m].
        jitter_m: The same, drawn anew at every look [m].
        offset_deg: Standard deviation of a thing's yaw, for the whole episode [deg].
        jitter_deg: The same, drawn anew at every look [deg].
        period_s: Time between two looks [s]; 0 looks at every control step.
        delay_s: How old a look is when policies are told of it [s].
        dropout: Share of the looks that do not find a thing, drawn for each thing; it is told where it was seen last.
        hidden_m: The gripper hides what is nearer to its point than this [m], as long as it lies: in the hand, the hand's
            kinematics say where a thing is.
    """

    offset_m: NotNegativeRange
    jitter_m: NotNegativeRange
    offset_deg: NotNegativeRange
    jitter_deg: NotNegativeRange
    period_s: TimeRange
    delay_s: TimeRange
    dropout: ShareRange
    hidden_m: NotNegativeRange

    @property
    def is_none(self) -> bool:
        """Whether nothing is wrong with what is told."""
        return not any(high for _, high in dataclasses.astuple(self))

    @staticmethod
    def none() -> ObservationErrorParams:
        """Return no errors."""
        return ObservationErrorParams(*[(0.0, 0.0)] * len(dataclasses.fields(ObservationErrorParams)))


class ObjectTracker:
    """Tells where the objects of a number of arms are, with errors that follow from each episode's seed.

    Args:
        error: How wrong at most.
        task: What there is to be told.
        n_rows: Number of arms.
        control_hz: Control steps per second [Hz].
        ranges_of: Returns what the errors of an episode are drawn from, by its seed; None: `error`.
    """

    def __init__(
        self,
        error: ObservationErrorParams,
        task: Task,
        n_rows: int,
        control_hz: int,
        ranges_of: Callable[[int], ObservationErrorParams] | None = None,
    ) -> None:
        self._hz, n = control_hz, task.objects.shape[0]
        self._ranges_of = ranges_of or (lambda seed: error)
        self._jitters = max(error.jitter_m[1], error.jitter_deg[1]) > 0
        things = [task.elements[thing.name] for thing in task.things]
        self._at = [[one[name] for name in ("x", "y", "z") if name in one] for one in things]
        self._yaw = [(one["yaw4_cos"], one["yaw4_sin"]) for one in things if "yaw4_cos" in one]
        self._elements = [sorted(one.values()) for one in things]
        self._height = [one.get("z") for one in things]
        longest = 1 + round(error.delay_s[1] * control_hz)
        self._rngs = [np.random.default_rng() for _ in range(n_rows)]
        self._drawn = {name: np.zeros(n_rows) for name in vars(error)}
        self._offsets: Floats = np.zeros((n_rows, sum(map(len, self._at)) + len(self._yaw)))
        self._step, self._phase = np.zeros(n_rows, np.int64), np.zeros(n_rows, np.int64)
        self._start, self._seen = np.zeros((n_rows, n), np.float32), np.zeros((n_rows, n), np.float32)
        self._looks = np.zeros((n_rows, longest, n), np.float32)

    def start(self, rows: NDArray[Any], seeds: Sequence[int], truth: NDArray[np.float32]) -> NDArray[np.float32]:
        """Start the episode of each seed in each of `rows`; return what is told of the objects, shape (k, n), as `truth`."""
        for row, seed in zip(rows, seeds, strict=True):
            rng = self._rngs[row] = np.random.default_rng([seed, _STREAM])
            for name, (low, high) in vars(self._ranges_of(seed)).items():
                self._drawn[name][row] = rng.uniform(low, high) if low < high else low
            self._phase[row] = rng.integers(self._period(row)) if self._period(row) > 1 else 0
            self._offsets[row] = self._errors(row, "offset")
        self._step[rows], self._start[rows] = 0, truth
        self._seen[rows] = self._seen_of(truth, rows)
        told: NDArray[np.float32] = self._seen[rows]
        self._looks[rows] = told[:, None]
        return told

    def follow(self, rows: NDArray[Any], truth: NDArray[np.float32], tcp_m: Floats) -> NDArray[np.float32]:
        """Return what is told after a control step, shape (k, n).

        Args:
            rows: Which arms.
            truth: Where their objects are, shape (k, n).
            tcp_m: Their gripper points, shape (k, 3) [m].
        """
        self._step[rows] += 1
        looked, step = self._seen_of(truth, rows), self._step[rows]
        periods = np.array([self._period(row) for row in rows], np.int64)
        looks = (step + self._phase[rows]) % periods == 0
        for elements, height, found in zip(self._elements, self._height, self._found(rows), strict=True):
            shown = looks & found & ~self._hidden(rows, truth, tcp_m, elements, height)
            self._seen[np.ix_(rows[shown], elements)] = looked[np.ix_(shown, elements)]
        longest = self._looks.shape[1]
        self._looks[rows, step % longest] = self._seen[rows]
        late = np.rint(self._drawn["delay_s"][rows] * self._hz).astype(np.int64)
        told: NDArray[np.float32] = self._looks[rows, np.maximum(step - late, 0) % longest]
        return told

    def _period(self, row: int) -> int:
        return max(1, round(float(self._drawn["period_s"][row]) * self._hz))

    def _found(self, rows: NDArray[Any]) -> NDArray[np.bool_]:
        """Return whether each thing is found, shape (things, k)."""
        lost, n = self._drawn["dropout"][rows], len(self._elements)
        if not lost.any():
            return np.ones((n, len(rows)), bool)
        return np.stack([self._rngs[row].random(n) >= share for row, share in zip(rows, lost, strict=True)], axis=1)

    def _hidden(
        self, rows: NDArray[Any], truth: NDArray[np.float32], tcp_m: Floats, elements: list[int], height: int | None
    ) -> NDArray[np.bool_]:
        """Return whether the gripper hides a thing that lies, shape (k,)."""
        nearer_m = self._drawn["hidden_m"][rows]
        if height is None or not nearer_m.any():
            return np.zeros(len(rows), bool)
        lies = truth[:, height] - self._start[rows, height] < _LIFTED_M
        away_m = np.linalg.norm(truth[:, elements[:3]] - tcp_m, axis=1)
        hidden: NDArray[np.bool_] = lies & (away_m < nearer_m)
        return hidden

    def _errors(self, row: int, kind: str) -> Floats:
        """Draw errors of positions [m], then of yaws [deg]."""
        n = sum(map(len, self._at))
        scales = np.repeat([self._drawn[f"{kind}_m"][row], self._drawn[f"{kind}_deg"][row]], [n, len(self._yaw)])
        drawn: Floats = self._rngs[row].standard_normal(len(scales)) * scales
        return drawn

    def _seen_of(self, truth: NDArray[np.float32], rows: NDArray[Any]) -> NDArray[np.float32]:
        """Return what a look at the objects sees."""
        seen = truth.copy()
        if not len(rows):
            return seen
        errors = self._offsets[rows]
        if self._jitters:
            errors = errors + np.stack([self._errors(row, "jitter") for row in rows])
        at = [i for elements in self._at for i in elements]
        seen[:, at] += errors[:, : len(at)].astype(np.float32)
        for height in (height for height in self._height if height is not None):
            seen[:, height] = np.maximum(seen[:, height], 0.0)  # nothing is under the table, and no robot host believes it
        for k, (cosine, sine) in enumerate(self._yaw):
            turned = (truth[:, cosine] + 1j * truth[:, sine]) * np.exp(4j * math.pi / 180.0 * errors[:, len(at) + k])
            seen[:, cosine], seen[:, sine] = turned.real, turned.imag
        return seen
