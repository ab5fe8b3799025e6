from __future__ import annotations

import dataclasses
import json

import pytest

from soarm.errors import BundleError, GateError
from soarm.hardware.config import ArmConfig, Gains
from soarm.runtime import gate
from soarm.runtime.bundle import Bundle
from soarm.runtime.training_arm import TrainingArm
from soarm.spec import ACTION, ENVIRONMENT_STATE, JOINT_FEATURE, STATE, PolicySpec
from soarm.tasks.pick_place import TASK

SPEC = PolicySpec(
    features={STATE: JOINT_FEATURE, ENVIRONMENT_STATE: TASK.objects, ACTION: JOINT_FEATURE},
    control_hz=30,
    chunk_size=5,
    n_action_steps=3,
)
TRAINED = TrainingArm(30, (17.0, 19.0), (3.0, 3.5), (0.0, 0.0), start=(0.0, 0.0, 5.0, 90.0, -90.0, 30.0), success_hold_s=0.3)


def found(spec=SPEC, trained=TRAINED, config=None, volts=7.4):
    return gate.faults(spec, trained, config or ArmConfig(), volts, [ENVIRONMENT_STATE])


def test_an_arm_like_the_one_in_training_passes():
    assert gate.require(found(), ()) == []


def test_softer_gains_are_refused_with_the_gain_that_would_fit_and_let_through_by_name():
    soft = ArmConfig(gains=Gains(p=(16, 16, 16, 16, 16, 16)))
    stiff = dataclasses.replace(TRAINED, position_gain_nm_per_rad=(50.0, 50.0))

    with pytest.raises(GateError, match=r"gains: trained at 50 to 50 .* shoulder_pan 8.9 \(P 16\).* P 90 would be it"):
        gate.require(found(trained=stiff, config=soft), ())
    (text,) = gate.require(found(trained=stiff, config=soft), ("gains",))
    assert text.startswith("gains (allowed): trained at 50")


STIFF = dataclasses.replace(TRAINED, position_gain_nm_per_rad=(50.0, 50.0))


def test_the_default_arm_may_be_driven_by_the_default_policy_and_what_that_costs_is_said():
    """`soarm drive` as the README has it: servos with P 32 at 7.4 V, a policy trained with 50 N m/rad."""
    assert gate.require(found(trained=STIFF), ()) == []
    (text,) = gate.remarks(STIFF, ArmConfig(), 7.4)
    assert text.startswith("the arm is 2.8 times softer than in training, 50 N m/rad: shoulder_pan 17.8 (P 32), ")
    assert "88 to 95 % where the stiffness of training solved 97, push 64 in place of 88" in text


@pytest.mark.parametrize("volts", [7.2, 5.0])
def test_an_arm_softer_than_any_that_was_measured_is_refused(volts):
    with pytest.raises(GateError, match=r"gains: trained at 50 to 50 .* what is softer than 17.5 was not measured"):
        gate.require(found(trained=STIFF, volts=volts), ("torque",))
    assert gate.remarks(STIFF, ArmConfig(), volts) == []


def test_a_stiffer_arm_than_in_training_is_refused():
    with pytest.raises(GateError, match="gains: trained at 5 to 5"):
        gate.require(found(trained=dataclasses.replace(TRAINED, position_gain_nm_per_rad=(5.0, 5.0))), ())


def test_of_an_arm_like_the_one_in_training_nothing_is_said():
    assert gate.remarks(TRAINED, ArmConfig(), 7.4) == gate.remarks(None, ArmConfig(), 7.4) == []


def test_a_weak_supply_is_refused():
    with pytest.raises(GateError, match=r"torque: at 3.0 V the weakest joint has 1\.\d+ N m, in training it had 3"):
        gate.require(found(volts=3.0), ("gains",))


def test_another_rate_than_in_training_is_refused():
    with pytest.raises(GateError, match=r"rate: the policy was trained at 50 actions per second .* specified for 30"):
        gate.require(found(trained=dataclasses.replace(TRAINED, control_hz=50)), ())
    assert gate.require(found(trained=dataclasses.replace(TRAINED, control_hz=50)), ("rate",))


def test_other_joints_and_wishes_for_cameras_are_refused():
    camera = dataclasses.replace(JOINT_FEATURE)
    features = {**SPEC.features, "observation.images.front": camera}
    del features[ACTION]
    faults = found(spec=dataclasses.replace(SPEC, features=features))["features"]

    assert any("observation.images.front" in text for text in faults)
    assert any(text.startswith("action is None") for text in faults)


def test_a_bundle_that_does_not_say_where_it_was_trained_needs_a_word():
    with pytest.raises(GateError, match="does not say on which arm it was trained"):
        gate.require(found(trained=None), ())
    assert gate.require(found(trained=None), ("gains",))


def test_what_is_no_check_cannot_be_allowed():
    with pytest.raises(GateError, match="there is no check named everything; known are features, rate, gains, torque"):
        gate.require(found(), ("everything",))


@pytest.mark.parametrize("hold_s", [float("nan"), -1.0, [], "soon"])
def test_a_time_that_is_none_is_refused(hold_s):
    with pytest.raises(ValueError, match=r"success_hold_s|list|soon|NaN"):
        TrainingArm.from_json(json.dumps({**json.loads(TRAINED.to_json()), "success_hold_s": hold_s}))


def test_the_file_goes_to_and_fro():
    assert TrainingArm.from_json(STIFF.to_json()) == STIFF
    assert TrainingArm.from_json(TRAINED.to_json()) == TRAINED


def test_a_file_of_before_that_names_no_calibration_is_read():
    assert TrainingArm.from_json(json.dumps({**json.loads(TRAINED.to_json()), "calibration": None})) == TRAINED


def test_a_bundle_holds_it_and_one_that_is_damaged_is_refused(tmp_path, bundle_files, write_bundle):
    good = write_bundle(tmp_path / "good", bundle_files | {"training_arm.json": TRAINED.to_json().encode()})
    bad = write_bundle(tmp_path / "bad", bundle_files | {"training_arm.json": b'{"control_hz": 30}'})

    assert Bundle.open(good).training_arm == TRAINED
    with pytest.raises(BundleError, match=r"training_arm.json does not describe an arm"):
        Bundle.open(bad)
