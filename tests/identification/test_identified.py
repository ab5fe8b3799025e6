from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import yaml

from soarm import arm
from soarm.errors import LogError
from soarm.identification import account, identified
from soarm.identification.model import physics_of
from soarm.identification.physics import values
from soarm.identification.settings import applied, settings, snippet
from soarm.params import changed
from soarm.records import plain

GAIN = (0.4, 0.6, 0.9, 1.2, 0.5, 0.7)
FRICTION = (0.05, 0.2, 0.1, 0.3, 0.15, 0.08)


@pytest.fixture(scope="module")
def true(coarse):
    servos = dataclasses.replace(coarse.servos, gain_factor=GAIN, friction_nm=FRICTION, armature_kgm2=0.05)
    return dataclasses.replace(coarse, servos=servos, physics=dataclasses.replace(coarse.physics, latency_s=(4 / 90, 4 / 90)))


@pytest.fixture(scope="module")
def found(coarse, true, swing, run_of):
    return identified.identify([run_of(true, swing())], coarse)


def test_an_arm_is_found_from_its_log(found, true) -> None:
    wanted, physics = physics_of(true), found.fitted.physics

    np.testing.assert_allclose(physics.gain, wanted.gain, rtol=0.03)
    np.testing.assert_allclose(physics.damping, wanted.damping, rtol=0.03)
    np.testing.assert_allclose(physics.friction_nm, wanted.friction_nm, atol=0.02)
    assert physics.armature == pytest.approx(0.05, rel=0.03)
    assert physics.delay_s == pytest.approx(4 / 90, abs=0.002)
    assert found.explained_in_all > 0.95
    assert found.n_held_out == found.n_windows // 4


def test_values_are_within_what_their_errors_allow(found, true) -> None:
    off = np.abs(values(found.fitted.physics) - values(physics_of(true)))

    assert found.fitted.claimed.all()
    for one, wrong in zip(account.numbers(found), off, strict=True):
        assert not one.claimed or wrong < 5 * one.error + 0.01 * abs(one.after)


def test_what_was_found_is_settings_of_the_simulator(coarse, found) -> None:
    made = settings(coarse, found.fitted.physics)
    read = changed(coarse, yaml.safe_load(snippet(made))["sim"], "sim")

    np.testing.assert_allclose(values(physics_of(read)), values(found.fitted.physics), rtol=2e-3, atol=1e-4)
    assert read == applied(coarse, found.fitted.physics)


def test_the_motors_law_is_found_with_the_supply_and_the_gain_of_the_log(coarse, swing, run_of) -> None:
    law = dataclasses.replace(coarse, servos=dataclasses.replace(coarse.servos, law="sts3215"))
    true = dataclasses.replace(law, servos=dataclasses.replace(law.servos, gain_factor=(0.8,) * 6))
    run = run_of(true, swing(10.0))
    other = dataclasses.replace(law, servos=dataclasses.replace(law.servos, p=16))
    by = identified.as_logged(other, [run])
    found = identified.identify([run], by).fitted.physics

    assert (by.servos.p, by.physics.volts) == (32, (7.4, 7.4))
    assert identified.as_logged(coarse, [run]) == coarse
    np.testing.assert_allclose(settings(by, found)["sim"]["servos"]["gain_factor"], 0.8, atol=0.03)
    assert settings(by, found)["sim"]["physics"]["volts"] == [7.4, 7.4]


def test_a_log_in_which_nothing_moves_determines_next_to_nothing(coarse, run_of) -> None:
    still = np.tile([0.0, -40.0, 20.0, 40.0, 0.0, 50.0], (300, 1)).astype(np.float32)
    found = identified.identify([run_of(coarse, still)], coarse)
    lost = {one.quantity for one in account.numbers(found) if not one.claimed}

    assert lost == {"gain", "damping", "friction_nm", "armature", "delay_s"}
    assert not any(one.claimed for one in account.numbers(found) if one.joint in ("shoulder_pan", "wrist_roll", None))
    np.testing.assert_allclose(
        values(found.fitted.physics)[~found.fitted.claimed], values(found.before)[~found.fitted.claimed]
    )
    assert "not determined by these logs, and left as the simulator has it" in "\n".join(account.lines(found))


def test_everything_is_told_in_words_and_as_json(found) -> None:
    said = "\n".join(account.lines(found))
    told = json.loads(json.dumps(plain(account.to_dict(found)), allow_nan=False))

    assert "windows of 1 s" in said
    assert all(name in said for name in arm.JOINT_NAMES)
    assert told["gap"]["gripper"]["explained"] > 0.9
    assert {one["quantity"] for one in told["numbers"] if one["joint"] is None} == {"armature", "delay_s"}


def test_logs_that_are_too_short_are_refused(coarse, swing, run_of) -> None:
    with pytest.raises(LogError, match=r"hold 3 windows of 1 s .*; 8 are needed\. Give more logs, or play the motion"):
        identified.identify([run_of(coarse, swing(4.0))], coarse)
