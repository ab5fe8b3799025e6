"""Zeros of an arm's joints, from what it carried: a thing that is held has to be where the hand has it by its joints.

Knows episodes, kinematics and where things were seen; moves no arm and knows no network. By joints with wrong zeros the hand
is elsewhere than it is, differently at every pose, and a thing between the fingers shows where it is. Sought are the zeros of
the five joints and the delay of what is seen; where in the hand each thing was held is solved for along the way. All have a
Gaussian prior, so that what a few carries do not determine stays near what is usual: zeros of lift, elbow and wrist make up
for each other, and only where they put the hand is told well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from soarm import arm, kinematics
from soarm.errors import OnlineError
from soarm.online.steps import Episode
from soarm.policy import Array
from soarm.runtime.carried import gripped
from soarm.tasks.task import Task

Floats = NDArray[np.float64]
N_ZEROS = 5
"""The gripper's own zero moves no hand, and follows from how open the fingers are around things whose size is known."""
LEAST_CARRIES = 4
"""With fewer carries the prior says more than they do."""
_RAISED_M, _NEAR_M, _SETTLED_STEPS, _LEAST_STEPS = 0.005, 0.05, 3, 6
"""A thing is carried that is so much higher than at the start, so near to the gripper point, and was so for some steps."""
_LET_GO_PERCENT = 2.0
"""Fingers that are so much further open than usual while it is near let it fall [percent]."""
_COUNTED = 3.0
"""Steps of a carry count as this many independent ones at most: all share the tracker's offset."""
_SEEN_M, _TURNED_RAD = 0.002, 0.05
"""Standard deviation of where and how turned a thing is seen."""
_ZERO_DEG = 1.5
_DELAY_S = 0.03, 0.05
"""Mean and standard deviation of the delay of what is seen [s]."""
_HELD_M, _HELD_STD_M = np.array([0.0, -0.004, 0.0]), np.array([0.001, 0.01, 0.01])
"""Where in the hand a thing is held, and how much that varies: between the jaws, along the fingers, across (bench_desk.py)."""
_UPRIGHT = 0.8
"""The yaw of a thing that is tilted more says little: its four-fold vector is shorter than this."""


class Zeros(NamedTuple):
    """What was found.

    Attributes:
        zero_deg: How far the zero of a joint is off: it reads its true position plus this, shape (6,).
        error_deg: Their standard errors, shape (6,) [deg x 5, percent].
        delay_s: Of what is seen [s].
        n_carries: Episodes in which something was carried.
        before_m: How far a thing was from where the hand had it, in the median, by the joints as they read [m].
        after_m: The same with the zeros that were found [m].
    """

    zero_deg: Floats
    error_deg: Floats
    delay_s: float
    n_carries: int
    before_m: float
    after_m: float


class _Carry(NamedTuple):
    """An episode in which a thing is carried.

    Attributes:
        q: Joints of the whole episode, shape (T, 6) [deg x 5, percent].
        steps: Those that carry, shape (m,).
        seen: Where the thing was seen at these, shape (m, 5) [m x 3, 1 x 2].
        opening_percent: How much further open the fingers read than they are around such a thing [percent].
    """

    q: Floats
    steps: NDArray[np.intp]
    seen: Floats
    opening_percent: float


