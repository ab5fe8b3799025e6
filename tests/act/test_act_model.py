"""The ACT network: shapes, units, masking and what its sizes mean."""

import dataclasses

import cloudpickle
import numpy as np
import pytest
import torch

from soarm.act.config import ACTConfig
from soarm.act.model import ACT, Blueprint
from soarm.act.normalisation import Standardise, Statistics
from soarm.errors import ParamsError, SpecMismatchError
from soarm.params import changed
from soarm.spec import ACTION, ENVIRONMENT_STATE, JOINT_FEATURE, STATE

FULL = {"chunk_size": 50, "n_action_steps": 50, "dim_model": 256, "n_heads": 8, "dim_feedforward": 3264, "latent_dim": 32}
FULL |= {"n_encoder_layers": 4, "n_decoder_layers": 1, "n_vae_encoder_layers": 4}


def test_chunks_have_the_shape_and_dtype_of_the_protocol(tiny_act, observation):
    chunks = tiny_act.predict_chunks(observation)

    assert chunks.shape == (4, 5, 6)
    assert chunks.dtype == np.float32
    assert np.isfinite(chunks).all()


def test_rows_of_a_batch_are_independent(tiny_act, observation):
    alone = [tiny_act.predict_chunks({key: value[i : i + 1] for key, value in observation.items()}) for i in range(4)]

    np.testing.assert_allclose(tiny_act.predict_chunks(observation), np.concatenate(alone), rtol=1e-5, atol=1e-4)


def test_prediction_is_without_dropout_and_leaves_the_mode(tiny_act, observation):
    tiny_act.train()

    first, second = tiny_act.predict_chunks(observation), tiny_act.predict_chunks(observation)

    assert (first == second).all()
    assert tiny_act.training


