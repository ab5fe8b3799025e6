"""The scene as compiled: with and without what is only seen, and Menagerie's arm in place of ours."""

from __future__ import annotations

import dataclasses
import sys
import types

import mujoco
import numpy as np
import pytest

from soarm import arm, kinematics
from soarm.errors import SimulationError
from soarm.sim.draw import draw_scene
from soarm.sim.params import SimParams
from soarm.sim.physics import SceneWriter
from soarm.sim.scene import adapt_menagerie, build_model

# Menagerie's arm with its names, order of bodies and kinds of elements, but boxes for meshes: what `adapt_menagerie` works on.
_BODIES = ("Rotation_Pitch", "Upper_Arm", "Lower_Arm", "Wrist_Pitch_Roll", "Fixed_Jaw", "Moving_Jaw")
_JOINTS = tuple(joint.mjcf_name for joint in arm.JOINTS)


def menagerie_like_arm() -> mujoco.MjSpec:
    """Return a chain of boxes that is named and built as Menagerie's arm."""
    spec = mujoco.MjSpec()
    body = spec.worldbody.add_body(name="Base")
    body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.02] * 3)
    for name, joint in zip(_BODIES, _JOINTS, strict=True):
        body = body.add_body(name=name, pos=[0, 0, 0.05])
        body.add_joint(name=joint, axis=[1, 0, 0], range=[-1, 1])
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.01] * 3)
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.01] * 3, contype=0, conaffinity=0, density=0, group=2)
        servo = spec.add_actuator(name=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT, target=joint, inheritrange=1)
        servo.set_to_position(kp=50, dampratio=1)
    spec.add_exclude(bodyname1="Base", bodyname2="Rotation_Pitch")
    spec.add_key(name="home", qpos=[0.0] * 6, ctrl=[0.0] * 6)
    return spec


class MenagerieError(Exception):
    """Stands for the package's own error."""


def stand_in(spec: mujoco.MjSpec | None) -> types.ModuleType:
    """Return a module in the place of the package `mujoco_menagerie`: gives `spec`, or has no network."""

    class Entry:
        def spec(self, name: str) -> mujoco.MjSpec:
            assert name == "so_arm100"
            if spec is None:
                raise MenagerieError("host unreachable")
            return spec

    module = types.ModuleType("mujoco_menagerie")
    vars(module).update(MenagerieError=MenagerieError, get=lambda robot: {"trs_so_arm100": Entry()}[robot])
    return module


@pytest.fixture
def menagerie(sim: SimParams) -> SimParams:
    """Return parameters that ask for Menagerie's arm."""
    return dataclasses.replace(sim, model="menagerie")


def test_physics_is_the_same_to_the_bit_without_what_is_only_seen(sim: SimParams) -> None:
    states, n_geoms = [], []
    for visuals in (True, False):
        model = build_model(sim, visuals=visuals)
        data = mujoco.MjData(model)
        SceneWriter(model, sim).write_state(data, draw_scene(sim, 1))
        rng = np.random.default_rng(0)
        for _ in range(20):
            data.ctrl[:] = rng.uniform(*model.actuator_ctrlrange.T)
            mujoco.mj_step(model, data, 20)
        states.append(np.concatenate([data.qpos, data.qvel, data.sensordata]))
        n_geoms.append(model.ngeom)

    np.testing.assert_array_equal(states[0], states[1])
    assert n_geoms[1] < n_geoms[0] / 2


def test_the_cube_at_rest_stays_on_the_table(sim: SimParams) -> None:
    model = build_model(sim, visuals=False)
    data = mujoco.MjData(model)
    SceneWriter(model, sim).write_state(data, draw_scene(sim, 2))
    start = data.qpos[6:9].copy()
    mujoco.mj_step(model, data, sim.control_hz * sim.n_substeps)

    np.testing.assert_allclose(data.qpos[6:9], start, atol=2e-4)


def test_menageries_arm_takes_our_names_gripper_point_and_contact_rules(
    menagerie: SimParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mujoco_menagerie", stand_in(menagerie_like_arm()))
    model = build_model(menagerie)
    bodies = ["base", "shoulder", "upper_arm", "lower_arm", "wrist", "gripper", "jaw"]
    of_the_arm = (model.geom_bodyid >= model.body("base").id) & (model.geom_bodyid <= model.body("jaw").id)
    touching = np.flatnonzero(of_the_arm & (model.geom_contype > 0))

    assert tuple(model.joint(i).name for i in range(arm.N_JOINTS)) == arm.JOINT_NAMES
    assert tuple(model.actuator(i).name for i in range(model.nu)) == arm.JOINT_NAMES
    assert [model.body(i).name for i in range(1, 8)] == bodies
    np.testing.assert_allclose(model.site("tcp").pos, kinematics.TCP_IN_JAW_M)
    assert (model.nkey, model.nexclude) == (0, 0)
    assert len(touching) == len(bodies)
    assert set(model.geom_contype[touching]) == {1}
    assert set(model.geom_conaffinity[touching]) == {2}


def test_menageries_arm_keeps_its_dynamics() -> None:
    before = menagerie_like_arm().compile()
    after = adapt_menagerie(menagerie_like_arm()).compile()

    for field in ("body_mass", "body_inertia", "jnt_range", "actuator_gainprm", "actuator_biasprm", "body_pos", "body_quat"):
        np.testing.assert_array_equal(getattr(before, field), getattr(after, field), err_msg=field)


def test_without_the_package_menagerie_says_what_to_install(menagerie: SimParams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco_menagerie", None)  # what Python takes for: cannot be imported

    with pytest.raises(SimulationError, match=r"mujoco-menagerie is not installed; .*\[menagerie\].*primitives"):
        build_model(menagerie)


def test_without_the_network_menagerie_says_so(menagerie: SimParams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco_menagerie", stand_in(None))

    with pytest.raises(SimulationError, match=r"cannot be had: host unreachable\. .*connect to the network.*primitives"):
        build_model(menagerie)
