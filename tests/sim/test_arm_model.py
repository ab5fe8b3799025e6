"""The compiled arm against MuJoCo Menagerie's `trs_so_arm100` (upstream, 2025-06-09) and against soarm's own tables.

Menagerie's numbers are recorded here, so that no mesh has to be downloaded. To record them again, with that folder at hand:

    model = mujoco.MjModel.from_xml_path("trs_so_arm100/so_arm100.xml"); data = mujoco.MjData(model)
    for q_rad in ...:
        data.qpos[:] = q_rad; mujoco.mj_kinematics(model, data)
        print([(data.body(name).xpos, data.body(name).xquat) for name in ("Fixed_Jaw", "Moving_Jaw")])

Copies of the folder go around that turn the base by 90 degrees (a body `rotate_model`) or turn the axis of `Rotation` round;
upstream has neither.
"""

from __future__ import annotations

from typing import NamedTuple

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from soarm import arm, kinematics
from soarm.sim.params import SimParams
from soarm.sim.scene import build_model

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


class Reference(NamedTuple):
    """Joint angles [rad] and where Menagerie puts its fixed and moving jaw: position [m], quaternion (w, x, y, z)."""

    q_rad: tuple[float, ...]
    fixed_m: Vector
    fixed_quat: Quaternion
    moving_m: Vector
    moving_quat: Quaternion


# fmt: off
REFERENCES = (
    Reference((0, 0, 0, 0, 0, 0),
              (0.000000, -0.383371, 0.096199), (0.707109, 0.000004, 0.707105, 0.000004),
              (-0.000000, -0.407771, 0.116399), (-0.707105, -0.000009, 0.707109, 0.000004)),
    Reference((0, -1.573, 1.483, 0, 0, -0.174),
              (0.000000, -0.297296, 0.254335), (0.706393, -0.031805, 0.706389, -0.031805),
              (-0.000000, -0.319782, 0.276646), (-0.706481, -0.029699, 0.706485, 0.029693)),
    Reference((0.6, -2.1, 1.9, 0.8, -1.2, 0.5),
              (0.100912, -0.192704, 0.228268), (0.880928, 0.225446, 0.254072, 0.329526),
              (0.099078, -0.223366, 0.220531), (-0.301947, -0.101341, 0.935069, 0.155578)),
    Reference((-0.9, -1.2, 1.0, -0.7, 1.5, 1.0),
              (-0.208384, -0.210564, 0.292748), (-0.160378, 0.377556, 0.816995, -0.405276),
              (-0.206863, -0.235080, 0.312749), (-0.897993, 0.278773, -0.335041, -0.060349)),
    Reference((1.5, -3.0, 2.6, 1.2, -2.5, 1.7),
              (0.086987, -0.051369, 0.176814), (0.721428, 0.536045, -0.064661, 0.433608),
              (0.091509, -0.063809, 0.148035), (-0.360040, 0.255820, 0.801894, 0.402360)),
    Reference((-1.6, -0.5, 0.4, 1.5, 2.4, 0.2),
              (-0.286613, -0.036828, 0.107813), (0.208330, 0.321380, 0.673881, 0.631822),
              (-0.276484, -0.050774, 0.081237), (-0.702595, -0.607870, 0.270365, 0.252500)),
    Reference((0.3, -2.6, 3.0, -1.4, -0.4, 1.3),
              (0.031716, -0.147730, 0.203851), (0.762834, -0.467568, 0.419731, -0.152611),
              (0.023470, -0.147692, 0.234436), (-0.051176, 0.583144, 0.514923, -0.626242)),
    Reference((-0.4, -1.8, 0.9, 0.3, 0.9, -0.1),
              (-0.062959, -0.194115, 0.377825), (0.252741, 0.083891, 0.903447, -0.335957),
              (-0.053467, -0.212295, 0.401965), (-0.898126, 0.322901, 0.269217, 0.128942)),
)
# fmt: on
MASSES_KG = {
    "shoulder": 0.119226,
    "upper_arm": 0.162409,
    "lower_arm": 0.147968,
    "wrist": 0.0661321,
    "gripper": 0.0929859,
    "jaw": 0.0202444,
}
DAMPING = (5.12815, 4.96096, 4.62994, 4.49345, 4.47310, 4.47274)
"""What a damping ratio of 1 comes to at each joint of Menagerie's arm [N m s/rad]."""


