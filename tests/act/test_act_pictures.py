"""ACT with cameras: tokens, positions, normalisation, and checkpoints of before."""

import json
import math

import numpy as np
import pytest
import torch

from soarm.act.layers import cell_positions
from soarm.base import load_base, save_base
from soarm.errors import ParamsError, SpecMismatchError
from soarm.params import changed
from soarm.spec import ACTION, ENVIRONMENT_STATE, JOINT_FEATURE, STATE, Feature

FRONT, WRIST = "observation.images.front", "observation.images.wrist"
CAMERAS = {FRONT: Feature.image(16, 24), WRIST: Feature.image(16, 16)}


@pytest.fixture
def features():
    return {STATE: JOINT_FEATURE, **CAMERAS, ACTION: JOINT_FEATURE}


@pytest.fixture
def seen(observation):
    rng = np.random.default_rng(0)
    pictures = {key: rng.integers(0, 256, (4, *feature.shape)).astype(np.uint8) for key, feature in CAMERAS.items()}
    return {STATE: observation[STATE], **pictures}


def test_joints_and_pictures_make_chunks(make_act, features, seen):
    model = make_act(features=features)

    assert model.inputs == (STATE, FRONT, WRIST)
    assert model.predict_chunks(seen).shape == (4, 5, 6)
    assert model.encoder_1d_feature_pos_embed.weight.shape == (2, 8)  # as in LeRobot: of the vectors and the latent only
    assert model.encoder_img_feat_input_proj.weight.shape == (8, 128, 1, 1)


def test_every_input_changes_the_chunk(make_act, features, seen, observation):
    model = make_act(features={**features, ENVIRONMENT_STATE: make_act().spec.features[ENVIRONMENT_STATE]})
    seen = {**seen, ENVIRONMENT_STATE: observation[ENVIRONMENT_STATE]}
    before = model.predict_chunks(seen)

    for key, value in seen.items():
        other = model.predict_chunks({**seen, key: np.roll(value, 1, axis=0)})
        assert np.abs(other - before).max() > 1e-4, key


def test_it_matters_where_in_a_picture_something_is(make_act, features, seen):
    model = make_act(features=features)
    dark = np.zeros_like(seen[FRONT])
    left, right = dark.copy(), dark.copy()
    left[:, :8, :8], right[:, 8:, 16:] = 255, 255

    one, other = (model.predict_chunks({**seen, FRONT: pictures}) for pictures in (left, right))

    assert np.abs(one - other).max() > 1e-4


def test_pictures_as_floats_of_the_same_scale_are_the_same(make_act, features, seen):
    model = make_act(features=features).eval()
    whole = {key: torch.tensor(value) for key, value in seen.items()}

    with torch.no_grad():
        floats = model({key: value.float() for key, value in whole.items()})

        assert torch.equal(model(whole), floats)


def test_normalisation_of_a_camera_is_of_shares_of_the_brightest(make_act, features, seen):
    """Mean and standard deviation are LeRobot's: per channel, of pictures in 0..1."""
    model = make_act(features=features)
    given = []
    model.backbone.register_forward_pre_hook(lambda _, x: given.append(x[0]))

    model.look(FRONT, torch.tensor(seen[FRONT]))

    expected = (seen[FRONT] / 255.0 - np.array([0.4, 0.5, 0.6])) / np.array([0.4, 0.5, 0.6])
    np.testing.assert_allclose(given[0].numpy(), expected.transpose(0, 3, 1, 2), rtol=1e-4, atol=1e-5)


def test_cells_have_the_positions_of_lerobot():
    """Values of ACTSinusoidalPositionEmbedding2d(4) of LeRobot 0.4.4 on a map of 2 x 3."""
    codes = cell_positions(2, 3, 8)

    assert codes.shape == (6, 8)
    turn = 2 * math.pi
    angles = [turn / 2, turn / 2 / 100, turn / 3, turn / 3 / 100]  # of the first cell: its row, then its column
    np.testing.assert_allclose(codes[0, 0::2], np.sin(angles), atol=1e-5)
    np.testing.assert_allclose(codes[0, 1::2], np.cos(angles), atol=1e-5)
    assert torch.equal(codes[0, :4], codes[2, :4])
    assert torch.equal(codes[0, 4:], codes[3, 4:])


def test_a_checkpoint_brings_trunk_and_cameras_along(make_act, features, seen, tmp_path):
    model = make_act(features=features).eval()

    save_base(model, tmp_path)
    again = load_base(tmp_path)

    assert again.inputs == model.inputs
    np.testing.assert_array_equal(again.predict_chunks(seen), model.predict_chunks(seen))


def test_a_checkpoint_from_before_there_were_cameras_is_read(tiny_act, observation, tmp_path):
    save_base(tiny_act, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for name in ("vision_backbone", "pretrained_backbone_weights", "freeze_backbone", "perception"):
        del config["network"][name]
    (tmp_path / "config.json").write_text(json.dumps(config))

    again = load_base(tmp_path)

    np.testing.assert_array_equal(again.predict_chunks(observation), tiny_act.predict_chunks(observation))


def test_a_width_that_has_no_positions_in_two_dimensions_is_refused(make_act, features):
    with pytest.raises(SpecMismatchError, match=r"images.front is an image, and positions .* a multiple of 4"):
        make_act(features=features, dim_model=6)


def test_a_frozen_trunk_learns_nothing_and_needs_weights(make_act, features, tiny_config):
    model = make_act(features=features, freeze_backbone=True, pretrained_backbone_weights="eye.safetensors").train()

    model({key: torch.zeros(1, *feature.shape) for key, feature in features.items()}).sum().backward()

    assert {name for name, p in model.named_parameters() if p.grad is None and "vae" not in name} == {
        f"backbone.{name}" for name, _ in model.backbone.named_parameters()
    }
    with pytest.raises(ParamsError, match=r"freeze_backbone is true with pretrained_backbone_weights null; .*to false"):
        changed(tiny_config, {"freeze_backbone": True}, "network")


def test_the_number_of_cameras_does_not_change_the_number_of_parameters(make_act, features):
    """One trunk looks through all of them, as in LeRobot."""
    one = {key: feature for key, feature in features.items() if key != WRIST}

    assert make_act(features=one).n_parameters == make_act(features=features).n_parameters
