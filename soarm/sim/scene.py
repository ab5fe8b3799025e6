"""The scene as an MjModel: table, one of two arms and the task's bodies, composed with MjSpec.

Knows names and sizes; knows nothing of rewards or episodes.
"""

from __future__ import annotations

import importlib
import math
from importlib import resources
from typing import Any

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm, kinematics
from soarm.errors import SimulationError, how_to_install
from soarm.sim.params import SimParams

ARM_BIT, OBJECT_BIT = 1, 2  # arm touches objects, objects touch objects, the arm does not touch itself

# Menagerie's names -> ours, which are LeRobot's for joints and actuators.
_MENAGERIE_BODIES = {
    "Base": "base",
    "Rotation_Pitch": "shoulder",
    "Upper_Arm": "upper_arm",
    "Lower_Arm": "lower_arm",
    "Wrist_Pitch_Roll": "wrist",
    "Fixed_Jaw": "gripper",
    "Moving_Jaw": "jaw",
}


def build_model(params: SimParams, *, visuals: bool = True) -> mujoco.MjModel:
    """Compile the scene.

    Args:
        params: The environment.
        visuals: Keep the geoms that are only seen. Without them the physics is the same to the bit and a quarter faster.

    Raises:
        SimulationError: `menagerie` is asked for and cannot be had.
    """
    spec = _menagerie_arm() if params.model == "menagerie" else _primitive_arm()
    spec.modelname = f"soarm_{params.task_name}"
    option = spec.option
    option.timestep = params.sim_dt_s
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.impratio = 10.0  # keeps a grasped cube from creeping, as in Menagerie
    _add_world(spec)
    params.sim_task.add_to(spec, params)
    _set_joints(spec, params)
    _set_latency(spec, params)
    spec.compiler.discardvisual = not visuals
    return spec.compile()


def _primitive_arm() -> mujoco.MjSpec:
    return mujoco.MjSpec.from_string(resources.files("soarm.sim").joinpath("assets/so_arm100.xml").read_text(encoding="utf-8"))


def _menagerie_arm() -> mujoco.MjSpec:
    try:
        menagerie: Any = importlib.import_module("mujoco_menagerie")
    except ImportError:
        raise SimulationError(
            "sim.model is 'menagerie', but the package mujoco-menagerie is not installed; "
            f"{how_to_install('menagerie')}, or set sim.model to 'primitives'"
        ) from None
    try:
        spec: mujoco.MjSpec = menagerie.get("trs_so_arm100").spec("so_arm100")
    except menagerie.MenagerieError as error:
        raise SimulationError(
            f"sim.model is 'menagerie', and its meshes cannot be had: {error}. They are downloaded once, on first use: "
            "connect to the network, name a clone of google-deepmind/mujoco_menagerie in MENAGERIE_ROOT, or set sim.model "
            "to 'primitives'"
        ) from error
    return adapt_menagerie(spec)


def adapt_menagerie(spec: mujoco.MjSpec) -> mujoco.MjSpec:
    """Give Menagerie's arm our names, gripper point and contact rules; dynamics stay as they are."""
    for old, new in _MENAGERIE_BODIES.items():
        spec.body(old).name = new
    for joint in arm.JOINTS:
        spec.joint(joint.mjcf_name).name = joint.name
        actuator = spec.actuator(joint.mjcf_name)
        actuator.name, actuator.target = joint.name, joint.name
    for key in list(spec.keys):
        spec.delete(key)
    for exclude in list(spec.excludes):
        spec.delete(exclude)
    for geom in spec.geoms:
        if geom.contype or geom.conaffinity:
            geom.contype, geom.conaffinity = ARM_BIT, OBJECT_BIT
    spec.body("gripper").add_site(name="tcp", pos=kinematics.TCP_IN_JAW_M, group=4, size=[0.004, 0, 0])
    return spec