def test_normalisation_goes_there_and_back():
    layer = Standardise(3)
    layer.fit((1.0, -20.0, 300.0), (0.01, 5.0, 70.0))
    raw = torch.tensor([[1.02, -10.0, 300.0]])

    standard = layer(raw)

    torch.testing.assert_close(standard, torch.tensor([[2.0, 2.0, 0.0]]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(layer.inverse(standard), raw)


def test_units_are_part_of_the_network(make_act, observation):
    """Scaling the data and its statistics alike changes the actions by that scale and nothing else."""
    model = make_act().eval()
    before = model.predict_chunks(observation)
    for layer in (model.standardise_state, model.standardise_objects, model.standardise_action):
        layer.fit(tuple((layer.mean * 10).tolist()), tuple((layer.std * 10).tolist()))

    after = model.predict_chunks({key: value * 10 for key, value in observation.items()})

    np.testing.assert_allclose(after, 10 * before, rtol=1e-4, atol=1e-3)


def test_statistics_have_a_floor_and_a_hash():
    columns = {STATE: np.array([[1.0, 5.0], [1.0, 9.0]], np.float32)}

    statistics = Statistics.of(columns, std_floor=0.5)

    assert statistics.mean[STATE] == (1.0, 7.0)
    assert statistics.std[STATE] == (0.5, 2.0)
    assert statistics.hash == Statistics.of(columns, std_floor=0.5).hash
    assert statistics.hash != Statistics.of(columns, std_floor=0.6).hash


def test_padding_does_not_reach_the_latent(tiny_act):
    tiny_act.eval()
    state, action = torch.randn(3, 6), torch.randn(3, 5, 6)
    is_pad = torch.tensor([[False] * 5, [False] * 3 + [True] * 2, [False] + [True] * 4])

    found = tiny_act.encode(state, action, is_pad)

    other = tiny_act.encode(state, torch.where(is_pad[..., None], 1e3, action), is_pad)
    torch.testing.assert_close(found, other, rtol=0, atol=0)
    assert not torch.equal(found.mean, tiny_act.encode(state, torch.where(is_pad[..., None], action, 1e3), is_pad).mean)


def test_the_order_of_actions_matters_to_the_latent(tiny_act):
    tiny_act.eval()
    state, action, is_pad = torch.randn(2, 6), torch.randn(2, 5, 6), torch.zeros(2, 5, dtype=torch.bool)

    assert not torch.allclose(tiny_act.encode(state, action, is_pad).mean, tiny_act.encode(state, action.flip(1), is_pad).mean)


def test_the_latent_changes_the_actions_and_zero_is_what_inference_uses(tiny_act, observation):
    tiny_act.eval()
    seen = tiny_act.standardised({key: torch.tensor(value) for key, value in observation.items()})

    at_zero = tiny_act.standardise_action.inverse(tiny_act.decode(seen, torch.zeros(4, 4))).detach().numpy()

    np.testing.assert_allclose(at_zero, tiny_act.predict_chunks(observation), rtol=1e-5, atol=1e-4)
    elsewhere = tiny_act.decode(seen, torch.ones(4, 4))
    assert not torch.allclose(elsewhere, tiny_act.decode(seen, torch.zeros(4, 4)))


def test_without_the_variational_encoder_there_is_none(make_act, observation):
    model = make_act(use_vae=False)

    assert not [name for name, _ in model.named_parameters() if name.startswith("vae")]
    assert model.predict_chunks(observation).shape == (4, 5, 6)


@pytest.mark.parametrize(
    ("name", "stack"),
    [("n_encoder_layers", "encoder"), ("n_decoder_layers", "decoder"), ("n_vae_encoder_layers", "vae_encoder")],
)
def test_the_number_of_layers_is_that_of_its_stack(make_act, observation, name, stack):
    few, many = make_act(**{name: 1}), make_act(**{name: 3})

    assert len(getattr(few, stack).layers) == 1
    assert len(getattr(many, stack).layers) == 3
    assert many.predict_chunks(observation).shape == (4, 5, 6)


@pytest.mark.parametrize("n_decoder_layers", [1, 3])
def test_every_layer_of_the_decoder_sees_the_observation_and_learns(make_act, n_decoder_layers):
    """The original code reads its first decoder layer alone (act issue 25); here all of them count."""
    model = make_act(n_decoder_layers=n_decoder_layers, dropout=0.0).train()

    model({STATE: torch.randn(3, 6), ENVIRONMENT_STATE: torch.randn(3, 7)}).square().sum().backward()

    for layer in model.decoder.layers:
        assert layer.multihead_attn.in_proj_weight.grad.abs().max() > 0
        assert layer.linear2.weight.grad.abs().max() > 0


def test_parameters_are_counted_as_in_lerobot(make_act):
    """4,260,678 is what LeRobot 0.4.4 counts for the same sizes."""
    model = make_act(**{**FULL, "dim_feedforward": 1024, "n_encoder_layers": 2, "n_vae_encoder_layers": 2})

    assert model.n_parameters == 4_260_678


def test_the_profile_seed_size_has_the_size_of_the_seed(make_act):
    """LeRobot's default sizes at half the width; `seed_size` in params.yaml, beside its trunk."""
    model = make_act(**FULL)

    assert model.n_parameters == pytest.approx(17.8e6, rel=0.01)


def test_a_blueprint_survives_pickling_and_rebuilds_the_network(tiny_act, observation):
    again = cloudpickle.loads(cloudpickle.dumps(tiny_act.blueprint)).build()
    again.load_state_dict(tiny_act.state_dict())

    assert isinstance(again, ACT)
    assert (again.predict_chunks(observation) == tiny_act.predict_chunks(observation)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chunk_size": 7}, r"chunk_size is 7 in the specification and 5 in the network"),
        ({"n_action_steps": 1}, r"n_action_steps is 1 in the specification and 3 in the network"),
        ({"features": {}}, r"observation.state is missing; .*action is missing"),
    ],
)
def test_a_specification_that_does_not_fit_is_refused(tiny_act, change, message):
    with pytest.raises(SpecMismatchError, match=message):
        Blueprint(tiny_act.config, dataclasses.replace(tiny_act.spec, **change)).build()


def test_joint_positions_alone_are_enough(make_act, observation):
    """One token less, as in LeRobot; what else the observation holds is not looked at."""
    model = make_act(features={STATE: JOINT_FEATURE, ACTION: JOINT_FEATURE})

    chunks = model.predict_chunks(observation)

    assert model.inputs == (STATE,)
    assert not [name for name in model.state_dict() if "env_state" in name or "objects" in name]
    assert model.encoder_1d_feature_pos_embed.weight.shape == (2, 8)
    np.testing.assert_array_equal(model.predict_chunks({STATE: observation[STATE]}), chunks)


def test_tokens_stand_in_one_order_whatever_that_of_the_specification(make_act, tiny_act, observation):
    again = make_act(seed=1, features=dict(reversed(tiny_act.spec.features.items())))
    again.load_state_dict(tiny_act.state_dict())

    assert list(again.state_dict()) == list(tiny_act.state_dict())
    np.testing.assert_array_equal(again.predict_chunks(observation), tiny_act.predict_chunks(observation))


def test_an_input_the_network_does_not_have_is_refused(tiny_act):
    features = {**tiny_act.spec.features, "observation.images.front": tiny_act.spec.features[STATE]}

    with pytest.raises(SpecMismatchError, match=r"observation.images.front is not an input of this network"):
        Blueprint(tiny_act.config, dataclasses.replace(tiny_act.spec, features=features)).build()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim_model": 9}, r"dim_model is 9; it must be even and a multiple of n_heads \(2\)"),
        ({"n_action_steps": 6}, r"n_action_steps is 6; it must be in 1..chunk_size \(5\)"),
        ({"temporal_ensemble_coeff": 0.01}, r"temporal_ensemble_coeff is 0.01 with n_action_steps 3"),
        ({"dropout": 1.0}, r"dropout is 1.0; it must be at least 0 and below 1"),
        ({"kl_weight": -1.0}, r"kl_weight is -1.0; it must be at least 0"),
        ({"n_decoder_layers": 0, "latent_dim": 0}, r"(?s)n_decoder_layers is 0; .*latent_dim is 0; it must be at least 1"),
    ],
)
def test_sizes_that_cannot_be_built_are_refused(tiny_config: ACTConfig, change, message):
    with pytest.raises(ParamsError, match=message):
        changed(tiny_config, change, "network")
