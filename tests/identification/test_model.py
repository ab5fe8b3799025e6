from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from soarm.identification.model import ArmModel
from soarm.identification.windows import Piece, Window, pieces, windows


def changed(sim, **physics):
    return dataclasses.replace(sim, physics=dataclasses.replace(sim.physics, **physics))


@pytest.mark.parametrize("law", ["position", "sts3215"])
def test_the_model_is_the_simulator(law, coarse, swing, run_of) -> None:
    sim = changed(coarse, latency_s=(3 / 90, 3 / 90))
    gain = (1.0, 0.8, 1.2, 0.9, 1.0, 0.7)
    servos = dataclasses.replace(
        sim.servos, law=law, gain_factor=gain, damping_factor=gain, armature_kgm2=0.06, friction_nm=(0.05,) * 6
    )
    sim = dataclasses.replace(sim, servos=servos)
    (piece,) = pieces(run_of(sim, swing(4.0)))
    model = ArmModel(sim, [Window(piece, 0, slice(0, len(piece.t_s)))])
    off = np.abs(model.predict([model.start])[0] - model.measured)

    assert off.max() < 0.02
    assert model.start.delay_s == pytest.approx(3 / 90)


def test_candidates_do_not_touch_each_other(coarse, swing, run_of) -> None:
    model = ArmModel(coarse, windows(pieces(run_of(coarse, swing(4.0)))))
    soft = model.start._replace(gain=model.start.gain / 2)
    alone = [model.predict([one])[0] for one in (model.start, soft)]

    np.testing.assert_allclose(model.predict([model.start, soft]), alone, atol=1e-9)
    assert np.abs(alone[0] - alone[1]).max() > 0.5


def test_positions_change_smoothly_with_the_delay(coarse, swing, run_of) -> None:
    model = ArmModel(coarse, windows(pieces(run_of(coarse, swing(4.0)))))
    delays_s = np.arange(0.01, 0.03, 0.001)  # several physics steps of 11 ms
    path = model.predict([model.start._replace(delay_s=delay_s) for delay_s in delays_s])
    steps = np.abs(np.diff(path, axis=0)).max(axis=(1, 2))

    assert steps.min() > 0.3 * steps.max()


def test_a_goal_before_the_first_tick_is_the_first_and_a_wrong_zero_shifts_goal_and_position(coarse) -> None:
    goals = np.tile([0.0, -40.0, 20.0, 40.0, 0.0, 50.0], (60, 1))
    piece = Piece(np.arange(60) / 30, goals, goals, np.zeros_like(goals), np.ones_like(goals, bool))
    off = dataclasses.replace(coarse, servos=dataclasses.replace(coarse.servos, zero_deg=(9.0, 0.0, 0.0, 0.0, 0.0, 0.0)))
    model, shifted = (ArmModel(sim, [Window(piece, 0, slice(0, 60))]) for sim in (coarse, off))
    right, late = model.predict([model.start, model.start._replace(delay_s=0.2)])

    np.testing.assert_allclose(late, right, atol=1e-9)
    np.testing.assert_allclose(shifted.predict([model.start])[0], right, atol=1e-6)  # about a vertical axis nothing weighs
