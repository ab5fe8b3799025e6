"""Bundles whose checksums are right and whose values are wrong: refused when they are opened, before any port is."""

from __future__ import annotations

import dataclasses
import json
import math

import onnx
import pytest
from onnx import TensorProto

from soarm.cli import main
from soarm.errors import BundleError
from soarm.hardware.calibration import Calibration
from soarm.runtime.bundle import Bundle
from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE

GOOD = {
    "control_hz": 30,
    "position_gain_nm_per_rad": [17.0, 19.0],
    "force_limit_nm": [3.0, 3.5],
    "latency_s": [0.0, 0.0],
    "start": [0.0, 0.0, 5.0, 90.0, -90.0, 30.0],
}


@pytest.fixture
def signed(tmp_path, bundle_files, write_bundle, networks, spec):
    """How to write a bundle, signed and consistent in itself, with changed values in spec.json or training_arm.json."""

    def make(changes=None, arm=None):
        plain = spec.to_dict() | (changes or {})
        named = type("Named", (), {"to_dict": lambda self: plain})()
        files = bundle_files | {"spec.json": json.dumps(plain, indent=2, sort_keys=True).encode() + b"\n"}
        files |= {f"{name}.onnx": network(named).SerializeToString() for name, network in networks.items()}
        if arm is not None:
            files["training_arm.json"] = arm if isinstance(arm, bytes) else json.dumps(arm).encode()
        return write_bundle(tmp_path / "signed", files)

    return make


def test_a_good_one_opens(signed):
    assert Bundle.open(signed(arm=GOOD)).training_arm.start == (0.0, 0.0, 5.0, 90.0, -90.0, 30.0)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"residual_scale": [3.0, 3.0, 3.0]}, "residual_scale is"),
        ({"residual_scale": [math.nan] * 6}, "spec.json is not a specification: holds NaN"),
        ({"residual_scale": [-4.0] * 6}, "residual_scale is"),
        ({"n_action_steps": 0}, "n_action_steps is 0"),
        ({"n_action_steps": 99}, "n_action_steps is 99; it must not exceed chunk_size, which is 5"),
        ({"control_hz": 0}, "control_hz is 0"),
        ({"control_hz": -1}, "control_hz is -1"),
        ({"control_hz": 10**9}, "control_hz is 1000000000"),
        ({"control_hz": "30"}, "control_hz is '30'"),
        ({"control_hz": 0, "n_action_steps": 0, "residual_scale": 4}, r"(?s)control_hz.*n_action_steps.*residual_scale"),
        ({"temporal_ensemble_coeff": 0.01}, "with a temporal_ensemble_coeff it must be 1"),
    ],
)
def test_a_specification_of_wrong_values_is_refused(signed, changes, fault):
    with pytest.raises(BundleError, match=fault):
        Bundle.open(signed(changes))


@pytest.mark.parametrize("key", [STATE, ACTION, ENVIRONMENT_STATE])
def test_features_of_another_size_than_the_arm_s_are_refused(signed, spec, key):
    features = spec.to_dict()["features"]
    features[key] = {"shape": [3], "names": ["a", "b"], "units": ["deg"]}

    with pytest.raises(BundleError, match=rf"{key} has the shape \(3,\), 2 names and 1 units"):
        Bundle.open(signed({"features": features}))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"position_gain_nm_per_rad": [17.0]}, "position_gain_nm_per_rad is"),
        ({"position_gain_nm_per_rad": [19.0, 17.0]}, "the lower first"),
        ({"position_gain_nm_per_rad": ["17", "19"]}, "position_gain_nm_per_rad is"),
        ({"force_limit_nm": [-1.0, 3.0]}, "force_limit_nm is"),
        ({"latency_s": 0.0}, "latency_s is 0.0"),
        ({"start": [0.0] * 5}, "start is"),
        ({"start": [1e9] * 6}, r"start is .* -360\.\.360"),
        ({"control_hz": True}, "control_hz is True"),
        ({"colour": 1}, "'colour' is unknown"),
        ({"control_hz": 0, "start": "up", "latency_s": None}, "control_hz is 0.*latency_s is None.*start is 'up'"),
    ],
)
def test_an_arm_of_wrong_values_is_refused(signed, change, fault):
    with pytest.raises(BundleError, match=rf"training_arm.json does not describe an arm: .*{fault}"):
        Bundle.open(signed(arm=GOOD | change))


@pytest.mark.parametrize("text", [b'{"position_gain_nm_per_rad": [NaN, NaN]}', b"[]", b'{"a":' * 50_000, b"\xff"])
def test_an_arm_that_is_no_json_is_refused(signed, text):
    with pytest.raises(BundleError, match=r"training_arm\.json (holds NaN|holds a list|is nested|is not UTF-8)"):
        Bundle.open(signed(arm=text))


def retyped(model, change):
    change(model.graph)
    return model.SerializeToString()


def doubles(graph):
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    (weight,) = [one for one in graph.initializer if one.name == "weight"]
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight).astype("f8"), "weight"))


def eight_rows(graph):
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 8


@pytest.mark.parametrize(("change", "fault"), [(doubles, r"is tensor\(double\)"), (eight_rows, r"of shape \[8, 6\]")])
def test_networks_of_other_numbers_or_rows_are_refused(tmp_path, bundle_files, write_bundle, networks, spec, change, fault):
    files = bundle_files | {"act.onnx": retyped(networks["act"](spec), change)}

    with pytest.raises(BundleError, match=rf"{fault}.*it must be tensor\(float\) with a free batch"):
        Bundle.open(write_bundle(tmp_path / "retyped", files))


def test_all_faults_of_networks_and_arm_are_named_at_once(tmp_path, bundle_files, write_bundle, networks, spec):
    other = dataclasses.replace(spec, control_hz=50)
    files = bundle_files | {
        "act.onnx": networks["act"](other).SerializeToString(),
        "residual.onnx": b"nothing",
        "training_arm.json": b"{}",
    }

    with pytest.raises(BundleError, match=r"(?s)training_arm\.json does not.*act\.onnx is not of the same.*residual\.onnx"):
        Bundle.open(write_bundle(tmp_path / "three", files))


@pytest.mark.parametrize(
    ("log", "fault"), [("there.log", "exists"), ("none/run.log", "cannot be written"), ("broken", "exists")]
)
def test_a_log_that_cannot_be_written_is_said_before_the_port_is_opened(signed, tmp_path, caplog, log, fault):
    (tmp_path / "there.log").touch()
    (tmp_path / "broken").symlink_to("nowhere/at/all")
    Calibration.nominal().save(tmp_path / "arm.json")
    words = ["drive", str(signed()), "--port", str(tmp_path / "port"), "--calibration", str(tmp_path / "arm.json")]
    words += ["--place", "cube=0,-0.2,0", "--place", "bin=0.15,-0.15", "--log", str(tmp_path / log)]

    assert main(words) == 1
    assert fault in caplog.text
    assert "cannot be opened" not in caplog.text


def test_a_run_with_such_a_bundle_ends_before_the_port_is_opened(signed, tmp_path, caplog):
    words = ["drive", str(signed({"n_action_steps": 0})), "--port", str(tmp_path / "none"), "--calibration", "none"]

    assert main([*words, "--place", "cube=0,-0.2,0", "--place", "bin=0.15,-0.15"]) == 1
    assert "n_action_steps is 0" in caplog.text
    assert "the port" not in caplog.text
