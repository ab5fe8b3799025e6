"""The STS3215's motor in numbers: Rhoban's identified model (BAM, m1, 7.4 V part). Facts only.

duty = clip(0.166 P (goal - q)), torque = kt (V duty - kt qd) / R. At P 32 and 7.4 V that is 17.8 N m/rad and 3.35 N m, the
values of SO-ARM100's own joint properties.
"""

from __future__ import annotations

DUTY_PER_P_RAD = 0.166
"""PWM duty per unit of the P register and radian of error."""
DUTY_MAX = 0.97
KT, OHM = 1.2116, 2.676
"""Torque constant [N m/A], equal to the back-EMF constant [V s/rad], and winding resistance."""
ARMATURE, COULOMB_NM, VISCOUS = 0.0284, 0.052, 0.059
"""Of motor and gears, at the output shaft [kg m2, N m, N m s/rad]."""
MAX_SPEED_TICKS_S = 3400.0
"""The servo slews its goal no faster [ticks/s]."""
P = 32
"""Register 21 as the factory sets it."""
TORQUE_LIMIT = (1000, 1000, 1000, 1000, 1000, 500)
"""Register 48 of the six servos [0.1 %]. The gripper's is half, as in LeRobot: a full one cooks its servo."""
ACCELERATION = 254
"""Register 41, the most that it takes [100 ticks/s2]."""


def stiffness(p: float, volts: float) -> float:
    """Return the stiffness of a servo with this P register at this voltage, before its duty saturates [N m/rad]."""
    return KT * volts / OHM * DUTY_PER_P_RAD * p


def p_for(stiffness_nm_per_rad: float, volts: float) -> int:
    """Return the P register that gives a stiffness at a voltage, at most 254."""
    return min(254, round(stiffness_nm_per_rad / stiffness(1.0, volts)))


def stall_torque(torque_limit: float, volts: float) -> float:
    """Return the torque at rest [N m] that register 48 [0.1 %] leaves."""
    return KT * volts / OHM * DUTY_MAX * torque_limit / 1000
