"""Actuator models: from a servo's goal to torque, by the simulator's position actuator or the STS3215's electrical law.

`position` is what policies are trained in, so that success through the wire can be held against direct simulation.
`sts3215` is Rhoban's identified model (BAM, model m1, 7.4 V part): the P register and the supply are physics, so gains and
voltage that differ from the training show as what they are, a softer arm.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from soarm import arm
from soarm.motor import ARMATURE, COULOMB_NM, DUTY_MAX, DUTY_PER_P_RAD, KT, OHM, VISCOUS

ActuatorName = Literal["position", "sts3215"]
Floats = NDArray[np.float64]


class Drive(NamedTuple):
    """What the six servos are told in one physics step, arrays of shape (6,).

    Attributes:
        goal_rad: Goals as joint angles of the model.
        live: Whether the motor drives.
        share: Of its torque it may use, 0..1.
        p: The P register.
        volts: At the servo.
    """

    goal_rad: Floats
    live: NDArray[np.bool_]
    share: Floats
    p: Floats
    volts: Floats


class ActuatorModel(Protocol):
    """Writes torques into MuJoCo; made on a model, which it changes to its own dynamics."""

    def apply(self, drive: Drive) -> None:
        """Set the actuators for the next physics step."""

    def refresh(self) -> None:
        """Take what a scene has drawn anew from the model, or write it over."""

    def load(self) -> Floats:
        """Return the PWM duty, or what stands for it, -1..1, shape (6,), in the direction of the model's joints."""

    def amperes(self) -> Floats:
        """Return the motor currents, shape (6,) [A]."""


class PositionActuator:
    """The model's own position actuators, gains and force limits as the scene drew them; P and voltage do nothing.

    A servo without torque has no gain, and one that may use a share of its torque that share of the force limit.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self._model, self._data = model, data
        self._live = np.ones(arm.N_JOINTS, bool)
        self._share = np.ones(arm.N_JOINTS)
        self.refresh()

    def refresh(self) -> None:
        """Take gains and limits anew from the model."""
        model, n = self._model, arm.N_JOINTS
        self._gain, self._bias = model.actuator_gainprm[:n].copy(), model.actuator_biasprm[:n].copy()
        self._limit = model.actuator_forcerange[:n].copy()
        self._live[:], self._share[:] = True, 1.0

    def apply(self, drive: Drive) -> None:
        """See `ActuatorModel`."""
        self._data.ctrl[:] = drive.goal_rad
        if (drive.live != self._live).any() or (drive.share != self._share).any():
            self._live, self._share = drive.live.copy(), drive.share.copy()
            on = drive.live[:, None]
            self._model.actuator_gainprm[: arm.N_JOINTS] = self._gain * on
            self._model.actuator_biasprm[: arm.N_JOINTS] = self._bias * on
            self._model.actuator_forcerange[: arm.N_JOINTS] = self._limit * drive.share[:, None]

    def load(self) -> Floats:
        """See `ActuatorModel`; force as a share of the full limit."""
        load: Floats = self._data.actuator_force[: arm.N_JOINTS] / self._limit[:, 1]
        return load

    def amperes(self) -> Floats:
        """See `ActuatorModel`; from the torque constant of the STS3215."""
        current: Floats = np.abs(self._data.actuator_force[: arm.N_JOINTS]) / KT
        return current


class Sts3215Actuator:
    """The electrical law: duty = clip(0.166 P (goal - q)), torque = kt (V duty - kt qd) / R.

    The part with qd goes into the joint's damping, which MuJoCo integrates implicitly. D and I are not identified anywhere:
    they do nothing here.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        n = arm.N_JOINTS
        self._model, self._data = model, data
        model.actuator_forcelimited[:n], model.actuator_ctrllimited[:n] = 0, 0  # its range is of angles, ours are torques
        self._duty = np.zeros(n)
        self._volts = np.zeros(n)
        self.refresh()

    def refresh(self) -> None:
        """See `ActuatorModel`: what drives are torques, at once; a delay is one of goals, which are not MuJoCo's here."""
        n = arm.N_JOINTS
        self._model.dof_armature[:n], self._model.dof_frictionloss[:n] = ARMATURE, COULOMB_NM
        self._model.dof_damping[:n] = VISCOUS + KT * KT / OHM
        self._model.actuator_gainprm[:n], self._model.actuator_biasprm[:n] = 0.0, 0.0
        self._model.actuator_gainprm[:n, 0] = 1.0
        self._model.actuator_delay[:n] = 0.0

    def apply(self, drive: Drive) -> None:
        """See `ActuatorModel`."""
        error_rad = drive.goal_rad - self._data.qpos[: arm.N_JOINTS]
        most = DUTY_MAX * drive.share
        self._duty = np.clip(DUTY_PER_P_RAD * drive.p * error_rad, -most, most) * drive.live
        self._volts = drive.volts
        self._data.ctrl[:] = KT * self._volts * self._duty / OHM

    def load(self) -> Floats:
        """See `ActuatorModel`."""
        return self._duty

    def amperes(self) -> Floats:
        """See `ActuatorModel`."""
        back_emf = KT * self._data.qvel[: arm.N_JOINTS]
        current: Floats = np.abs((self._volts * self._duty - back_emf) / OHM) * (self._duty != 0)
        return current
