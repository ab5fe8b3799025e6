"""What stands between a policy's degrees and the joints: wrong zeros, backlash, and how a servo follows its goal.

Knows arrays of one row per arm; knows no MuJoCo. A scene's physics holds what is drawn (`soarm.sim.draw.draw_physics`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm, motor
from soarm.policy import clip_to_limits
from soarm.quantities import NotNegative, Positive, within
from soarm.sim.task import BY_MOTOR

Floats = NDArray[np.float64]
_Zero = Annotated[float, within(least=-45, most=45)]
_STREAM = 0x3215
"""Sets the random number by which an episode gets its law apart from those of its scene."""
_RAD_PER_TICK = 2 * math.pi / 4096


@dataclasses.dataclass(frozen=True)
class ServoParams:
    """The six servos of one arm, the same in every episode. Tuples are in the order of the joints.

    Attributes:
        law: How a servo makes torque: `position`, MuJoCo's actuator, with `physics.position_gain` and `physics.force_limit`;
            or `sts3215`, Rhoban's identified motor (`soarm.motor`), with `p` and `physics.volts`, whose goal slews no faster
            than the servo's; or `either` of them, drawn for every episode.
        p: Register 21 of an `sts3215`.
        gain_factor: Stiffness of a joint's servo, times that of the law.
        damping_factor: What a joint's servo brakes by, times that of the law.
        armature_kgm2: Inertia of a motor at its joint, the same for all [kg m2]; None: what the arm's model has, or the law.
        friction_nm: Coulomb friction of the joints [N m]; None: what the arm's model has, or the motor's law.
        zero_deg: How far the zero of a joint is off: it reads its true position plus this [deg x 5, percent].
    """

    law: Literal["position", "sts3215", "either"]
    p: Annotated[int, within(least=1, most=254)]
    gain_factor: tuple[Positive, Positive, Positive, Positive, Positive, Positive]
    damping_factor: tuple[Positive, Positive, Positive, Positive, Positive, Positive]
    armature_kgm2: Positive | None
    friction_nm: tuple[NotNegative, NotNegative, NotNegative, NotNegative, NotNegative, NotNegative] | None
    zero_deg: tuple[_Zero, _Zero, _Zero, _Zero, _Zero, _Zero]

    def by_motor(self, seed: int) -> bool:
        """Return whether servos follow the motor's law in the episode of a seed."""
        if self.law == "either":
            return bool(np.random.default_rng([seed, _STREAM]).integers(2))
        return self.law == "sts3215"


def play(before: Floats, goal: Floats, width: Floats) -> Floats:
    """Return where gears with backlash put a joint that is driven to `goal`: they move it only after `width` of way.

    The play operator of hysteresis (Visintin 1994, "Differential Models of Hysteresis", III.2); arrays of one shape.

    Args:
        before: Where they had put it.
        goal: Where the motor goes.
        width: Of the gap between the flanks.
    """
    return np.clip(before, goal - width / 2, goal + width / 2)


def slew(
    goal: Floats, at: Floats, speed: Floats, fastest: ArrayLike, acceleration: ArrayLike, dt_s: float
) -> tuple[Floats, Floats]:
    """Move the goals that servos follow by one physics step: no faster than they may, and able to brake in time.

    Args:
        goal: Where to; arrays of one shape, in any unit of angle.
        at: Where the followed goals are.
        speed: How fast those run [1/s].
        fastest: Bound on it.
        acceleration: Bound on its change [1/s2]; infinite where there is none.
        dt_s: The physics step [s].

    Returns:
        The followed goals and their speed after it.
    """
    way = goal - at
    limited = np.isfinite(acceleration)
    a = np.where(limited, acceleration, 0.0)
    # The speed from which it can still brake, counted in whole steps: v dt (1 + v / (a dt)) / 2 = way.
    braking = np.where(limited, np.sqrt((a * dt_s / 2) ** 2 + 2 * a * np.abs(way)) - a * dt_s / 2, np.inf)
    wanted = np.sign(way) * np.minimum(np.minimum(np.abs(way) / dt_s, fastest), braking)
    change = np.where(limited, a * dt_s, np.inf)
    speed = np.clip(wanted, speed - change, speed + change)
    return at + speed * dt_s, speed


class Servos:
    """Zeros, backlash and slewing goals of a number of arms.

    Args:
        params: The servos.
        n_rows: Number of arms.
        n_substeps: Physics steps per control step.
        dt_s: The physics step [s].
    """

    def __init__(self, params: ServoParams, n_rows: int, n_substeps: int, dt_s: float) -> None:
        self._own_zero = np.asarray(params.zero_deg)
        self._slews = np.zeros((n_rows, 1), bool)
        self._n_substeps, self._dt_s = n_substeps, dt_s
        self.zero, self.backlash_rad = np.zeros((n_rows, arm.N_JOINTS)), np.zeros((n_rows, arm.N_JOINTS))
        self._slewed, self._speed, self._played = (np.zeros((n_rows, arm.N_JOINTS)) for _ in range(3))  # [rad], [rad/s]

    def start(self, rows: NDArray[Any], physics: Sequence[Mapping[str, Any]], q_rad: Floats) -> None:
        """Start an episode in each of `rows`, the joints at rest; `physics` of each, and positions, shape (k, 6) [rad]."""
        for row, one in zip(rows, physics, strict=True):
            self.zero[row] = self._own_zero + one["zero_deg"]
            self._slews[row] = one[BY_MOTOR]
            self.backlash_rad[row] = one["backlash_deg"] / np.abs(arm.PER_RAD)
        self._slewed[rows], self._speed[rows], self._played[rows] = q_rad, 0.0, q_rad

    def goals_rad(self, actions: ArrayLike, rows: NDArray[Any]) -> Iterator[tuple[Floats, int]]:
        """Yield the joints' goals during a control step, shape (k, 6) [rad], and for how many physics steps each holds.

        Args:
            actions: What a policy commands, shape (k, 6) [deg x 5, percent].
            rows: Of which arms.
        """
        goals = arm.to_radians(clip_to_limits(actions) - self.zero[rows])
        slews = self._slews[rows]
        if not slews.any():
            yield self._through_gears(goals, rows), self._n_substeps
            return
        bounds = motor.MAX_SPEED_TICKS_S * _RAD_PER_TICK, 100.0 * motor.ACCELERATION * _RAD_PER_TICK
        for _ in range(self._n_substeps):
            followed = slew(goals, self._slewed[rows], self._speed[rows], *bounds, self._dt_s)
            self._slewed[rows], self._speed[rows] = followed
            yield self._through_gears(np.where(slews, followed[0], goals), rows), 1

    def _through_gears(self, motors_rad: Floats, rows: NDArray[Any]) -> Floats:
        """Return where motors that stand there put the joints, shape (k, 6) [rad]."""
        played: Floats = play(self._played[rows], motors_rad, self.backlash_rad[rows])
        self._played[rows] = played
        return played

    def read(self, q: Floats, rows: NDArray[Any]) -> Floats:
        """Return what joints read that are at `q`, shape (k, 6) [deg x 5, percent]."""
        read: Floats = q + self.zero[rows]
        return read
