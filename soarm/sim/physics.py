"""Writing a drawn scene into MuJoCo: the start state, and the model fields that differ from episode to episode."""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np
from numpy.typing import NDArray

from soarm import arm, motor
from soarm.sim.params import SimParams
from soarm.sim.task import BY_MOTOR, Physics, Scene

_FIELDS: Mapping[str, tuple[str, ...]] = {
    "position_gain": ("actuator_gainprm", "actuator_biasprm"),
    "force_limit": ("actuator_forcerange",),
    "latency_s": ("actuator_delay",),
    "volts": ("actuator_gainprm", "actuator_biasprm", "actuator_forcerange"),
    "zero_deg": (),
    "backlash_deg": (),
}


_BY_LAW = ("actuator_gainprm", "actuator_biasprm", "actuator_forcerange", "dof_armature", "dof_frictionloss", "dof_damping")
"""What differs between a position actuator and the motor's law."""
_N = arm.N_JOINTS


class SceneWriter:
    """Turns scenes into start states of one compiled model.

    Attributes:
        varying: The model fields that differ between episodes, because their parameter is a range.
    """

    def __init__(self, model: mujoco.MjModel, params: SimParams) -> None:
        self._model = model
        self._data = mujoco.MjData(model)
        self._spec = int(mujoco.mjtState.mjSTATE_INTEGRATION)
        self._size = mujoco.mj_stateSize(model, self._spec)
        self._task, self._servos = params.sim_task, params.servos
        ranges, parameters = params.widest_physics, {**_FIELDS, **self._task.fields}
        varying = (field for name, fields in parameters.items() if ranges[name][0] < ranges[name][1] for field in fields)
        self.varying = tuple(dict.fromkeys(varying))
        if params.servos.law == "either":
            self.varying = tuple(dict.fromkeys((*self.varying, *_BY_LAW)))
        self._mean_damping = model.actuator_biasprm[:, 2].copy()
        self._mean_gain = model.actuator_gainprm[:, 0].copy()
        self._joints = model.dof_armature[:_N].copy(), model.dof_frictionloss[:_N].copy(), model.dof_damping[:_N].copy()
        every = {field: getattr(model, field) for fields in parameters.values() for field in fields if hasattr(model, field)}
        if params.servos.law != "position":
            every |= {field: getattr(model, field) for field in _BY_LAW}
        means: Physics = {name: sum(pair) / 2 for name, pair in vars(params.physics).items()}
        self.write_model(every, {**means, BY_MOTOR: params.servos.law == "sts3215"})
        mujoco.mj_setConst(model, self._data)

    def write_model(self, fields: Mapping[str, NDArray[np.float64]], physics: Physics) -> None:
        """Write a scene's physics into model fields; `fields` holds those to be written, as views.

        Damping follows the square root of the gain, so that the damping ratio of the servo stays 1, or what
        `servos.damping_factor` makes of it; the motor's law has none in its controller.
        """
        gain, limit = self._gain_and_limit(physics)
        if "actuator_gainprm" in fields:
            fields["actuator_gainprm"][:, 0] = gain
            fields["actuator_biasprm"][:, 1] = -gain
            fields["actuator_biasprm"][:, 2] = 0.0 if physics[BY_MOTOR] else self._damping(gain)
        if "dof_armature" in fields:
            self._write_joints(fields, by_motor=physics[BY_MOTOR])
        if "actuator_forcerange" in fields:
            fields["actuator_forcerange"][:, 0], fields["actuator_forcerange"][:, 1] = -limit, limit
        if "actuator_delay" in fields:
            fields["actuator_delay"][:] = physics["latency_s"]
        self._task.write_physics(self._model, fields, physics)

    def _write_joints(self, fields: Mapping[str, NDArray[np.float64]], *, by_motor: bool) -> None:
        known, (armature, friction, damping) = self._servos, self._joints
        if by_motor:
            armature, friction = known.armature_kgm2 or motor.ARMATURE, known.friction_nm or motor.COULOMB_NM
            damping = np.asarray(known.damping_factor) * (motor.VISCOUS + motor.KT * motor.KT / motor.OHM)
        fields["dof_armature"][:_N], fields["dof_frictionloss"][:_N] = armature, friction
        fields["dof_damping"][:_N] = damping

    def _damping(self, gain: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what MuJoCo's servos of these stiffnesses brake by, shape (6,) [-N m s/rad]."""
        usual = self._mean_damping * np.sqrt(gain / self._mean_gain)
        damping: NDArray[np.float64] = usual * np.asarray(self._servos.damping_factor)
        return damping

    def _gain_and_limit(self, physics: Physics) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return stiffness [N m/rad] and largest torque [N m] of the servos, shape (6,) each."""
        gain, limit = physics["position_gain"], np.full(arm.N_JOINTS, physics["force_limit"])
        if physics[BY_MOTOR]:
            gain = motor.stiffness(self._servos.p, physics["volts"])
            limit = np.array([motor.stall_torque(most, physics["volts"]) for most in motor.TORQUE_LIMIT])
        return gain * np.asarray(self._servos.gain_factor), limit

    def state(self, scene: Scene) -> NDArray[np.float64]:
        """Return the scene's start as an integration state, shape (nstate,)."""
        model, data = self._model, self._data
        self.write_state(data, scene)
        state = np.empty(self._size)
        mujoco.mj_getState(model, data, state, self._spec)
        return state

    def write_state(self, data: mujoco.MjData, scene: Scene) -> None:
        """Reset `data` to the scene's start; derived fields are not computed."""
        model = self._model
        mujoco.mj_resetData(model, data)
        data.qpos[:6] = scene.qpos
        self._task.write(data, scene)
        data.ctrl[:] = scene.qpos
        if model.nhistory:
            for i in range(model.nu):
                samples = int(model.actuator_history[i, 0])
                times = (np.arange(samples) - samples) * model.opt.timestep
                mujoco.mj_initCtrlHistory(model, data, i, times, np.full(samples, scene.qpos[i]))
