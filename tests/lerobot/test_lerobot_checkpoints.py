"""LeRobot's ACT as a base of ours and back, against what LeRobot 0.4.4 computed."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from soarm.base import load_base, save_base
from soarm.errors import CheckpointError, SpecMismatchError
from soarm.lerobot.reading import joints_in_degrees, read_policy
from soarm.lerobot.writing import write_policy
from soarm.spec import ACTION, JOINT_FEATURE, STATE, Feature, PolicySpec
from soarm.tasks.pick_place import TASK


def told(folder) -> dict[str, np.ndarray]:
    """Return the recorded observations and chunks."""
    with np.load(folder / "vectors.npz") as file:
        return dict(file)


def change(folder, **values) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("case", ["objects", "all"])
def test_a_policy_of_lerobot_gives_lerobots_actions(theirs, case, tmp_path):
    folder = theirs(case)
    act = read_policy(folder, joints_in_degrees(folder, 30, "pick_place"))
    save_base(act, tmp_path / "ours")
    vectors = told(folder)
    chunk = load_base(tmp_path / "ours").predict_chunks(vectors)

    deviation = act.state_dict()["standardise_action.std"].numpy()
    assert np.abs((chunk - vectors["chunk"]) / deviation).max() < 1e-5
    assert np.ptp(vectors["normalised"], axis=0).max() > 0.1
    assert act.spec.features == {**TASK.features, **{key: Feature.image(32, 32) for key in act.cameras}}
    assert (act.spec.control_hz, act.spec.chunk_size, act.spec.n_action_steps) == (30, 5, 3)


@pytest.mark.parametrize("case", ["objects", "all"])
def test_what_goes_out_and_comes_in_again_computes_the_same(theirs, case, tmp_path):
    folder = theirs(case)
    act = read_policy(folder, joints_in_degrees(folder, 30, "pick_place"))
    write_policy(act, tmp_path / "out")
    again = read_policy(tmp_path / "out", None)

    assert again.spec == act.spec
    assert np.abs(again.predict_chunks(told(folder)) - act.predict_chunks(told(folder))).max() < 1e-4  # degrees


def test_what_is_written_has_the_names_and_shapes_of_what_lerobot_writes(theirs, tmp_path):
    folder = theirs("all")
    write_policy(read_policy(folder, joints_in_degrees(folder, 30, "pick_place")), tmp_path / "out")
    written, expected = load_file(tmp_path / "out/model.safetensors"), load_file(folder / "model.safetensors")
    added = {"model.vae_encoder_pos_enc": torch.zeros(1, 7, 32)}  # saved by LeRobot, and no weight that a rule makes

    assert {n: t.shape for n, t in written.items()} == {n: t.shape for n, t in {**expected, **added}.items()}
    for name in ("policy_preprocessor.json", "policy_postprocessor.json"):
        ours, lerobots = (json.loads((place / name).read_text()) for place in (tmp_path / "out", folder))
        assert [step["registry_name"] for step in ours["steps"]] == [step["registry_name"] for step in lerobots["steps"]]
        assert [step.get("state_file") for step in ours["steps"]] == [step.get("state_file") for step in lerobots["steps"]]
    config, theirs_config = (json.loads((place / "config.json").read_text()) for place in (tmp_path / "out", folder))
    assert set(config) <= set(theirs_config)
    assert config["input_features"] == {**theirs_config["input_features"]}
    name = "policy_preprocessor_step_3_normalizer_processor.safetensors"
    expected = {key: tensor.shape for key, tensor in load_file(folder / name).items()}
    assert {key: tensor.shape for key, tensor in load_file(tmp_path / "out" / name).items()} == expected


def test_a_trunk_that_lerobot_does_not_have_is_refused_by_name(theirs, tmp_path):
    folder = theirs("front")
    act = read_policy(folder, joints_in_degrees(folder, 30, "pick_place"))
    act.config = dataclasses.replace(act.config, vision_backbone="light")
    with pytest.raises(CheckpointError, match=r"the trunk 'light' and a token per cell; LeRobot's ACT has resnet18"):
        write_policy(act, tmp_path / "out")
    change(folder, vision_backbone="resnet34")
    with pytest.raises(CheckpointError, match=r"vision_backbone is 'resnet34'; it must be 'resnet18'"):
        read_policy(folder, joints_in_degrees(folder, 30, "pick_place"))


def test_statistics_inside_the_weights_are_read_as_lerobot_wrote_them_before_0_4(theirs):
    folder = theirs("objects")
    expected = read_policy(folder, joints_in_degrees(folder, 30, "pick_place"))
    weights = load_file(folder / "model.safetensors")
    for module, step in (("normalize_inputs", "preprocessor_step_3_"), ("unnormalize_outputs", "postprocessor_step_0_un")):
        for name, tensor in load_file(folder / f"policy_{step}normalizer_processor.safetensors").items():
            key, _, number = name.rpartition(".")
            weights[f"{module}.buffer_{key.replace('.', '_')}.{number}"] = tensor
    save_file(weights, folder / "model.safetensors")
    for path in folder.glob("policy_*"):
        path.unlink()
    found = read_policy(folder, joints_in_degrees(folder, 30, "pick_place"))

    assert (found.predict_chunks(told(folder)) == expected.predict_chunks(told(folder))).all()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("type", "diffusion", "type is 'diffusion'; it must be 'act'"),
        ("pre_norm", True, "pre_norm is True; it must be False"),
        ("feedforward_activation", "gelu", "feedforward_activation is 'gelu'; it must be 'relu'"),
        ("n_obs_steps", 2, "n_obs_steps is 2; it must be 1"),
        ("input_features", {}, r"observation.state has shape None; it must be \(6,\)"),
    ],
)
def test_a_setting_of_another_network_is_refused_by_name(theirs, name, value, said):
    folder = theirs("objects")
    described = joints_in_degrees(folder, 30, "pick_place")
    change(folder, **{name: value})

    with pytest.raises(CheckpointError, match=said):
        read_policy(folder, described)


def test_another_normalisation_and_another_step_are_refused_by_name(theirs):
    folder = theirs("objects")
    described, path = joints_in_degrees(folder, 30, "pick_place"), folder / "policy_preprocessor.json"
    text = path.read_text()
    path.write_text(text.replace('"STATE": "MEAN_STD"', '"STATE": "MIN_MAX"'))
    with pytest.raises(CheckpointError, match=r"normalisation of observation\.state is 'MIN_MAX'; allowed are MEAN_STD and"):
        read_policy(folder, described)
    path.write_text(text.replace("to_batch_processor", "relative_action"))
    with pytest.raises(CheckpointError, match=r"relative_action with \{\}\. Allowed are one normalizer_processor, and rename"):
        read_policy(folder, described)
    path.unlink()
    with pytest.raises(CheckpointError, match=r"no policy_preprocessor\.json.*`normalize_inputs`"):
        read_policy(folder, described)


def test_rate_and_units_are_asked_for_and_features_are_compared(theirs):
    folder = theirs("objects")
    with pytest.raises(SpecMismatchError, match=r"rate, units and joints.*--dataset.*--units degrees --fps 30"):
        read_policy(folder, None)
    with pytest.raises(SpecMismatchError, match=r"environment_state has shape \(7,\) in .*config\.json; described is None"):
        read_policy(folder, PolicySpec({STATE: JOINT_FEATURE, ACTION: JOINT_FEATURE}, 30))


def test_weights_of_another_network_and_a_cut_file_are_refused(theirs):
    folder = theirs("objects")
    described = joints_in_degrees(folder, 30, "pick_place")
    change(folder, dim_feedforward=24)
    with pytest.raises(CheckpointError, match=r"(?s)of another network than config\.json says.*linear1\.weight"):
        read_policy(folder, described)
    (folder / "model.safetensors").write_bytes(b"abc")
    with pytest.raises(CheckpointError, match=r"model\.safetensors is missing, truncated or not a safetensors file"):
        read_policy(folder, described)


def test_a_base_that_sees_nothing_is_not_lerobots(theirs, tmp_path):
    folder = theirs("objects")
    act = read_policy(folder, joints_in_degrees(folder, 30, "pick_place"))
    act.inputs = (STATE,)

    with pytest.raises(CheckpointError, match=r"observes observation\.state alone; LeRobot's ACT needs"):
        write_policy(act, tmp_path / "out")