def _add_world(spec: mujoco.MjSpec) -> None:
    """Add the table, lights and cameras, and set how pictures are drawn."""
    _set_look(spec)
    world = spec.worldbody
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.93, 0.95, 0.97],
        rgb2=[0.70, 0.76, 0.82],
        width=256,
        height=256,
    )
    spec.add_texture(
        name="table",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=[0.875, 0.885, 0.895],
        rgb2=[0.90, 0.91, 0.92],
        width=256,
        height=256,
    )
    table = spec.add_material(name="table", texrepeat=[10, 10], texuniform=True, specular=0.0)
    table.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "table"
    world.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[2.0, 2.0, 0.05],
        material="table",
        castshadow=False,  # on itself it would, in specks
        contype=OBJECT_BIT,
        conaffinity=OBJECT_BIT | ARM_BIT,
    )
    # Together they light the table fully and no more: OpenGL clips light before it takes the colour times it.
    sun = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    world.add_light(
        name="key", type=sun, pos=[0.4, -0.5, 1.0], dir=[-0.5, 0.3, -1.0], diffuse=[0.48, 0.475, 0.47], specular=[0.2] * 3
    )
    world.add_light(
        name="fill", type=sun, pos=[-0.6, -0.6, 0.8], dir=[0.6, 0.5, -0.6], diffuse=[0.19, 0.195, 0.20], castshadow=False
    )
    _add_camera(world, "front", position=[0.36, -0.66, 0.42], target=[0.0, -0.17, 0.085], fovy_deg=36.0)
    _add_camera(world, "top", position=[0.0, -0.21, 0.75], target=[0.0, -0.2, 0.0], fovy_deg=42.0)
    _add_camera(spec.body("gripper"), "wrist", position=[-0.005, -0.02, 0.065], target=[-0.005, -0.12, 0.0], fovy_deg=75.0)


def _set_look(spec: mujoco.MjSpec) -> None:
    quality, headlight, overall = spec.visual.quality, spec.visual.headlight, spec.visual.__getattribute__("global")
    quality.shadowsize, quality.offsamples = 2048, 4
    # Boxes need no inner vertices and small cylinders few sides: a small picture costs a tenth of what the defaults do.
    quality.numquads, quality.numslices, quality.numstacks = 1, 20, 8
    # No diffuse headlight: on a plane of few vertices it would be wrong.
    headlight.ambient, headlight.diffuse, headlight.specular = [0.46] * 3, [0.0] * 3, [0.0] * 3
    overall.offwidth, overall.offheight = 1280, 960
    spec.stat.center, spec.stat.extent = [0.0, -0.15, 0.1], 0.5  # what shadows and clipping planes are scaled to [m]
    spec.visual.map.shadowclip = 0.8


def _add_camera(body: Any, name: str, position: list[float], target: list[float], fovy_deg: float) -> None:
    """Add a camera fixed to `body` that looks from `position` to `target`, both in its frame, the frame's z upwards."""
    body.add_camera(name=name, pos=position, quat=looking(position, target), fovy=fovy_deg)


def looking(position: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """Return the orientation, shape (4,), of a camera that looks from `position` to `target`, z upwards in its picture."""
    back = np.subtract(position, target) / np.linalg.norm(np.subtract(position, target))
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, np.column_stack([right, np.cross(back, right), back]).ravel())
    return quat


def _set_joints(spec: mujoco.MjSpec, params: SimParams) -> None:
    """Write what is known of the arm into joints under MuJoCo's actuators; the motor's law is `SceneWriter`'s to write."""
    servos = params.servos
    for i, name in enumerate(arm.JOINT_NAMES):
        joint = spec.joint(name)
        if servos.armature_kgm2 is not None:
            joint.armature = servos.armature_kgm2
        if servos.friction_nm is not None:
            joint.frictionloss = servos.friction_nm[i]


def _set_latency(spec: mujoco.MjSpec, params: SimParams) -> None:
    longest = params.widest_physics["latency_s"][1]
    if longest <= 0:
        return
    for actuator in spec.actuators:
        actuator.nsample = max(1, math.ceil(longest / params.sim_dt_s))
        actuator.delay = longest
