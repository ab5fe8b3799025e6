"""Writing a drawn scene into MuJoCo: the start state, and the model fields that differ from episode to episode."""

from __future__ import annotations

import math
from collections.abc import Mapping

import mujoco
import numpy as np
from numpy.typing import NDArray

from soarm.sim.params import SimParams
from soarm.sim.scene import CUBE_HALF_M
from soarm.sim.task import Scene

_FIELDS: dict[str, tuple[str, ...]] = {
    "position_gain": ("actuator_gainprm", "actuator_biasprm"),
    "force_limit": ("actuator_forcerange",),
    "latency_s": ("actuator_delay",),
    "cube_friction": ("geom_friction",),
    "cube_mass_kg": ("body_mass", "body_inertia"),
}


class Starter:
    """Turns scenes into start states of one compiled model.

    Attributes:
        varying: The model fields that differ between episodes, because their parameter is a range.
    """

    def __init__(self, model: mujoco.MjModel, params: SimParams) -> None:
        self._model = model
        self._data = mujoco.MjData(model)
        self._spec = int(mujoco.mjtState.mjSTATE_INTEGRATION)
        self._size = mujoco.mj_stateSize(model, self._spec)
        self._cube_geom, self._cube_body = model.geom("cube").id, model.body("cube").id
        ranges = vars(params.physics)
        self.varying = tuple(
            field for name, fields in _FIELDS.items() if ranges[name][0] < ranges[name][1] for field in fields
        )
        self._mean_damping = model.actuator_biasprm[:, 2].copy()
        self._mean_gain = model.actuator_gainprm[:, 0].copy()
        fixed = Scene(np.zeros(6), np.zeros(2), 0.0, np.zeros(2), {name: sum(pair) / 2 for name, pair in ranges.items()})
        every = {field: getattr(model, field) for fields in _FIELDS.values() for field in fields if hasattr(model, field)}
        self.write_model(every, fixed)
        mujoco.mj_setConst(model, self._data)

    def write_model(self, fields: Mapping[str, NDArray[np.float64]], scene: Scene) -> None:
        """Write the scene's physics into model fields; `fields` holds those to be written, as views.

        Damping follows the square root of the gain, so that the damping ratio of the servo stays 1.
        """
        physics = scene.physics
        if "actuator_gainprm" in fields:
            gain = physics["position_gain"]
            fields["actuator_gainprm"][:, 0] = gain
            fields["actuator_biasprm"][:, 1] = -gain
            fields["actuator_biasprm"][:, 2] = self._mean_damping * np.sqrt(gain / self._mean_gain)
        if "actuator_forcerange" in fields:
            fields["actuator_forcerange"][:] = (-physics["force_limit"], physics["force_limit"])
        if "actuator_delay" in fields:
            fields["actuator_delay"][:] = physics["latency_s"]
        if "geom_friction" in fields:
            fields["geom_friction"][self._cube_geom, 0] = physics["cube_friction"]
        if "body_mass" in fields:
            mass = physics["cube_mass_kg"]
            fields["body_mass"][self._cube_body] = mass
            fields["body_inertia"][self._cube_body] = mass * (2 * CUBE_HALF_M) ** 2 / 6

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
        data.qpos[6:8] = scene.cube_xy
        data.qpos[8] = CUBE_HALF_M
        data.qpos[9:13] = (math.cos(scene.cube_yaw / 2), 0.0, 0.0, math.sin(scene.cube_yaw / 2))
        data.mocap_pos[0] = (scene.bin_xy[0], scene.bin_xy[1], 0.0)
        data.ctrl[:] = scene.qpos
        if model.nhistory:
            for i in range(model.nu):
                samples = int(model.actuator_history[i, 0])
                times = (np.arange(samples) - samples) * model.opt.timestep
                mujoco.mj_initCtrlHistory(model, data, i, times, np.full(samples, scene.qpos[i]))