class _Carries:
    """All steps of all carries in one array: n steps of k carries.

    Args:
        carries: The carries.
        control_hz: Control steps per second [Hz].
    """

    def __init__(self, carries: list[_Carry], control_hz: int) -> None:
        self._joints, self._hz = [(carry.q, carry.steps) for carry in carries], control_hz
        lengths = [len(carry.steps) for carry in carries]
        self._of = np.repeat(np.arange(len(carries)), lengths)
        self._weight = np.sqrt(np.minimum(1.0, _COUNTED / np.repeat(lengths, lengths)))
        seen = np.concatenate([carry.seen for carry in carries])
        self._middle_m, self._yaw4 = seen[:, :3], seen[:, 3] + 1j * seen[:, 4]

    def in_hand(self, x: Floats) -> tuple[Floats, Floats, Floats]:
        """Return where things were in the hand, (n, 3), in the mean of each carry, (k, 3) [m], and how turned, (k,) [rad].

        Args:
            x: Zeros [deg] and delay [s], shape (6,).
        """
        tcp_m, hand = kinematics.forward(self._joints_at(x[N_ZEROS]) - np.append(x[:N_ZEROS], 0.0))
        offset_m = np.einsum("nij,ni->nj", hand, self._middle_m - tcp_m)
        precision = (self._weight / _SEEN_M) ** 2
        total = np.bincount(self._of, precision)[:, None]
        sums = np.stack([np.bincount(self._of, precision * offset_m[:, i]) for i in range(3)], axis=1)
        held_m = (sums + _HELD_M / _HELD_STD_M**2) / (total + 1.0 / _HELD_STD_M**2)
        turns = np.where(np.abs(self._yaw4) >= _UPRIGHT, self._yaw4 * np.conj(hand[:, 0, 0] + 1j * hand[:, 1, 0]) ** 4, 0.0)
        turned = np.angle(np.bincount(self._of, turns.real) + 1j * np.bincount(self._of, turns.imag)) / 4
        return offset_m, held_m, turned

    def residuals(self, x: Floats) -> Floats:
        """Return all that is to be small, in standard deviations."""
        offset_m, held_m, turned = self.in_hand(x)
        parts = [
            self._weight[:, None] * (offset_m - held_m[self._of]) / _SEEN_M,
            (held_m - _HELD_M) / _HELD_STD_M,
            turned / _TURNED_RAD,
            x[:N_ZEROS] / _ZERO_DEG,
            np.array([(x[N_ZEROS] - _DELAY_S[0]) / _DELAY_S[1]]),
        ]
        return np.concatenate([part.ravel() for part in parts])

    def apart_m(self, x: Floats) -> float:
        """Return how far things are from where the hand has them, in the median [m]."""
        offset_m, held_m, _ = self.in_hand(x)
        return float(np.median(np.linalg.norm(offset_m - held_m[self._of], axis=1)))

    def _joints_at(self, delay_s: float) -> Floats:
        """Return the joints as they were when the thing was seen, shape (n, 6)."""
        found = []
        for q, steps in self._joints:
            at = np.clip(steps - delay_s * self._hz, 0, len(q) - 1.001)
            before, share = np.floor(at).astype(np.intp), (at % 1.0)[:, None]
            found.append(q[before] * (1.0 - share) + q[before + 1] * share)
        return np.concatenate(found)


def find_zeros(episodes: Iterable[Episode], task: Task, control_hz: int) -> Zeros:
    """Find the zeros of the joints, by robust least squares (Huber 1981; here with scipy's soft L1 loss).

    Args:
        episodes: Of one arm with one calibration.
        task: What its things are.
        control_hz: Control steps per second [Hz].

    Raises:
        OnlineError: Too little was carried.
    """
    found = [carry for episode in episodes for carry in _carried(episode.observations, task)]
    fingers = [carry.opening_percent for carry in found]
    if len(found) < LEAST_CARRIES:
        raise OnlineError(
            f"something was carried in {len(found)} episodes; zeros need {LEAST_CARRIES} of them, and are better told by 20. "
            "Let the arm go on, or take over and carry by hand; and the task must be one in which the gripper holds a thing"
        )
    carries = _Carries(found, control_hz)
    start = np.append(np.zeros(N_ZEROS), _DELAY_S[0])
    fitted: Any = least_squares(carries.residuals, start, loss="soft_l1", x_scale=[1.0] * N_ZEROS + [0.02])
    errors = np.sqrt(np.diag(np.linalg.inv(fitted.jac.T @ fitted.jac)))
    return Zeros(
        zero_deg=np.append(fitted.x[:N_ZEROS], np.median(fingers)),
        error_deg=np.append(errors[:N_ZEROS], 1.25 * np.std(fingers) / np.sqrt(len(fingers))),
        delay_s=float(fitted.x[N_ZEROS]),
        n_carries=len(found),
        before_m=carries.apart_m(np.append(np.zeros(N_ZEROS), fitted.x[N_ZEROS])),
        after_m=carries.apart_m(fitted.x),
    )


def _carried(observations: Array, task: Task) -> Iterable[_Carry]:
    """Yield each thing that was carried in an episode of residual observations, (T, D)."""
    blocks = task.residual_observation.blocks
    seen = observations.astype(np.float64)
    q, tcp_m, objects = (seen[:, blocks[name]] for name in ("state", "gripper_point", "objects"))
    for thing, grip in gripped(task):
        pose = objects[:, [task.elements[thing.name][name] for name in ("x", "y", "z", "yaw4_cos", "yaw4_sin")]]
        near = np.linalg.norm(pose[:, :3] - tcp_m, axis=1) < _NEAR_M
        held = near & (pose[:, 2] - pose[0, 2] > _RAISED_M)
        if held.any():
            held &= q[:, arm.GRIPPER] < np.median(q[held, arm.GRIPPER]) + _LET_GO_PERCENT
        for _ in range(_SETTLED_STEPS - 1):
            held[1:] &= held[:-1].copy()
        steps = np.flatnonzero(held)
        if len(steps) >= _LEAST_STEPS:
            yield _Carry(q, steps, pose[steps], float(np.median(q[steps, arm.GRIPPER])) - grip.sides_percent)