@pytest.fixture(scope="module")
def model(sim: SimParams) -> mujoco.MjModel:
    """Return the compiled scene."""
    return build_model(sim)


def pose(model: mujoco.MjModel, q_rad: tuple[float, ...]) -> mujoco.MjData:
    data = mujoco.MjData(model)
    data.qpos[: arm.N_JOINTS] = q_rad
    mujoco.mj_kinematics(model, data)
    return data


def angle_between(a: NDArray[np.float64], b: Quaternion) -> float:
    """Return the angle between two orientations [rad]."""
    return 2.0 * float(np.arccos(min(1.0, abs(np.dot(a, b)))))


@pytest.mark.parametrize("reference", REFERENCES)
def test_the_jaws_are_where_menagerie_has_them(model: mujoco.MjModel, reference: Reference) -> None:
    data = pose(model, reference.q_rad)

    np.testing.assert_allclose(data.body("gripper").xpos, reference.fixed_m, atol=1e-4)
    np.testing.assert_allclose(data.body("jaw").xpos, reference.moving_m, atol=1e-4)
    assert angle_between(data.body("gripper").xquat, reference.fixed_quat) < 2e-3  # six digits are good to 1.4e-3
    assert angle_between(data.body("jaw").xquat, reference.moving_quat) < 2e-3


@pytest.mark.parametrize("reference", REFERENCES)
def test_the_kinematics_without_a_simulator_agree(model: mujoco.MjModel, reference: Reference) -> None:
    tcp_m, rotation = kinematics.forward(arm.from_radians(reference.q_rad))
    data = pose(model, reference.q_rad)

    np.testing.assert_allclose(data.site("tcp").xpos, tcp_m, atol=1e-6)
    np.testing.assert_allclose(data.body("gripper").xmat.reshape(3, 3), rotation, atol=1e-5)


def test_joints_have_the_names_order_and_ranges_of_the_table(model: mujoco.MjModel) -> None:
    names = tuple(model.joint(i).name for i in range(arm.N_JOINTS))

    assert names == arm.JOINT_NAMES
    np.testing.assert_allclose(model.jnt_range[: arm.N_JOINTS], [joint.range_rad for joint in arm.JOINTS])


def test_masses_are_menageries(model: mujoco.MjModel) -> None:
    masses_kg = {name: float(model.body(name).mass[0]) for name in MASSES_KG}

    assert masses_kg == pytest.approx(MASSES_KG)


def test_what_is_only_seen_weighs_nothing_and_touches_nothing(model: mujoco.MjModel) -> None:
    seen = model.geom_group == 2

    assert seen.sum() > 50
    assert not model.geom_contype[seen].any()
    assert not model.geom_conaffinity[seen].any()


def test_servos_are_menageries(model: mujoco.MjModel) -> None:
    names = tuple(model.actuator(i).name for i in range(model.nu))

    assert names == arm.JOINT_NAMES
    np.testing.assert_array_equal(model.actuator_gainprm[:, 0], 50.0)
    np.testing.assert_array_equal(model.actuator_biasprm[:, 1], -50.0)
    np.testing.assert_allclose(-model.actuator_biasprm[:, 2], DAMPING, rtol=1e-4)
    np.testing.assert_array_equal(model.actuator_forcerange, [[-3.5, 3.5]] * arm.N_JOINTS)
    np.testing.assert_allclose(model.actuator_ctrlrange, [joint.range_rad for joint in arm.JOINTS])
