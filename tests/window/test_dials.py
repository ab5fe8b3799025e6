"""The residual as arcs at the joints."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import pytest

from soarm import arm
from soarm.window.dials import FULL_DEG, RADIUS_M, dials


@pytest.fixture
def home(model: mujoco.MjModel, sim: Any) -> mujoco.MjData:
    data = mujoco.MjData(model)
    data.qpos[:6] = arm.to_radians(sim.task.home)
    mujoco.mj_forward(model, data)
    return data


def drawn(data: mujoco.MjData, share: Any) -> list[Any]:
    return dials(data.xanchor[:6], data.xaxis[:6], share)


def test_no_residual_draws_nothing(home: mujoco.MjData) -> None:
    assert drawn(home, np.zeros(6)) == []


@pytest.mark.parametrize("joint", range(6), ids=arm.JOINT_NAMES)
def test_the_arrow_points_where_the_residual_moves_the_joint(joint: int, home: mujoco.MjData, model: mujoco.MjModel) -> None:
    *arc, tip = drawn(home, np.eye(6)[joint])
    body = model.jnt_bodyid[joint]
    in_link = home.xmat[body].reshape(3, 3).T @ (tip.start - home.xpos[body])
    residual = arm.from_radians(home.qpos[:6]) + 0.5 * np.eye(6)[joint]  # half a degree, or a percent
    home.qpos[:6] = arm.to_radians(residual)
    mujoco.mj_forward(model, home)
    moved = home.xpos[body] + home.xmat[body].reshape(3, 3) @ in_link - tip.start

    assert tip.is_tip
    assert not any(piece.is_tip for piece in arc)
    assert moved @ (tip.end - tip.start) > 0.99 * np.linalg.norm(moved) * np.linalg.norm(tip.end - tip.start)


@pytest.mark.parametrize("share", [1.0, -0.5, 0.1])
def test_an_arc_is_as_long_as_the_residual_is_large(share: float, home: mujoco.MjData) -> None:
    *arc, _ = drawn(home, share * np.eye(6)[0])
    length_m = sum(np.linalg.norm(piece.end - piece.start) for piece in arc)

    assert length_m == pytest.approx(np.radians(FULL_DEG) * abs(share) * RADIUS_M[0], rel=0.02)


def test_a_larger_residual_is_darker(home: mujoco.MjData) -> None:
    faint, full = (drawn(home, share * np.eye(6)[2])[0].rgba for share in (0.1, 1.0))

    assert faint.sum() > full.sum() + 0.5
