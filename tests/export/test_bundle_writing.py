import dataclasses

import numpy as np
import onnx
import pytest
import torch

from soarm.errors import SpecMismatchError
from soarm.export.bundle import seal, write_bundle
from soarm.runtime.bundle import Bundle
from soarm.runtime.onnx_policy import OnnxBase, load_policy
from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE


def test_an_exported_bundle_opens_with_the_specification_it_was_given(bundle, trained):
    assert bundle.spec == trained.spec
    assert sorted(bundle.checksums) == ["act.onnx", "residual.onnx", "spec.json"]


def test_inputs_are_bound_by_name_whatever_the_order_of_the_features(bundle):
    assert [node.name for node in bundle.sessions["act"].get_inputs()] == [STATE, ENVIRONMENT_STATE]


def test_another_base_says_itself_what_it_observes(trained, tmp_path, monkeypatch):
    class Other(torch.nn.Module):
        inputs = (ENVIRONMENT_STATE, STATE)

    asked = []
    monkeypatch.setattr("soarm.export.bundle.to_onnx", lambda network, inputs, *_, by_name: asked.append(list(inputs)) or b"")
    write_bundle(tmp_path, dataclasses.replace(trained.spec, residual_scale=None), Other(), None, 20)

    assert asked == [[ENVIRONMENT_STATE, STATE]]


def test_a_base_on_joint_positions_alone_is_exported_and_played(trained, tmp_path, episodes):
    class Drift(torch.nn.Module):
        inputs = (STATE,)

        def forward(self, observation):
            return observation[STATE][:, None] + torch.arange(6.0)[:, None]

    features = {STATE: trained.spec.features[STATE], ACTION: trained.spec.features[ACTION]}
    spec = dataclasses.replace(trained.spec, features=features, residual_scale=None)

    write_bundle(tmp_path, spec, Drift(), None, 20)
    bundle = Bundle.open(tmp_path)

    seen = {STATE: episodes[1][STATE]}
    assert [node.name for node in bundle.sessions["act"].get_inputs()] == [STATE]
    np.testing.assert_allclose(OnnxBase(bundle).predict_chunks(seen), seen[STATE][:, None] + np.arange(6)[:, None], atol=1e-5)
    rows, policy = np.arange(7), load_policy(bundle, 7, "base")
    policy.reset(rows, range(7))
    assert policy.act(seen, rows).shape == (7, 6)


def test_the_variational_encoder_stays_behind(exported):
    names = [one.name for one in onnx.load(exported / "act.onnx").graph.initializer]

    assert names
    assert not [name for name in names if name.startswith("vae")]


def test_no_source_path_is_in_any_file(exported):
    assert not [path.name for path in exported.iterdir() if b".py" in path.read_bytes()]


def test_a_file_added_before_sealing_is_covered(exported, tmp_path):
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "parity.json").write_text("{}")
    seal(tmp_path)

    assert "parity.json" in Bundle.open(tmp_path).checksums


def test_a_residual_without_its_scale_is_refused_before_anything_is_written(trained, tmp_path):
    spec = dataclasses.replace(trained.spec, residual_scale=None)

    with pytest.raises(SpecMismatchError, match="residual_scale None, and there is a residual network"):
        write_bundle(tmp_path, spec, trained.act, trained.residual, 20)
    assert not list(tmp_path.iterdir())


def test_a_scale_without_its_residual_is_refused(trained, tmp_path):
    with pytest.raises(SpecMismatchError, match=r"residual_scale \(4.0, .* and there is no residual network"):
        write_bundle(tmp_path, trained.spec, trained.act, None, 20)


def test_a_card_beside_the_networks_may_be_edited(exported, tmp_path):
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "README.md").write_text("as exported")
    seal(tmp_path)
    (tmp_path / "README.md").write_text("with a note")

    assert "README.md" not in Bundle.open(tmp_path).checksums
